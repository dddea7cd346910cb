"""A2: memory that is held and not used."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Context, Severity
from gpuwatch.rules.holders import interactive, sliced
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, ProcessSubject, Scene
from gpuwatch.rules.serving.traffic import tells
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, gpu_hours, span, who

ID = "gpu-memory-held-idle"
_UNKNOWN_HOLDER = 0.05


@rule(
    ID,
    "A2",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=1800,
    bucket=Bucket.HELD_IDLE,
    limits=(
        ("quiet_seconds", 1800, "seconds", "S12 study", "one unbroken quiet run"),
        ("notebook_quiet_seconds", 3600, "seconds", "S15 vendor", "the same where a notebook holds it"),
        ("memory_bytes", 500 * 1024**2, "bytes", "pragmatic", "a holder has at least this"),
        ("memory_ratio", 0.02, "ratio", "pragmatic", "or this share of the GPU's memory"),
    ),
)
def gpu_memory_held_idle(gpu: GpuSubject, scene: Scene) -> Verdict:
    """Somebody holds GPU memory and has started no work for half an hour.

    Fires when a process holds more than max(500 MiB, 2 %) of the memory and the GPU stays quiet in one unbroken run of 30 minutes (60
    where the holder is a notebook kernel). Clears after 60 s of activity. Where the driver does not tell who holds how much, more than
    5 % of the memory in use stands for a holder.

    Waste: the whole run, counted back to its start, times one GPU: nobody else could use it.
    Servers whose page tells requests go to replica-no-traffic, a GPU whose job works on another one to allocated-gpu-unused, a stopped holder to
    gpu-zombie-context. A holder that keeps a CPU core half busy is told as "working on the CPU".
    May be wrong if the holder waits for an input that is worth the wait (a person in a debugger, a scheduled burst).
    Source: S12 (Princeton), S13, S15 (gpu-pruner): 30 minutes at zero.
    """
    now = gpu.now
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    if now is None:
        return NotEvaluated("gap: no row in the last ten seconds", "gpuwatch doctor")
    if not now.known_ms:
        return NotEvaluated("neither utilization nor GPM tells whether it is quiet", "gpuwatch doctor")
    holders = [p for p in scene.holders(gpu) if _holds(p, gpu, scene)]
    if not holders and not _by_somebody(gpu, now, scene):
        return CLEAR
    if (elsewhere := _judged_elsewhere(gpu, holders, scene)) is not None:
        return elsewhere
    limit = scene.limits.of(ID, "notebook_quiet_seconds" if interactive(holders) else "quiet_seconds")
    quiet = now.quiet_run_ms / 1000
    if quiet < (60 if scene.is_open(ID, gpu) else limit):
        return CLEAR
    return _finding(gpu, scene, now, holders, limit)


def _judged_elsewhere(gpu: GpuSubject, holders: list[ProcessSubject], scene: Scene) -> Clear | None:
    if any((job := scene.job_of(p)) is not None and _is_judged(job) for p in holders):
        return Clear("a server holds it: replica-no-traffic judges it")
    if scene.is_open("gpu-zombie-context", gpu) or any(p.now and p.now.run_state in ("T", "Z") for p in holders):
        return Clear("its holder is stopped or hangs: gpu-zombie-context judges it")
    if (gpu.series.share(_sibling, 900) or 0) >= 0.25:
        return Clear("its job works on another GPU: allocated-gpu-unused judges it")
    return None


def _is_judged(job: JobSubject) -> bool:
    """Whether it is a server whose page tells requests or tokens: without them nobody but this rule sees that none come."""
    return job.facts.served and job.server is not None and (job.server.share(tells, 900) or 0.0) >= 0.5


def _sibling(look: GpuLook) -> bool:
    return look.sibling


def _finding(gpu: GpuSubject, scene: Scene, now: GpuLook, holders: list[ProcessSubject], limit: float) -> Finding:
    quiet, fraction = now.quiet_run_ms / 1000, gpu.gpu.compute_fraction
    known = [amount for p in holders if p.now and (amount := p.now.gpus[gpu.id][0]) is not None]
    held = sum(known) if known else now.memory_used
    cpu = max((p.now.cpu for p in holders if p.now and p.now.cpu is not None), default=None)
    working = ", working on the CPU," if cpu is not None and cpu >= 0.5 else ""
    holder = who(holders[0]) if holders else "A process that is not visible from here"
    longer = scene.seconds_open(ID, gpu)  # a recorder that starts again has missed some seconds, and a run ends at a gap
    idle = f"no work of it was seen for {span(longer)}" if longer > quiet + 60 else f"has started no work for {span(quiet)}"
    return Finding(
        name="held idle",
        title=f"{holder}{working} holds {gib(held)} and {idle}.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH if known else Confidence.MEDIUM,
        basis=Basis.MEASURED if known else Basis.INFERRED,
        evidence=(
            Evidence("quiet without a break", span(quiet), span(limit), "NVML utilization"),
            Evidence("GPU memory held", gib(held), gib(_least(gpu, scene)), "NVML processes" if known else "NVML memory"),
            Evidence("CPU of the holder, cores", f"{cpu:.2f}" if cpu is not None else "–", "–", "/proc"),
        ),
        gpus=(gpu.id,),
        waste_gpus=fraction,
        how=_how(quiet, fraction, limit),
        try_first=_try(holders, gpu),
        then="notebooks: c.MappingKernelManager.cull_idle_timeout = 3600; Ollama: OLLAMA_KEEP_ALIVE=5m",
        gain=("" if known else "up to ") + "all of it: one GPU for as long as it stays quiet",
        gain_source="this GPU's own quiet run; NVIDIA's idle class fell from 5.5 to 1 % of its fleet (S5)",
        wrong_if=("somebody waits at a breakpoint or for a scheduled burst", "the holder fills the GPU again within the hour"),
        bucket=Bucket.HELD_IDLE,
        measured=1.0,
        since_ms=scene.t_ms - now.quiet_run_ms,
        cost_gpu_seconds=quiet * fraction,
        sql=of_gpus("quiet_context_seconds, observed_seconds, memory_used_bytes", [gpu], max(quiet, 3600)),
    )


def _how(quiet: float, fraction: float, limit: float) -> str:
    """How its amount is made; a run below the limit is a later one than that which was told first."""
    if quiet < limit:
        return f"The time in which it held, times one GPU. The quiet run began anew {span(quiet)} ago, after a gap or a moment of work."
    return f"The whole quiet run, from its start, times one GPU: {span(quiet)} = {gpu_hours(quiet * fraction)}."


def _try(holders: list[ProcessSubject], gpu: GpuSubject) -> tuple[str, ...]:
    free = "del model; gc.collect(); torch.cuda.empty_cache()"
    if not holders:
        return (f"nvidia-smi -i {gpu.gpu.index} --query-compute-apps=pid,used_memory --format=csv", "fuser -v /dev/nvidia*")
    if interactive(holders):
        return ("restart or shut down the kernel in the notebook's own page", free)
    pid = holders[0].facts.pid
    return (f"kill {pid}", free) if pid > 0 else (free,)


def _least(gpu: GpuSubject, scene: Scene) -> float:
    ratio = scene.limits.of(ID, "memory_ratio")
    return max(scene.limits.of(ID, "memory_bytes"), ratio * (gpu.gpu.memory_total_bytes or 0))


def _by_somebody(gpu: GpuSubject, now: GpuLook, scene: Scene) -> bool:
    """Whether memory is in use and the driver does not tell by whom; where it lists processes, that is gpu-zombie-context's."""
    if now.context == Context.MEMORY_ONLY:
        listed = any(process.facts.role == "gpu" for process in scene.processes.values())
    else:
        listed = now.context == Context.NONE or all(p.now and p.now.gpus[gpu.id][0] is not None for p in scene.holders(gpu))
    return not listed and (now.memory_used or 0) > _UNKNOWN_HOLDER * (gpu.gpu.memory_total_bytes or 1 << 62)


def _holds(process: ProcessSubject, gpu: GpuSubject, scene: Scene) -> bool:
    memory = process.now.gpus[gpu.id][0] if process.now else None
    return memory is not None and memory > _least(gpu, scene)
