"""What served models add to a report of 30 days: 8 servers on 8 GPUs, four histograms with 20 moving buckets in each hour.

``python benchmarks/model_report.py`` prints CPU ms (median and best of 15) of all sums of the models of such a span, read from 29
days, 23 hours and 60 minutes as a report does, and exits with 1 over budget. Beside it: the same percentiles from all hours of the
span at once, as one writes first, by SQL and ``statistics``. Values are synthetic, from a seed, put straight into the rollups.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from server_views import cpu_ms, serving
from support.served import held, served_story
from support.story import START

from gpuwatch.names import WAITS, Latency
from gpuwatch.store import period_served
from gpuwatch.store.period import Piece, Plan
from gpuwatch.store.window import Window
from gpuwatch.view.latency import latency_view

SERVERS, DAYS, BUDGET_MS = 8, 30, 150.0
HOUR_S, DAY_S = 3600, 86_400
START_S = round(START) // DAY_S * DAY_S
BUCKETS = [(low * 7_000, (low + 1) * 7_000) for low in range(20)]


def starts() -> Iterator[tuple[str, int]]:
    """(tier, start) of all rollups of the span; hours are there for all of it."""
    for day in range(DAYS - 1):
        yield "day", START_S + day * DAY_S
    for hour in range(DAYS * 24 - 1):
        yield "hour", START_S + hour * HOUR_S
    for minute in range(60):
        yield "minute", START_S + DAYS * DAY_S - HOUR_S + minute * 60


def fill(path: Path) -> list[int]:
    """Rollups of all servers; their ids."""
    story = served_story(path, *(serving(number) for number in range(SERVERS)), gpus=SERVERS)
    for number, serves in enumerate(story.servers):
        held(story, serves, number)
    story.close_minutes()
    story.run(130)
    db, chance = story.writer.connection, random.Random(7)
    ids = [row[0] for row in db.execute("SELECT workload_id FROM workload ORDER BY 1")]
    owners = db.execute("SELECT owner_id, workload_id FROM owner WHERE workload_id<>0").fetchall()
    waits, counts, time = {}, {}, {}
    for tier, t in starts():
        length = {"day": DAY_S, "hour": HOUR_S, "minute": 60}[tier]
        for workload_id in ids:
            rows = waits.setdefault(tier, [])
            rows += [(t, workload_id, each, *bucket, chance.randrange(1, 9999)) for each in WAITS for bucket in BUCKETS]
            counts.setdefault(tier, []).append((t, workload_id, length * 1000, 9, length * 900, length * 90, length * 9))
        for number, (owner_id, _) in enumerate(owners):
            for bucket in (5, 7, 13):
                time.setdefault(tier, []).append((t, number % SERVERS + 1, owner_id, bucket, 0, 0, length * 300, length * 70_000))
    for tier, rows in waits.items():
        db.executemany(f"INSERT OR REPLACE INTO latency_{tier} VALUES(?,?,?,?,?,?)", rows)
        names = "t,workload_id,obs_ms,n,output_tokens_sum,prefill_tokens_sum,requests_sum"
        db.executemany(f"INSERT OR REPLACE INTO workload_{tier}({names}) VALUES(?,?,?,?,?,?,?)", counts[tier])
        names = "t,gpu_id,owner_id,bucket,cause,tier,ms,energy_mj"
        db.executemany(f"INSERT OR REPLACE INTO ledger_{tier}({names}) VALUES(?,?,?,?,?,?,?,?)", time[tier])
    db.commit()
    story.writer.close()
    return ids


def plan() -> Plan:
    """As a report covers the span: each day a cell."""
    end = START_S + DAYS * DAY_S
    pieces = [Piece(day, "day", START_S + day * DAY_S, START_S + (day + 1) * DAY_S) for day in range(DAYS - 1)]
    pieces += [Piece(DAYS - 1, "hour", end - DAY_S, end - HOUR_S), Piece(DAYS - 1, "minute", end - HOUR_S, end)]
    return Plan("gpu", tuple(pieces), (*(START_S + day * DAY_S for day in range(DAYS)), end), ())


def ours(window: Window, of: Plan, ids: Sequence[int]) -> list[float | None]:
    """Everything that a report asks of models; the percentiles of the first kind of waiting time."""
    period_served.counted(window, of, ids)
    period_served.gpu_time(window, of, ids, by_cell=True)
    buckets: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
    for workload_id, latency, lower, upper, count in period_served.waited(window, of, ids):
        there = buckets.setdefault((workload_id, latency), {})
        there[lower, upper] = there.get((lower, upper), 0) + count
    views = {key: latency_view(Latency(key[1]), 1000, None, found, 0.05) for key, found in buckets.items()}
    return [views[workload_id, Latency.TTFT].p95_seconds for workload_id in ids]


def plainly(window: Window, ids: Sequence[int]) -> list[float]:
    """The 95th percentile by all hours of the span, one server after the other."""
    sql = "SELECT lower_us, upper_us, sum(n) FROM latency_hour WHERE workload_id=? AND latency=1 GROUP BY 1, 2 ORDER BY 1"
    out = []
    for workload_id in ids:
        rows = window.rows(sql, (workload_id,))
        wanted, below = 0.95 * sum(row[2] for row in rows), 0
        for lower, upper, count in rows:
            if below + count >= wanted:
                out.append((lower + (upper - lower) * (wanted - below) / count) / 1e6)
                break
            below += count
    return out


def main() -> int:
    """Print both; exit code 1 over budget."""
    with tempfile.TemporaryDirectory() as folder:
        ids = fill(Path(folder) / "s.db")
        with Window(Path(folder) / "s.db") as window:
            of = plan()
            found = ours(window, of, ids)
            took = [cpu_ms(lambda: ours(window, of, ids)) for _ in range(15)]
            plain = [cpu_ms(lambda: plainly(window, ids)) for _ in range(5)]
            print(f"models of 30 days, 8 servers, CPU ms: {statistics.median(took):.1f} ({min(took):.1f}), budget {BUDGET_MS:g}")
            print(f"only their p95 from {DAYS * 24} hours by SQL: {statistics.median(plain):.1f} ({min(plain):.1f})")
            print("p95, s:", ", ".join(f"{value:.4f}" for value in found if value is not None))
    return int(min(took) > BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main())
