"""llama.cpp (``llama-server``): what its page of metrics tells by itself. Live figures come from ``/slots``, see ``llamacpp_reader``."""

from __future__ import annotations

from functools import partial

from gpuwatch.collectors.inference.engine import Engine, Source
from gpuwatch.names import Quality

PREFIX = "llamacpp:"
METRICS, SLOTS, PROPS = "/metrics", "/slots", "/props"


_AT_END = partial(Source, quality=Quality.AT_END, evidence="live")
_PROMPT = (_AT_END("llamacpp:prompt_tokens_total", plus=(_AT_END("llamacpp:prompt_tokens_cached_total"),)),)
_CACHED = (_AT_END("llamacpp:prompt_tokens_cached_total"),)

LLAMACPP = Engine(
    name="llama.cpp",
    title="llama.cpp",
    default_port=8080,
    paths=(METRICS, SLOTS),
    prefixes=(PREFIX,),
    marks=("llamacpp:prompt_tokens_total", "llamacpp:requests_processing"),
    fields={
        "output_tokens_total": (_AT_END("llamacpp:tokens_predicted_total"),),
        "prefill_tokens_total": (_AT_END("llamacpp:prompt_tokens_total"),),
        "cached_tokens_total": _CACHED,
        "prompt_tokens_total": _PROMPT,
        "prefix_query_tokens_total": _PROMPT,
        "prefix_hit_tokens_total": _CACHED,
        "running_requests": (Source("llamacpp:requests_processing", evidence="live"),),
        "waiting_requests": (Source("llamacpp:requests_deferred", evidence="live"),),
        "drafts_total": (_AT_END("llamacpp:spec_decode_num_drafts_total"),),
        "draft_tokens_total": (_AT_END("llamacpp:spec_decode_num_draft_tokens_total"),),
        "accepted_tokens_total": (_AT_END("llamacpp:spec_decode_num_accepted_tokens_total"),),
        "itl_count_total": (_AT_END("llamacpp:tokens_predicted_total"),),
        "itl_sum_seconds": (_AT_END("llamacpp:tokens_predicted_seconds_total"),),
    },
    once={PROPS: {"engine_version": "build_info", "served_model": "model_alias"}},
    metrics_off="start llama-server with --metrics (or set LLAMA_ARG_ENDPOINT_METRICS=1)",
    answer_seconds=5.0,
    keep_alive=False,
    verified=True,
    reader="gpuwatch.collectors.inference.engines.llamacpp_reader:LlamaCppReader",
    notes=(
        "Tokens are counted on the page only when a request ends, so those of the moment come from `/slots` and are corrected by the page, "
        "which is read at most every 5 s: each read shortens the window of the server's own gauges `prompt_tokens_seconds` and "
        "`predicted_tokens_seconds` for everyone who reads them. The sum over time is the server's own counter. While requests are long, "
        "slots are looked at between two reads of the page too. While they are short, most of them come and go between two looks, and the "
        "slots are looked at together with the page alone, so that each row is right for its own time. Past a million the server prints its "
        "counters with six digits, so the correction is coarse there. Without --metrics the slots alone are read: the end of each request "
        "is missing, and nothing is told while more requests end unseen than go on. With --no-slots the page alone is read. `/slots` of some "
        "builds holds prompts: only its numbers are read. KV use is that of busy slots over the sizes of all slots, too low where slots share "
        "one cache (--kv-unified); limits are those of the slots. The Python package's `llama_cpp.server` has neither page nor slots."
    ),
)
