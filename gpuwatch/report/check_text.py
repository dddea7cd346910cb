"""``gpuwatch check`` as text: one line of verdict, then two lines a finding; with other limits, both sides of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from gpuwatch import format as fmt
from gpuwatch.names import Severity
from gpuwatch.report import finding_words as words
from gpuwatch.report.ink import Look
from gpuwatch.report.lines import Block, head, line, rendered, wrapped
from gpuwatch.report.table import Column, table
from gpuwatch.text import clean
from gpuwatch.view.check_types import CheckView
from gpuwatch.view.finding_types import FindingView

MIN_WIDTH = 60
_LEVEL = 10


def check_text(check: CheckView, *, width: int = 100, tz: tzinfo | None = None, look: Look | None = None) -> str:
    """The whole text with a newline at its end."""
    width, look = max(width, MIN_WIDTH), look or Look()
    blocks = [_verdict(check, width, tz)]
    if check.limits:
        blocks.append(_both(check, width, look))
    listed = [each for finding in check.findings for each in _finding(finding, check, width, tz)]
    if listed and check.limits:
        listed = [head("With the other limits", width), *listed]
    blocks.append(listed)
    return rendered(blocks, width, look)


def _verdict(check: CheckView, width: int, tz: tzinfo | None) -> Block:
    failing = sum(finding.severity >= check.fail_on for finding in check.findings)
    below = len(check.findings) - failing
    level = check.fail_on.label + ("" if check.fail_on is Severity.CRITICAL else " or above")
    said = [f"{fmt.counted(failing, 'finding')} at {level}" if failing else f"no finding at {level}"]
    said += [f"{below} below"] if below else []
    said += [f"{check.muted} muted"] if check.muted else []
    span = fmt.duration((check.end_ms - check.start_ms) / 1000)
    when = f"{fmt.weekday_clock(check.end_ms, tz)}" if check.start_ms == check.end_ms else f"the last {span}"
    said.append(f"{check.host}, {when}")
    if check.simulated:
        said.append("SIMULATED")
    style = "held_idle" if failing else "effective"
    first = line(("FAIL" if failing else "OK", style))
    rest = wrapped(" · ".join(said), width, indent=6, first=" " * 6)
    out = [[*first, (" " * (6 - len(first[0][0])) + rest[0][0][0].lstrip(), "bold")], *rest[1:]]
    if check.replayed:
        out.append(line(("      judged now, from the rows that are kept; nothing was written", "dim")))
    return out


def _finding(finding: FindingView, check: CheckView, width: int, tz: tzinfo | None) -> Block:
    where = " · ".join(part for part in (words.place(finding.gpu_indices), finding.user) if part)
    since = fmt.since(finding.since_ms, check.end_ms, tz)
    ended = check.ended.get(finding.finding_id)
    when = f"{since} to {fmt.since(ended, check.end_ms, tz)}" if ended is not None else f"since {since}"
    parts = [finding.rule, where, f"{words.estimated(finding)}{words.amount(finding)}", when]
    if finding.cost_gpu_seconds is not None:
        parts.append(f"cost {words.cost(finding)}")
    first = wrapped(" · ".join(clean(part).replace(" ", "\xa0") for part in parts), width, indent=_LEVEL, first=" " * _LEVEL)
    told = first[0][0][0][_LEVEL:]
    lead = line((f"{finding.severity.label:<{_LEVEL}}", words.STYLES[finding.severity]), told)
    return [lead, *first[1:], *wrapped(clean(finding.title), width, indent=_LEVEL, first=" " * _LEVEL, style="dim")]


def _both(check: CheckView, width: int, look: Look) -> Block:
    """Each rule and subject under the present and under the other limits."""
    told = ", ".join(f"{key} = {was:g} -> {value:g}" for key, (was, value) in check.limits.items())
    keys = list(dict.fromkeys((f.rule, f.subject) for f in (*check.before, *check.findings)))
    if not keys:
        return [*wrapped(f"What if {told}:", width), line("  no finding under either")]
    sides = [_by_subject(check.before), _by_subject(check.findings)]
    one = {(f.rule, f.subject): f for f in (*check.before, *check.findings)}
    columns = [
        Column("Rule", [key[0] for key in keys], align="left"),
        Column("Where", [words.place(one[key].gpu_indices) for key in keys], align="left"),
        Column("present limits", [_side(sides[0].get(key, ())) for key in keys], align="left"),
        Column("other limits", [_side(sides[1].get(key, ())) for key in keys], align="left"),
    ]
    return [*wrapped(f"What if {told}:", width), *[line(text) for text in table(columns, width)]]


def _by_subject(found: Sequence[FindingView]) -> Mapping[tuple[str, str], Sequence[FindingView]]:
    out: dict[tuple[str, str], list[FindingView]] = {}
    for finding in found:
        out.setdefault((finding.rule, finding.subject), []).append(finding)
    return out


def _side(found: Sequence[FindingView]) -> str:
    """``2 ×, 1.4 GPU·h``: how often it was told, and what these cost together (one subject's own do not overlap)."""
    if not found:
        return fmt.NOTHING
    known = [finding.cost_gpu_seconds for finding in found if finding.cost_gpu_seconds is not None]
    return f"{len(found)} ×" + (f", {fmt.gpu_hours(sum(known) * 1000)} GPU·h" if known else "")
