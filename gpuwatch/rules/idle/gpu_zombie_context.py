"""A3: memory that no living process holds."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Context, Severity
from gpuwatch.rules.holders import sliced
from gpuwatch.rules.looks import GpuLook, ProcessLook
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, ProcessSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, span, who

ID = "gpu-zombie-context"
_STATES = {"Z": "has ended, and nobody has taken its exit code", "T": "is stopped", "D": "hangs in the kernel"}


@rule(
    ID,
    "A3",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.MEDIUM,
    window=600,
    bucket=Bucket.HELD_IDLE,
    limits=(
        ("seconds", 600, "seconds", "S21 vendor", "so long without a break"),
        ("memory_bytes", 1 << 30, "bytes", "pragmatic", "memory that no process accounts for"),
        ("memory_ratio", 0.03, "ratio", "pragmatic", "or this share of the GPU's memory"),
    ),
)
def gpu_zombie_context(gpu: GpuSubject, scene: Scene) -> Verdict:
    """GPU memory is held by nobody who could use it.

    Fires when for 10 minutes more than max(1 GiB, 3 %) of the memory is in use that no visible process accounts for, or when a holder is a
    zombie, is stopped (T) or hangs in the kernel (D), while the GPU does nothing. Not evaluated where no process of any GPU is visible
    (a container without the host's process ids), and silent where an MPS daemon runs: its clients do not show.

    Waste: the whole time, times one GPU.
    Try: find the orphan and end it by its process id; for a dead context without a process, reset the GPU.
    Gain: all of it.
    May be wrong if the process is in another container whose ids are not visible here.
    Source: S21 (gpud).
    """
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    seconds = scene.limits.of(ID, "seconds")
    if (gap := unseen(gpu.series, seconds)) is not None:
        return gap
    now = gpu.now
    if now is None or not now.known_ms:
        return NotEvaluated("neither utilization nor GPM tells whether it is quiet", "gpuwatch doctor")
    if not any(p.facts.role == "gpu" for p in scene.processes.values()):
        return NotEvaluated("no process of any GPU is visible here", "docker run --pid=host …")
    if any("nvidia-cuda-mps" in f"{p.facts.name} {p.facts.command}" for p in scene.processes.values()):
        return Clear("an MPS daemon runs: its clients do not show")
    if now.quiet_run_ms < 1000 * seconds:
        return CLEAR
    for process in scene.holders(gpu):
        state = process.now.run_state if process.now else ""
        if state in _STATES and process.series.run_seconds(_STUCK[state]) >= 0.9 * seconds:
            held = process.now.gpus[gpu.id][0] if process.now else None
            return _finding(gpu, scene, now, process, state, held)
    least = max(scene.limits.of(ID, "memory_bytes"), scene.limits.of(ID, "memory_ratio") * (gpu.gpu.memory_total_bytes or 0))
    run = gpu.series.run_seconds(lambda look: look.context == Context.MEMORY_ONLY and (look.memory_used or 0) > least)
    if run >= 0.9 * seconds:
        return _finding(gpu, scene, now, None, "", now.memory_used, least)
    return CLEAR


def _zombie(look: ProcessLook) -> bool:
    return look.run_state == "Z"


def _stopped(look: ProcessLook) -> bool:
    return look.run_state == "T"


def _hanging(look: ProcessLook) -> bool:
    return look.run_state == "D"


_STUCK = {"Z": _zombie, "T": _stopped, "D": _hanging}


def _finding(
    gpu: GpuSubject, scene: Scene, now: GpuLook, process: ProcessSubject | None, state: str, held: float | None, least: float = 0.0
) -> Finding:
    quiet, index = now.quiet_run_ms / 1000, gpu.gpu.index
    listing = f"nvidia-smi -i {index} --query-compute-apps=pid,used_memory --format=csv"
    if process is None:
        title = f"{gib(held)} of {gpu.label} are in use, and no visible process holds them."
        tries: tuple[str, ...] = ("fuser -v /dev/nvidia*", listing, f"nvidia-smi --gpu-reset -i {index}")
    else:
        title = f"{who(process)} holds {gib(held)} of {gpu.label} and {_STATES[state]}, quiet for {span(quiet)}."
        end = f"kill -9 {process.facts.pid}"
        tries = {"T": (f"kill -CONT {process.facts.pid}", end), "D": (f"cat /proc/{process.facts.pid}/stack", end)}.get(
            state, (f"ps -o ppid= -p {process.facts.pid}", "fuser -v /dev/nvidia*")
        )
    return Finding(
        name="held by nobody",
        title=title,
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED if process is None else Basis.MEASURED,
        evidence=(
            Evidence(
                "memory without a process" if process is None else "GPU memory held", gib(held), gib(least or None), "NVML memory"
            ),
            Evidence("state of the holder", state or "no holder", "R or S", "/proc"),
            Evidence("quiet without a break", span(quiet), span(scene.limits.of(ID, "seconds")), "NVML utilization"),
        ),
        gpus=(gpu.id,),
        waste_gpus=gpu.gpu.compute_fraction,
        how="The whole quiet run, from its start, times one GPU.",
        try_first=tries,
        then="the reset needs root and a GPU that nobody uses; on hosts with NVSwitch reset all GPUs together"
        if process is None
        else "a process that is a zombie goes when its parent takes its exit code or ends",
        gain=("up to " if process is None else "") + "one GPU for as long as it stays so",
        gain_source="this GPU's own quiet run",
        wrong_if=(
            "the process is in another container whose ids are not visible here",
            "somebody holds it in a debugger on purpose",
        ),
        bucket=Bucket.HELD_IDLE,
        measured=1.0,
        since_ms=scene.t_ms - now.quiet_run_ms,
        cost_gpu_seconds=quiet * gpu.gpu.compute_fraction,
        sql=of_gpus("memory_used_bytes, context_seconds, quiet_seconds", [gpu], max(quiet, 3600)),
    )
