"""``gpuwatch waste`` as text: what is wasted now by the ledger, then what rules say of it, the costliest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from gpuwatch import format as fmt
from gpuwatch.report import finding_words as words
from gpuwatch.report.ink import Look
from gpuwatch.report.lines import Block, Line, head, line, rendered, spread, wrapped
from gpuwatch.text import clean
from gpuwatch.view.finding_types import FindingView, NotEvaluatedView, ResolvedView, WasteView
from gpuwatch.view.parts import waste_ms
from gpuwatch.view.types import View
from gpuwatch.view.waste import effect_words, saving_words

MIN_WIDTH = 60
FEW = 5
"""So many resolved findings and rules that were not judged are told, unless all are asked for."""
OVERLAP = "costs overlap, never added up"


def waste_text(
    view: View,
    waste: WasteView,
    *,
    since_ms: int,
    everything: bool = False,
    width: int = 100,
    tz: tzinfo | None = None,
    look: Look | None = None,
) -> str:
    """The whole text with a newline at its end, no line wider than ``width`` cells (at least 60).

    Args:
        view: the instant.
        waste: what rules say of it.
        since_ms: from when on ``waste.resolved`` tells what cleared.
        everything: muted findings in full, and all that is resolved or was not judged.
        width: cells of a line.
        tz: the zone of clocks; ``None`` is the system's.
        look: colours and characters.
    """
    width = max(width, MIN_WIDTH)
    blocks = [_head(view, width, tz)]
    for rank, finding in enumerate(waste.findings, 1):
        blocks.append(finding_block(finding, rank, view.at_ms, width, tz))
    if waste.muted:
        blocks.append(_muted(waste.muted, everything=everything, at_ms=view.at_ms, width=width, tz=tz))
    if waste.resolved:
        blocks.append(_resolved(waste.resolved, since_ms, view, width, tz, everything=everything))
    if waste.not_evaluated:
        blocks.append(_not_evaluated(waste, width, everything=everything))
    blocks.append(_end(view, waste, width))
    if view.notices:
        blocks.append([each for notice in view.notices for each in wrapped(notice, width, style="notice")])
    return rendered(blocks, width, look or Look())


def _head(view: View, width: int, tz: tzinfo | None) -> Block:
    """Host and instant, then the ledger's sentence."""
    host = view.host.hostname if view.host else "this host"
    simulated = [("   SIMULATED", "notice")] if view.recording.simulated else []
    gpus = fmt.gpu_summary(gpu.name for gpu in view.gpus if not gpu.parent_uuid)
    right = (
        f"{fmt.since(view.at_ms, view.now_ms, tz)}, {fmt.duration((view.now_ms - view.at_ms) / 1000)} ago"
        if view.past
        else fmt.weekday_clock(view.at_ms, tz)
    )
    out = [spread(line((host, "bold"), f"   {gpus}", *simulated), line((right, "dim")), width)]
    out += wrapped(" · ".join(_sentence(view)), width)
    return out


def _sentence(view: View) -> list[str]:
    count = sum(not gpu.parent_uuid for gpu in view.gpus)
    out = []
    if view.waste_now_gpus is not None:
        out.append(f"Waste {'then' if view.past else 'now'} {fmt.number(view.waste_now_gpus, 1)} of {fmt.counted(count, 'GPU')}")
    if view.today is not None:
        out.append(f"today {fmt.gpu_hours(waste_ms(view.today))} of {fmt.gpu_hours(view.today.capacity_ms)} GPU·h")
    return out or ["No waste is known: the ledger has nothing to count yet."]


def finding_block(finding: FindingView, rank: int, at_ms: int, width: int, tz: tzinfo | None) -> Block:
    """One finding whole."""
    left = line(
        (f"{rank} ", "dim"),
        (f"{words.estimated(finding)}{words.amount(finding)}", words.STYLES[finding.severity]),
        (f"  {finding.name}", "bold"),
    )
    right = line((f"{finding.severity.label} · {finding.rule}", "dim"))
    indent = 2
    out = [spread(left, right, width)]
    out += wrapped(clean(finding.title), width, indent=indent, first="  ")
    out += _wrapped_dim(clean(words.who(finding)), width)
    out += _labelled(
        "since",
        f"{fmt.since(finding.since_ms, at_ms, tz)}, {fmt.duration(max(0, at_ms - finding.since_ms) / 1000)} · cost so far {words.cost(finding)}",
        width,
    )
    for fact in finding.facts:
        limit = f", limit {fact.limit}" if fact.limit not in ("", fmt.NOTHING) else ""
        source = f" ({fact.source})" if fact.source else ""
        out += _labelled("evidence", clean(f"{fact.what}: {fact.measured}{limit}{source}"), width)
    for number, step in enumerate(finding.try_first):
        out += _labelled("try first" if not number else "", clean(step), width, style="accent")
    if finding.then:
        out += _labelled("then", clean(finding.then), width)
    if finding.gain:
        out += _labelled("expect", clean(finding.gain + (f" ({finding.gain_source})" if finding.gain_source else "")), width)
    if finding.wrong_if:
        out += _labelled("wrong if", clean("; ".join(finding.wrong_if)), width)
    if finding.how:
        out += _labelled("computed", clean(finding.how), width)
    out += _labelled("sure", f"{finding.confidence.label} confidence, amount {finding.basis.label}", width)
    return out


_LABEL = 11


def _labelled(label: str, text: str, width: int, style: str = "") -> Block:
    """``  label    text``, wrapped under the text; a label that repeats the last one is left out."""
    rows = wrapped(text, width, indent=2 + _LABEL, first=" " * (2 + _LABEL), style=style)
    first = rows[0]
    told = first[0][0][2 + _LABEL :] if first else ""
    return [line((f"  {label:<{_LABEL}}", "dim"), (told, style)), *rows[1:]]


def _wrapped_dim(text: str, width: int) -> Block:
    return wrapped(text, width, indent=2, first="  ", style="dim")


def _muted(muted: Sequence[FindingView], *, everything: bool, at_ms: int, width: int, tz: tzinfo | None) -> Block:
    out = [head(f"Muted {len(muted)}", width, "gpuwatch mute --list")]
    if not everything:
        return [
            *out,
            *wrapped(
                ", ".join(dict.fromkeys(f"{one.name} ({words.place(one.gpu_indices)})" for one in muted)),
                width,
                indent=2,
                first="  ",
            ),
        ]
    for rank, finding in enumerate(muted, 1):
        out += finding_block(finding, rank, at_ms, width, tz)
    return out


def _resolved(
    found: Sequence[ResolvedView], since_ms: int, view: View, width: int, tz: tzinfo | None, *, everything: bool
) -> Block:
    """What cleared and what came of it, those with a measured saving first."""
    span = fmt.duration((view.at_ms - since_ms) / 1000)
    out = [head(f"Resolved {len(found)}, {span}", width, "30 min before and after")]
    ordered = sorted(found, key=lambda one: (one.saved_gpus is None, -(one.saved_gpus or 0.0)))
    for one in ordered if everything else ordered[:FEW]:
        out.append(resolved_line(one, view.now_ms, width, tz))
        out += wrapped(clean(effect_words(one.effect)), width, indent=4, first="    ", style="dim")
    return out + _more(len(ordered), everything=everything)


def resolved_line(one: ResolvedView, now_ms: int, width: int, tz: tzinfo | None) -> Line:
    """``  saves 3.1 GPU·h a day  waits for input · GPU 2 3 · alice        Thu 16:20``."""
    told = saving_words(one)
    style = "effective" if told.startswith("saves") else "notice" if told.startswith("worse") else ""
    what = " · ".join(part for part in (one.name, words.place(one.gpu_indices), one.user) if part)
    return spread(line("  ", (told, style), f"  {clean(what)}"), line((fmt.since(one.ended_ms, now_ms, tz), "dim")), width)


def _not_evaluated(waste: WasteView, width: int, *, everything: bool) -> Block:
    """Which signal a rule missed, and how to get it; the same of several subjects is told once."""
    grouped: dict[tuple[str, str], list[NotEvaluatedView]] = {}
    for missed in waste.not_evaluated:
        grouped.setdefault((missed.signal, missed.enable), []).append(missed)
    out = [head(f"Not evaluated {waste.rules_not_evaluated} of {fmt.counted(waste.rules, 'rule')}", width)]
    groups = list(grouped.items())
    for (signal, enable), missed_ones in groups if everything else groups[:FEW]:
        rules = ", ".join(dict.fromkeys(missed.rule for missed in missed_ones))
        places = ", ".join(dict.fromkeys(missed.where for missed in missed_ones if missed.where))
        out += wrapped(clean(signal), width, indent=4, first="  ")
        out += wrapped(clean(f"{rules}" + (f" · {places}" if places else "")), width, indent=4, first="    ", style="dim")
        if enable:
            out += wrapped(clean(f"enable: {enable}"), width, indent=4, first="    ", style="accent")
    return out + _more(len(groups), everything=everything)


def _more(count: int, *, everything: bool) -> Block:
    rest = count - FEW
    return [line((f"  {rest} more: gpuwatch waste --all", "dim"))] if rest > 0 and not everything else []


def _end(view: View, waste: WasteView, width: int) -> Block:
    """The count of all rules, which adds up, and what the costs are not."""
    if not waste.known:
        said = "No rule has judged this: a recorder looks for waste while it runs (gpuwatch record)."
        if view.past:
            said = "What rules could not judge is not kept of the past."
        elif view.recording.live:
            said = "No rule has judged this yet: a recorder begins a minute after its start, unless [rules] enabled is false."
        return wrapped(said, width, style="dim")
    counts = f"{waste.rules_open} open · {waste.rules_clear} clear · {waste.rules_not_evaluated} not evaluated"
    out = wrapped(f"{fmt.counted(waste.rules, 'rule')}: {counts}", width)
    if not waste.findings and not waste.muted:
        return [*wrapped("No finding.", width), *out]
    if len(waste.findings) > 1:
        out += wrapped(f"Findings explain the ledger's time: their {OVERLAP}.", width, style="dim")
    return out
