"""What a report costs on long histories: 30 days of 8 GPUs at one row a second, and 90 days of 64 GPUs in hour rows.

``python benchmarks/history.py`` builds both stores (``history_store.py`` says how: two days through the recorder's pipeline, the rest
repeated with shifted time and fresh noise; about a quarter of an hour, two minutes with ``--rollups-only --hours 2``) in ``--folder``
or a temporary one, asks each question several times and prints the CPU time beside the budget. Each try has a connection of its own;
pages come from the system's cache. Of the long report the part inside of SQLite is held against the budget, the whole is shown. A busy
machine only adds CPU time, so the best try counts and the median is shown; a loop that never changes says how busy it was. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import archive_scene
import history_store

from gpuwatch.report.period_text import report_text
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.types import Report, ReportRequest

TRIES = 7
DAY_MS = 86_400_000
UTILIZATION = """SELECT gpu_uuid, t, utilization_ratio FROM v_gpu_day WHERE t >= ?"""


def cpu_ms(work: Callable[[], object]) -> tuple[float, float]:
    """(best, median) CPU milliseconds of several tries."""
    took = []
    for _ in range(TRIES):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) * 1000)
    return min(took), statistics.median(took)


def yardstick() -> int:
    """Work that never changes, to compare runs by."""
    return sum(number * number % 7 for number in range(1_300_000))


def report(path: Path, now_s: int, days: int, by: str, hosts: tuple[str, ...] = ()) -> Report:
    """The report of the last ``days``."""
    with Window(path) as window:
        request = ReportRequest(start_ms=now_s * 1000 - days * DAY_MS, by=by, hosts=hosts)
        return build_report(window, request, now_ms=now_s * 1000, tz=UTC, zone="UTC")


class Queries:
    """The part of reports that is inside of SQLite, also of what is read row by row."""

    def __init__(self) -> None:
        self.ms = 0.0
        rows, each = Window.rows, Window.each

        def timed(work: Callable[[], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
            began = time.process_time()
            out = work()
            self.ms += (time.process_time() - began) * 1000
            return out

        Window.rows = lambda window, sql, values: timed(lambda: rows(window, sql, values))  # type: ignore[method-assign,assignment]

        def read_twice(window: Window, sql: str) -> Iterator[tuple[Any, ...]]:
            timed(lambda: list(deque(each(window, sql), maxlen=0)))  # once for the time, without what is done with the rows
            return each(window, sql)

        Window.each = read_twice  # type: ignore[method-assign,assignment]

    def of(self, work: Callable[[], object]) -> float:
        """CPU milliseconds of the queries of one try."""
        self.ms = 0.0
        work()
        return self.ms


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Rows of one statement on a connection of its own, as a script asks."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return db.execute(statement, values).fetchall()
    finally:
        db.close()


def questions(
    month: Path, quarter: Path, now_s: int, days: int, long_days: int
) -> list[tuple[str, Callable[[], object], float | None]]:
    """(what, how, budget in CPU ms)."""
    first = now_s - days * 86_400
    users = (
        'SELECT "user", sum(held) / 3600000.0 FROM (SELECT owner_id, sum(ms) AS held FROM ledger_hour WHERE t>=? AND bucket=5 GROUP BY 1) '
        'JOIN owner USING (owner_id) LEFT JOIN (SELECT user_id, name AS "user" FROM user_account) USING (user_id) GROUP BY 1'
    )
    p95 = (
        "SELECT gpu_uuid, min(middle) FROM (SELECT gpu_uuid, middle, sum(weight) OVER (PARTITION BY gpu_uuid ORDER BY middle) AS upto, "
        "sum(weight) OVER (PARTITION BY gpu_uuid) AS whole FROM (SELECT gpu_uuid, middle, sum(weight) AS weight FROM v_hist "
        "WHERE quantity='utilization_ratio' AND t>=? GROUP BY 1, 2)) WHERE upto >= 0.95 * whole GROUP BY 1"
    )
    made = report(month, now_s, days, "gpu")
    return [
        (f"{days} d x 8 GPUs: mean utilization per GPU and day (v_gpu_day)", lambda: sql(month, UTILIZATION, first), 10.0),
        (f"{days} d x 8 GPUs: held-idle GPU-hours per user, from hours", lambda: sql(month, users, first), 50.0),
        (f"{days} d x 8 GPUs: p95 utilization per GPU (v_hist)", lambda: sql(month, p95, first), 150.0),
        (f"{days} d x 8 GPUs: the model of the whole report", lambda: report(month, now_s, days, "gpu"), None),
        (f"{days} d x 8 GPUs: the same by user", lambda: report(month, now_s, days, "user"), None),
        (f"{days} d x 8 GPUs: drawn as text", lambda: report_text(made, width=120), None),
        (f"{days} d x 8 GPUs: whole text report", lambda: report_text(report(month, now_s, days, "gpu"), width=120), 400.0),
        (f"{long_days} d x 64 GPUs: mean utilization per GPU and day (v_gpu_day)", lambda: sql(quarter, UTILIZATION, now_s - long_days * 86_400), 200.0),
        (f"{long_days} d x 64 GPUs: the model of the whole report", lambda: report(quarter, now_s, long_days, "gpu", ("all",)), None),
    ]  # fmt: skip


def main() -> int:
    """Build what is not there, ask, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the stores here and use those that are there")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--long-days", type=int, default=90)
    parser.add_argument(
        "--hours",
        type=int,
        default=history_store.REAL_HOURS,
        help="hours that go through the pipeline, a part of a day or whole days",
    )
    parser.add_argument(
        "--rollups-only", action="store_true", help="build without the archive, which no report reads, in a fraction of the time"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        month, quarter = folder / "month.db", folder / "quarter.db"
        if not month.exists():
            build(folder, month, quarter, args.days, args.long_days, args.hours, archive=not args.rollups_only)
        return ask(month, quarter, archive_scene.START_S + args.hours * 3600, args.days, args.long_days)


def build(folder: Path, month: Path, quarter: Path, days: int, long_days: int, hours: int, *, archive: bool) -> None:
    """Both stores; each gets its name when it is whole."""
    began, part = time.process_time(), folder / "part.db"
    part.unlink(missing_ok=True)
    print(f"recording {hours} h of 8 GPUs", file=sys.stderr)
    history_store.real_days(part, hours)
    print(f"  {time.process_time() - began:.0f} s CPU; repeating it", file=sys.stderr)
    quarter.unlink(missing_ok=True)
    history_store.a_quarter(part, quarter, long_days, hours, 8, lambda text: print(text, file=sys.stderr))
    history_store.a_month(part, days, hours, lambda text: print(text, file=sys.stderr), archive=archive)
    part.rename(month)
    print(f"built in {time.process_time() - began:.0f} s CPU", file=sys.stderr)


def ask(month: Path, quarter: Path, now_s: int, days: int, long_days: int) -> int:
    """Print the table; 1 if a budget is missed."""
    rows = sql(month, "SELECT coalesce(sum(n), 0) FROM chunk WHERE kind=0")[0][0]
    sizes = [path.stat().st_size / 1e6 for path in (month, quarter)]
    print(
        f"{rows:,} GPU rows in chunks, {sizes[0]:.0f} MB; hour tier of {long_days} days x 64 GPUs, {sizes[1]:.0f} MB; CPU ms, best of {TRIES}"
    )
    print(f"  {'yardstick: a loop that never changes':<76}{'{:>8.1f} (median {:.1f})'.format(*cpu_ms(yardstick))}")
    missed = False
    for what, how, budget in questions(month, quarter, now_s, days, long_days):
        best, median = cpu_ms(how)
        verdict = "" if budget is None else f"{budget:>8.0f}  {'met' if best <= budget else 'MISSED'}"
        missed |= budget is not None and best > budget
        print(f"  {what:<76}{best:>8.1f} (median {median:.1f}){verdict}")
    queries = Queries()
    for what, path, span, hosts, budget in (
        (f"{days} d x 8 GPUs: queries of the whole report", month, days, (), None),
        (f"{long_days} d x 64 GPUs: queries of the whole report", quarter, long_days, ("all",), 200.0),
    ):
        took = [queries.of(lambda path=path, span=span, hosts=hosts: report(path, now_s, span, "gpu", hosts)) for _ in range(TRIES)]  # type: ignore[misc]
        verdict = "" if budget is None else f"{budget:>8.0f}  {'met' if min(took) <= budget else 'MISSED'}"
        missed |= budget is not None and min(took) > budget
        print(f"  {what:<76}{min(took):>8.1f} (median {statistics.median(took):.1f}){verdict}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
