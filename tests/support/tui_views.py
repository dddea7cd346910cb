"""Views for every situation that the screen must draw well: no GPU, a first run, MIG, sixteen GPUs, hostile names, lost things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from support.sample_view import MINUTE, NOW_MS, sample_view

from gpuwatch.names import Bucket, Cause, Missing, State, Tier
from gpuwatch.view.types import Cell, GpuView, LedgerPart, LedgerView, SourceView, SpanView, View

HOSTILE = "a[/]b[red] 龍龍 \u0301e" + "x" * 300


def _ledger(view: View, parts: dict[Bucket, int], span_ms: int, **ratios: float | None) -> LedgerView:
    total = sum(parts.values())
    capacity = span_ms * len(view.gpus)
    rows = [LedgerPart(bucket, Cause.NONE, Tier.N, capacity * share // total, 0) for bucket, share in parts.items()]
    rows[0] = replace(rows[0], ms=rows[0].ms + capacity - sum(row.ms for row in rows))
    return LedgerView(SpanView(NOW_MS - span_ms, NOW_MS, 1.0), capacity, tuple(rows), **ratios)  # type: ignore[arg-type]


def no_gpu(cells: int = 45) -> View:
    """A host without a driver."""
    view = sample_view(cells)
    sources = (
        SourceView("nvml", "error", None, "libnvidia-ml.so.1: not installed", "install the driver, or docker run --gpus all"),
        SourceView("procs", "ok", 0.5, "312 processes", ""),
        SourceView("host", "ok", 0.5, "", ""),
    )
    return replace(
        view,
        gpus=(),
        ledger=None,
        today=None,
        waste_now_gpus=None,
        findings=(),
        sources=sources,
        notices=("No GPU: the NVIDIA driver library is not installed.",),
        processes=tuple(replace(p, holds=()) for p in view.processes),
    )


def first_run(cells: int = 45) -> View:
    """Eighteen seconds old: quiet is not yet named, no finding, today is empty."""
    view = sample_view(cells)
    empty = Cell(None, State.NO_DATA)
    gpus = tuple(
        replace(
            gpu,
            strip=(empty,) * (cells - 1) + gpu.strip[-1:],
            state=State.QUIET if gpu.state is State.HELD_IDLE else gpu.state,
            quiet_seconds=18.0 if gpu.state is State.HELD_IDLE else 0.0,
        )
        for gpu in view.gpus
    )
    parts = {Bucket.BUSY_UNKNOWN: 53, Bucket.WAIT: 19, Bucket.THROTTLED: 3, Bucket.QUIET: 25}
    ledger = _ledger(view, parts, 18_000, fill_low=0.0, fill_high=1.0)
    recording = replace(view.recording, first_ms=NOW_MS - 18_000)
    return replace(view, gpus=gpus, ledger=ledger, today=ledger, findings=(), recording=recording, waste_now_gpus=1.2, workloads=())


def no_fill(cells: int = 45) -> View:
    """GPUs before Hopper: no SM activity, one busy part, efficiency as a range, no rules."""
    view = sample_view(cells)
    gpus = tuple(replace(gpu, sm_active_ratio=None, name="NVIDIA A100-SXM4-40GB") for gpu in view.gpus)
    parts = {Bucket.BUSY_UNKNOWN: 50, Bucket.WAIT: 14, Bucket.THROTTLED: 2, Bucket.HELD_IDLE: 17, Bucket.ALLOCATED_UNUSED: 3, Bucket.UNALLOCATED: 13, Bucket.UNOBSERVED: 1}  # fmt: skip
    ratios = {
        "allocated_ratio": 0.86,
        "running_ratio": 0.58,
        "fill_low": 0.0,
        "fill_high": 1.0,
        "efficiency_low": 0.0,
        "efficiency_high": 0.5,
    }
    ledger = _ledger(view, parts, 15 * MINUTE, **ratios)
    return replace(view, gpus=gpus, ledger=ledger, today=_ledger(view, parts, 14 * 60 * MINUTE), findings=(), workloads=())


def lost(cells: int = 45) -> View:
    """The recorder is gone, a GPU fell off the bus, another one's values are old."""
    view = no_fill(cells)
    gone = replace(
        view.gpus[0],
        state=State.UNAVAILABLE,
        utilization_ratio=None,
        power_watts=None,
        temperature_celsius=None,
        memory_used_bytes=None,
    )
    old = replace(view.gpus[1], age_seconds=7.0)
    parts = {Bucket.BUSY_UNKNOWN: 50, Bucket.WAIT: 14, Bucket.IDLE_UNATTRIBUTED: 6, Bucket.UNAVAILABLE: 12, Bucket.UNALLOCATED: 17, Bucket.UNOBSERVED: 1}  # fmt: skip
    recording = replace(view.recording, live=False, last_tick_ms=NOW_MS - 12_000)
    notice = "The recorder (pid 1877) has written nothing for 12 s. See: gpuwatch doctor"
    gpus = (gone, old, *view.gpus[2:])
    return replace(view, gpus=gpus, ledger=_ledger(view, parts, 15 * MINUTE), recording=recording, notices=(notice,))


def many_gpus(cells: int = 45, count: int = 16) -> View:
    """More GPUs than rows."""
    view = sample_view(cells)
    gpus = tuple(replace(view.gpus[i % 8], gpu_index=i, gpu_uuid=f"GPU-{i}") for i in range(count))
    return replace(view, gpus=gpus)


def mig(cells: int = 45) -> View:
    """A sliced GPU: the parent without utilization, its instances under it, users that are not visible."""
    view = sample_view(cells)

    def instance(index: int) -> GpuView:
        gpu = view.gpus[index]
        return replace(gpu, gpu_index=index, parent_uuid="GPU-parent", mig_profile="3g.40gb", power_watts=None, users=("?",), power_limit_watts=None, missing={"power_watts": Missing.NOT_SUPPORTED})  # fmt: skip

    parent = replace(view.gpus[0], gpu_uuid="GPU-parent", mig_enabled=True, utilization_ratio=None, sm_active_ratio=None, state=State.IDLE_UNATTRIBUTED, users=())  # fmt: skip
    return replace(view, gpus=(parent, instance(0), instance(1), view.gpus[2]))


def hostile(cells: int = 45) -> View:
    """Names that try to break the screen: markup, wide and combining characters, endless length, huge numbers."""
    view = sample_view(cells)
    processes = tuple(
        replace(
            p, command=HOSTILE, user=HOSTILE, name=HOSTILE, pid=4_194_304 - i, age_seconds=1e8, cpu_ratio=255.99, rss_bytes=4e12
        )
        for i, p in enumerate(view.processes)
    )
    gpus = tuple(
        replace(gpu, users=(HOSTILE, "b", "c"), name=HOSTILE, memory_used_bytes=191e9, memory_total_bytes=192e9, power_watts=1400.0, power_limit_watts=1400.0, temperature_celsius=105.0, sm_active_ratio=1.0)
        for gpu in view.gpus
    )  # fmt: skip
    assert view.host is not None
    findings = tuple(
        replace(f, title=HOSTILE, evidence=HOSTILE, advice=HOSTILE, gpu_indices=tuple(range(16))) for f in view.findings
    )
    events = tuple(replace(e, detail=HOSTILE, gpu_index=127) for e in view.events)
    works = tuple(replace(w, name=HOSTILE, engine=HOSTILE) for w in view.workloads)
    return replace(view, processes=processes, gpus=gpus, host=replace(view.host, hostname=HOSTILE), findings=findings, events=events, workloads=works)  # fmt: skip


def nothing_known(cells: int = 45) -> View:
    """Every value that may be missing is missing."""
    view = no_fill(cells)
    fields = ("age_seconds", "utilization_ratio", "memory_used_bytes", "memory_total_bytes", "power_watts", "power_limit_watts", "power_limit_default_watts", "temperature_celsius", "state_since_ms")  # fmt: skip
    gpus = tuple(replace(gpu, **dict.fromkeys(fields), users=(), strip=(), state=State.NO_DATA) for gpu in view.gpus)  # type: ignore[arg-type]
    processes = tuple(
        replace(p, cpu_ratio=None, rss_bytes=None, user="", command="", holds=tuple(replace(h, gpu_memory_bytes=None, sm_utilization_ratio=None, waste_gpus=None) for h in p.holds))
        for p in view.processes
    )  # fmt: skip
    return replace(view, gpus=gpus, processes=processes, host=None, today=None, waste_now_gpus=None, events=())


def simulated(cells: int = 45) -> View:
    """The demo."""
    view = sample_view(cells)
    assert view.host is not None
    return replace(
        view,
        recording=replace(view.recording, simulated=True, scenario="lab, seed 7, speed 1x"),
        host=replace(view.host, hostname="demo-01"),
    )


VIEWS: dict[str, Callable[[int], View]] = {
    "sample": sample_view,
    "no_gpu": no_gpu,
    "first_run": first_run,
    "no_fill": no_fill,
    "lost": lost,
    "sixteen": many_gpus,
    "seventy": lambda cells: many_gpus(cells, 72),
    "mig": mig,
    "hostile": hostile,
    "nothing_known": nothing_known,
    "simulated": simulated,
}
