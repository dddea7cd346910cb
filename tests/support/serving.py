"""Inference servers for tests of the store: rows that are easy to add up, and a recording of hours in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from support.store_rows import HOST, T0, gpu

from gpuwatch.measure import quantise
from gpuwatch.model import OPEN_US, FieldSource, InferenceSample, LatencyCounts, Server, Workload
from gpuwatch.names import Latency, Quality, ServerState
from gpuwatch.recorder.closer import Closer
from gpuwatch.store.days import close_days, close_hist_days
from gpuwatch.store.hours import close_hours
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick, WorkloadRow
from gpuwatch.store.writer import StoreWriter

Key = tuple[int, int, int]
VLLM: Key = (4100, T0 - 60_000, 8000)
LLAMA: Key = (4200, T0 - 50_000, 0)
EDGES_US = (0, 100_000, 250_000, 1_000_000, OPEN_US)
"""Bounds of the buckets that ``counts`` fills."""


def workload(key: Key = VLLM, **more: Any) -> Workload:
    given: dict[str, Any] = {"name": "Qwen3-8B", "model": "Qwen/Qwen3-8B", "engine": "vllm", "user": "alice", **more}
    return Workload(*key, kind="inference", **given)


def server(key: Key = VLLM, state: ServerState = ServerState.UP, **more: Any) -> Server:
    given: dict[str, Any] = {
        "url": "http://127.0.0.1:8000/metrics",
        "engine": "vllm",
        "engine_version": "0.11.0",
        "served_model": "Qwen/Qwen3-8B",
        "max_model_tokens": 40_960,
        "interval_seconds": 2.0,
        "scrape_seconds": 0.004,
        "page_bytes": 30_000,
        "fields": (source("output_tokens_total"), source("ttft", quality=Quality.AT_END)),
        **more,
    }
    return Server(*key, state, **given)


def source(field: str, quality: Quality = Quality.EXACT, where: str = "") -> FieldSource:
    return FieldSource(field, quality, where or f"vllm:{field}")


def row(key: Key = VLLM, dt_ms: int = 2000, **values: Any) -> WorkloadRow:
    given = {"server_state": int(ServerState.UP), **values}
    return WorkloadRow(*key, "inference", dt_ms, quantise(InferenceSample(*key, **given)))


def counts(key: Key = VLLM, latency: Latency = Latency.TTFT, numbers: Sequence[int] = (1, 2, 3, 4), edges: Sequence[int] = EDGES_US) -> LatencyCounts:  # fmt: skip
    """So many more observations in each bucket between two edges."""
    buckets = [(lower, upper, n) for lower, upper, n in zip(edges, edges[1:], numbers) if n]
    return LatencyCounts(*key, latency, tuple(buckets))


def described(second: float = 0, keys: Iterable[Key] = (VLLM,), **more: Any) -> Tick:
    """The tick that introduces host, GPU and servers."""
    keys = list(keys)
    given: dict[str, Any] = {"workloads": [workload(key) for key in keys], "servers": [server(key) for key in keys], **more}
    return Tick(T0 + round(second * 1000), host=HOST, gpus=[gpu(0)], **given)


def at(second: float, *rows: WorkloadRow, latencies: Sequence[LatencyCounts] = (), **more: Any) -> Tick:
    return Tick(T0 + round(second * 1000), workload_rows=rows, latencies=latencies, **more)


def serve(writer: StoreWriter, seconds: range, make: Callable[[int], Tick], *, every: int = 500) -> None:
    """A tick for each of the seconds, committed from time to time."""
    for number, second in enumerate(seconds):
        writer.add(make(second))
        if number % every == 0:
            assert writer.commit()
    assert writer.commit()


def close(writer: StoreWriter, now_ms: int) -> None:
    """Close every tier that is over."""
    db = writer.connection
    close_minutes(db, now_ms)
    close_hours(db, now_ms)
    close_days(db, now_ms)
    close_hist_days(db, now_ms)


def keep_history(writer: StoreWriter, now_ms: int, steps: int = 2000) -> None:
    """What a recorder does between ticks, until all is done; what is sealed in one minute is let go of in the next."""
    closer = Closer(writer)
    closer.finish(now_ms)
    for minute_ms in (0, 60_000):
        for _ in range(steps):
            closer.work(now_ms + minute_ms)


def sums(writer: StoreWriter, tier: str) -> dict[tuple[int, ...], int]:
    """Observations by workload, latency and bucket over all time."""
    sql = f"SELECT workload_id, latency, lower_us, upper_us, sum(n) FROM latency_{tier} GROUP BY 1, 2, 3, 4"
    return {found[:4]: found[4] for found in writer.connection.execute(sql)}
