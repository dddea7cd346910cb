"""What rules could not judge: the missing signal, whom it concerns, and the command that would enable it."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.state import Context
from gpuwatch.tui.waste import waste_of
from gpuwatch.view.finding_types import NotEvaluatedView, WasteView

DOCTOR = "gpuwatch doctor explains every missing signal"


@dataclass(slots=True)
class Group:
    """All that one command or setting would enable; ``signal`` is what the first of them missed."""

    signal: str
    enable: str
    rules: list[str]
    places: list[str]

    @property
    def head(self) -> str:
        """``input-bound``, ``input-bound +7``."""
        return self.rules[0] + (f" +{len(self.rules) - 1}" if len(self.rules) > 1 else "")

    @property
    def where(self) -> str:
        """``GPU 7 · dave``, ``3 places``."""
        return self.places[0] if len(self.places) == 1 else f"{len(self.places)} places"


def groups_of(missed: Sequence[NotEvaluatedView]) -> list[Group]:
    """By what would enable them, in their order; what nothing would enable by its signal."""
    out: dict[str, Group] = {}
    for one in missed:
        group = out.setdefault(one.enable or one.signal, Group(one.signal, one.enable, [], []))
        if one.rule not in group.rules:
            group.rules.append(one.rule)
        if one.where not in group.places:
            group.places.append(one.where)
    return list(out.values())


def draw_unjudged(sheet: Sheet, context: Context, top: int, rows: int, right: int) -> None:
    """The boxed panel in columns 0 to ``right``."""
    look, waste = context.look, waste_of(context)
    groups = groups_of(waste.not_evaluated) if waste is not None else []
    texts = [wrap(group.signal, right - 4, 2) for group in groups]
    needs = [1 + len(lines) + bool(group.enable) for group, lines in zip(groups, texts)]
    room, spaced = rows - 4, sum(needs) + len(needs) <= rows - 4
    shown = 0
    while shown < len(groups) and needs[shown] <= room:
        room -= needs[shown] + spaced
        shown += 1
    foot = [(f"+{len(groups) - shown} more: gpuwatch explain", look.dim)] if len(groups) > shown else []
    box(sheet, top, top + rows - 1, _title(waste), right=right, foot=foot)
    y = top + 1
    if waste is None or not waste.known:
        for line in wrap(why_unknown(context, waste), right - 4, 2):
            sheet.put(y, 2, line, look.dim)
            y += 1
        return
    if not groups:
        sheet.put(y, 2, cut("– every rule had what it needs", right - 4), look.dim)
    for group, lines in zip(groups[:shown], texts):
        y = _group(sheet, group, lines, y, right) + spaced
    if rows >= 6:
        _counts(sheet, context, waste, top + rows - 3, 2, right)
        sheet.put(top + rows - 2, 2, cut(DOCTOR, right - 4), look.dim)


def _group(sheet: Sheet, group: Group, lines: Sequence[str], y: int, right: int) -> int:
    """Head, the ``lines`` of its signal, what enables it; returns the row after."""
    look = sheet.look
    at = sheet.put(y, 2, cut(group.head, right - 4), look.white)
    if at + 2 + len(group.where) <= right - 1:
        sheet.right(y, right - 2, group.where, look.dim)
    for line in lines:
        y += 1
        sheet.put(y, 2, line, look.fg)
    if group.enable:
        y += 1
        at = sheet.put(y, 2, "enable ", look.dim)
        sheet.put(y, at, cut(group.enable, right - 1 - at), look.acc)
    return y + 1


def draw_unjudged_narrow(sheet: Sheet, context: Context, top: int, bottom: int) -> None:
    """One row each below a band, in rows ``top`` to ``bottom`` (exclusive)."""
    look, waste, width = context.look, waste_of(context), context.width
    sheet.ground(top, 0, width - 1, "bar")
    sheet.put(top, 0, _title(waste), look.title)
    if waste is None or not waste.known:
        if top + 1 < bottom:
            sheet.put(top + 1, 0, cut(why_unknown(context, waste), width), look.dim)
        return
    groups = groups_of(waste.not_evaluated)
    last = bottom - 1 if bottom - top >= 3 else bottom
    for y, group in zip(range(top + 1, last), groups):
        at = sheet.put(y, 0, cut(group.head, 28), look.white)
        sheet.put(y, at + 2, cut(group.signal, width - at - 2), look.fg)
    if last < bottom:
        _counts(sheet, context, waste, last, 0, width)


def _title(waste: WasteView | None) -> str:
    if waste is None or not waste.known:
        return "Not evaluated"
    return f"Not evaluated {waste.rules_not_evaluated} of {waste.rules} rules"


def _counts(sheet: Sheet, context: Context, waste: WasteView, y: int, left: int, right: int) -> None:
    """``31 rules  5 open · 23 clear · 3 not evaluated``."""
    look = context.look
    at = sheet.put(y, left, f"{waste.rules} rules", look.white)
    text = f"{waste.rules_open} open · {waste.rules_clear} clear · {waste.rules_not_evaluated} not evaluated"
    if at + 2 + len(text) <= right - 1:
        sheet.put(y, at + 2, text, look.dim)


def why_unknown(context: Context, waste: WasteView | None) -> str:
    """Why nothing is known of what rules said."""
    if waste is None:
        return "reading …"
    past = context.view is not None and context.view.past
    return "– not kept for the past" if past else "– no rule has run yet: they begin with the recorder"
