"""D1: GPU memory that is nearly full, or will be soon."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.holders import preallocates, serves, settled, sliced
from gpuwatch.rules.memory.trend import line
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, span

ID = "near-oom"
WINDOW = 300
_GROWTH = 1800


@rule(
    ID,
    "D1",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    limits=(
        ("free_bytes", 1 << 30, "bytes", "pragmatic", "free memory below"),
        ("free_ratio", 0.03, "ratio", "pragmatic", "or below this share of the GPU's memory"),
        ("clear_factor", 1.5, "times", "pragmatic", "it clears where so many times that are free"),
        ("seconds", 300, "seconds", "pragmatic", "for so long"),
        ("ahead_seconds", 1800, "seconds", "pragmatic", "or memory grows so that it is full within"),
        ("fit", 0.8, "ratio", "pragmatic", "by a straight line through 30 minutes with this R squared"),
        ("growth", 0.02, "ratio", "pragmatic", "along which it grew by this share of the memory at least"),
    ),
)
def near_oom(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A job may soon run out of GPU memory.

    Fires when for 5 minutes less than max(1 GiB, 3 %) of the memory is free, or memory grows so steadily (a straight line through 30 minutes
    with R squared 0.8) that it is full within 30 minutes. What PyTorch keeps in its cache counts as free where the hook tells it; without
    the hook full memory is a notice, since PyTorch keeps what it once needed. Servers and frameworks that take all memory at their start
    are not judged.

    Waste: none now. At risk are the GPU-hours since the last checkpoint.
    Try: a smaller micro-batch, gradient checkpointing, expandable segments; write a checkpoint.
    Gain: the run goes on.
    May be wrong if the memory is a cache: JAX, TensorFlow, and PyTorch where the hook does not tell.
    Sources: S23, S24.
    """
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    holders, jobs = scene.holders(gpu), scene.jobs_on(gpu)
    if not holders:
        return CLEAR
    if preallocates(holders, jobs) or any(serves(job) for job in jobs):
        return Clear("its holder takes memory without needing it: memory says nothing")
    total, window = gpu.gpu.memory_total_bytes, scene.limits.of(ID, "seconds")
    seconds = settled(gpu.series, scene, holders, window)
    if isinstance(seconds, NotEvaluated):
        return seconds
    if not total or gpu.series.known("memory_used", seconds) < 0.8:
        return NotEvaluated("GPU memory in use", "gpuwatch doctor")
    cached = _cached(gpu, jobs, seconds)
    most = gpu.series.lowest("memory_used", seconds) or 0.0
    free = total - most + (cached or 0.0)
    least = max(scene.limits.of(ID, "free_bytes"), scene.limits.of(ID, "free_ratio") * total)
    if free < least * (scene.limits.of(ID, "clear_factor") if scene.is_open(ID, gpu) else 1):
        return _finding(gpu, scene, jobs, (free, least), None, cached)
    ahead = _full_in(gpu, scene, total, min(scene.age_seconds(p) for p in holders))
    return CLEAR if ahead is None else _finding(gpu, scene, jobs, (free, least), ahead, cached)


def _cached(gpu: GpuSubject, jobs: list[JobSubject], seconds: float) -> float | None:
    """What PyTorch has reserved here and never needed: it gives that back before it runs out. ``None``: no hook tells."""
    found = [
        max(0.0, reserved - peak)
        for job in jobs
        for rank in attached(job)
        if rank.facts.gpu_uuid == gpu.gpu.uuid
        and (reserved := rank.series.mean("reserved", seconds)) is not None
        and (peak := rank.series.highest("allocated_peak", seconds) or rank.series.highest("allocated", seconds)) is not None
    ]
    return sum(found) if found else None


def _full_in(gpu: GpuSubject, scene: Scene, total: int, age: float) -> float | None:
    """Seconds until the memory is full, if it grows steadily; ``None``: it does not, or not so soon."""
    limit, seconds = scene.limits.of, min(_GROWTH, age - scene.patience)
    if seconds < 0.9 * _GROWTH or gpu.series.observed(seconds) < 0.9:
        return None
    late, whole = gpu.series.mean("memory_used", seconds / 6), gpu.series.mean("memory_used", seconds)
    if late is None or whole is None or late - whole < 0.3 * limit(ID, "growth") * total:  # on a line it is 0.42 of the growth
        return None
    looks = [look.memory_used for look in gpu.series.looks(seconds) if look.memory_used is not None]
    found = line([(10.0 * i, used) for i, used in enumerate(looks)])
    if found is None or found.slope <= 0 or found.fit < limit(ID, "fit") or found.slope * seconds < limit(ID, "growth") * total:
        return None
    ahead = max(0.0, total - found.last) / found.slope
    return ahead if ahead <= limit(ID, "ahead_seconds") else None


def _finding(
    gpu: GpuSubject, scene: Scene, jobs: list[JobSubject], room: tuple[float, float], ahead: float | None, cached: float | None
) -> Finding:
    free, least = room
    told = cached is not None or ahead is not None
    saved = [job.facts.run.last_checkpoint_ms for job in jobs if job.facts.run and job.facts.run.last_checkpoint_ms]
    risk = span((scene.t_ms - max(saved)) / 1000) if saved else "–"
    soon = f"{gpu.label} will be out of memory in about {span(ahead or 0)}: {gib(free)} are free, and it grows steadily."
    return Finding(
        name="nearly out of memory",
        title=f"{gib(free)} of {gib(gpu.gpu.memory_total_bytes)} are free on {gpu.label}." if ahead is None else soon,
        severity=Severity.WARNING if told else Severity.NOTICE,
        confidence=Confidence.HIGH if told else Confidence.MEDIUM,
        basis=Basis.MEASURED if ahead is None else Basis.INFERRED,
        evidence=(
            Evidence("memory free" + (", PyTorch's cache counted" if cached else ""), gib(free), gib(least), "NVML memory, hook"),
            Evidence(
                "full in",
                "–" if ahead is None else span(ahead),
                span(scene.limits.of(ID, "ahead_seconds")),
                "a line through 30 min",
            ),
            Evidence("since the last checkpoint", risk, "–", "hook"),
        ),
        gpus=(gpu.id,),
        waste_gpus=None,
        how="No waste now: at risk are the GPU-hours since the last checkpoint.",
        try_first=("export PYTORCH_ALLOC_CONF=expandable_segments:True", "model.gradient_checkpointing_enable()"),
        then="a smaller micro-batch with more accumulation; before PyTorch 2.9 the variable is PYTORCH_CUDA_ALLOC_CONF",
        gain=("" if ahead is None else "up to ") + "the GPU-hours since the last checkpoint",
        gain_source="this run",
        wrong_if=("the memory is a cache that is given back", "the largest batch has been seen already"),
        measured=free / gpu.gpu.memory_total_bytes if gpu.gpu.memory_total_bytes else None,
        sql=of_gpus("memory_used_bytes, memory_used_max_bytes", [gpu], _GROWTH),
    )
