"""A2: memory that is held and not used."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, ProcessSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, gpu_hours, span, who

ID = "gpu-memory-held-idle"
_NOTEBOOK = ("ipykernel", "jupyter")


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
        (
            "notebook_quiet_seconds",
            3600,
            "seconds",
            "S15 vendor",
            "the same where a notebook kernel or an interactive job holds it",
        ),
        ("memory_bytes", 500 * 1024**2, "bytes", "pragmatic", "a holder has at least this"),
        ("memory_ratio", 0.02, "ratio", "pragmatic", "or this share of the GPU's memory"),
    ),
)
def gpu_memory_held_idle(gpu: GpuSubject, scene: Scene) -> Verdict:
    """Somebody holds GPU memory and has started no work for half an hour.

    Fires when a process holds more than max(500 MiB, 2 %) of the memory and the GPU stays quiet in one unbroken run of 30 minutes (60
    where the holder is a notebook kernel or an interactive Slurm job). Clears after 60 s of activity.

    Waste: the whole run, counted back to its start, times one GPU: nobody else could use it.
    Known servers go to replica-no-traffic; a holder that keeps a CPU core half busy is told as "working on the CPU".
    May be wrong if the holder waits for an input that is worth the wait (a person in a debugger, a scheduled burst).
    Source: S12 (Princeton), S13, S15 (gpu-pruner): 30 minutes at zero.
    """
    now = gpu.now
    if now is None:
        return NotEvaluated("no row of this GPU", "gpuwatch doctor")
    if not now.known_ms:
        return NotEvaluated("neither utilization nor GPM tells whether it is quiet", "gpuwatch doctor")
    holders = [p for p in scene.holders(gpu) if _holds(p, gpu, scene)]
    if not holders:
        return CLEAR
    if any((job := scene.job_of(p)) is not None and job.facts.served for p in holders):
        return Clear("a server holds it: replica-no-traffic judges it")
    if any(p.now and p.now.run_state == "T" for p in holders):
        return Clear("its holder is stopped: gpu-zombie-context judges it")
    notebook = any(word in p.facts.command for p in holders for word in _NOTEBOOK)
    limit = scene.limits.of(ID, "notebook_quiet_seconds" if notebook else "quiet_seconds")
    quiet = now.quiet_run_ms / 1000
    if quiet < (60 if scene.is_open(ID, gpu) else limit):
        return CLEAR
    first = holders[0]
    held = sum(p.now.gpus[gpu.id][0] or 0 for p in holders if p.now)
    working = max((p.now.cpu or 0.0 for p in holders if p.now), default=0.0) >= 0.5
    busy_with = ", working on the CPU," if working else ""
    advice = "restart or shut down the kernel in the notebook's own page" if notebook else f"kill {first.facts.pid}"
    return Finding(
        name="held idle",
        title=f"{who(first)}{busy_with} holds {gib(held)} and has started no work for {span(quiet)}.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("quiet without a break", span(quiet), span(limit), "NVML utilization"),
            Evidence("GPU memory held", gib(held), gib(_least(gpu, scene)), "NVML processes"),
            Evidence(
                "CPU of the holder, cores", f"{first.now.cpu:.2f}" if first.now and first.now.cpu is not None else "–", "–", "/proc"
            ),
        ),
        gpus=(gpu.id,),
        waste_gpus=gpu.gpu.compute_fraction,
        how=f"The whole quiet run, from its start, times one GPU: {span(quiet)} = {gpu_hours(quiet * gpu.gpu.compute_fraction)}.",
        try_first=(advice, "del model; gc.collect(); torch.cuda.empty_cache()"),
        then="notebooks: c.MappingKernelManager.cull_idle_timeout = 3600; Ollama: OLLAMA_KEEP_ALIVE=5m",
        gain="all of it: one GPU for as long as it stays quiet",
        gain_source="this GPU's own quiet run; NVIDIA's idle class fell from 5.5 to 1 % of its fleet (S5)",
        wrong_if=("somebody waits at a breakpoint or for a scheduled burst", "the holder fills the GPU again within the hour"),
        bucket=Bucket.HELD_IDLE,
        measured=1.0,
        since_ms=scene.t_ms - now.quiet_run_ms,
        cost_gpu_seconds=quiet * gpu.gpu.compute_fraction,
        sql="SELECT ts_ms, quiet_seconds, memory_used_bytes FROM v_gpu_now WHERE gpu_uuid = '" + gpu.gpu.uuid + "'",
    )


def _least(gpu: GpuSubject, scene: Scene) -> float:
    ratio = scene.limits.of(ID, "memory_ratio")
    return max(scene.limits.of(ID, "memory_bytes"), ratio * (gpu.gpu.memory_total_bytes or 0))


def _holds(process: ProcessSubject, gpu: GpuSubject, scene: Scene) -> bool:
    memory = process.now.gpus[gpu.id][0] if process.now else None
    return memory is not None and memory > _least(gpu, scene)
