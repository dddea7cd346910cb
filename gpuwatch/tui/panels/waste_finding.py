"""One finding: the fact, what it wastes, why to believe it, how it grew, what to try, what to expect and when it may be wrong."""

from __future__ import annotations

from collections.abc import Callable

from rich.style import Style

from gpuwatch.format import number
from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.panels.waste_advice import draw_confidence, draw_gain, draw_mute, draw_query, draw_try, draw_wrong
from gpuwatch.tui.panels.waste_evidence import draw_course, draw_evidence, draw_how
from gpuwatch.tui.panels.waste_place import Place
from gpuwatch.tui.panels.waste_sections import rows_for
from gpuwatch.tui.panels.waste_what import draw_fact, draw_figures
from gpuwatch.tui.state import Context
from gpuwatch.tui.waste import Listed
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import View

Words = list[tuple[str, Style]]


def draw_finding(sheet: Sheet, context: Context, view: View, listed: Listed | None, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge, ``rows`` high."""
    look, right = context.look, context.width - 1
    if listed is None:
        box(sheet, top, top + rows - 1, "No finding selected", left=left)
        for y, line in enumerate(wrap(_nothing(view), right - left - 3, 3), top + 1):
            sheet.put(y, left + 2, line, look.dim)
        return
    box(sheet, top, top + rows - 1, title_of(listed), left=left, note=_rule_words(context, listed.finding))
    _sections(Place(sheet, context, view, listed, left + 2, right - 2), top + 1, rows - 2)


def draw_finding_narrow(sheet: Sheet, context: Context, view: View, listed: Listed, top: int, bottom: int) -> None:
    """Rows ``top`` to ``bottom`` (exclusive) over the whole width, below a band with the title."""
    right = context.width - 1
    sheet.ground(top, 0, right, "bar")
    at = sheet.put(top, 0, title_of(listed), context.look.title)
    words = _rule_words(context, listed.finding)
    if at + 2 + words_width(words) <= right + 1:
        sheet.words_right(top, right, words)
    _sections(Place(sheet, context, view, listed, 0, right), top + 1, bottom - top - 1)


def title_of(listed: Listed) -> str:
    """``2  waits for input``; a muted one has no rank."""
    return cut(f"{listed.rank or 'muted'}  {listed.finding.name or listed.finding.rule}", 44)


def _rule_words(context: Context, finding: FindingView) -> Words:
    return [(f"rule {finding.rule} · {finding.severity.label}", context.look.dim)]


def _nothing(view: View) -> str:
    if view.waste_now_gpus is None:
        return "There is nothing to explain."
    when = "then" if view.past else "now"
    return (
        f"The ledger counts {number(view.waste_now_gpus, 1)} GPUs of waste {when}: screen 1 shows in which part. "
        "A rule names a cause where it has the evidence for one."
    )


def _sections(place: Place, top: int, rows: int) -> None:
    y = top
    title = len(wrap(place.finding.title, place.width, 2))
    for name, height in rows_for(rows, title).items():
        _DRAW[name](place, y, height)
        y += height


_DRAW: dict[str, Callable[[Place, int, int], None]] = {
    "fact": draw_fact,
    "figures": draw_figures,
    "evidence": draw_evidence,
    "course": draw_course,
    "how": draw_how,
    "try": draw_try,
    "gain": draw_gain,
    "wrong": draw_wrong,
    "query": draw_query,
    "confidence": draw_confidence,
    "mute": draw_mute,
}
