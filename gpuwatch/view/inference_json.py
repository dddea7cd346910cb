"""What ``status --json`` tells of inference servers: the keys of a workload's ``inference``, and its waiting times.

Names are those of the views ``v_server`` and ``v_workload_minute`` where these have the same.
"""

from __future__ import annotations

from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.json_parts import Json, object_of, objects, plain

STATES = "up, starting, metrics_off, auth_needed, unreachable, other_namespace, port_unknown, foreign_page, too_large, no_metrics"
_RATE = "a second, over rate_seconds"
INFERENCE = plain(
    ("state", "string", f"What the server's own numbers can tell: {STATES}"),
    ("detail", "string", "What is wrong, in one line, else empty"),
    ("hint", "string", "What to do, as the exact flag to add, else empty"),
    ("url", "string", "What is asked, without credentials"),
    ("engine", "string", "Engine"),
    ("engine_version", "string", "Its version, empty if not known"),
    ("served_model", "string", "Model, as the server names it"),
    ("verified", "boolean", "False for an engine whose page was never seen by the makers of its table"),
    ("age_seconds", "number|null", "Age of the newest good reading"),
    ("interval_seconds", "number|null", "Time between two readings"),
    ("scrape_seconds", "number|null", "Time that one reading takes"),
    ("page_bytes", "integer|null", "Size of the page"),
    ("up_seconds", "number|null", "Time since the start of the root process"),
    ("rate_seconds", "number|null", "Time that rates of tokens are means over; longer where tokens are counted when requests end"),
    ("window_seconds", "number|null", "Time that waiting times, ratios, means and rates of requests are told over"),
    ("finished_seconds", "number|null", "Time that ended requests are counted over"),
    ("output_tokens_per_second", "number|null", f"Tokens generated (decode) {_RATE}"),
    ("prefill_tokens_per_second", "number|null", f"Prompt tokens computed {_RATE}"),
    ("cached_tokens_per_second", "number|null", f"Prompt tokens taken from the prefix cache {_RATE}"),
    ("prompt_tokens_per_second", "number|null", f"Prompt tokens of requests {_RATE}, cached ones included"),
    ("requests_per_second", "number|null", "Requests ended a second, over window_seconds"),
    ("prompt_tokens_mean", "number|null", "Prompt tokens a request"),
    ("output_tokens_mean", "number|null", "Output tokens a request"),
    ("running_requests", "number|null", "Requests running"),
    ("waiting_requests", "number|null", "Requests waiting"),
    ("max_running_requests", "integer|null", "Most requests that run at once"),
    ("max_model_tokens", "integer|null", "Longest request in tokens"),
    ("kv_cache_ratio", "number|null", "KV cache in use"),
    ("kv_cache_fullest_ratio", "number|null", "KV cache in use, of the fullest engine behind the server"),
    ("kv_cache_tokens", "integer|null", "Tokens that the KV cache holds"),
    ("preemptions_per_second", "number|null", "Requests preempted a second, over window_seconds"),
    ("prefix_hit_ratio", "number|null", "Prompt tokens that were found in the prefix cache, of those looked up"),
    ("speculative_acceptance_ratio", "number|null", "Drafted tokens that were accepted"),
    ("speculative_accepted_length", "number|null", "Accepted tokens a draft, without the bonus token"),
    ("slo_target_ratio", "number", "Share of requests that is to be within each limit"),
    ("goodput_low_per_second", "number|null", "Requests a second that met all limits, at least"),
    ("goodput_high_per_second", "number|null", "Requests a second that met all limits, at most"),
    ("goodput_low_ratio", "number|null", "The same of all ended requests, at least"),
    ("goodput_high_ratio", "number|null", "The same of all ended requests, at most"),
    ("finished_stop", "integer|null", "Requests ended by a stop token or string, over finished_seconds"),
    ("finished_length", "integer|null", "Requests ended by their length limit"),
    ("finished_aborted", "integer|null", "Requests aborted by the client"),
    ("finished_error", "integer|null", "Requests that failed"),
    ("tokens_per_second_per_gpu", "number|null", "Output tokens a second and GPU that it holds"),
    ("shared_gpu", "boolean", "Whether another workload is at work on one of its GPUs"),
    ("power_watts", "number|null", "Mean power of its GPUs"),
    ("energy_per_output_token_joules", "number|null", "Energy an output token; null on a shared GPU"),
    ("output_tokens_per_joule", "number|null", "Output tokens a joule"),
    ("cost_per_million_output_tokens", "number|null", "Cost of a million output tokens; null without a price"),
    ("currency", "string", "Its currency, empty without a price"),
    ("price", "string", "The prices that the cost is made with, empty without one"),
    ("mfu_ratio", "number|null", "Estimate: the server's own count of operations over the dense BF16 peak of its GPUs"),
    ("diagnosis", "string", "What limits it, in one sentence, empty when nothing stands out"),
)
LATENCY = plain(
    ("latency", "string", "ttft, itl, e2e or queue"),
    ("count", "integer", "Observations in window_seconds"),
    ("mean_seconds", "number|null", "Mean, exact"),
    ("p50_seconds", "number|null", "Median, linear inside its bucket"),
    ("p95_seconds", "number|null", "95th percentile"),
    ("p99_seconds", "number|null", "99th percentile"),
    ("p95_low_seconds", "number|null", "Lower bound of the bucket that the 95th percentile lies in"),
    ("p95_high_seconds", "number|null", "Its upper bound; null if it has none"),
    ("above_seconds", "number|null", "The last bound, where a percentile lies above it"),
    ("open_from", "integer|null", "The lowest percentile that does: 50, 95 or 99"),
    ("slo_seconds", "number|null", "Limit"),
    ("in_slo_low", "number|null", "Share of observations within it, at least"),
    ("in_slo_high", "number|null", "Share of observations within it, at most"),
    ("why_no_percentile", "string", "few requests, one bucket or no buckets, where there are no percentiles"),
)


def inference_json(view: InferenceView | None) -> Json | None:
    """The object, ``None`` for a workload that is no server."""
    if view is None:
        return None
    return {
        **object_of(INFERENCE, view),
        "latencies": objects(LATENCY, view.latencies),
        "quality": {name: quality.label for name, quality in sorted(view.quality.items())},
        "source": dict(sorted(view.source.items())),
        "missing": {name: reason.label for name, reason in sorted(view.missing.items())},
    }
