"""Over any split of time every tier says the same to the last integer, and nobody's time is nobody's idleness."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from support.store_rows import gpu, gpu_row, process

from gpuwatch.clock import FakeClock
from gpuwatch.ledger.types import BucketRow
from gpuwatch.measure import quantise
from gpuwatch.model import GpuSample, Host, InferenceSample, ProcessSample, Workload
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.columns import GPU_SAMPLE, PROCESS_SAMPLE, rollup
from gpuwatch.store.days import close_days, close_ledger_days
from gpuwatch.store.hours import close_hours, close_ledger_hours
from gpuwatch.store.rollup import close_minutes, set_watermark, write_ledger
from gpuwatch.store.rows import ProcessRow, Tick, WorkloadRow
from gpuwatch.store.writer import StoreWriter

STARTS = {
    "America/New_York": (2025, 11, 1),  # a day of 25 hours follows
    "Europe/Berlin": (2026, 3, 28),  # one of 23 hours
    "Asia/Kolkata": (2026, 1, 1),
    "Asia/Kathmandu": (2026, 1, 1),
    "Australia/Lord_Howe": (2026, 4, 4),  # one of 24 and a half
}
DAY_MS = 86_400_000
values = st.fixed_dictionaries(
    {},
    optional={
        "utilization_ratio": st.integers(0, 1000).map(lambda pm: pm / 1000),
        "memory_used_bytes": st.integers(0, 80 * 1024).map(lambda mib: mib * 2**20),
        "power_watts": st.integers(0, 700).map(float),
        "energy_joules": st.integers(0, 40_000).map(float),
        "sm_active_ratio": st.integers(0, 1000).map(lambda pm: pm / 1000),
        "sm_clock_hertz": st.integers(200, 2000).map(lambda mhz: mhz * 1e6),
        "clock_event_reasons": st.sampled_from([0, 1, 4, 8, 0x24]),
    },
)
steps = st.lists(
    st.tuples(
        st.integers(1, 5000) | st.integers(1, 400_000) | st.integers(1, 150 * 60_000),
        st.integers(0, 180_000),
        st.sampled_from([None, False, True]),
        values,
    ),
    min_size=1,
    max_size=40,
)


def start_ms(zone: str) -> int:
    return round(datetime(*STARTS[zone], tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def host(zone: str) -> Host:
    offset = datetime.fromtimestamp(start_ms(zone) / 1000, ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return Host("m-1", "lab", utc_offset_seconds=round(offset.total_seconds()), timezone=zone)


def recorded(zone: str, given_steps: list[tuple[int, int, bool | None, dict[str, Any]]]) -> tuple[StoreWriter, int]:
    """A store with these rows (step to the next, time it speaks for, quiet, values) and an instant days after the last one."""
    writer, at = StoreWriter.open(":memory:", clock=FakeClock()), start_ms(zone)
    writer.begin_session(at, 1000, "")
    server = Workload(7, 1, 8000, kind="inference", name="vllm")
    writer.add(Tick(at, host=host(zone), gpus=[gpu(0), gpu(1)], processes=[process(7)], workloads=[server]))
    for number, (step, dt, quiet, measured) in enumerate(given_steps):
        at += step
        rows = [gpu_row(index, dt, quiet=quiet, **measured) for index in range(1 + number % 2)]
        held = ProcessRow(7, process(7).start_ms, "GPU-0", dt, quantise(ProcessSample(7, gpu_memory_bytes=number * 2**20)))
        served = quantise(InferenceSample(7, output_tokens_total=number, kv_cache_ratio=number / 100))
        writer.add(Tick(at, gpu_rows=rows, process_rows=[held], workload_rows=[WorkloadRow(7, 1, 8000, "inference", dt, served)]))
    assert writer.commit()
    return writer, at + 3 * DAY_MS


def close(writer: StoreWriter, now_ms: int) -> None:
    db = writer.connection
    close_minutes(db, now_ms)
    close_hours(db, now_ms)
    close_days(db, now_ms)


def sums(writer: StoreWriter, table: str, key: str, sample: type) -> dict[int, dict[str, int | None]]:
    """All columns over all time, per entity: peaks as peaks, the rest added up."""
    how = {c.name: f"{c.how}({c.name})" for c in rollup(sample) if c.how in ("max", "min")}
    how["energy_src"] = "max(energy_src&1)+max(energy_src&2)"
    names = [row[1] for row in writer.connection.execute(f"PRAGMA table_info({table})") if row[1] not in ("t", key, "gpu_id")]
    cells = ",".join(how.get(name, f"sum({name})") for name in names)
    rows = writer.connection.execute(f"SELECT {key},{cells} FROM {table} GROUP BY 1")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def raw_sums(rows: list[dict[str, int]], sample: type) -> dict[str, int | None]:
    """The same from single rows, in plain Python."""
    rows = [row for row in rows if row["dt_ms"] > 0]
    out: dict[str, int | None] = {"obs_ms": sum(row["dt_ms"] for row in rows), "n": len(rows)}
    for column in rollup(sample):
        known = [row for row in rows if any(row[name] is not None for name in column.sources or (column.source,))]
        found = {
            "observed": lambda known, _: sum(row["dt_ms"] for row in known),
            "integral": lambda known, source: sum(row[source] * row["dt_ms"] for row in known),
            "sum": lambda known, source: sum(row[source] for row in known),
            "max": lambda known, source: max(row[source] for row in known),
            "min": lambda known, source: min(row[source] for row in known),
        }[column.how](known, column.source) if known else None  # fmt: skip
        out[column.name] = found
    return out


def hot(writer: StoreWriter, table: str, columns: tuple[str, ...]) -> list[dict[str, int]]:
    rows = writer.connection.execute(f"SELECT {','.join(columns)} FROM {table}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


@settings(max_examples=40, deadline=None)
@given(zone=st.sampled_from(sorted(STARTS)), given_steps=steps)
def test_seconds_minutes_hours_and_days_have_the_same_sums(zone: str, given_steps: list[Any]) -> None:
    writer, now_ms = recorded(zone, given_steps)
    close(writer, now_ms)
    families: tuple[tuple[str, str, type, tuple[str, ...]], ...] = (
        ("gpu", "gpu_id", GpuSample, GPU_SAMPLE),
        ("process", "proc_id", ProcessSample, PROCESS_SAMPLE),
    )
    for family, key, sample, columns in families:
        rows = hot(writer, f"{family}_sample", columns)
        minutes = sums(writer, f"{family}_minute", key, sample)
        assert minutes == sums(writer, f"{family}_hour", key, sample) == sums(writer, f"{family}_day", key, sample)
        for entity in {row[key] for row in rows if row["dt_ms"] > 0}:
            own = raw_sums([row for row in rows if row[key] == entity], sample)
            assert own == {name: minutes[entity][name] for name in own}
    tokens = [
        writer.connection.execute(f"SELECT sum(obs_ms), sum(output_tokens_sum), max(kv_cache_pm_max) FROM workload_{p}").fetchone()
        for p in ("minute", "hour", "day")
    ]
    assert tokens[0] == tokens[1] == tokens[2]
    writer.close()


@settings(max_examples=25, deadline=None)
@given(zone=st.sampled_from(sorted(STARTS)), given_steps=steps, data=st.data())
def test_closing_in_any_pieces_gives_what_closing_at_once_gives(zone: str, given_steps: list[Any], data: st.DataObject) -> None:
    once, now_ms = recorded(zone, given_steps)
    close(once, now_ms)
    pieces, _ = recorded(zone, given_steps)
    for at in sorted(data.draw(st.lists(st.integers(start_ms(zone), now_ms), max_size=6))):
        close(pieces, at)
    while close_minutes(pieces.connection, now_ms) or close_hours(pieces.connection, now_ms, limit=1):
        pass
    close(pieces, now_ms)
    for table in ("gpu_hour", "process_hour", "workload_hour", "gpu_day", "process_day", "workload_day"):
        found = [writer.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for writer in (once, pieces)]
        assert found[0] == found[1]
    once.close()
    pieces.close()


buckets = st.lists(
    st.tuples(st.sampled_from([Bucket.WAIT, Bucket.HELD_IDLE, Bucket.BUSY_UNKNOWN]), st.integers(0, 3), st.integers(0, 9000)),
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(zone=st.sampled_from(sorted(STARTS)), minutes=st.lists(st.tuples(st.integers(1, 300), buckets), min_size=1, max_size=40))
def test_minutes_hours_and_days_of_the_ledger_have_the_same_sums(zone: str, minutes: list[Any]) -> None:
    writer, now_ms = recorded(zone, [(1000, 1000, False, {})])
    db, t = writer.connection, start_ms(zone) // 1000
    for step, parts in minutes:
        t += 60 * step
        once = {(bucket, owner): ms for bucket, owner, ms in parts}
        rows = [BucketRow(owner, bucket, Cause.NONE, Tier.N, ms, 3 * ms) for (bucket, owner), ms in once.items()]
        write_ledger(db, 1, t, rows, True)
    set_watermark(db, "ledger", t + 60)
    now_ms = t * 1000 + 3 * DAY_MS
    set_watermark(db, "ledger", now_ms // 1000)
    close_ledger_hours(db, now_ms)
    close_ledger_days(db, now_ms)
    sql = "SELECT gpu_id, owner_id, bucket, cause, tier, sum(ms), sum(energy_mj) FROM ledger_{} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3"
    found = [db.execute(sql.format(period)).fetchall() for period in ("minute", "hour", "day")]
    assert found[0] == found[1] == found[2] != []
    writer.close()
