"""Why to believe a finding: its evidence, the course of the first of it, and how the amount is computed."""

from __future__ import annotations

from gpuwatch.format import NOTHING, clock, percent_sign, since
from gpuwatch.tui import findings
from gpuwatch.tui.draw.line import cut, width_of
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.waste_place import Place
from gpuwatch.tui.waste import course_cells, course_of
from gpuwatch.view.finding_types import EvidenceView, FindingHistory
from gpuwatch.view.types import Lane


def draw_evidence(place: Place, y: int, rows: int) -> None:
    """Up to as many facts as there are rows, each with its limit and its source."""
    sheet, look, finding = place.sheet, place.sheet.look, place.finding
    facts = finding.facts[: rows - 1]
    place.head(y, "Evidence")
    if not facts:
        sheet.put(y + 1, place.left, cut(finding.evidence or "– the text of this finding was erased", place.width), look.fg)
        return
    source, limit = place.right, place.right - max(11, _widest(facts, "source") + 2)
    beside = max(9, _widest(facts, "limit") + 2)
    if limit - beside - _widest(facts, "measured") - 1 - place.left < _widest(facts, "what"):  # where it comes from is told last
        source, limit = -1, place.right
    measured = limit - beside
    for x, word in ((measured, "measured"), (limit, "limit"), (source, "source")):
        if x > place.left + 20:
            sheet.right(y, x, word, look.dim)
    for number_of, fact in enumerate(facts):
        y += 1
        value = cut(fact.measured, 24)
        hot = number_of < 2 and fact.limit not in ("", NOTHING)
        sheet.put(y, place.left, cut(fact.what, measured - width_of(value) - place.left - 1), look.fg)
        sheet.right(y, measured, value, findings.style_of(look, place.view, finding) if hot else look.white)
        sheet.right(y, limit, cut(fact.limit, limit - measured - 2), look.dim)
        if source >= 0:
            sheet.right(y, source, cut(fact.source, source - limit - 2), look.dim)
    if finding.last_ms is not None and rows - 1 > len(facts):
        sheet.put(y + 1, place.left, f"last judged {clock(finding.last_ms, place.context.tz)}", look.dim)


def _widest(facts: tuple[EvidenceView, ...], name: str) -> int:
    return min(36 if name == "what" else 20, max(width_of(getattr(fact, name)) for fact in facts))


def draw_course(place: Place, y: int, rows: int) -> None:
    """The course of the first evidence since the finding began, one cell of equal time each."""
    sheet, look, finding = place.sheet, place.sheet.look, place.finding
    course = course_of(place.context, finding)
    top = _scale(course)
    scale = f"scale 0 to {percent_sign(top)}" if top == 1.0 else f"scale 0 to {top:g}"
    what = finding.facts[0].what if finding.facts else "What it measured"
    sheet.put(y, place.left, cut(what[:1].upper() + what[1:], place.width - len(scale) - 2), look.dim)
    sheet.right(y, place.right, scale, look.dim)
    if course is None or all(cell is None for cell in course.cells):
        detail = place.context.detail
        reading = detail is None or detail.request.finding != finding.finding_id
        sheet.put(y + 1, place.left, "reading …" if reading and finding.finding_id else "– no minute of it is kept yet", look.dim)
        return
    high = max(1, min(3, rows - 3))
    cells = course.cells[-course_cells(place.context) :]
    ink = findings.ink(findings.part_of(place.view, finding))
    chart(sheet, y + 1, place.left, Lane("measured", cells, course.now, top), top, high, look.style(ink, _TINTS.get(ink, "bg")))
    now = percent_sign(course.now) if top == 1.0 or course.now is None else f"{course.now:.3g}"
    sheet.right(y + high, place.right, now, findings.style_of(look, place.view, finding))
    if rows >= high + 2:
        _axis(place, y + 1 + high, course, len(cells))


_TINTS = {"waiting": "tint_waiting", "throttled": "tint_throttled", "held": "tint_held", "unused_text": "tint_unused"}


def _scale(course: FindingHistory | None) -> float:
    """100 %, or more where something that is no share was measured."""
    return max((1.0, *(cell for cell in course.cells if cell is not None))) if course is not None else 1.0


def _axis(place: Place, y: int, course: FindingHistory, cells: int) -> None:
    sheet, look, tz = place.sheet, place.sheet.look, place.context.tz
    start, middle, end = course.start_ms, (course.start_ms + course.end_ms) // 2, course.end_ms
    at = sheet.put(y, place.left, since(start, end, tz), look.dim)
    if cells // 2 - 3 > at - place.left:
        sheet.put(y, place.left + cells // 2 - 2, clock(middle, tz)[:5], look.dim)
    sheet.right(y, place.left + cells - 1, clock(end, tz)[:5], look.dim)


def draw_how(place: Place, y: int, rows: int) -> None:
    """How the amount is computed."""
    place.head(y, "How computed")
    place.lines(y + 1, place.finding.how or NOTHING, rows - 1, place.sheet.look.fg)
