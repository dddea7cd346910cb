"""A4: a GPU that works now and then."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Context, Severity
from gpuwatch.rules.balance.roles import takes_turns
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import command_of, interactive, quiet_share, serves, settled, sliced
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.wait_causes import WaitCause, why
from gpuwatch.rules.words import percent, span

ID = "low-duty-cycle"
WINDOW = 1800


@rule(
    ID,
    "A4",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("busy", 0.40, "ratio", "S10 S16 study", "mean busy share below"),
        ("clear_busy", 0.55, "ratio", "S16 vendor", "it clears above"),
        ("quiet", 0.30, "ratio", "S10 study", "share of quiet time above"),
        ("high", 0.70, "ratio", "S16 vendor", "fluctuating: the 95th percentile of utilization is at least"),
        ("low", 0.10, "ratio", "S16 vendor", "and the 5th percentile is below"),
        ("longest_quiet_seconds", 900, "seconds", "pragmatic", "a longer quiet run is held idle, not gaps in work"),
        ("coarsest_seconds", 10, "seconds", "pragmatic", "rows further apart say nothing about gaps"),
    ),
)
def low_duty_cycle(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A GPU is held and works only now and then.

    Fires when somebody holds it, it is busy less than 40 % of the last 30 minutes (less than 55 % where utilization swings between 70 % and
    10 %) and quiet for more than 30 % of them, in many short pauses: a quiet run of 15 minutes is gpu-memory-held-idle's. Clears above 55 %.
    Not evaluated where rows are more than 10 s apart. Silent for notebooks and for servers without requests.

    Waste: the time x (1 - busy share), an upper bound: some pauses cannot be avoided.
    Try: what the cause asks for (input, one host thread, launches, other ranks, requests); if none is known, a trace of half a minute.
    Gain: 19.7 % of the time in jobs is the mean of an academic cluster (S10).
    May be wrong if the pauses are the work's own: an environment that steps, a person, requests that come now and then.
    Sources: S10, S16, S17, S18.
    """
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    now, holders = gpu.now, scene.holders(gpu)
    if now is None:
        return NotEvaluated("gap: no row in the last ten seconds", "gpuwatch doctor")
    if now.context is None and not holders:
        return NotEvaluated("whether somebody holds it is not known", "gpuwatch doctor")
    if now.context == Context.NONE:
        return CLEAR
    seconds = settled(gpu.series, scene, holders, WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    coarsest = scene.limits.of(ID, "coarsest_seconds")
    if now.ms > 1000 * coarsest * 1.05:
        return NotEvaluated(f"rows are {span(now.ms / 1000)} apart: gaps do not show", "gpuwatch record --interval 1s")
    busy, quiet = gpu.series.mean("busy", seconds), quiet_share(gpu, seconds)
    if busy is None or quiet is None or gpu.series.known("busy", seconds) < 0.8:
        return NotEvaluated("neither utilization nor GPM tells how busy it is", "gpuwatch doctor")
    if (gpu.series.share(_held, seconds) or 0) < 0.9:
        return Clear("nobody held it for a part of the time")
    if busy >= scene.limits.of(ID, "clear_busy") or quiet <= Bounds(scene, ID, gpu).least("quiet"):
        return CLEAR
    if busy >= scene.limits.of(ID, "busy") and not scene.is_open(ID, gpu) and not swings(gpu, scene, seconds):
        return CLEAR
    return _unless_guarded(gpu, scene, seconds) or _finding(gpu, scene, seconds, busy, quiet)


def swings(gpu: GpuSubject, scene: Scene, seconds: float) -> bool:
    """The fluctuating form: utilization goes up to ``high`` and down to ``low`` (S16)."""
    high, low = gpu.series.utilization_quantile(0.95, seconds), gpu.series.utilization_quantile(0.05, seconds)
    return high is not None and low is not None and high >= scene.limits.of(ID, "high") and low < scene.limits.of(ID, "low")


def _held(look: GpuLook) -> bool | None:
    return None if look.context is None else look.context != Context.NONE


def _unless_guarded(gpu: GpuSubject, scene: Scene, seconds: float) -> Clear | None:
    longest = gpu.series.highest("quiet_run_ms", seconds) or 0
    if longest >= 1000 * scene.limits.of(ID, "longest_quiet_seconds"):
        return Clear("one long quiet run: gpu-memory-held-idle judges it")
    if interactive(scene.holders(gpu)):
        return Clear("a notebook: it works when its user does")
    if takes_turns(scene, gpu):
        return Clear("rollout and learner take turns: rollout-learner-idle judges it")
    for job in scene.jobs_on(gpu):
        if serves(job):
            running = job.server.mean("running", seconds) if job.server else None
            if running is None or running < 1:
                return Clear("a server: low-batch-occupancy and replica-no-traffic judge its pauses")
    return None


def _finding(gpu: GpuSubject, scene: Scene, seconds: float, busy: float, quiet: float) -> Finding:
    cause, fraction = why(gpu, scene, seconds), gpu.gpu.compute_fraction
    joules, command = _joules_above_idle(gpu, seconds), command_of(scene.holders(gpu), next(iter(scene.jobs_on(gpu)), None))
    energy = "–" if joules is None else f"{joules / 3.6e6:.2f} kWh"
    return Finding(
        name=f"waits {cause.words}" if cause else "works now and then",
        title=f"{gpu.label} is busy {percent(busy)} of the time and quiet {percent(quiet)} of it"
        + (f": it waits {cause.words}." if cause else "."),
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("busy, mean", percent(busy), percent(scene.limits.of(ID, "busy")), "GPM or NVML utilization"),
            Evidence("quiet, share of the time", percent(quiet), percent(scene.limits.of(ID, "quiet")), "NVML utilization"),
            Evidence("energy above idle while quiet", energy, "–", "NVML power"),
        ),
        gpus=(gpu.id,),
        waste_gpus=(1 - busy) * fraction,
        how=f"The time x (1 - busy share) = 1 - {busy:.2f}. Some pauses cannot be avoided: an upper bound.",
        try_first=_try(cause, command),
        then="look at what the CPU does between the kernels: py-spy top --pid "
        + str(next((p.facts.pid for p in scene.holders(gpu)), "PID")),
        gain=f"up to {(1 - busy) * fraction:.1f} GPU",
        gain_source="this GPU's own busy share; 19.7 % of the time in jobs is the mean of an academic cluster (S10)",
        wrong_if=(
            "the pauses are the work's own: an environment that steps, a person, rare requests",
            "it waits for a slower rank",
        ),
        bucket=Bucket.WAIT,
        cause=cause.cause if cause else Cause.NONE,
        measured=1 - busy,
        sql=of_gpus("utilization_ratio, quiet_seconds / observed_seconds AS quiet_ratio", [gpu], WINDOW),
    )


def _try(cause: WaitCause | None, command: str) -> tuple[str, ...]:
    if cause is not None:
        return (f"gpuwatch explain {cause.rule}",)
    return (f"nsys profile -t cuda,nvtx,osrt -o gaps {command}", "nsys analyze -r gpu_gaps,gpu_time_util gaps.nsys-rep")


def _joules_above_idle(gpu: GpuSubject, seconds: float) -> float | None:
    idle = gpu.facts.idle_power
    quiet = [
        look for look in gpu.series.looks(seconds) if look.known_ms and look.quiet_ms == look.known_ms and look.power is not None
    ]
    return None if idle is None or not quiet else sum(max(0.0, (look.power or 0.0) - idle) * look.ms / 1000 for look in quiet)
