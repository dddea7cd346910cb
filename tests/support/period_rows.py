"""Stores for tests of sums over a span: minutes of two GPUs at any time, closed into hours and days of a zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from support.store_rows import gpu, process

from gpuwatch.clock import FakeClock
from gpuwatch.ledger.types import BucketRow
from gpuwatch.model import Host
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.days import close_days, close_ledger_days
from gpuwatch.store.hours import close_hours, close_ledger_hours
from gpuwatch.store.rollup import write_ledger
from gpuwatch.store.rows import Tick
from gpuwatch.store.watermarks import set_watermark
from gpuwatch.store.writer import StoreWriter

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
BUCKETS = (Bucket.WAIT, Bucket.HELD_IDLE, Bucket.BUSY_UNKNOWN, Bucket.UNALLOCATED)
Minutes = dict[tuple[int, int], int]
"""(minute, gpu_id) -> a number from which all figures of that minute follow."""


def start_s(zone: str, *day: int) -> int:
    """Unix second of a local midnight, or of a later hour of that day."""
    return round(datetime(*day, tzinfo=ZoneInfo(zone)).timestamp())  # type: ignore[arg-type]


def ledger_of(minute: int, gpu_id: int, seed: int) -> list[BucketRow]:
    """One GPU's minute: never more than 60 s."""
    first = seed % 30_000
    rows = [BucketRow(seed % 3, BUCKETS[seed % 4], Cause.NONE, Tier.N, first, seed % 7919)]
    return [*rows, BucketRow(2, Bucket.EFFECTIVE, Cause.NONE, Tier.G, seed % 29_989, seed % 101)] if seed % 5 else rows


def use_of(seed: int) -> dict[str, int]:
    """What ``gpu_minute`` says of it."""
    return {
        "obs_ms": seed % 60_001,
        "n": 1 + seed % 60,
        "quiet_ms": seed % 60_001 if seed % 2 else 0,
        "quiet_known_ms": seed % 60_001,
        "energy_used_mj": seed % 104_729,
        "energy_src": 1 + seed % 2,
        "utilization_obs_ms": seed % 60_001,
        "utilization_pm_ms": seed % 60_001 * (seed % 1001),
        "utilization_pm_max": seed % 1001,
        "memory_used_mib_max": seed % 81_920,
    }


def store(zone: str, minutes: Minutes, now_s: int, *, close: bool = True) -> StoreWriter:
    """A store in memory with these minutes; hours and days are closed up to ``now_s``."""
    writer = StoreWriter.open(":memory:", clock=FakeClock())
    first = min(t for t, _ in minutes)
    writer.begin_session(first * 1000, 1000, "")
    offset = datetime.fromtimestamp(first, ZoneInfo(zone)).utcoffset()
    assert offset is not None
    host = Host("m-1", "lab", utc_offset_seconds=round(offset.total_seconds()), timezone=zone)
    writer.add(Tick(first * 1000, host=host, gpus=[gpu(0), gpu(1)], processes=[process(7), process(8)]))
    assert writer.commit()
    db = writer.connection
    for (t, gpu_id), seed in minutes.items():
        facts = dict.fromkeys(
            ("context_ms", "context_known_ms", "quiet_context_ms", "unavailable_ms", "throttled_ms", "quiet_energy_mj"), 0
        )
        values = {"t": t, "gpu_id": gpu_id, **facts, **use_of(seed)}
        db.execute(f"INSERT INTO gpu_minute({','.join(values)}) VALUES({','.join('?' * len(values))})", list(values.values()))
        db.execute(
            "INSERT INTO process_minute(t,proc_id,gpu_id,obs_ms,n,quiet_ms,gpu_memory_mib_max,sm_obs_ms,sm_pm_ms) VALUES(?,?,?,?,1,0,?,?,?)",
            (t, 1 + seed % 2, gpu_id, seed % 60_001, seed % 4096, seed % 60_001, seed % 60_001 * (seed % 1001)),
        )
        write_ledger(db, gpu_id, t, ledger_of(t, gpu_id, seed), True)
    db.execute("UPDATE gpu SET last_ms=coalesce((SELECT max(t)+60 FROM gpu_minute m WHERE m.gpu_id=gpu.gpu_id)*1000, last_ms)")
    for tier in ("minute", "ledger"):
        set_watermark(db, tier, now_s // MINUTE_S * MINUTE_S)
    if close:
        for step in (close_hours, close_ledger_hours, close_days, close_ledger_days):
            step(db, now_s * 1000)
    return writer


def drop(writer: StoreWriter, period: str, before_s: int) -> None:
    """Forget a tier's rows before an instant, as retention does."""
    for family in ("gpu", "process", "ledger"):
        writer.connection.execute(f"DELETE FROM {family}_{period} WHERE t<?", (before_s,))
