"""What any screen, text or JSON may show of an inference server, frozen. Names are public names in base units; ``None`` is unknown."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Latency, Missing, Quality, ServerState

_NO_QUALITY: Mapping[str, Quality] = {}
_NO_SOURCE: Mapping[str, str] = {}
_NO_MISSING: Mapping[str, Missing] = {}


@dataclass(frozen=True, slots=True)
class Slo:
    """What is fast enough, from the configuration. Defaults are bucket bounds of vLLM, TensorRT-LLM and NIM."""

    ttft_seconds: float = 0.5
    itl_seconds: float = 0.05
    target_ratio: float = 0.95
    """The share of requests that must be within a limit; below it a value turns amber."""


@dataclass(frozen=True, slots=True)
class LatencyView:
    """One waiting time over the view's window. Seconds.

    Mean is exact (sum over count). Percentiles are linear inside a bucket and ``None`` for fewer than 20 observations, or where all
    lie in the first bucket; ``p95_low``/``p95_high`` are the bounds of the bucket that p95 lies in (of servers with different bounds
    those that it lies between for sure). A percentile above the last bound is ``None`` and ``above_seconds`` is that bound,
    ``open_from`` the lowest percentile that is so (50, 95 or 99).
    ``in_slo_low``/``in_slo_high`` (0-1) are equal when the limit is a bucket's bound.
    """

    latency: Latency
    count: int
    mean_seconds: float | None
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None
    p95_low_seconds: float | None = None
    p95_high_seconds: float | None = None
    above_seconds: float | None = None
    open_from: int | None = None
    slo_seconds: float | None = None
    in_slo_low: float | None = None
    in_slo_high: float | None = None
    why_no_percentile: str = ""
    """One or two words where there is a mean but no percentile: ``few requests``, ``one bucket``, ``no buckets``."""


@dataclass(frozen=True, slots=True)
class InferenceView:
    """A server at the view's instant. Rates of tokens are means over ``rate_seconds`` (longer where tokens are counted when requests
    end); latencies, hit ratios, mean lengths, requests and preemptions a second over ``window_seconds`` (5 min); finished requests
    over ``finished_seconds`` (60 min).

    ``tokens_per_second_per_gpu`` and energies are of output tokens. ``energy_per_output_token_joules`` is ``None`` where a GPU is
    shared with another workload (``shared_gpu``), where power is unknown or no token was made (then ``power_watts`` is still there).
    Costs are ``None`` without a price. ``mfu_ratio`` is an estimate (the server's own count of operations over the dense BF16 peak
    of its GPUs). ``quality`` and ``source`` tell of each field of the rows how it is counted and which family gave it.
    """

    state: ServerState
    detail: str = ""
    hint: str = ""
    url: str = ""
    engine: str = ""
    engine_version: str = ""
    served_model: str = ""
    verified: bool = True
    age_seconds: float | None = None
    """Age of the newest good reading."""
    interval_seconds: float | None = None
    scrape_seconds: float | None = None
    page_bytes: int | None = None
    up_seconds: float | None = None
    """Since the start of the root process."""
    rate_seconds: float | None = None
    window_seconds: float | None = None
    finished_seconds: float | None = None
    output_tokens_per_second: float | None = None
    prefill_tokens_per_second: float | None = None
    cached_tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    requests_per_second: float | None = None
    prompt_tokens_mean: float | None = None
    output_tokens_mean: float | None = None
    running_requests: float | None = None
    waiting_requests: float | None = None
    max_running_requests: int | None = None
    max_model_tokens: int | None = None
    kv_cache_ratio: float | None = None
    kv_cache_fullest_ratio: float | None = None
    kv_cache_tokens: int | None = None
    preemptions_per_second: float | None = None
    prefix_hit_ratio: float | None = None
    speculative_acceptance_ratio: float | None = None
    speculative_accepted_length: float | None = None
    """Mean accepted tokens a draft, the bonus token not counted."""
    latencies: tuple[LatencyView, ...] = ()
    """In the order of ``Latency``; only those that the server measures."""
    slo_target_ratio: float = 0.95
    """``Slo.target_ratio``: of a waiting time with a limit, the share below which it is too slow."""
    goodput_low_per_second: float | None = None
    goodput_high_per_second: float | None = None
    """Bounds (Fréchet) of the requests a second that meet all limits; failed and aborted ones never do."""
    goodput_low_ratio: float | None = None
    goodput_high_ratio: float | None = None
    finished_stop: int | None = None
    finished_length: int | None = None
    finished_aborted: int | None = None
    finished_error: int | None = None
    tokens_per_second_per_gpu: float | None = None
    shared_gpu: bool = False
    power_watts: float | None = None
    energy_per_output_token_joules: float | None = None
    output_tokens_per_joule: float | None = None
    cost_per_million_output_tokens: float | None = None
    currency: str = ""
    price: str = ""
    """The price that the cost is made with, as in ``$2.50/GPU·h``."""
    mfu_ratio: float | None = None
    diagnosis: str = ""
    """What limits it, in one sentence without advice (``KV cache full, 3 waiting``), empty when nothing stands out."""
    rate_cells: tuple[float | None, ...] = ()
    """Output tokens a second, 9 cells of 20 s, oldest first, for the overview."""
    quality: Mapping[str, Quality] = field(default_factory=lambda: _NO_QUALITY)
    source: Mapping[str, str] = field(default_factory=lambda: _NO_SOURCE)
    missing: Mapping[str, Missing] = field(default_factory=lambda: _NO_MISSING)


@dataclass(frozen=True, slots=True)
class InferenceHistory:
    """A server over the last hour, for its screen: cells of ``cell_seconds``, oldest first, the last one running.

    A percentile above the last bound is shown as that bound.
    """

    cell_seconds: int
    start_ms: int
    output_tokens_per_second: tuple[float | None, ...]
    prefill_tokens_per_second: tuple[float | None, ...]
    p95_seconds: Mapping[Latency, tuple[float | None, ...]]
