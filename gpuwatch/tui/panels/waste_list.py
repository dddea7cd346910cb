"""The open findings, two rows each: what it wastes, its name and since when; where, whose and what it has cost."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import counted, number, since
from gpuwatch.names import Basis
from gpuwatch.tui import findings
from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.state import Context
from gpuwatch.tui.waste import TABLE, Listed, listed, waste_of
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import View

Words = list[tuple[str, Style]]


def draw_open(sheet: Sheet, context: Context, view: View, top: int, rows: int, right: int) -> None:
    """The boxed panel in columns 0 to ``right``."""
    look = context.look
    hidden = len(listed(context, view)) - (rows - 3) // 2
    more = [(f"{hidden} more, ↑↓ · ", look.dim)] if hidden > 0 else []
    foot = [*more, *_foot(context, view)]
    box(sheet, top, top + rows - 1, _title(view), right=right, note=ledger_words(context, view), foot=foot)
    y = top + 1
    if not view.findings:
        sheet.put(y, 2, cut(nothing_text(context), right - 4), look.fg)
        y += 1
    found = listed(context, view)
    if found:
        sheet.put(y, 6, "Waste", look.dim)
        sheet.put(y, 16, "What", look.dim)
        sheet.right(y, right - 2, "Since", look.dim)
    _rows(sheet, context, view, found, y + 1, top + rows - 1, 0, right - 2)


def draw_open_narrow(sheet: Sheet, context: Context, view: View, top: int, bottom: int) -> None:
    """Rows ``top`` to ``bottom`` (exclusive) without a border, below a band with the title."""
    look, right = context.look, context.width - 1
    sheet.ground(top, 0, right, "bar")
    at = sheet.put(top, 0, _title(view), look.title)
    words = [*_foot(context, view), ("   ", look.dim), *ledger_words(context, view)]
    if at + 2 + words_width(words) > right:
        words = ledger_words(context, view)
    if at + 2 + words_width(words) <= right:
        sheet.words_right(top, right, words)
    if not view.findings:
        sheet.put(top + 1, 0, cut(nothing_text(context), context.width), look.fg)
    _rows(sheet, context, view, listed(context, view), top + 1 + (not view.findings), bottom, -1, right)


def narrow_rows(context: Context, view: View, most: int) -> int:
    """Rows that the list wants below 100 columns, with its band."""
    return min(most, 1 + (not view.findings) + 2 * len(listed(context, view)))


def _rows(sheet: Sheet, context: Context, view: View, found: list[Listed], top: int, bottom: int, left: int, right: int) -> None:
    """Those that fit into rows ``top`` to ``bottom`` (exclusive); places count from ``left``."""
    table = context.ui.table(TABLE)
    for number_of in table.settle([findings.key_of(row.finding) for row in found], (bottom - top) // 2):
        y = top + 2 * (number_of - table.top)
        if y + 2 > bottom:
            return
        if number_of == table.index:
            for row in (y, y + 1):
                sheet.ground(row, max(0, left + 1), right + (left >= 0), "sel")
        sheet.hits[y] = sheet.hits[y + 1] = (TABLE, number_of)
        _finding(sheet, context, view, found[number_of], y, left, right)


def _finding(sheet: Sheet, context: Context, view: View, row: Listed, y: int, left: int, right: int) -> None:
    look, finding = context.look, row.finding
    sheet.right(y, left + 2, (str(row.rank) if row.rank < 100 else "+") if row.rank else "m", look.dim)
    findings.put_tick(sheet, view, finding, left + 4, (y, y + 1))
    quiet = row.rank == 0
    style = look.dim if quiet else findings.amount_style(look, view, finding)
    sheet.put(y, left + 6, findings.amount(finding), style)
    when = since(finding.since_ms, view.at_ms, context.tz)
    sheet.right(y, right, when, look.dim if quiet else look.fg)
    name = finding.name or finding.rule
    sheet.put(y, left + 16, cut(name, right - len(when) - left - 17), look.dim if quiet else look.white)
    room = right - left - 15
    for texts in (about(finding, row.rank, so_far=True), about(finding, row.rank)):
        groups: list[Words] = [[(text, look.dim)] for text in texts if text]
        words = fit(groups, room, " · ")
        if len(words) == 2 * len(groups) - 1:
            break
    sheet.words(y + 1, left + 16, words)


def about(finding: FindingView, rank: int, *, so_far: bool = False) -> list[str]:
    """Where, whose and what it has cost; the first is dropped last."""
    texts = [findings.gpus_text(finding.gpu_indices, 17), cut(finding.user, 12)]
    if rank == 0:
        texts.append("muted")
    if finding.cost_gpu_seconds is not None:
        up_to = "" if finding.basis is Basis.MEASURED else "up to "
        texts.append(f"{up_to}{findings.hours(finding.cost_gpu_seconds)}{' so far' if so_far else ''}")
    return texts


def _title(view: View) -> str:
    return f"Open {len(view.findings)}"


def ledger_words(context: Context, view: View) -> Words:
    """``waste now 3.6 of 8 GPUs``: the ledger's own figure, since the costs of findings overlap and are never added."""
    if view.waste_now_gpus is None:
        return []
    count = sum(1 for gpu in view.gpus if not gpu.parent_uuid)
    text = f"waste {context.look.now} {number(view.waste_now_gpus, 1)} of {counted(count, 'GPU')}"
    return [(text, context.look.dim)]


def _foot(context: Context, view: View) -> Words:
    look, waste = context.look, waste_of(context)
    if waste is not None and waste.muted:
        word = "hides them" if context.ui.show_muted else "shows"
        return [(f"{len(waste.muted)} muted · ", look.dim), ("M", look.title), (f" {word}", look.dim)]
    return [("sort cost ", look.dim), (look.glyphs.down, look.dim)] if view.findings else []


def nothing_text(context: Context) -> str:
    """``No finding. 28 rules clear, 3 not evaluated.``; why nothing is known of rules where that is so."""
    waste = waste_of(context)
    if waste is None or not waste.known:
        return "No finding."
    return f"No finding. {counted(waste.rules_clear, 'rule')} clear, {waste.rules_not_evaluated} not evaluated."
