"""G2: a KV cache that is never half full."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "kv-cache-over-provisioned"
_TRY = {
    "vllm": ("--gpu-memory-utilization LOWER", "--max-num-seqs HIGHER"),
    "sglang": ("--mem-fraction-static LOWER", "--max-running-requests HIGHER"),
    "llama.cpp": ("--ctx-size LOWER", "--parallel MORE"),
    "tgi": ("--max-batch-total-tokens LOWER",),
}
_OTHER = ("a smaller KV cache, and a second model in what it leaves",)


@rule(
    ID,
    "G2",
    "job",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=3600,
    limits=(
        ("peak", 0.30, "ratio", "pragmatic", "the KV cache was never fuller in a day"),
        ("hours", 20, "hours", "pragmatic", "so much of that day was observed"),
        ("target", 0.80, "ratio", "pragmatic", "what a cache may be full without pressure"),
    ),
)
def kv_cache_over_provisioned(job: JobSubject, scene: Scene) -> Verdict:
    """In a whole day the KV cache was never 30 % full, and no request ever waited.

    Fires by the last 24 hours, where requests came and answers are not late. Look at seven days before you change anything.

    Waste: none in time; memory: (0.8 - its peak) x the cache.
    Try: a second model beside it, a smaller GPU or slice, fewer GPUs in tensor parallelism; or use it: more sequences, longer contexts.
    May be wrong since the gauge leaves out cached prefixes, which a smaller cache loses (low-prefix-cache-hit), and since bursts come.
    Source: S23 (SGLang).
    """
    server = page_of(job, 60)
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    day = scene.job_day(job)
    if day is None or day.observed_hours < scene.limits.of(ID, "hours"):
        return NotEvaluated(f"{scene.limits.of(ID, 'hours'):.0f} observed hours in the last day")
    if day.kv_cache_peak is None:
        return NotEvaluated("its page does not tell the KV cache in use", job.facts.hint)
    if day.waiting_peak is None:
        return NotEvaluated("its page does not tell waiting requests", job.facts.hint)
    if not day.requests and not day.tokens:
        return Clear("no traffic: replica-no-traffic judges it")
    if day.kv_cache_peak >= scene.limits.of(ID, "peak") or day.waiting_peak > 0:
        return CLEAR
    if scene.is_open("latency-slo-miss", job):
        return Clear("its answers come late: latency-slo-miss judges it")
    spare = scene.limits.of(ID, "target") - day.kv_cache_peak
    tokens = job.facts.kv_cache_tokens
    room = f"{spare * tokens:,.0f} tokens" if tokens else f"{percent(spare)} of the cache"
    return Finding(
        name="KV cache too large",
        title=f"The KV cache of {of(job)} was at most {percent(day.kv_cache_peak)} full in a day: room for {room} more.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("fullest in 24 hours", percent(day.kv_cache_peak), percent(scene.limits.of(ID, "peak")), SOURCE),
            Evidence("most that waited", f"{day.waiting_peak:.0f}", "0", SOURCE),
            Evidence("observed", f"{day.observed_hours:.0f} h", f"{scene.limits.of(ID, 'hours'):.0f} h", "gpuwatch"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount of time: memory that a second model could use, (0.8 - peak) x the cache.",
        try_first=by_engine(job, _TRY, _OTHER),
        then="a smaller GPU or MIG slice, or fewer GPUs in tensor parallelism, after seven days of the same",
        gain=f"up to {percent(spare)} of the cache's memory",
        gain_source="this server's own peak in 24 hours; SGLang's guide (S23)",
        wrong_if=("cached prefixes, which the gauge leaves out, are why answers are fast", "bursts come less than once a day"),
        measured=day.kv_cache_peak,
        sql=of_job("kv_cache_max_ratio, waiting_requests_max", job, 86_400, "v_workload_hour"),
    )
