"""J2: tokens that take more energy than they did, and GPUs that draw much while they do nothing."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.observed import alone
from gpuwatch.rules.queries import of_gpus, of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import span

ID = "joules-per-token-regression"
WINDOW = 600


@rule(
    ID,
    "J2",
    "job",
    phase=1,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=3600,
    limits=(
        ("ratio", 1.3, "ratio", "pragmatic", "times its own median of seven days at a like load"),
        ("clear_ratio", 1.15, "ratio", "pragmatic", "it clears below"),
        ("idle_power", 1.5, "ratio", "pragmatic", "or: times the idle power that was learned"),
        ("idle_seconds", 600, "seconds", "pragmatic", "while quiet for so long"),
    ),
)
def joules_per_token_regression(job: JobSubject, scene: Scene) -> Verdict:
    """A token takes 1.3 times the energy of its own median, or GPUs that do nothing draw half as much again as they do when nobody holds them.

    Fires by the last full hour and the hours of seven days whose tokens were within 50 %, from energy counters (power that is read now and then
    would not do). Or when a GPU of the job is quiet for ten minutes and draws 1.5 times its learned idle power.

    Waste: no GPU time; energy: (now - median) x tokens, or what is drawn above the idle power.
    Try: a sweep of the power limit, fewer replicas, idle contexts ended, nvidia-smi -rgc.
    Gain: up to that energy.
    May be wrong where other work shares its GPUs: then it is not judged.
    Sources: S10, S30 (Zeus), S32.
    """
    if not job.gpus:
        return Clear("it holds no GPU")
    if len(alone(job, scene)) < len(job.gpus):
        return NotEvaluated("energy of its own: others hold its GPUs too")
    hot = [gpu for gpu in job.gpus if _draws_much(gpu, scene)]
    if hot:
        return _idle(job, scene, hot[0])
    day = scene.job_day(job)
    if day is None or day.hour_joules_per_token is None or not day.median_joules_per_token:
        if job.facts.kind == "other":
            return Clear("it makes no tokens")
        return NotEvaluated("joules a token of a full hour, and of hours with a like load", job.facts.hint)
    ratio = day.hour_joules_per_token / day.median_joules_per_token
    if ratio <= scene.limits.of(ID, "clear_ratio" if scene.is_open(ID, job) else "ratio"):
        return CLEAR
    return _more(job, scene, day.hour_joules_per_token, day.median_joules_per_token, day.tokens)


def _draws_much(gpu: GpuSubject, scene: Scene) -> bool:
    now, floor = gpu.now, gpu.facts.idle_power
    seconds = scene.limits.of(ID, "idle_seconds")
    if now is None or floor is None or now.quiet_run_ms < seconds * 1000:
        return False
    power = gpu.series.mean("power", seconds)
    return power is not None and power > scene.limits.of(ID, "idle_power") * floor


def _more(job: JobSubject, scene: Scene, now: float, usual: float, tokens: float | None) -> Finding:
    only = ",".join(str(gpu.gpu.index) for gpu in job.gpus)
    extra = "–" if not tokens else f"{(now - usual) * tokens / 3.6e6:.1f} kWh"
    return Finding(
        name="more energy a token",
        title=f"A token of {job.facts.model or job.label} took {now:.2g} J in the last hour, {now / usual:.1f} times its median.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("joules a token", f"{now:.3g}", f"{usual:.3g}", "energy counter"),
            Evidence(
                "times its median of 7 days", f"{now / usual:.2f}", f"{scene.limits.of(ID, 'ratio'):.1f}", "hours of like load"
            ),
            Evidence("over the tokens of a day", extra, "–", "energy counter"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No GPU time; energy: (joules a token now - its median) x tokens.",
        try_first=(f"nvidia-smi -i {only} -q -d POWER,CLOCK", f"nvidia-smi -i {only} -rgc"),
        then="a sweep of the power limit that keeps the knee (Zeus); fewer replicas",
        gain=f"{1 - usual / now:.0%} of its energy" + (f", {extra} a day" if tokens else ""),
        gain_source="its own median of seven days",
        wrong_if=("its requests have become longer or shorter",),
        measured=1 - usual / now,
        sql=of_job("output_tokens_total, prefill_tokens_total, tokens_total", job, 7 * 86_400, "v_workload_hour"),
    )


def _idle(job: JobSubject, scene: Scene, gpu: GpuSubject) -> Finding:
    floor = gpu.facts.idle_power or 0.0
    power = gpu.series.mean("power", scene.limits.of(ID, "idle_seconds")) or 0.0
    quiet = (gpu.now.quiet_run_ms if gpu.now else 0) / 1000
    state = gpu.series.last("performance_state")
    daily = (power - floor) * 24 / 1000
    return Finding(
        name="draws much while idle",
        title=f"{gpu.label} has done nothing for {span(quiet)} and draws {power:.0f} W; with nobody on it it draws {floor:.0f} W.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("power while quiet", f"{power:.0f} W", f"{scene.limits.of(ID, 'idle_power') * floor:.0f} W", "NVML"),
            Evidence("quiet for", span(quiet), span(scene.limits.of(ID, "idle_seconds")), "NVML utilization"),
            Evidence("performance state", "–" if state is None else f"P{state}", "P8", "NVML"),
        ),
        gpus=(gpu.id,),
        waste_gpus=None,
        how=f"No GPU time; energy: {power - floor:.0f} W above its idle power.",
        try_first=("end what holds it, or let it sleep", f"nvidia-smi -i {gpu.gpu.index} -rgc"),
        then="an open context keeps a card at its higher clocks",
        gain=f"{daily:.1f} kWh a day",
        gain_source="this GPU's own idle power; in-job idle energy was 10.7 % on a cluster (S10)",
        wrong_if=("it must answer at once",),
        measured=min(1.0, (power - floor) / power) if power else None,
        sql=of_gpus("power_watts, quiet_seconds", [gpu], 3600),
    )
