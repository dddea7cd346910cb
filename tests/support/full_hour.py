"""An hour in which everything is recorded: rows of all hot tables, with every kind of value."""

from __future__ import annotations

from collections.abc import Callable

from gpuwatch.measure import quantise
from gpuwatch.model import (
    ExtraSample,
    GpuSample,
    HostSample,
    InferenceSample,
    ProcessSample,
    RecorderSample,
    Workload,
)
from gpuwatch.names import Context
from gpuwatch.store.rows import GpuRow, ProcessRow, Tick, TrainingRow, WorkloadRow
from gpuwatch.store.writer import StoreWriter
from gpuwatch.training import TrainingSample

HOUR_MS = 3_600_000
T0 = 1_763_131_320_000 // HOUR_MS * HOUR_MS
"""The start of an hour, unix milliseconds."""
TRAINING, SERVER = Workload(500, T0 - 9000, kind="training"), Workload(600, T0 - 9000, 8000, kind="inference")


def gpu_row(number: int, second: int, dt_ms: int) -> GpuRow:
    """What a GPU did: every kind of value, some of them unknown now and then."""
    sample = GpuSample(
        "",
        utilization_ratio=(second * 7 + number) % 101 / 100,
        sm_active_ratio=None if second % 900 < 40 else second % 37 / 50,
        memory_used_bytes=(5000 + second // 600) * 2**20,
        power_watts=300 + (second * 7919 % 1000) / 7,
        temperature_celsius=-3 + second % 5,
        clock_event_reasons=0x4 if second % 50 == 0 else 0,
        ecc_uncorrected_total=2**40 + second,
    )
    context = (None, Context.NONE, Context.PROCESS)[second // 300 % 3]
    return GpuRow(f"GPU-{number}", dt_ms, (None, True, False)[second % 3], context, second % 3 * 1000, 1000, second % 700 == 0, quantise(sample))  # fmt: skip


def process_row(pid: int, on: str, second: int, dt_ms: int) -> ProcessRow:
    sample = ProcessSample(
        pid,
        gpu_memory_bytes=(pid * 100 + second // 100) * 2**20 if on else None,
        sm_utilization_ratio=second * pid % 11 / 10 if on and second % 3 else None,
        cpu_ratio=second * pid % 17 / 4,
        rss_bytes=pid * 2.0**30,
    )
    return ProcessRow(pid, T0 - 5000, on, dt_ms, quantise(sample))


def everything(second: int, step: int) -> Tick:
    """One tick with rows for all hot tables: two GPUs, three processes (one on no GPU), a training of two ranks, a server, host, recorder, a plugin."""
    dt = step * 1000
    ranks = [
        TrainingSample(500, steps_total=second % 4, rank_steps_total=second % 4, loss=2.5 - second / 9000, phase=second % 3),
        TrainingSample(501, rank_steps_total=second % 4, attached_seconds=dt / 1000, allocated_peak_bytes=second * 2.0**20),
    ]
    server = InferenceSample(600, output_tokens_total=second * 13 % 700, waiting_requests=second % 9 / 2, kv_cache_ratio=0.25)
    return Tick(
        T0 + second * 1000,
        gpu_rows=[gpu_row(number, second, dt) for number in (0, 1)],
        process_rows=[process_row(pid, on, second, dt) for pid, on in ((7, "GPU-0"), (8, "GPU-0"), (9, ""))],
        workload_rows=[
            WorkloadRow(600, T0 - 9000, 8000, "inference", dt, quantise(server)),
        ],
        training_rows=[TrainingRow(rank.pid, T0 - 9000, 500, T0 - 9000, dt, quantise(rank)) for rank in ranks],
        host_dt_ms=dt,
        host_values=quantise(HostSample(cpu_ratio=second % 10 / 10, load_average=second % 7 / 3)),
        recorder_dt_ms=dt,
        recorder_values=quantise(RecorderSample(cpu_seconds=0.001, driver_calls_total=second % 60)),
        extras=[
            ExtraSample("fan", "percent", second / 3, "GPU-1"),
            *([ExtraSample("fan", "percent", -0.0)] if second % 2 else []),
        ],
    )


Recording = Callable[..., StoreWriter]
