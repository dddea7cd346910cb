"""G1: a KV cache that is full while requests wait or are thrown out."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.observed import fractions, mean_of
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.series import Series
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "kv-cache-saturated"
WINDOW = 300
_TRY = {
    "vllm": ("--gpu-memory-utilization 0.95", "--kv-cache-dtype fp8", "--max-num-seqs LOWER", "--max-model-len WHAT_REQUESTS_NEED"),
    "sglang": ("--mem-fraction-static HIGHER_BY_0.01", "--kv-cache-dtype fp8_e5m2", "--schedule-conservativeness 1.3"),
    "tgi": ("--kv-cache-dtype fp8_e5m2", "--max-batch-total-tokens HIGHER"),
    "llama.cpp": ("--flash-attn on --cache-type-k q8_0 --cache-type-v q8_0", "--ctx-size LOWER"),
    "ollama": ("OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0",),
}
_OTHER = ("an 8-bit KV cache, where this server has an option for it", "fewer requests at once")


class _Pressure(NamedTuple):
    full: float
    fullest: float
    waiting: float
    per_minute: float


@rule(
    ID,
    "G1",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.REDONE,
    limits=(
        ("kv_cache", 0.95, "ratio", "S23 vendor", "the KV cache is full from here on"),
        ("clear_kv_cache", 0.85, "ratio", "pragmatic", "it clears below"),
        ("share", 0.30, "ratio", "pragmatic", "of the last five minutes with a full KV cache"),
        ("preemptions_per_minute", 1.0, "count", "S23 vendor", "or so many preemptions: what SGLang's guide tolerates"),
    ),
)
def kv_cache_saturated(job: JobSubject, scene: Scene) -> Verdict:
    """The KV cache of a server is full: requests wait for room, or are thrown out and computed again.

    Fires when it is 95 % full in 30 % of 5 minutes while requests wait, or with one preemption a minute. Clears below 85 %.

    Waste: what was computed twice: preemptions x mean tokens of a request, over all tokens that were computed, times the busy time of its
    GPUs ("up to": a request is thrown out before its end). Without preemptions there is no amount: users wait.
    Try, in this order: more memory for the cache, an 8-bit cache (about half the bytes), fewer sequences at once, 8-bit weights, another
    replica. By choice of model: grouped-query attention, or latent attention, which cuts the cache per token (DeepSeek reports 93.3 %).
    Gain: no recompute; an fp8 cache holds about twice the tokens.
    May be wrong for batches of long contexts, which fill it on purpose.
    Sources: S22, S23 (SGLang), S24 (vLLM).
    """
    server = page_of(job, WINDOW)
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    kv = max(server.known("kv_cache", WINDOW), server.known("kv_cache_fullest", WINDOW)) >= 0.8 * server.observed(WINDOW)
    if not kv and server.known("preemptions", WINDOW) < 0.8 * server.observed(WINDOW):
        return NotEvaluated("its page tells neither the KV cache in use nor preemptions", job.facts.hint)
    fullest = server.highest("kv_cache_fullest", WINDOW)
    minutes = max(server.seconds(WINDOW) / 60, 1e-9)
    found = _Pressure(
        full=_full_share(server, scene, job),
        fullest=fullest if fullest is not None else server.highest("kv_cache", WINDOW) or 0.0,
        waiting=server.mean("waiting", WINDOW) or 0.0,
        per_minute=(server.total("preemptions", WINDOW) or 0.0) / minutes,
    )
    crowded = found.full >= scene.limits.of(ID, "share") and found.waiting > 0
    if not crowded and found.per_minute < scene.limits.of(ID, "preemptions_per_minute"):
        return CLEAR
    return _finding(job, scene, found, _recomputed(server))


def _full_share(server: Series[ServerLook], scene: Scene, job: JobSubject) -> float:
    """The share of the window with a full cache. Counted here, since its limit depends on whether the finding is open."""
    limit = scene.limits.of(ID, "clear_kv_cache" if scene.is_open(ID, job) else "kv_cache")
    known = [(kv, look.ms) for look in server.looks(WINDOW) if (kv := _kv(look)) is not None]
    whole = sum(ms for _, ms in known)
    return sum(ms for kv, ms in known if kv >= limit) / whole if whole else 0.0


def _kv(look: ServerLook) -> float | None:
    return look.kv_cache_fullest if look.kv_cache_fullest is not None else look.kv_cache


def _recomputed(server: Series[ServerLook]) -> float | None:
    """The share of computed tokens that a preempted request had computed before; ``None`` where it cannot be estimated."""
    preempted = server.total("preemptions", WINDOW)
    requests, output = server.total("requests", WINDOW), server.total("output_tokens", WINDOW)
    prompt = server.total("prompt_tokens", WINDOW)
    prompt = prompt if prompt is not None else server.total("prefill_tokens", WINDOW)
    if not preempted or not requests or output is None or prompt is None or not output + prompt:
        return None
    return min(1.0, preempted * (prompt + output) / requests / (prompt + output))


def _finding(job: JobSubject, scene: Scene, found: _Pressure, recomputed: float | None) -> Finding:
    busy = mean_of(job.gpus, "busy", WINDOW)
    amount = recomputed * fractions(job.gpus) * busy if recomputed is not None and busy is not None else None
    often = scene.limits.of(ID, "preemptions_per_minute")
    thrown = (
        f"{found.per_minute:.1f} requests a minute were thrown out"
        if found.per_minute >= often
        else f"{found.waiting:.0f} requests wait"
    )
    return Finding(
        name="KV cache full",
        title=f"The KV cache of {of(job)} was up to {percent(found.fullest)} full in the last 5 minutes, and {thrown}.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("time with a full KV cache", percent(found.full), percent(scene.limits.of(ID, "share")), SOURCE),
            Evidence("waiting requests", f"{found.waiting:.1f}", "0", SOURCE),
            Evidence("preemptions a minute", f"{found.per_minute:.1f}", f"{often:.0f}", SOURCE),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=amount,
        how="Preemptions x mean tokens of a request, over all tokens computed, times the busy time of its GPUs. None without preemptions.",
        try_first=by_engine(job, _TRY, _OTHER),
        then="8-bit weights leave more memory for the cache; another replica; a model with grouped-query or latent attention",
        gain="up to twice the tokens in the cache (fp8), and no recompute",
        gain_source="vLLM's and SGLang's guides (S23, S24); latent attention cuts the cache per token by 93.3 % as DeepSeek reports",
        wrong_if=("long contexts fill it on purpose", "it was deployed minutes ago and its traffic is not the usual one"),
        bucket=Bucket.REDONE,
        measured=found.full,
        sql=of_job("kv_cache_max_ratio, waiting_requests, preemptions_total", job, WINDOW),
    )
