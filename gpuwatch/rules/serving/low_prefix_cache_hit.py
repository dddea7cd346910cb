"""G3: prompts whose beginnings are computed again and again."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "low-prefix-cache-hit"
WINDOW = 3600
_OFF = {"vllm": "--no-enable-prefix-caching", "sglang": "--disable-radix-cache"}
_TRY = {
    "vllm": ("--enable-prefix-caching", "put the part that all prompts share first"),
    "sglang": ("--schedule-policy lpm", "put the part that all prompts share first"),
    "llama.cpp": ("--cache-reuse 256", "put the part that all prompts share first"),
}
_OTHER = ("put the part that all prompts share first",)


@rule(
    ID,
    "G3",
    "job",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.REDONE,
    limits=(
        ("hits", 0.20, "ratio", "pragmatic", "fewer of the looked-up tokens were found"),
        ("clear_hits", 0.30, "ratio", "pragmatic", "it clears above"),
        ("requests", 1000, "count", "pragmatic", "of so many requests in an hour"),
        ("prompt_tokens", 500, "count", "pragmatic", "whose prompts have so many tokens on average"),
    ),
)
def low_prefix_cache_hit(job: JobSubject, scene: Scene) -> Verdict:
    """Few tokens of long prompts are found in the prefix cache, or the cache is turned off.

    Fires when fewer than 20 % of the looked-up tokens were found, over an hour with 1,000 requests of 500 prompt tokens on average: info only,
    since gpuwatch reads no prompts and cannot tell whether they share anything. A notice where an option turns the cache off.

    Waste: not told: how much prompts share is not known.
    Try: the cache on, the constant part of the prompt first, requests of one kind to the same replica.
    Gain: up to 5 times on loads with many shared prefixes.
    May be wrong where each prompt is another. Options that benchmarks set are often copied: vLLM's recipes turn the cache off 87 times.
    Source: S23 (SGLang, RadixAttention).
    """
    server = page_of(job, WINDOW, "prompt_tokens")
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    requests, prompt = server.total("requests", WINDOW), server.total("prompt_tokens", WINDOW) or 0.0
    if requests is None:
        return NotEvaluated("its page does not tell requests that ended", job.facts.hint)
    if requests < scene.limits.of(ID, "requests") or prompt / requests < scene.limits.of(ID, "prompt_tokens"):
        return Clear("too few requests, or short prompts")
    option = _OFF.get(job.facts.engine, "")
    if option and option in job.facts.command.split():
        return _finding(job, scene, 0.0, requests, prompt / requests, option)
    queries, hits = server.total("prefix_queries", WINDOW), server.total("prefix_hits", WINDOW)
    if not queries or hits is None:
        return NotEvaluated("its page does not tell prefix cache look-ups", job.facts.hint)
    limit = scene.limits.of(ID, "clear_hits" if scene.is_open(ID, job) else "hits")
    return _finding(job, scene, hits / queries, requests, prompt / requests, "") if hits / queries < limit else CLEAR


def _finding(job: JobSubject, scene: Scene, ratio: float, requests: float, mean: float, off: str) -> Finding:
    title = (
        f"{of(job)} computes each prompt of {mean:,.0f} tokens anew: its prefix cache is off ({off})."
        if off
        else f"{of(job)} found {percent(ratio)} of its prompts' tokens in the prefix cache."
    )
    return Finding(
        name="prefix cache off" if off else "few prefix cache hits",
        title=title,
        severity=Severity.NOTICE if off else Severity.INFO,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("tokens found in the cache", "off" if off else percent(ratio), percent(scene.limits.of(ID, "hits")), SOURCE),
            Evidence("requests in the last hour", f"{requests:,.0f}", f"{scene.limits.of(ID, 'requests'):,.0f}", SOURCE),
            Evidence("mean prompt, tokens", f"{mean:,.0f}", f"{scene.limits.of(ID, 'prompt_tokens'):,.0f}", SOURCE),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount: gpuwatch reads no prompts, so what they share is not known.",
        try_first=by_engine(job, _TRY, _OTHER),
        then="send requests of one kind to the same replica",
        gain="up to 5 times where many prompts begin alike",
        gain_source="SGLang on loads with shared prefixes (S23)",
        wrong_if=("each prompt is another",),
        bucket=Bucket.REDONE,
        measured=1 - ratio,
        sql=of_job("prefix_query_tokens_total, prefix_hit_tokens_total, prompt_tokens_total, requests_total", job, WINDOW),
    )
