"""Words and numbers of an inference server: what its state means, what stands for a value that is estimated, old or not there."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style

from gpuwatch.format import NOTHING, latency, number, rate, stale
from gpuwatch.names import Latency, Quality, ServerState
from gpuwatch.tui.draw.line import cut
from gpuwatch.tui.palette import Look
from gpuwatch.view.inference_types import InferenceView, LatencyView
from gpuwatch.view.types import WorkloadView

ENGINES: Mapping[str, tuple[str, str]] = {
    "vllm": ("vLLM", "vLLM"),
    "sglang": ("SGLang", "SGLang"),
    "llama.cpp": ("llama.cpp", "llama"),
    "ollama": ("Ollama", "Ollama"),
    "tgi": ("TGI", "TGI"),
    "tei": ("TEI", "TEI"),
    "triton": ("Triton", "Triton"),
    "trt-llm": ("TensorRT-LLM", "TRTLLM"),
    "lmdeploy": ("LMDeploy", "LMDepl"),
    "dynamo": ("Dynamo", "Dynamo"),
    "kserve": ("KServe", "KServe"),
    "transformers": ("transformers", "HF"),
    "infinity": ("Infinity", "Infin"),
    "aphrodite": ("Aphrodite", "Aphrod"),
    "mlc": ("MLC LLM", "MLC"),
    "ray-serve": ("Ray Serve", "Ray"),
}
"""An engine's name -> as its makers write it, and in six cells."""

STATES: Mapping[ServerState, str] = {
    ServerState.UP: "up",
    ServerState.STARTING: "starting",
    ServerState.METRICS_OFF: "metrics off",
    ServerState.AUTH_NEEDED: "key needed",
    ServerState.UNREACHABLE: "no answer",
    ServerState.OTHER_NAMESPACE: "other namespace",
    ServerState.PORT_UNKNOWN: "port unknown",
    ServerState.FOREIGN_PAGE: "unknown page",
    ServerState.TOO_LARGE: "page too large",
    ServerState.NO_METRICS: "no metrics",
}
SENTENCES: Mapping[ServerState, str] = {
    ServerState.UP: "It answers, and has not told a number yet.",
    ServerState.STARTING: "It is starting: nothing answers on its port yet.",
    ServerState.METRICS_OFF: "It answers, but its page of metrics is off.",
    ServerState.AUTH_NEEDED: "Its page of metrics needs a key, and gpuwatch was given none.",
    ServerState.UNREACHABLE: "Nothing answers on its port.",
    ServerState.OTHER_NAMESPACE: "It listens in another network namespace, and no port of it is published.",
    ServerState.PORT_UNKNOWN: "Its port is not known.",
    ServerState.FOREIGN_PAGE: "What answers on its port is not a page that gpuwatch knows.",
    ServerState.TOO_LARGE: "Its page of metrics is larger than what gpuwatch reads.",
    ServerState.NO_METRICS: "This engine has no numbers of its own.",
}
STALE_SECONDS = 5.0
"""A reading is old after three intervals, and never sooner than this."""
NOT_TOLD = "not on this server's page"
FULL = 0.9
"""From this share on the KV cache is nearly full."""


def engine_word(work: WorkloadView, *, short: bool = False) -> str:
    """``vLLM``; the engine as its makers write it, else as the process collector names it, else the kind."""
    name = work.engine or (work.inference.engine if work.inference is not None else "")
    found = ENGINES.get(name.lower())
    return found[short] if found else name or work.kind


def is_old(view: InferenceView) -> bool:
    """Whether the newest good reading is older than three intervals."""
    age = view.age_seconds
    return age is not None and age > max(3 * (view.interval_seconds or 0.0), STALE_SECONDS)


def old_words(view: InferenceView) -> str:
    """``stale 7 s``, or nothing."""
    return stale(view.age_seconds) if view.age_seconds is not None and is_old(view) else ""


def mark(view: InferenceView, field: str) -> str:
    """``~`` before a value that is derived from something else."""
    return "~" if view.quality.get(field) is Quality.ESTIMATED else ""


def per_second(view: InferenceView, value: float | None, field: str) -> str:
    """A rate in three digits; an estimate in two, behind its ``~``."""
    sign = mark(view, field)
    if value is None or not sign:
        return rate(value)
    rounded = float(f"{value:.2g}")
    text = rate(rounded)
    if rounded >= 999.5:
        digits, suffix = text[:-1], text[-1]
        text = (digits.rstrip("0").rstrip(".") if "." in digits else digits) + suffix
    return sign + text


def requests(view: InferenceView, value: float | None, field: str = "requests_total") -> str:
    """Requests a second: ``3.94``, ``0.05``, ``41.2``, ``312``."""
    if value is None:
        return NOTHING
    return mark(view, field) + whole(value, 0 if value == 0 or value >= 99.95 else 1 if value >= 9.995 else 2)


def count(view: InferenceView, value: float | None, field: str) -> str:
    """A number of requests, or its mean over several engines."""
    if value is None:
        return NOTHING
    return mark(view, field) + whole(value, 0 if abs(value - round(value)) < 0.05 or value >= 99.5 else 1)


def whole(value: float | None, decimals: int = 0) -> str:
    """A number in at most six cells (and what it has behind the point): ``1 890``, ``131k``."""
    return number(value, decimals) if value is None or value < 99_999.5 else rate(value)


def tokens(value: float | None) -> str:
    """An amount of tokens: ``640``, ``98k``, ``1.2M``."""
    if value is None:
        return NOTHING
    if value < 9_950:
        return number(value)
    for suffix in ("k", "M"):
        value /= 1000
        if value < 999.5:
            return f"{value:.{0 if value >= 9.95 else 1}f}{suffix}"
    return f"{value / 1000:.3g}G"


def has_numbers(view: InferenceView) -> bool:
    """Whether it has told anything that a panel could show."""
    known = (
        view.output_tokens_per_second,
        view.prefill_tokens_per_second,
        view.prompt_tokens_per_second,
        view.requests_per_second,
        view.running_requests,
        view.waiting_requests,
        view.kv_cache_ratio,
    )
    return any(value is not None for value in known) or bool(view.latencies)


def ever_told(view: InferenceView) -> bool:
    """Whether it has told numbers in the last minutes, even if none is still true."""
    return has_numbers(view) or view.age_seconds is not None


def latency_of(view: InferenceView, which: Latency) -> LatencyView | None:
    """One of its waiting times, if it measures it."""
    return next((each for each in view.latencies if each.latency is which), None)


def limit(seconds: float) -> str:
    """A limit or a bucket's bound, without a zero behind the point: ``500 ms``, ``10 s``."""
    return latency(seconds).replace(".0 ", " ")


def percentile(each: LatencyView, which: int) -> str:
    """``412 ms``; ``> 10 s`` where it lies above the last bound; ``–`` where the buckets do not tell."""
    value = {50: each.p50_seconds, 95: each.p95_seconds, 99: each.p99_seconds}[which]
    if value is None and each.above_seconds is not None and each.open_from is not None and which >= each.open_from:
        return f"> {limit(each.above_seconds)}"
    return latency(value)


def too_slow(view: InferenceView, each: LatencyView) -> bool:
    """Whether fewer requests than the target's share are within the limit, for certain."""
    return each.in_slo_high is not None and each.in_slo_high < view.slo_target_ratio


def value_style(look: Look, view: InferenceView, text: str, style: Style) -> Style:
    """The style of a value: dim where it is old or not there."""
    return look.dim if text in ("–", "?") or is_old(view) else style


def state_words(view: InferenceView) -> str:
    """``metrics off``: the state in two or three words."""
    return STATES[view.state]


def hint_of(view: InferenceView, room: int) -> str:
    """What to do about it, else what happened, in ``room`` cells."""
    return cut(view.hint or view.detail or SENTENCES[view.state], room)
