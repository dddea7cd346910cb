"""J1: tokens that cost more than they did."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict

ID = "token-cost-above-reference"


@rule(
    ID,
    "J1",
    "job",
    phase=1,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=3600,
    limits=(
        ("ratio", 2.0, "ratio", "pragmatic", "times its own best hour of seven days with a like share of prompt tokens"),
        ("clear_ratio", 1.6, "ratio", "pragmatic", "it clears below"),
        ("reference", 0, "seconds", "pragmatic", "your own reference in GPU-seconds a million tokens; 0: its best hour"),
    ),
)
def token_cost_above_reference(job: JobSubject, scene: Scene) -> Verdict:
    """A million tokens took more than twice the GPU time of the best hour of the last seven days.

    Fires by the last full hour, against the best hour whose share of prompt tokens was within 25 %, or against your reference. Money is
    not told here: prices are never kept in the store.

    Waste: (1 - reference / now) times its GPUs: the same hours that other findings explain, so look at those first.
    Try: the findings on the same server or training, by their buckets.
    Gain: up to what the best hour shows.
    May be wrong where fewer ask than in that hour.
    """
    day = scene.job_day(job)
    if day is None or day.hour_gpu_seconds_per_token is None:
        if job.facts.kind == "other":
            return Clear("it makes no tokens")
        return NotEvaluated(
            "tokens of a full hour", job.facts.hint or ("gpuwatch run COMMAND" if job.facts.kind == "training" else "")
        )
    own = scene.limits.of(ID, "reference") / 1e6
    reference = own or day.best_gpu_seconds_per_token
    if reference is None or reference <= 0:
        return NotEvaluated("an hour of the last seven days with a like share of prompt tokens")
    ratio = day.hour_gpu_seconds_per_token / reference
    if ratio <= scene.limits.of(ID, "clear_ratio" if scene.is_open(ID, job) else "ratio"):
        return CLEAR
    return _finding(job, scene, day.hour_gpu_seconds_per_token, reference, ratio, bool(own))


def _finding(job: JobSubject, scene: Scene, now: float, reference: float, ratio: float, own: bool) -> Finding:
    million = now * 1e6
    held = sum(gpu.gpu.compute_fraction for gpu in job.gpus)
    findings = sorted({rule for rule, subject in scene.open if rule != ID and subject in (job.key, *(gpu.key for gpu in job.gpus))})
    return Finding(
        name="tokens cost more",
        title=f"A million tokens of {job.facts.model or job.label} took {million:,.0f} GPU-seconds in the last hour, {ratio:.1f} times the best.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("GPU-seconds a million tokens", f"{million:,.0f}", f"{reference * 1e6:,.0f}", "tokens and ledger"),
            Evidence(
                "times the reference",
                f"{ratio:.1f}",
                f"{scene.limits.of(ID, 'ratio'):.1f}",
                "your own" if own else "its best hour",
            ),
            Evidence("GPU-hours a million tokens", f"{million / 3600:.2f}", f"{reference * 1e6 / 3600:.2f}", "tokens and ledger"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=(1 - 1 / ratio) * held if job.gpus else None,
        how="(1 - reference / now) times its GPUs. Other findings explain the same hours: do not add them.",
        try_first=tuple(f"gpuwatch explain {rule}" for rule in findings[:3]) or ("gpuwatch waste",),
        then="fewer replicas, if fewer ask than in its best hour",
        gain=f"up to the GPU time of {1 - 1 / ratio:.0%} of its tokens",
        gain_source="your reference" if own else "its own best hour of seven days",
        wrong_if=("fewer ask than in that hour",),
        measured=1 - 1 / ratio,
        sql=of_job("output_tokens_total, prefill_tokens_total, tokens_total, observed_seconds", job, 7 * 86_400, "v_workload_hour"),
    )
