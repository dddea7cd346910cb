"""What to do about a finding: the first thing to try, what to expect, when it may be wrong, and how not to be told of it."""

from __future__ import annotations

from gpuwatch.format import NOTHING
from gpuwatch.names import Basis
from gpuwatch.tui import findings
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import cut, width_of
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.panels.waste_place import Place, Words
from gpuwatch.tui.state import Context
from gpuwatch.view.finding_types import FindingView

BASIS = {
    Basis.MEASURED: "measured",
    Basis.INFERRED: "inferred from several signals together: an upper bound",
    Basis.PROXY: "one signal stands in for another: a band",
}
MUTES = (("h", "1 hour"), ("d", "24 hours"), ("c", "this command"), ("f", "for ever"))
OVERLAP = "Costs of findings may overlap; they are never added."


def draw_try(place: Place, y: int, rows: int) -> None:
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


def draw_gain(place: Place, y: int, rows: int) -> None:
    """What to expect, with ``up to`` before whatever is not measured, and where that is from."""
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


def draw_wrong(place: Place, y: int, rows: int) -> None:
    """When the finding may be wrong, one case a row where there are enough."""
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


def draw_query(place: Place, y: int, rows: int) -> None:
    """The SQL that reproduces the number."""
    look, finding = place.sheet.look, place.finding
    place.head(y, "The query that gives the number", [("gpuwatch query", look.acc)])
    place.lines(y + 1, " ".join(finding.sql.split()) or NOTHING, rows - 2, look.dim)


def draw_confidence(place: Place, y: int, rows: int) -> None:
    """How sure it is, and what the amount rests on."""
    look, finding = place.sheet.look, place.finding
    at = place.sheet.put(y, place.left, "Confidence ", look.title)
    at = place.sheet.put(y, at, finding.confidence.label, look.white)
    place.sheet.put(y, at, cut(f", {BASIS[finding.basis]}", place.right + 1 - at), look.fg)


def mute_keys(finding: FindingView, *, muted: bool) -> tuple[tuple[str, str], ...]:
    """The keys that answer the mute prompt for this finding: one whose command is not known cannot be muted by it."""
    if muted:
        return (("u", "tell it again"),)
    return tuple(key for key in MUTES if key[0] != "c" or finding.command)


def draw_mute(place: Place, y: int, rows: int) -> None:
    """The keys that mute it, or the open question for how long."""
    asked = place.context.ui.mute_asked
    words = mute_words(place.context, place.finding, place.width, muted=place.listed.rank == 0, asked=asked)
    place.sheet.words(y + rows - 1, place.left, words)


def mute_words(context: Context, finding: FindingView, room: int, *, muted: bool, asked: bool) -> Words:
    """``m mute:  h 1 hour  d 24 hours …`` as far as there is room; bright while the question is ``asked``."""
    look = context.look
    words: Words = [("mute: ", look.amber)] if asked else [("m", look.title), (" mute: ", look.dim)]
    for key, word in mute_keys(finding, muted=muted):
        words += [(f" {key} ", look.title), (f"{word} ", look.fg if asked else look.dim)]
    if asked:
        words += [(" Esc ", look.title), ("leaves", look.dim)]
    while words_width(words) > room:
        words = words[:-2]
    return words
