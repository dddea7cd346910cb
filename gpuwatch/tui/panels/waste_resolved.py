"""Findings that cleared in the last seven days, and what came of it: also where nothing did, or where it got worse."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import since
from gpuwatch.tui import findings
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.palette import Look
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.state import Context
from gpuwatch.tui.waste import waste_of
from gpuwatch.view.finding_types import ResolvedView
from gpuwatch.view.types import View
from gpuwatch.view.waste import saving_words

TITLE = "Resolved, 7 days"
NOTHING = "– nothing cleared in the last 7 days"


def draw_resolved(sheet: Sheet, context: Context, view: View, top: int, rows: int, right: int) -> None:
    """The boxed panel in columns 0 to ``right``."""
    look, waste = context.look, waste_of(context)
    shown = waste.resolved[: (rows - 2) // 2] if waste is not None else ()
    more = len(waste.resolved) - len(shown) if waste is not None else 0
    foot = [(f"+{more} older", look.dim)] if more else []
    box(sheet, top, top + rows - 1, TITLE, right=right, note=[("30 min before and after", look.dim)], foot=foot)
    if not shown:
        sheet.put(top + 1, 2, "reading …" if waste is None else NOTHING, look.dim)
    for y, one in zip(range(top + 1, top + rows - 2, 2), shown):
        _one(sheet, context, view, one, y, 2, right - 2)
        text = one.effect if _names_itself(one) else f"{one.name}: {one.effect}" if one.effect else one.name
        sheet.put(y + 1, 4, cut(text, right - 5), look.dim)


def draw_resolved_narrow(sheet: Sheet, context: Context, view: View, top: int, bottom: int) -> None:
    """One row each below a band, in rows ``top`` to ``bottom`` (exclusive)."""
    look, waste, right = context.look, waste_of(context), context.width - 1
    sheet.ground(top, 0, right, "bar")
    sheet.put(top, 0, TITLE, look.title)
    if waste is None or not waste.resolved:
        if top + 1 < bottom:
            sheet.put(top + 1, 0, "reading …" if waste is None else NOTHING, look.dim)
        return
    for y, one in zip(range(top + 1, bottom), waste.resolved):
        _one(sheet, context, view, one, y, 0, right, named=True)


def _names_itself(one: ResolvedView) -> bool:
    return bool(one.effect) and one.effect.lower().startswith(one.name.lower())


def _one(
    sheet: Sheet, context: Context, view: View, one: ResolvedView, y: int, left: int, right: int, *, named: bool = False
) -> None:
    look = context.look
    mark, text, style = outcome(look, one)
    when = since(one.ended_ms, view.at_ms, context.tz)
    sheet.right(y, right, when, look.fg)
    at = sheet.words(y, left, [(mark, style), (" ", look.dim), (text, style)])
    groups = [
        [(word, look.dim)]
        for word in (one.name if named else "", cut(one.user, 12), findings.gpus_text(one.gpu_indices, 9))
        if word
    ]
    words = fit(groups, right - len(when) - at - 3, " · ")
    if words:
        sheet.words(y, at + 2, words)


def outcome(look: Look, one: ResolvedView) -> tuple[str, str, Style]:
    """Mark, words and ink: green for what was saved, amber for what got worse."""
    words = saving_words(one)
    if one.saved_gpus is None:
        return "–", words, look.fg
    if words == "no effect":
        return "–", words, look.white
    if one.saved_gpus < 0:
        return "−", words, look.amber
    return "√", words, look.style("busy", "bg", True)
