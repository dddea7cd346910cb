"""The inference servers of ``gpuwatch status`` as lines of text: one row each, and what to do about one that tells nothing."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch import format as fmt
from gpuwatch.names import Latency, Missing, Quality, ServerState
from gpuwatch.report.table import Column, Paint, table
from gpuwatch.view.inference_types import InferenceView, LatencyView
from gpuwatch.view.types import View, WorkloadView

ESTIMATED = "~"
WIDE = 100
STALE_SECONDS = 5.0
_STATE_WORDS = {
    ServerState.STARTING: "starting",
    ServerState.METRICS_OFF: "its metrics are off",
    ServerState.AUTH_NEEDED: "its metrics need a key",
    ServerState.UNREACHABLE: "does not answer",
    ServerState.OTHER_NAMESPACE: "listens in another network namespace",
    ServerState.PORT_UNKNOWN: "its port is not known",
    ServerState.FOREIGN_PAGE: "its page is not one of a known engine",
    ServerState.TOO_LARGE: "its page is too large",
    ServerState.NO_METRICS: "this engine has no numbers of its own",
}


def servers(view: View, width: int, paint: Paint) -> list[str]:
    """The block; empty where no server was ever asked."""
    there = [(work, work.inference) for work in view.workloads if work.inference is not None]
    if not there:
        return []
    columns = [
        Column("Server", [_name(work, server, 28 if width >= WIDE else 19) for work, server in there], align="left"),
        Column("Engine", [server.engine + ("" if server.verified else " unverified") for _, server in there], align="left", drop=7),
        Column("GPU", [gpu_list(work.gpu_indices) for work, _ in there], align="left"),
        Column("decode/s", [_rate(server, "output_tokens") for _, server in there]),
        Column("prefill/s", [_rate(server, "prefill_tokens") for _, server in there], drop=4),
        Column("run", [_count(server, "running_requests") for _, server in there]),
        Column("wait", [_count(server, "waiting_requests") for _, server in there]),
        Column("KV %", [_cache(server) for _, server in there], drop=3),
        Column("TTFT p95", [_p95(server) for _, server in there], drop=1),
        Column("J/tok", [_energy(server) for _, server in there], drop=2),
    ]
    priced = [server for _, server in there if server.cost_per_million_output_tokens is not None]
    if priced:
        columns.append(Column(f"{priced[0].currency}/M tok", [_cost(server) for _, server in there], drop=5))
    columns.append(Column("Model", [server.served_model or work.model for work, server in there], align="left", drop=8))
    head, *rows = table(columns, width, paint)
    lines = [head]
    hidden = [head_word for head_word in ("Engine", "Model") if head_word not in head]
    for row, (work, server) in zip(rows, there, strict=True):
        lines += [row, *_notes(view, work, server, hidden, width, paint)]
    for price in dict.fromkeys(server.price for server in priced):
        lines += [paint(line, "dim") for line in folded(f"a million output tokens at {price}", width, "")]
    return lines


def _name(work: WorkloadView, server: InferenceView, room: int) -> str:
    """With the port of the command line, else the one that is asked: servers of one name differ in it."""
    found = str(work.port or "") or server.url.partition("://")[2].partition("/")[0].rpartition(":")[2]
    port = f":{found}" if found.isdigit() and not work.name.endswith(f":{found}") else ""
    return fmt.cut(work.name or work.engine or "server", room - len(port)) + port


def gpu_list(indices: Sequence[int]) -> str:
    """``0``, ``0-3``, ``0,2``; more than fits in a column as their number."""
    if not indices:
        return fmt.NOTHING
    first, last = indices[0], indices[-1]
    if len(indices) > 1 and list(indices) == list(range(first, last + 1)):
        return f"{first}-{last}"
    text = ",".join(map(str, indices))
    return text if len(text) <= 5 else f"{len(indices)} GPUs"


def _why(server: InferenceView, name: str) -> Missing | None:
    return server.missing.get(name)


def _about(server: InferenceView, made_from: str) -> str:
    """The mark before what is made from an estimate."""
    return ESTIMATED if server.quality.get(made_from) is Quality.ESTIMATED else ""


def _rate(server: InferenceView, tokens: str) -> str:
    value = getattr(server, f"{tokens}_per_second")
    if value is None:
        return fmt.glyph(_why(server, f"{tokens}_per_second"))
    return _about(server, f"{tokens}_total") + fmt.rate(value)


def _count(server: InferenceView, name: str) -> str:
    value = getattr(server, name)
    return fmt.glyph(_why(server, name)) if value is None else _about(server, name) + fmt.number(value)


def _cache(server: InferenceView) -> str:
    about = "" if server.kv_cache_ratio is None else _about(server, "kv_cache_ratio")
    return about + fmt.percent(server.kv_cache_ratio, reason=_why(server, "kv_cache_ratio"))


def _p95(server: InferenceView) -> str:
    """The percentile, ``>`` the last bound, or a mean that says that it is one."""
    found: LatencyView | None = next((each for each in server.latencies if each.latency is Latency.TTFT), None)
    if found is None:
        return fmt.NOTHING
    if found.p95_seconds is not None:
        return fmt.latency(found.p95_seconds)
    if found.above_seconds is not None and found.open_from is not None and found.open_from <= 95:
        return f"> {fmt.latency(found.above_seconds)}"
    return fmt.NOTHING if found.mean_seconds is None else f"mean {fmt.latency(found.mean_seconds)}"


def _energy(server: InferenceView) -> str:
    if server.shared_gpu:
        return "shared"
    joules = server.energy_per_output_token_joules
    if joules is None:  # no tokens for what it draws
        idle = server.power_watts is not None and server.output_tokens_per_second == 0
        return f"{fmt.watts(server.power_watts)} W" if idle else fmt.NOTHING
    return _about(server, "output_tokens_total") + fmt.number(joules, 2 if joules < 99.95 else 0)


def _cost(server: InferenceView) -> str:
    cost = server.cost_per_million_output_tokens
    return fmt.NOTHING if cost is None else _about(server, "output_tokens_total") + fmt.number(cost, 2)


def _old(view: View, server: InferenceView) -> str:
    """How long ago it answered, where that is longer than three looks and not all of the view is as old."""
    if server.age_seconds is None or view.past:
        return ""
    age = server.age_seconds - max(0, view.now_ms - view.at_ms) / 1000
    return f"last answer {fmt.duration(age)} ago" if age > max(3 * (server.interval_seconds or 0.0), STALE_SECONDS) else ""


def _notes(view: View, work: WorkloadView, server: InferenceView, hidden: Sequence[str], width: int, paint: Paint) -> list[str]:
    """What stands under a row: what its columns had no room for, what limits it, or why it tells nothing and what to add."""
    model = server.served_model or work.model
    found = {"Engine": server.engine, "Model": "" if model.rstrip("/").rpartition("/")[2] == work.name else model}
    facts = [found[name] for name in hidden if found[name]]
    notes = []
    if server.state is not ServerState.UP:
        word = server.detail or _STATE_WORDS.get(server.state, server.state.label.replace("_", " "))
        notes.append((f"{word}: {server.hint}" if server.hint else word, "notice"))
    else:
        facts += [server.diagnosis] if server.diagnosis else []
        notes += [(old, "notice")] if (old := _old(view, server)) else []
        notes += [(f"more numbers: {server.hint}", "notice")] if server.hint else []
    if facts:
        notes.insert(0, (" · ".join(facts), ""))
    return [paint(line, style) for text, style in notes for line in folded(text, width)]


def folded(text: str, width: int, mark: str = "  └ ") -> list[str]:
    """The words in as many lines as they need, those after the first as far in as it."""
    lines, line = [], ""
    for word in text.split():
        if line and len(mark) + fmt.cells(line) + 1 + fmt.cells(word) > width:
            lines.append(line)
            line = ""
        line += f" {word}" if line else word
    return [(" " * len(mark) if number else mark) + each for number, each in enumerate([*lines, line])]
