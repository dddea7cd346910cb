"""Invented inference servers as Views: one of each kind that the screen must draw well, and the past that their screens ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.sample_view import DAY, HOUR, MINUTE, NOW_MS, sample_view
from support.tui_views import HOSTILE

from gpuwatch.format import shares
from gpuwatch.names import Bucket, Cause, Latency, Quality, ServerState, Tier
from gpuwatch.view.inference_types import InferenceHistory, InferenceView, LatencyView
from gpuwatch.view.types import DetailRequest, DetailView, LedgerPart, LedgerView, SpanView, View, WorkloadView

VLLM_SOURCES = {
    "output_tokens_total": "vllm:generation_tokens_total",
    "prefill_tokens_total": "vllm:prompt_tokens_by_source_total",
    "cached_tokens_total": "vllm:prompt_tokens_cached_total",
    "prompt_tokens_total": "vllm:prompt_tokens_total",
    "requests_total": "vllm:request_success_total",
    "running_requests": "vllm:num_requests_running",
    "waiting_requests": "vllm:num_requests_waiting",
    "kv_cache_ratio": "vllm:kv_cache_usage_perc",
    "kv_cache_fullest_ratio": "vllm:kv_cache_usage_perc",
    "preemptions_total": "vllm:num_preemptions_total",
    "prefix_query_tokens_total": "vllm:prefix_cache_queries_total",
    "prefix_hit_tokens_total": "vllm:prefix_cache_hits_total",
    "finished_stop_total": "vllm:request_success_total",
    "ttft": "vllm:time_to_first_token_seconds",
    "itl": "vllm:inter_token_latency_seconds",
    "e2e": "vllm:e2e_request_latency_seconds",
    "queue": "vllm:request_queue_time_seconds",
}
HOLE = range(3, 6)
"""Minutes of the last hour in which nothing was observed."""
LLAMA_SOURCES = {
    "output_tokens_total": "/slots",
    "prefill_tokens_total": "llamacpp:prompt_tokens_total",
    "running_requests": "llamacpp:requests_processing",
    "waiting_requests": "llamacpp:requests_deferred",
}


def rich(**changes: Any) -> InferenceView:
    """The vLLM server of the design's picture: everything is known."""
    latencies = (
        LatencyView(Latency.TTFT, 1180, 0.231, 0.182, 0.412, 0.640, 0.25, 0.5, slo_seconds=0.5, in_slo_low=0.968, in_slo_high=0.968),
        LatencyView(Latency.ITL, 377_600, 0.038, 0.037, 0.046, 0.071, 0.025, 0.05, slo_seconds=0.05, in_slo_low=0.981, in_slo_high=0.981),
        LatencyView(Latency.E2E, 1180, 12.4, 11.6, 21.9, 29.4, 20.0, 30.0),
        LatencyView(Latency.QUEUE, 1180, 0.061, 0.024, 0.188, 0.330, 0.1, 0.25),
    )  # fmt: skip
    view = InferenceView(
        ServerState.UP,
        url="http://127.0.0.1:8000/metrics",
        engine="vllm",
        engine_version="0.32",
        served_model="Qwen2.5-72B-AWQ",
        age_seconds=0.6,
        interval_seconds=2.0,
        scrape_seconds=0.0143,
        page_bytes=53_210,
        up_seconds=9 * DAY / 1000 + 11 * HOUR / 1000 + 120,
        rate_seconds=10.0,
        window_seconds=300.0,
        finished_seconds=3600.0,
        output_tokens_per_second=1260.0,
        prefill_tokens_per_second=893.0,
        cached_tokens_per_second=6553.0,
        prompt_tokens_per_second=7446.0,
        requests_per_second=3.94,
        prompt_tokens_mean=1890.0,
        output_tokens_mean=320.0,
        running_requests=48.0,
        waiting_requests=1.0,
        max_running_requests=64,
        max_model_tokens=32_768,
        kv_cache_ratio=0.91,
        kv_cache_fullest_ratio=0.91,
        kv_cache_tokens=108_000,
        preemptions_per_second=0.04,
        prefix_hit_ratio=0.88,
        latencies=latencies,
        goodput_low_per_second=3.74,
        goodput_high_per_second=3.81,
        goodput_low_ratio=0.949,
        goodput_high_ratio=0.968,
        finished_stop=13_541,
        finished_length=611,
        finished_aborted=28,
        finished_error=0,
        tokens_per_second_per_gpu=1260.0,
        power_watts=431.0,
        energy_per_output_token_joules=0.342,
        output_tokens_per_joule=2.92,
        cost_per_million_output_tokens=0.551,
        currency="USD",
        price="$2.50/GPU·h",
        diagnosis="1 waiting, KV cache at 91%",
        rate_cells=(1010.0, 1040.0, 1080.0, 1120.0, 1150.0, 1190.0, 1210.0, 1250.0, 1260.0),
        quality=dict.fromkeys(VLLM_SOURCES, Quality.EXACT),
        source=VLLM_SOURCES,
    )
    return replace(view, **changes)


def estimated(**changes: Any) -> InferenceView:
    """llama.cpp: decode from the slots, no histograms, no KV gauge, prompts counted when requests end."""
    quality = dict.fromkeys(LLAMA_SOURCES, Quality.EXACT) | {
        "output_tokens_total": Quality.ESTIMATED,
        "prefill_tokens_total": Quality.AT_END,
    }
    view = InferenceView(
        ServerState.UP,
        url="http://127.0.0.1:8080/metrics",
        engine="llama.cpp",
        engine_version="b11549",
        served_model="gemma-3-27b-it-Q4_K_M.gguf",
        age_seconds=1.2,
        interval_seconds=2.0,
        up_seconds=5_025.0,
        rate_seconds=30.0,
        window_seconds=300.0,
        finished_seconds=3600.0,
        output_tokens_per_second=132.4,
        prefill_tokens_per_second=411.0,
        running_requests=3.0,
        waiting_requests=2.0,
        max_running_requests=4,
        power_watts=118.0,
        energy_per_output_token_joules=0.891,
        output_tokens_per_joule=1.12,
        rate_cells=(None, None, 0.0, 90.0, 120.0, 130.0, 128.0, 131.0, 132.0),
        quality=quality,
        source=LLAMA_SOURCES,
    )
    return replace(view, **changes)


def without_numbers(state: ServerState, hint: str = "", detail: str = "", **changes: Any) -> InferenceView:
    """A server that is there and tells nothing."""
    view = InferenceView(
        state, detail, hint, url="http://127.0.0.1:30000/metrics", engine="sglang", up_seconds=600.0, interval_seconds=2.0
    )
    return replace(view, **changes)


def slow() -> InferenceView:
    """Limits missed, percentiles above the last bound, one bucket, few requests."""
    latencies = (
        LatencyView(Latency.TTFT, 80, 14.2, 9.1, None, None, 10.0, None, 10.0, 95, 0.5, 0.41, 0.46),
        LatencyView(Latency.ITL, 9_000, 0.0042, slo_seconds=0.05, in_slo_low=1.0, in_slo_high=1.0, why_no_percentile="one bucket"),
        LatencyView(Latency.E2E, 12, 132.0, why_no_percentile="few requests"),
        LatencyView(Latency.QUEUE, 80, None, why_no_percentile="no buckets"),
    )
    return rich(
        latencies=latencies,
        waiting_requests=31.0,
        requests_per_second=0.27,
        goodput_low_per_second=0.0,
        goodput_high_per_second=0.12,
        goodput_low_ratio=0.0,
        goodput_high_ratio=0.46,
        speculative_acceptance_ratio=0.71,
        speculative_accepted_length=2.13,
        kv_cache_ratio=0.62,
        kv_cache_fullest_ratio=0.97,
        finished_error=3,
        mfu_ratio=0.31,
        shared_gpu=True,
        energy_per_output_token_joules=None,
        output_tokens_per_joule=None,
        cost_per_million_output_tokens=None,
    )


def idle() -> InferenceView:
    """Up, and nobody asks: measured zeros."""
    zeros = dict.fromkeys(
        (
            "output_tokens_per_second",
            "prefill_tokens_per_second",
            "cached_tokens_per_second",
            "prompt_tokens_per_second",
            "requests_per_second",
            "running_requests",
            "waiting_requests",
            "kv_cache_ratio",
            "kv_cache_fullest_ratio",
            "preemptions_per_second",
        ),
        0.0,
    )
    ended = dict.fromkeys(("finished_stop", "finished_length", "finished_aborted", "finished_error"), 0)
    unknown = dict.fromkeys(
        (
            "prompt_tokens_mean",
            "output_tokens_mean",
            "prefix_hit_ratio",
            "goodput_low_per_second",
            "goodput_high_per_second",
            "goodput_low_ratio",
            "goodput_high_ratio",
            "energy_per_output_token_joules",
            "output_tokens_per_joule",
            "cost_per_million_output_tokens",
        )
    )
    nothing = tuple(LatencyView(each.latency, 0, None, why_no_percentile="few requests") for each in rich().latencies)
    return rich(**zeros, **ended, **unknown, latencies=nothing, rate_cells=(0.0,) * 9, diagnosis="")


def dropped() -> InferenceView:
    """It answered a minute ago and does not any more: what it told then is no longer true; what ended in the hour is."""
    full = without_numbers(ServerState.UNREACHABLE, detail="connection refused", age_seconds=61.0)
    kept = ("engine_version", "served_model", "finished_seconds", "finished_stop", "finished_length", "finished_aborted", "finished_error", "quality", "source", "rate_cells")  # fmt: skip
    return replace(full, engine="vllm", **{name: getattr(rich(), name) for name in kept})


def hostile() -> InferenceView:
    """A page that tries to break the screen."""
    return slow_with(
        engine_version=HOSTILE,
        served_model=HOSTILE,
        url=f"http://{HOSTILE}/{HOSTILE}",
        detail=HOSTILE,
        diagnosis=HOSTILE,
        price=HOSTILE,
        currency=HOSTILE,
        cost_per_million_output_tokens=1e9,
        output_tokens_per_second=9.99e9,
        prompt_tokens_per_second=9.99e9,
        requests_per_second=123_456.0,
        prompt_tokens_mean=1_048_576.0,
        running_requests=65_536.0,
        waiting_requests=1e6,
        max_running_requests=1_000_000,
        kv_cache_tokens=10**9,
        finished_stop=10**10,
        finished_error=10**9,
        rate_cells=(1e9, None) * 4 + (0.0,),
        source=dict.fromkeys(VLLM_SOURCES, HOSTILE),
    )


def slow_with(**changes: Any) -> InferenceView:
    """``slow`` with other values."""
    return replace(slow(), **changes)


SERVERS: dict[str, InferenceView] = {
    "rich": rich(),
    "estimated": estimated(),
    "slow": slow(),
    "idle": idle(),
    "stale": rich(age_seconds=14.0, state=ServerState.UNREACHABLE, detail="connection refused"),
    "dropped": dropped(),
    "unverified": estimated(verified=False, engine="lmdeploy"),
    "metrics_off": without_numbers(ServerState.METRICS_OFF, "start it with --enable-metrics"),
    "auth": without_numbers(ServerState.AUTH_NEEDED, "name the variable that holds its key in the configuration: token_env"),
    "namespace": without_numbers(ServerState.OTHER_NAMESPACE, "publish its port, or name its URL in the configuration"),
    "starting": without_numbers(ServerState.STARTING),
    "new": without_numbers(ServerState.UP),
    "no_metrics": without_numbers(ServerState.NO_METRICS),
    "large": without_numbers(ServerState.TOO_LARGE, detail="more than 4 MiB"),
    "hostile": hostile(),
}


def with_servers(*names: str, cells: int = 45) -> View:
    """The sample view whose servers are these: the first one is that of process 33071, the others have no process."""
    view = sample_view(cells)
    first = next(work for work in view.workloads if work.kind == "inference")
    works = []
    for number, name in enumerate(names):
        server = SERVERS[name]
        foreign = HOSTILE if name == "hostile" else ""
        work = replace(
            first,
            name=foreign or f"{name}-{number}" if number else foreign or first.name,
            engine=foreign or server.engine,
            model=foreign or first.model,
            tokens_per_second=server.output_tokens_per_second,
            inference=server,
        )
        if number:
            work = replace(work, root_pid=0, root_start_ms=number, port=9_000 + number, gpu_indices=())
        works.append(work)
    return replace(
        view, workloads=(*works, *(work for work in view.workloads if work is not first and work.tokens_per_second is None))
    )


def work_named(view: View, number: int = 0) -> WorkloadView:
    """The server at that place."""
    return [work for work in view.workloads if work.inference is not None][number]


def sample_inference_detail(view: View, request: DetailRequest) -> DetailView:
    """The answer to what a workload's screen asks."""
    work = next(
        (w for w in view.workloads if (w.root_pid, w.root_start_ms, w.port) == request.workload),
        None,
    )
    if work is None:
        return DetailView(request)
    server, n = work.inference, request.cells
    history = None
    if server is not None and server.age_seconds is not None:
        wave = [0.75 + 0.25 * ((i * 7) % n - n / 2) ** 2 / (n * n / 4) for i in range(n)]
        decode, prefill = server.output_tokens_per_second or 0.0, server.prefill_tokens_per_second
        p95 = {
            each.latency: tuple(None if i % 11 == 4 else each.p95_seconds * wave[i] for i in range(n))
            for each in server.latencies
            if each.p95_seconds is not None
        }
        history = InferenceHistory(
            cell_seconds=request.cell_seconds,
            start_ms=NOW_MS - HOUR,
            output_tokens_per_second=tuple(None if i in HOLE else 1.2 * decode * wave[i] for i in range(n)),
            prefill_tokens_per_second=tuple(None if prefill is None or i in HOLE else 1.4 * prefill * wave[i] for i in range(n)),
            p95_seconds=p95,
        )
    return DetailView(request, inference=history, workload_ledger=server_ledger() if work.root_pid else None)


def server_ledger() -> LedgerView:
    """GPU 4 of the design: 48, 24 + 11, 14, 3."""
    parts = (
        (Bucket.EFFECTIVE, Cause.NONE, 48),
        (Bucket.STALLED_SM, Cause.NONE, 11),
        (Bucket.EMPTY_SM, Cause.NONE, 24),
        (Bucket.WAIT, Cause.DEMAND, 12),
        (Bucket.WAIT, Cause.HOST, 2),
        (Bucket.REDONE, Cause.NONE, 3),
    )
    capacity = 15 * MINUTE
    sizes = shares([float(part[2]) for part in parts], capacity)
    rows = tuple(LedgerPart(bucket, cause, Tier.G, ms, 0) for (bucket, cause, _), ms in zip(parts, sizes, strict=True))
    return LedgerView(SpanView(NOW_MS - capacity, NOW_MS, 1.0), capacity, rows, 1.0, 0.83, 0.58, 0.58, 0.48, 0.48, Tier.G, 0.17)
