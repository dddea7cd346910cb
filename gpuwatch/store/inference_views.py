"""The public views of inference servers: who they are, where their numbers come from, their newest rows, and their waiting times."""

from __future__ import annotations

from gpuwatch.model import OPEN_US, InferenceSample
from gpuwatch.names import Latency, Quality, ServerState
from gpuwatch.store.viewkit import HOST, TS, WORKLOAD, WORKLOAD_JOIN, Col, T, View, raw_measures, seconds, seen, words

_KEY = WORKLOAD[:3]
_WORKLOAD_OF = "JOIN workload w ON w.workload_id={0}.workload_id JOIN host h ON h.host_id=w.host_id"
_NEWEST = "(SELECT {} FROM tick ORDER BY tick_id DESC LIMIT 1)"
_LONGEST_MS, _USUAL_MS = 180_000, 30_000
"""A row of the newest ones is at most so old: of a server that is asked seldom, and of any other."""

v_server = View(
    "v_server",
    "Inference servers that were ever found, as they were known last.",
    (
        HOST,
        *_KEY,
        Col("name", "w.name", "text", "Name of the workload"),
        Col("user", "u.name", "text", "User name; NULL if not known"),
        Col("state", words("v.state", ServerState), "word", "What its own numbers can tell, when it was last looked at"),
        Col("detail", "v.detail", "text", "What is known of the state, in one line; may be empty"),
        Col("hint", "v.hint", "text", "What would make it tell more; may be empty"),
        Col("url", "v.url", "text", "Where its metrics are read; empty if not known"),
        Col("engine", "v.engine", "text", "Engine, by its own page if it tells"),
        Col("engine_version", "v.engine_version", "text", "Version of the engine; empty if not known"),
        Col("served_model", "v.served_model", "text", "Model, by the server's own word; empty if not known"),
        Col("verified", "v.verified", "flag", "0 if nobody has seen a page of this engine: its table is made from its source"),
        Col("max_model_tokens", "v.max_model_tokens", "count", "Longest context that it serves; NULL if not known"),
        Col("max_running_requests", "v.max_running_requests", "count", "Most requests that run at once; NULL if not known"),
        Col("kv_cache_tokens", "v.kv_cache_tokens", "count", "Tokens that fit into its KV cache; NULL if not known"),
        Col("interval_seconds", seconds("v.interval_ms"), "seconds", "Time between two looks at it"),
        Col("scrape_seconds", "v.scrape_us/1000000.0", "seconds", "Time that a look takes; NULL if not known"),
        Col("page_bytes", "v.page_bytes", "bytes", "Size of its page of metrics; NULL if not known"),
        *seen("v"),
    ),
    f"server v {_WORKLOAD_OF.format('v')} LEFT JOIN user_account u ON u.user_id=w.user_id",
)
v_server_field = View(
    "v_server_field",
    "Where each number of a server comes from.",
    (
        HOST,
        *_KEY,
        Col("name", "w.name", "text", "Name of the workload"),
        Col("field", "f.field", "word", "A column of v_workload_now, or ttft, itl, e2e, queue for the buckets of a waiting time"),
        Col(
            "quality",
            words("f.quality", Quality),
            "word",
            "exact: counted as it happens; estimated: derived from something else; at_end: counted when a request ends",
        ),
        Col("source", "f.source", "text", "The family, address or formula that gives it"),
        Col("since_ms", "f.since_ms", "unix milliseconds", "Since when it comes from there"),
    ),
    f"server_field f {_WORKLOAD_OF.format('f')}",
)
v_workload_now = View(
    "v_workload_now",
    "The newest row of each inference server that has one in this life of the recorder, none when it is older than 30 seconds before the "
    "newest tick (of a server that is asked seldom: three times the time between two looks, at most 180 seconds).",
    (
        TS,
        HOST,
        *WORKLOAD,
        Col("duration_seconds", seconds("s.dt_ms"), "seconds", "Time that the row speaks for; 0 for the first row after a gap"),
        Col("state", words("s.server_state", ServerState), "word", "server_state as a word"),
        *raw_measures(InferenceSample),
    ),
    f"(SELECT x.workload_id, max(x.tick_id) AS tick_id FROM inference_sample x WHERE x.tick_id>=(SELECT min(y.tick_id) FROM tick y "
    f"WHERE y.ts_ms>={_NEWEST.format('ts_ms')}-{_LONGEST_MS} AND y.session_id={_NEWEST.format('session_id')}) GROUP BY x.workload_id) m "
    f"JOIN inference_sample s ON s.tick_id=m.tick_id AND s.workload_id=m.workload_id JOIN tick k ON k.tick_id=m.tick_id {WORKLOAD_JOIN} "
    f"LEFT JOIN server v ON v.workload_id=m.workload_id WHERE k.ts_ms>={_NEWEST.format('ts_ms')}"
    f"-CASE WHEN v.interval_ms*3>{_USUAL_MS} THEN v.interval_ms*3 ELSE {_USUAL_MS} END",
)


def latency_view(period: str) -> View:
    """The buckets of waiting times and step times per minute, hour or day."""
    return View(
        f"v_latency_{period}",
        f"Waiting times of requests, and times of training steps, per {period}, in the buckets in which they are counted: add counts over any span, then take a "
        "percentile. Only buckets that are not empty have a row.",
        (
            T,
            HOST,
            *WORKLOAD,
            Col(
                "latency",
                words("m.latency", Latency),
                "word",
                "ttft (to the first token), itl (between tokens), e2e (whole request), queue; step (of a training) and its parts step_data, "
                "step_forward, step_backward, step_optimizer",
            ),
            Col("lower_seconds", "m.lower_us/1000000.0", "seconds", "Lower bound of the bucket; values in it are above"),
            Col(
                "upper_seconds",
                f"CASE WHEN m.upper_us<{OPEN_US} THEN m.upper_us/1000000.0 END",
                "seconds",
                "Upper bound; values in it are at most that; NULL: no bound",
            ),
            Col("count", "m.n", "count", "Observations in the bucket"),
        ),
        f"latency_{period} m {WORKLOAD_JOIN}",
    )
