"""One finding: the fact, what it wastes, why to believe it, how it grew, what to try, what to expect and when it may be wrong."""

from __future__ import annotations

from collections.abc import Callable

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import NOTHING, clock, counted, duration, gpus_lost, number, percent_sign, since
from gpuwatch.names import Basis
from gpuwatch.tui import findings
from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.panels.waste_sections import rows_for
from gpuwatch.tui.state import Context
from gpuwatch.tui.waste import Listed, course_cells, course_of
from gpuwatch.view.finding_types import EvidenceView, FindingHistory, FindingView
from gpuwatch.view.types import Lane, View

Words = list[tuple[str, Style]]
BASIS = {
    Basis.MEASURED: "measured",
    Basis.INFERRED: "inferred from several signals together: an upper bound",
    Basis.PROXY: "one signal stands in for another: a band",
}
MUTES = (("h", "1 hour"), ("d", "24 hours"), ("c", "this command"), ("f", "for ever"))
OVERLAP = "Costs of findings may overlap; they are never added."


@dataclass(slots=True)
class _Place:
    """Where a finding is drawn: from column ``left`` to ``right`` (inclusive), with what belongs to it."""

    sheet: Sheet
    context: Context
    view: View
    listed: Listed
    left: int
    right: int

    @property
    def finding(self) -> FindingView:
        return self.listed.finding

    @property
    def width(self) -> int:
        return self.right + 1 - self.left

    def head(self, y: int, title: str, note: Words | None = None) -> None:
        """The name of a section, and what stands at the right of it."""
        look = self.sheet.look
        at = self.sheet.put(y, self.left, title, look.title)
        if note and at + 2 + words_width(note) <= self.right + 1:
            self.sheet.words_right(y, self.right, note)

    def lines(self, y: int, text: str, rows: int, style: Style) -> int:
        """``text`` in up to ``rows`` rows; returns the row after it."""
        for line in wrap(text, self.width, rows) if rows > 0 else ():
            self.sheet.put(y, self.left, line, style)
            y += 1
        return y


def draw_finding(sheet: Sheet, context: Context, view: View, listed: Listed | None, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge, ``rows`` high."""
    look, right = context.look, context.width - 1
    if listed is None:
        box(sheet, top, top + rows - 1, "No finding selected", left=left)
        for y, line in enumerate(wrap(_nothing(view), right - left - 3, 3), top + 1):
            sheet.put(y, left + 2, line, look.dim)
        return
    box(sheet, top, top + rows - 1, title_of(listed), left=left, note=_rule_words(context, listed.finding))
    _sections(_Place(sheet, context, view, listed, left + 2, right - 2), top + 1, rows - 2)


def draw_finding_narrow(sheet: Sheet, context: Context, view: View, listed: Listed, top: int, bottom: int) -> None:
    """Rows ``top`` to ``bottom`` (exclusive) over the whole width, below a band with the title."""
    right = context.width - 1
    sheet.ground(top, 0, right, "bar")
    at = sheet.put(top, 0, title_of(listed), context.look.title)
    words = _rule_words(context, listed.finding)
    if at + 2 + words_width(words) <= right + 1:
        sheet.words_right(top, right, words)
    _sections(_Place(sheet, context, view, listed, 0, right), top + 1, bottom - top - 1)


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


def _sections(place: _Place, top: int, rows: int) -> None:
    y = top
    for name, height in rows_for(rows).items():
        _DRAW[name](place, y, height)
        y += height


# ---------------------------------------------------------------------------------------------------- what it is


def _fact(place: _Place, y: int, rows: int) -> None:
    sheet, look, finding = place.sheet, place.sheet.look, place.finding
    y = place.lines(y, finding.title, max(1, rows - 1), look.white)
    pids = f"pid {', '.join(str(pid) for pid in finding.pids[:4])}{' …' if len(finding.pids) > 4 else ''}" if finding.pids else ""
    gpus = findings.gpus_text(finding.gpu_indices, 24)
    groups: list[Words] = [[(text, look.dim)] for text in (gpus, cut(finding.user, 16), pids) if text]
    words = fit(groups, place.width, " · ")
    room = place.width - words_width(words) - 3
    if finding.command and room >= 8:
        words += [(" · " if words else "", look.dim), (cut(finding.command, room), look.dim)]
    sheet.words(y, place.left, [word for word in words if word[0]])


def _figures(place: _Place, y: int, rows: int) -> None:
    """Now, since and the cost so far, each under its head."""
    sheet, look, finding, view = place.sheet, place.sheet.look, place.finding, place.view
    first, second = place.left + place.width * 19 // 64, place.left + place.width * 40 // 64
    up_to = "" if finding.basis is Basis.MEASURED else ", up to"
    for x, text in ((place.left, f"{look.now}{up_to}"), (first, "since"), (second, f"cost so far{up_to}")):
        sheet.put(y, x, text, look.dim)
    count = sum(1 for gpu in view.gpus if not gpu.parent_uuid)
    amount = "no amount" if finding.waste_gpus is None else f"{gpus_lost(finding.waste_gpus)} of {counted(count, 'GPU')}"
    sheet.put(y + 1, place.left, cut(amount, first - place.left - 1), findings.style_of(look, view, finding))
    length = duration(max(0, view.at_ms - finding.since_ms) / 1000)
    sheet.put(
        y + 1, first, cut(f"{since(finding.since_ms, view.at_ms, place.context.tz)}, {length}", second - first - 1), look.white
    )
    sheet.put(y + 1, second, cut(cost_text(finding), place.right + 1 - second), look.white)


def _since_text(place: _Place, room: int) -> str:
    """``08:24, 6 h 8 min``, with one unit where two do not fit, else without the length."""
    at_ms, since_ms = place.view.at_ms, place.finding.since_ms
    when = since(since_ms, at_ms, place.context.tz)
    length = duration(max(0, at_ms - since_ms) / 1000)
    texts = (f"{when}, {length}", f"{when}, {' '.join(length.split()[:2])}", when)
    return next((text for text in texts if width_of(text) <= room), cut(when, room))


def cost_text(finding: FindingView) -> str:
    """``7.1 GPU·h ≈ $18``; without a price the energy, where that is known."""
    text = findings.hours(finding.cost_gpu_seconds)
    if finding.cost_money is not None:
        sign = "$" if finding.currency in ("", "$", "USD") else f"{cut(finding.currency, 3)} "
        return f"{text} ≈ {sign}{number(finding.cost_money, 0 if finding.cost_money >= 10 else 2)}"
    if finding.cost_energy_joules is not None:
        return f"{text}, {number(finding.cost_energy_joules / 3.6e6, 1)} kWh"
    return text


# ------------------------------------------------------------------------------------------------- why to believe it


def _evidence(place: _Place, y: int, rows: int) -> None:
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


def _course(place: _Place, y: int, rows: int) -> None:
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


def _axis(place: _Place, y: int, course: FindingHistory, cells: int) -> None:
    sheet, look, tz = place.sheet, place.sheet.look, place.context.tz
    start, middle, end = course.start_ms, (course.start_ms + course.end_ms) // 2, course.end_ms
    at = sheet.put(y, place.left, since(start, end, tz), look.dim)
    if cells // 2 - 3 > at - place.left:
        sheet.put(y, place.left + cells // 2 - 2, clock(middle, tz)[:5], look.dim)
    sheet.right(y, place.left + cells - 1, clock(end, tz)[:5], look.dim)


def _how(place: _Place, y: int, rows: int) -> None:
    place.head(y, "How computed")
    place.lines(y + 1, place.finding.how or NOTHING, rows - 1, place.sheet.look.fg)


# ------------------------------------------------------------------------------------------------------- what to do


def _try(place: _Place, y: int, rows: int) -> None:
    """The first thing to try on its own ground, then the others, as far as there is room."""
    sheet, look, finding = place.sheet, place.sheet.look, place.finding
    fix = findings.fix_of(finding)
    place.head(y, "Try first", [("x", look.title), (" copies", look.dim)] if fix else None)
    if not fix:
        sheet.put(y + 1, place.left, f"{NOTHING} nothing that a command could change", look.dim)
        return
    top, last = y, y + rows - (rows >= 5)
    y += 1
    for line in wrap(fix, place.width - 2, max(1, min(4, rows - 2))):
        sheet.ground(y, place.left, place.right, "bar")
        sheet.put(y, place.left + 1, line, look.white)
        y += 1
    others = [f"or: {text}" for text in finding.try_first[1:]] + ([f"then: {finding.then}"] if finding.then else [])
    if len(others) > last - y:
        others = ["; ".join(others)]
    for text in others if y < last else ():
        whole = len(wrap(text, place.width, 9)) <= last - y
        y = place.lines(y, text, last - y if whole else top + rows - y, look.dim)


def _gain(place: _Place, y: int, rows: int) -> None:
    look, finding = place.sheet.look, place.finding
    place.head(y, "Expected gain")
    if not finding.gain:
        place.sheet.put(y + 1, place.left, f"{NOTHING} not estimated", look.dim)
        return
    text = finding.gain
    if finding.basis is not Basis.MEASURED and not text.lower().startswith("up to"):
        text = f"up to {text}"
    last = y + rows
    y = place.lines(y + 1, text, max(1, rows - 3) if finding.gain_source else rows - 1, look.fg)
    if finding.gain_source:
        place.lines(y, f"source: {finding.gain_source}", last - y, look.dim)


def _wrong(place: _Place, y: int, rows: int) -> None:
    sheet, look, finding = place.sheet, place.sheet.look, place.finding
    place.head(y, "May be wrong if")
    if not finding.wrong_if:
        sheet.put(y + 1, place.left, f"{NOTHING} no case is known", look.dim)
        return
    last = y + rows
    y += 1
    spare = rows - 1 - len(finding.wrong_if)
    if spare < 0:
        y = place.lines(y, "; ".join(finding.wrong_if) + ".", rows - 1, look.fg)
    else:
        for number_of, text in enumerate(finding.wrong_if, 1):
            taken = y
            y = place.lines(y, text + ("." if number_of == len(finding.wrong_if) else ";"), 1 + spare, look.fg)
            spare -= y - taken - 1
    if y < last and place.width >= width_of(OVERLAP):
        sheet.put(y, place.left, OVERLAP, look.dim)


def _query(place: _Place, y: int, rows: int) -> None:
    """The SQL that reproduces the number."""
    look, finding = place.sheet.look, place.finding
    place.head(y, "The query that gives the number", [("gpuwatch query", look.acc)])
    place.lines(y + 1, " ".join(finding.sql.split()) or NOTHING, rows - 2, look.dim)


def _confidence(place: _Place, y: int, rows: int) -> None:
    look, finding = place.sheet.look, place.finding
    at = place.sheet.put(y, place.left, "Confidence ", look.title)
    at = place.sheet.put(y, at, finding.confidence.label, look.white)
    place.sheet.put(y, at, cut(f", {BASIS[finding.basis]}", place.right + 1 - at), look.fg)


def mute_keys(finding: FindingView, *, muted: bool) -> tuple[tuple[str, str], ...]:
    """The keys that answer the mute prompt for this finding: one whose command is not known cannot be muted by it."""
    if muted:
        return (("u", "tell it again"),)
    return tuple(key for key in MUTES if key[0] != "c" or finding.command)


def _mute(place: _Place, y: int, rows: int) -> None:
    look, asked = place.sheet.look, place.context.ui.mute_asked
    y += rows - 1
    head = look.amber if asked else look.dim
    words: Words = [("m", look.title), (" mute: ", head)] if not asked else [("mute: ", head)]
    for key, word in mute_keys(place.finding, muted=place.listed.rank == 0):
        words += [(f" {key} ", look.title), (f"{word} ", look.fg if asked else look.dim)]
    if asked and words_width(words) + 11 <= place.width:
        words += [(" Esc ", look.title), ("leaves", look.dim)]
    while words_width(words) > place.width:
        words = words[:-2]
    place.sheet.words(y, place.left, words)


_DRAW: dict[str, Callable[[_Place, int, int], None]] = {
    "fact": _fact,
    "figures": _figures,
    "evidence": _evidence,
    "course": _course,
    "how": _how,
    "try": _try,
    "gain": _gain,
    "wrong": _wrong,
    "query": _query,
    "confidence": _confidence,
    "mute": _mute,
}
