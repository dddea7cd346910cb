"""``docs/engines.md``: what is asked of which server and where each number comes from, out of the tables."""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.collectors.inference.engines import every
from gpuwatch.collectors.inference.engines.dynamo import DYNAMO
from gpuwatch.collectors.inference.engines.llamacpp import LLAMACPP
from gpuwatch.collectors.inference.engines.llamacpp_reader import FROM_SLOTS, GAUGES, METRICS_EVERY_NS
from gpuwatch.collectors.inference.engines.unseen import unseen
from gpuwatch.collectors.inference.engines.vllm import VLLM
from gpuwatch.collectors.inference.http import MAX_BODY
from gpuwatch.collectors.inference.pace import COST_RATIO, IDLE_AFTER_SECONDS, IDLE_SECONDS, SELDOM_SECONDS
from gpuwatch.collectors.inference.table_reader import formula
from gpuwatch.names import Latency, Quality

_HEAD = f"""\
# Inference servers

Made from the tables in `collectors/inference/engines/`; do not edit.

Servers are found by the processes that gpuwatch sees, their port by the command line, the sockets that the process itself holds, or
the engine's default. Nothing has to be configured; a server elsewhere is watched only if the configuration names its URL.

## What is asked, and how often

- Only the paths named here are asked, with GET, at most two at one look, of a port that belongs to a process whose command line is
  that of a server. There is no scan, and a process that only does GPU work is never asked, though it listens too.
- A look every 2 s, every {IDLE_SECONDS:.0f} s after {IDLE_AFTER_SECONDS:.0f} s without work, and less often where the answers take so
  long that asking could cost more than {COST_RATIO:.0%} of a core; the screen then shows the longer time. A server that fails is asked
  at ever longer times, up to a minute. One whose metrics are off is asked again every {SELDOM_SECONDS / 60:.0f} minutes.
- Of an answer at most {MAX_BODY // 1024**2} MiB are read. Redirects are not followed.
- llama.cpp: `/metrics` at most every {METRICS_EVERY_NS / 1e9:.0f} s, since each read shortens the window of the server's own two
  throughput gauges for everyone who reads them; `/slots`, which has no such effect, at each look in between while requests are long,
  and only together with the page while they are short.

## What is never asked or kept

- No key is sent but the one from the variable that the configuration names for that server; none is taken from a command line or an
  environment. A server that wants one is shown as such and left alone.
- Nothing that others need is used up: `/metrics` and `/perf_metrics` of TensorRT-LLM are emptied by their reader and never asked.
- Nothing that can hold prompts or keys is kept: of `/slots` only the numbers are read, `/server_info` of SGLang is never asked.

## How a number is counted

| word | means |
|---|---|
| exact | counted as it happens |
| estimated | made of something else; shown with `~` |
| at end | counted when a request ends: right over a long time, not for a moment |

A family that is not on a page makes its number unknown, never 0. Where several lines are given for a number, the first whose families
are on the page counts. Known from: *live* is a server that ran here, *captured* a page that somebody else saved, *source* the server's
source or documentation only. An engine of which no page was ever seen is called unverified on the screen."""
_FACTS = {
    "served_model": "model",
    "engine_version": "version",
    "max_model_tokens": "longest context",
    "max_running_requests": "most requests at once",
    "kv_cache_tokens": "size of the KV cache in tokens",
}
_LATENCIES = {
    Latency.TTFT: "time to first token",
    Latency.ITL: "time between tokens",
    Latency.E2E: "time of a request",
    Latency.QUEUE: "time in the queue",
}


def engines_document() -> str:
    """The whole document."""
    return "\n\n".join([_HEAD, _overview(every()), *map(_section, every())]) + "\n"


def _overview(tables: Iterable[Engine]) -> str:
    lines = ["## Engines", "", "| engine | port | asked | page seen | without its numbers |", "|---|---|---|---|---|"]
    for table in tables:
        port = f"{table.default_port or 'none'}" + (f", page on {table.metrics_port}" if table.metrics_port else "")
        asked = ", ".join(f"`{path}`" for path in (*table.paths, *table.once)) or "nothing"
        seen = "yes" if table.verified else "unverified" if table.paths else "none"
        lines.append(f"| [{table.title}](#{_anchor(table.title)}) | {port} | {asked} | {seen} | {_cell(table.metrics_off)} |")
    return "\n".join(lines)


def _section(table: Engine) -> str:
    lines = [f"## {table.title}", "", table.notes]
    if table is not VLLM and table.fields == unseen(VLLM).fields:
        return "\n".join([*lines, "", f"Numbers and their families are those of [{VLLM.title}](#{_anchor(VLLM.title)})."])
    fields = {**table.fields, **{name: () for name in GAUGES if table is LLAMACPP and name not in table.fields}}
    rows = [row for name, sources in fields.items() for row in _rows(f"`{name}`", _live(table, name), sources, table)]
    rows += [row for latency, sources in table.latencies.items() for row in _rows(_LATENCIES[latency], [], sources, table)]
    if rows:
        lines += ["", "| number | from | counted | known from |", "|---|---|---|---|", *rows]
    facts = [row for name, row in ((name, _fact_row(table, name)) for name in _FACTS) if row]
    if facts:
        lines += ["", "| fact | from |", "|---|---|", *facts]
    return "\n".join(lines)


def _live(table: Engine, name: str) -> list[str]:
    """What a reader of its own gives before the table is asked."""
    if table is not LLAMACPP:
        return []
    if name in GAUGES:
        source, quality = GAUGES[name]
        return [f"`{source}` | {quality.label} | live"]
    if name in FROM_SLOTS:
        return [f"`{FROM_SLOTS[name]}`, corrected by the page | {Quality.ESTIMATED.label} | live"]
    return [f"the page, beside slots that are read | {Quality.ESTIMATED.label} | live"]


def _rows(name: str, live: list[str], sources: Iterable[Source], table: Engine) -> Iterable[str]:
    own = [one for one in sources if table is not DYNAMO or one.family.startswith(DYNAMO.prefixes[0])]
    told = [*live, *(f"{_code(formula(one))}{_joined(one)} | {_quality(one)} | {_evidence(one)}" for one in own)]
    yield from (f"| {'' if at else name} | {'else ' if at else ''}{row} |" for at, row in enumerate(told))


def _quality(source: Source) -> str:
    return source.quality.label.replace("_", " ")


def _evidence(source: Source) -> str:
    """The weakest of all that the line needs."""
    known = {source.evidence, *(_evidence(more) for more in (*source.minus, *source.plus, *source.over))}
    return next(word for word in ("source", "captured", "live") if word in known)


def _joined(source: Source) -> str:
    """What the formula does not say: how series are joined, and what must stand beside it."""
    words = [] if source.how == "sum" else [{"max": "highest", "mean": "mean", "first": "first"}[source.how]]
    words += ["of the lowest rank"] if source.lowest else []
    words += ["once it has moved"] if source.moves else []
    words += [f"times {source.scale:g}"] if source.scale != 1 else []
    words += [f"on a page with {', '.join(_code(family) for family in source.beside)}"] if source.beside else []
    return f" ({', '.join(words)})" if words else ""


def _fact_row(table: Engine, name: str) -> str:
    told = [_code(_fact(fact)) for fact in table.facts.get(name, ())]
    told += [f"`{path}` {way}" for path, ways in table.once.items() for fact, way in ways.items() if fact == name]
    return f"| {_FACTS[name]} | {', else '.join(told)} |" if told else ""


def _fact(fact: Fact) -> str:
    label = f"{{{fact.label}}}" if fact.label else ""
    return fact.family + label + "".join(f" x {name}" for name in fact.times)


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")
