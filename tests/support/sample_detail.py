"""The past of the invented data set's GPUs and processes, as the detail screens get it: any GPU, any number of cells."""

from __future__ import annotations

from dataclasses import replace

from support.sample_view import GIB, MIDNIGHT_MS, NOW_MS
from support.sample_waste import sample_history, sample_waste

from gpuwatch.format import shares
from gpuwatch.names import Bucket, Cause, Missing, State, Tier
from gpuwatch.view.types import (
    DetailRequest,
    DetailView,
    GpuHistory,
    GpuView,
    Holder,
    Lane,
    LedgerPart,
    LedgerView,
    ProcessHistory,
    SpanView,
    View,
)

_LIMITS = {
    "sm_active_ratio": 1.0,
    "utilization_ratio": 1.0,
    "tensor_active_ratio": 1.0,
    "memory_used_bytes": 80.0 * GIB,
    "dram_active_ratio": 1.0,
    "power_watts": 700.0,
    "sm_clock_hertz": 1980e6,
    "pcie_rx_bytes_per_second": 48e9,
    "pcie_tx_bytes_per_second": 48e9,
    "nvlink_rx_bytes_per_second": None,
    "nvlink_tx_bytes_per_second": None,
}
_NOW = {
    "pcie_rx_bytes_per_second": 3.1e9,
    "pcie_tx_bytes_per_second": 0.4e9,
    "nvlink_rx_bytes_per_second": 0.0,
    "nvlink_tx_bytes_per_second": 0.0,
}
_HOUR_TENTHS = ((Bucket.EFFECTIVE, 470), (Bucket.STALLED_SM, 286), (Bucket.EMPTY_SM, 91), (Bucket.WAIT, 87), (Bucket.THROTTLED, 66))
_TODAY_TENTHS = ((Bucket.EFFECTIVE, 71), (Bucket.STALLED_SM, 44), (Bucket.EMPTY_SM, 13), (Bucket.WAIT, 16), (Bucket.THROTTLED, 1), (Bucket.UNOBSERVED, 1))  # fmt: skip


def _ledger(parts: tuple[tuple[Bucket, int], ...], start_ms: int) -> LedgerView:
    capacity = NOW_MS - start_ms
    whole = shares([float(part) for _, part in parts], capacity)
    rows = []
    for (bucket, _), ms in zip(parts, whole, strict=True):
        if bucket is Bucket.WAIT:
            rows += [
                LedgerPart(bucket, Cause.HOST, Tier.N, ms // 6, 0),
                LedgerPart(bucket, Cause.UNEXPLAINED, Tier.N, ms - ms // 6, 0),
            ]
        else:
            rows.append(LedgerPart(bucket, Cause.NONE, Tier.G, ms, 0))
    return LedgerView(SpanView(start_ms, NOW_MS, 1.0), capacity, tuple(rows), 1.0, 0.91, 0.51, 0.51, 0.47, 0.47, Tier.G, 0.2)


def _lane(name: str, gpu: GpuView, cells: int) -> Lane:
    now = _NOW[name] if name in _NOW else getattr(gpu, name)
    if now is None:
        return Lane(name, (None,) * cells, None, _LIMITS[name], gpu.missing.get(name, Missing.NOT_SUPPORTED))
    values: list[float | None] = [now] * cells
    for i in range(cells):
        dip = i * 90 // cells in (30, 31, 32, 64, 65)
        values[i] = now * 0.1 if dip and "memory_used" not in name and "clock" not in name else now * (1 - 0.03 * (i % 3))
    values[0] = None  # nothing was observed there
    return Lane(name, tuple(values), now, _LIMITS[name])


def sample_detail(view: View, request: DetailRequest) -> DetailView:
    """The answer to ``request``."""
    gpu = next((gpu for gpu in view.gpus if gpu.gpu_uuid == request.gpu_uuid), None)
    process = _process(view, request)
    if request.waste:
        known = next((finding for finding in view.findings if finding.finding_id == request.finding), None)
        course = sample_history(known.finding_id, NOW_MS, request.cells) if known is not None else None
        return DetailView(request, waste=replace(sample_waste(NOW_MS), findings=view.findings), finding=course)
    if gpu is None:
        return DetailView(request, process=process)
    return DetailView(
        request,
        gpu=_gpu(gpu, request),
        instances=tuple(_gpu(other, request) for other in view.gpus if other.parent_uuid == gpu.gpu_uuid),
        holders=_holders(view, gpu, request.cells),
        ledger=_ledger(_HOUR_TENTHS, NOW_MS - request.cells * request.cell_seconds * 1000),
        today=_ledger(_TODAY_TENTHS, MIDNIGHT_MS),
        process=process,
    )


def _gpu(gpu: GpuView, request: DetailRequest) -> GpuHistory:
    cells = request.cells
    lowered = gpu.state is State.THROTTLED
    return GpuHistory(
        gpu_uuid=gpu.gpu_uuid,
        span=SpanView(NOW_MS - cells * request.cell_seconds * 1000, NOW_MS, None),
        cell_seconds=request.cell_seconds,
        lanes=tuple(_lane(name, gpu, cells) for name in _LIMITS),
        states=tuple(State.BUSY if lowered and i * 90 // cells < 59 else gpu.state for i in range(cells)),
        throttled=tuple(lowered and i * 90 // cells >= 59 for i in range(cells)),
        from_minutes=False,
    )


def _holders(view: View, gpu: GpuView, cells: int) -> tuple[Holder, ...]:
    out = []
    for process in view.processes:
        for hold in process.holds:
            if hold.gpu_uuid == gpu.gpu_uuid:
                there = tuple(gpu.state if i > cells // 3 else None for i in range(cells))
                out.append(Holder(process.pid, process.start_ms, process.user, process.command, there, hold.gpu_memory_bytes))
    return tuple(out)


def _process(view: View, request: DetailRequest) -> ProcessHistory | None:
    process = next((p for p in view.processes if (p.pid, p.start_ms) == request.process), None)
    if process is None:
        return None
    cells = request.cells
    sm = process.holds[0].sm_utilization_ratio if process.holds else None
    memory = process.holds[0].gpu_memory_bytes if process.holds else None
    lanes = tuple(
        Lane(name, (None, *[now] * (cells - 1)), now, top)
        for name, now, top in (("sm_utilization_ratio", sm, 1.0), ("cpu_ratio", process.cpu_ratio, None), ("gpu_memory_bytes", memory, 80.0 * GIB))
    )  # fmt: skip
    return ProcessHistory(
        pid=process.pid,
        start_ms=process.start_ms,
        span=SpanView(NOW_MS - 1_800_000, NOW_MS, None),
        cell_seconds=request.cell_seconds,
        lanes=lanes,
        states=(None, *[process.state] * (cells - 1)),
        ledger=_ledger(_HOUR_TENTHS, NOW_MS - 900_000) if process.holds else None,
    )


def crowded(view: View) -> View:
    """Twelve programs on each GPU instead of one."""
    more = tuple(
        replace(process, pid=process.pid + 100_000 * i, start_ms=process.start_ms + i)
        for process in view.processes
        if process.holds
        for i in range(1, 12)
    )
    return replace(view, processes=view.processes + more)
