"""G6: prompts that hold up the answers of others."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Latency, Severity
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.serving.waiting import Percentile, buckets, percentile
from gpuwatch.rules.statistics import correlation
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict

ID = "prefill-decode-interference"
WINDOW = 1800
_TRY = {
    "vllm": ("--max-num-batched-tokens 2048",),
    "sglang": ("--chunked-prefill-size 4096",),
    "tgi": ("--max-batch-prefill-tokens LOWER",),
    "llama.cpp": ("--ubatch-size 256",),
}
_OTHER = ("smaller batches of prompt tokens beside decoding",)


@rule(
    ID,
    "G6",
    "job",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    limits=(
        ("spread", 4, "ratio", "pragmatic", "p99 over p50 of the time between tokens"),
        ("correlation", 0.6, "ratio", "pragmatic", "of prompt tokens and the mean time between tokens, look by look"),
        ("itl_seconds", 0.2, "seconds", "S31 vendor", "and its p99 is above this limit"),
        ("tokens", 500, "count", "pragmatic", "of so many times between tokens"),
    ),
)
def prefill_decode_interference(job: JobSubject, scene: Scene) -> Verdict:
    """Answers stutter while prompts of others are computed.

    Fires when the p99 of the time between tokens is more than four times its p50 and above its limit, and rises with the prompt tokens that
    are computed (r of 0.6 or more over 30 minutes).

    Waste: none in time.
    Try: smaller batches of prompt tokens (vLLM: 2048 for steady answers, above 8192 for throughput), replicas of their own for prompts.
    Gain: it depends on the load: try it for 15 minutes and compare.
    May be wrong where the limit is met: then nothing is told.
    Source: S24 (vLLM).
    """
    server = page_of(job, WINDOW)
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    looks = server.looks(WINDOW)
    found = buckets(looks, Latency.ITL)
    high, middle = percentile(found, 0.99), percentile(found, 0.5)
    if high is None or middle is None or high.observations < scene.limits.of(ID, "tokens"):
        return NotEvaluated("its page has no histogram of the time between tokens, or few tokens", job.facts.hint)
    if high.value <= scene.limits.of(ID, "itl_seconds") or high.value <= scene.limits.of(ID, "spread") * middle.value:
        return CLEAR
    pairs = [pair for look in looks if (pair := _pair(look)) is not None]
    together = correlation(pairs)
    if together is None:
        return NotEvaluated("its page does not tell prompt tokens beside the time between tokens", job.facts.hint)
    return _finding(job, scene, high, middle, together) if together >= scene.limits.of(ID, "correlation") else CLEAR


def _pair(look: ServerLook) -> tuple[float, float] | None:
    prompt = look.prefill_tokens if look.prefill_tokens is not None else look.prompt_tokens
    if prompt is None or look.itl_sum is None or not look.itl_count:
        return None
    return prompt, look.itl_sum / look.itl_count


def _finding(job: JobSubject, scene: Scene, high: Percentile, middle: Percentile, together: float) -> Finding:
    return Finding(
        name="prompts delay answers",
        title=f"1 in 100 tokens of {of(job)} takes {high.value / middle.value:.0f} times as long as usual, while prompts are computed.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("p99 of the time between tokens", high.words, f"{scene.limits.of(ID, 'itl_seconds'):g} s", SOURCE),
            Evidence("p50 of the time between tokens", middle.words, "–", SOURCE),
            Evidence("correlation with prompt tokens", f"{together:.2f}", f"{scene.limits.of(ID, 'correlation'):.1f}", SOURCE),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount: nothing is wasted, some wait. Percentiles are interpolated between their bucket's bounds.",
        try_first=by_engine(job, _TRY, _OTHER),
        then="replicas of their own for prompts and for answers (prefill and decode apart)",
        gain="up to steady answers, for a later first token: try it for 15 minutes",
        gain_source="vLLM's guide on chunked prefill (S24)",
        wrong_if=("both rise with the load for another reason",),
        measured=None,
        sql=of_job("prefill_tokens_total, itl_sum_seconds, itl_count_total", job, WINDOW),
    )
