"""H1: a GPU whose work would fit beside others'."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.looks import GpuDay
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, ProcessSubject, Scene
from gpuwatch.rules.sizing.cards import Slice, smallest_slice
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import GIB, gib, percent

ID = "share-or-mig-candidate"
WINDOW = 600
_SEVEN = ("A100", "A800", "H100", "H800", "H200", "H20", "GH200", "B100", "B200", "GB200", "GB300")


@rule(
    ID,
    "H1",
    "gpu",
    phase=1,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    limits=(
        ("utilization", 0.15, "ratio", "S12 S13", "mean utilization while active in a day"),
        ("clear_utilization", 0.20, "ratio", "S13", "it clears above"),
        ("active_hours", 3, "hours", "pragmatic", "of so many active hours"),
        ("memory_ratio", 0.25, "ratio", "pragmatic", "p99 of memory in use, of the card's"),
        ("memory_bytes", 10 * GIB, "bytes", "S12", "or less than this"),
        ("cores", 2, "count", "S12", "CPU cores that its processes use"),
        ("burst", 0.80, "ratio", "pragmatic", "p99 of utilization: above it comes in bursts"),
    ),
)
def share_or_mig_candidate(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A whole GPU does work that a seventh of it, or a place beside others, would do.

    Fires by the last 24 hours: utilization below 15 % over at least 3 active hours, p99 of memory below a quarter of the card or 10 GiB, its
    processes use no more than 2 CPU cores, and no bursts. Many small runs fit on one GPU at the same time.

    Waste: 1 - the smallest MIG slice that fits, times the share of the day in which it was active.
    Try: MIG slices, MPS, time slicing; for sweeps several runs on one GPU.
    Gain: up to as many runs at once as slices fit (1g is a seventh).
    May be wrong where answers must come at once, and where nobody waits for a GPU. Time slicing does not keep memories apart.
    Sources: S12 (Princeton's note on MIG), S13.
    """
    if gpu.gpu.parent_uuid or gpu.gpu.mig_enabled:
        return Clear("it is sliced already")
    holders = scene.holders(gpu)
    if not holders:
        return Clear("nobody holds it")
    if any((job := scene.job_of(p)) is not None and job.facts.served for p in holders):
        return Clear("a server holds it: its answers are to come at once")
    if (gap := unseen(gpu.series, WINDOW)) is not None:
        return gap
    day = scene.gpu_day(gpu)
    if day is None or day.active_hours is None or day.utilization_active is None:
        return NotEvaluated("a day of its utilization: not known before the first full hours")
    if day.active_hours < scene.limits.of(ID, "active_hours"):
        return Clear("too few active hours in the last day")
    if day.memory_p99 is None or not gpu.gpu.memory_total_bytes:
        return NotEvaluated("memory in use over a day")
    ratio = scene.limits.of(ID, "memory_ratio") * gpu.gpu.memory_total_bytes
    cores = _cores(holders)
    if day.utilization_active >= scene.limits.of(ID, "clear_utilization" if scene.is_open(ID, gpu) else "utilization"):
        return CLEAR
    if day.memory_p99 >= max(ratio, scene.limits.of(ID, "memory_bytes")) or cores > scene.limits.of(ID, "cores"):
        return CLEAR
    if day.utilization_p99 is None:
        return NotEvaluated("the spread of its utilization over a day")
    if day.utilization_p99 > scene.limits.of(ID, "burst"):
        return Clear("its work comes in bursts")
    return _finding(gpu, scene, day, cores)


def _cores(holders: Sequence[ProcessSubject]) -> float:
    return sum(p.series.mean("cpu", WINDOW) or 0.0 for p in holders)


def _advice(gpu: GpuSubject, found: Slice | None) -> tuple[str, ...]:
    index = gpu.gpu.index
    if found is not None and any(word in gpu.gpu.name.upper().replace("-", " ").split() for word in _SEVEN):
        return f"nvidia-smi mig -i {index} -lgip", f"nvidia-smi mig -i {index} -cgi PROFILE -C", "nvidia-cuda-mps-control -d"
    return "nvidia-cuda-mps-control -d", "several runs with the same CUDA_VISIBLE_DEVICES"


def _finding(gpu: GpuSubject, scene: Scene, day: GpuDay, cores: float) -> Finding:
    total, memory, load = gpu.gpu.memory_total_bytes or 1, day.memory_p99 or 0.0, day.utilization_active or 0.0
    found = smallest_slice(load, memory / total)
    free = 1 - (found.sms if found else max(load, memory / total))
    waste = free * min(1.0, (day.active_hours or 0.0) / max(day.observed_hours, 1e-9))
    fit = max(1, int(1 / (found.sms if found else max(load, memory / total, 0.01))))
    return Finding(
        name="could be shared",
        title=f"{gpu.label} was {percent(load)} busy in {day.active_hours:.0f} active hours of a day and needed {gib(memory)} of its memory.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("utilization while active, 24 h", percent(load), percent(scene.limits.of(ID, "utilization")), "NVML"),
            Evidence(
                "p99 of memory in use",
                gib(memory),
                gib(max(scene.limits.of(ID, "memory_ratio") * total, scene.limits.of(ID, "memory_bytes"))),
                "NVML",
            ),
            Evidence("CPU cores in use", f"{cores:.1f}", f"{scene.limits.of(ID, 'cores'):.0f}", "/proc"),
        ),
        gpus=(gpu.id,),
        waste_gpus=waste,
        how=f"(1 - the smallest slice that fits{f', {found.name}' if found else ''}) times the active share of the day.",
        try_first=_advice(gpu, found),
        then="Kubernetes: time slicing or MPS replicas (time slicing does not keep memories apart)",
        gain=f"up to {fit} such runs at once on this GPU",
        gain_source="its own load and memory; Princeton's note on MIG (S12)",
        wrong_if=("answers must come at once", "nobody waits for a GPU"),
        measured=1 - load,
        sql=of_gpus("utilization_ratio, memory_used_max_bytes, quiet_seconds, observed_seconds", [gpu], 86_400, "v_gpu_hour"),
    )
