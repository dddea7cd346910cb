"""B5: kernels that are over before the next one has been launched."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import hangs, serves, settled, sliced
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.steps import attached, steps_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "launch-bound-small-kernels"
WINDOW = 900


@rule(
    ID,
    "B5",
    "gpu",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.EMPTY_SM,
    limits=(
        ("busy", 0.60, "ratio", "S17 vendor", "utilization at least"),
        ("sm", 0.35, "ratio", "S14 vendor", "SM activity below"),
        ("dram", 0.30, "ratio", "S14 vendor", "DRAM activity below"),
        ("power", 0.45, "ratio", "pragmatic", "power fraction below"),
        ("thread_cpu", 0.90, "cores", "pragmatic", "a thread of its process uses at least"),
        ("long_step", 0.30, "seconds", "S20 study", "silent where a step takes longer"),
        ("short_step", 0.10, "seconds", "S20 study", "without GPM: only where a step takes less"),
    ),
)
def launch_bound_small_kernels(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A GPU runs kernels so small that launching them takes longer than running them.

    Fires when over 15 minutes utilization is at least 60 %, SM activity below 35 %, DRAM activity below 30 %, less than 45 % of the power
    is drawn, and a thread of the process uses 90 % of a core. Without GPM only where the hook tells steps of less than 100 ms, at low
    confidence. Silent where a step takes more than 300 ms: compiling would not help.

    Waste: time x busy share x (1 - SM activity).
    Try: a larger batch; torch.compile with CUDA graphs; a fused optimizer; servers: no --enforce-eager.
    Gain: 2.4 to 6.1 times on a 1B model with short sequences, but 0.93 to 0.98 times on an 8B one with long ones (S20). Compiling takes 22
    to 168 s at the first step, and graphs take memory.
    May be wrong if shapes change all the time: see recompilation-churn.
    Sources: S17, S18, S20.
    """
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    holders = scene.holders(gpu)
    seconds = settled(gpu.series, scene, holders, WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    series, bounds = gpu.series, Bounds(scene, ID, gpu)
    used, busy, power = series.mean("utilization", seconds), series.mean("busy", seconds), series.mean("power_fraction", seconds)
    if used is None or busy is None:
        return NotEvaluated("utilization", "gpuwatch doctor")
    if used < bounds.least("busy"):
        return CLEAR
    if power is not None and power >= bounds.most("power"):
        return CLEAR
    sm, dram = series.mean("sm", seconds), series.mean("dram", seconds)
    if sm is not None and (sm >= bounds.most("sm") or (dram or 0.0) >= bounds.most("dram")):
        return CLEAR
    step = _step_seconds(gpu, scene, seconds)
    if step is not None and step > bounds.most("long_step"):
        return Clear(f"a step takes {step:.2f} s: its kernels are not small")
    if sm is None and (power is None or step is None):
        return NotEvaluated("SM activity (GPM: Hopper or newer), or step times and power", "gpuwatch run -- python train.py")
    if sm is None and step is not None and step >= bounds.most("short_step"):
        return CLEAR
    if hangs(scene, scene.jobs_on(gpu)):
        return Clear("no step ends: busy-but-no-progress judges it")
    cores = [v for p in holders if (v := _thread(p.series.mean("thread_cpu", seconds), p.series.mean("cpu", seconds))) is not None]
    if not cores:
        return NotEvaluated("the CPU time of its processes cannot be read", "gpuwatch doctor")
    if max(cores) < bounds.least("thread_cpu"):
        return CLEAR
    return _finding(gpu, scene, (used, busy, sm, power), max(cores), step)


def _thread(thread: float | None, process: float | None) -> float | None:
    """The busiest thread, for which a process that uses just about one core may stand."""
    return thread if thread is not None else process if process is not None and process <= 1.5 else None


def _step_seconds(gpu: GpuSubject, scene: Scene, seconds: float) -> float | None:
    for job in scene.jobs_on(gpu):
        steps = steps_of(job, seconds) if attached(job) else None
        if steps is not None:
            return steps.each(len(attached(job)))
    return None


def _finding(
    gpu: GpuSubject, scene: Scene, shares: tuple[float, float, float | None, float | None], core: float, step: float | None
) -> Finding:
    used, busy, sm, power = shares
    filled = sm if sm is not None else power or 0.0
    waste = busy * (1 - filled) * gpu.gpu.compute_fraction
    server = any(serves(job) for job in scene.jobs_on(gpu))
    tries = (
        ("remove --enforce-eager (vLLM); SGLang: --cuda-graph-max-bs 256",)
        if server
        else (
            'model = torch.compile(model, mode="reduce-overhead")',
            "torch.optim.AdamW(params, fused=True)",
        )
    )
    what = "SM activity" if sm is not None else "power fraction"
    return Finding(
        name="small kernels",
        title=f"{gpu.label} is used {percent(used)} of the time with {percent(filled)} {what}, while a thread that launches uses {percent(core)} of a core.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM if sm is not None else Confidence.LOW,
        basis=Basis.INFERRED if sm is not None else Basis.PROXY,
        evidence=(
            Evidence(what, percent(filled), percent(scene.limits.of(ID, "sm")), "GPM" if sm is not None else "NVML power"),
            Evidence("busiest thread, cores", f"{core:.2f}", f"{scene.limits.of(ID, 'thread_cpu'):.2f}", "/proc"),
            Evidence("step", "–" if step is None else f"{1000 * step:.0f} ms", "300 ms", "hook"),
        ),
        gpus=(gpu.id,),
        waste_gpus=waste,
        how=f"Time x busy share x (1 - {what}) = {busy:.2f} x (1 - {filled:.2f}).",
        try_first=tries,
        then="a larger batch; compiling takes 22 to 168 s at the first step, and graphs take memory",
        gain=f"up to {waste:.1f} GPU; 2.4 to 6.1 times on a small model, 0.93 to 0.98 times on a large one",
        gain_source="torch.compile on a B200: 1B with short sequences, 8B with 8k tokens (S20)",
        wrong_if=("shapes change all the time (recompilation-churn)", "latency matters more than throughput here"),
        bucket=Bucket.EMPTY_SM,
        cause=Cause.HOST,
        measured=1 - filled,
        sql=of_gpus("utilization_ratio, sm_active_ratio, dram_active_ratio, power_watts", [gpu], WINDOW),
    )
