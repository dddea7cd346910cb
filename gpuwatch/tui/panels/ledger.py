"""Where the GPU time went: the stacked bar of the last 15 minutes, its legend, today's bar and one sentence of numbers."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import (
    clock,
    counted,
    duration,
    gpu_hours,
    kilowatt_hours,
    number,
    percent_range,
    percent_sign,
    power_sum,
    rate,
)
from gpuwatch.names import State
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.ledgerbar import ledger_bar, legend_row
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.parts import QUIET, WASTE, amounts, legend, split
from gpuwatch.tui.state import WIDE, Context
from gpuwatch.tui.workloads import first_notice
from gpuwatch.view.efficiency import fill_text
from gpuwatch.view.parts import waste_ms
from gpuwatch.view.types import LedgerView, View

Words = list[tuple[str, Style]]
FULL_SPAN_MS = 15 * 60_000
BAR_LEFT = 11


def is_young(view: View) -> bool:
    """Less than a bar's 15 minutes are recorded."""
    return view.recording.first_ms is not None and view.now_ms - view.recording.first_ms < FULL_SPAN_MS


def draw_ledger(sheet: Sheet, context: Context, view: View, ledger: LedgerView, top: int, rows: int) -> None:
    """The boxed panel in ``rows`` (6: all; 4: bar and sentence)."""
    look, width = context.look, context.width
    young = is_young(view)
    notice = context.ui.notice or first_notice(view)
    foot = [(cut(notice, width - 10), look.style("waiting"))] if notice else []
    box(sheet, top, top + rows - 1, "Where the GPU time went", note=_note(context, view, ledger, young), foot=foot)
    bar_width = width - 25
    parts = split(ledger)
    sheet.put(top + 1, 2, _span(ledger), look.white)
    ledger_bar(sheet, top + 1, BAR_LEFT, bar_width, parts)
    decimals = 2 if ledger.capacity_ms < 360_000 else 1
    sheet.right(top + 1, width - 3, f"{gpu_hours(ledger.capacity_ms, decimals)} GPU·h", look.dim)
    y = top + 2
    if rows >= 6:
        has_quiet = amounts(ledger)[QUIET] > 0
        lesson = young and has_quiet
        if not lesson:
            today = None if young else view.today
            shown = {share.part for bar in (ledger, today) if bar is not None for share in split(bar)}
            legend_row(sheet, y, BAR_LEFT, bar_width, legend(ledger, today), shown)
            y += 1
        _today(sheet, context, view, y, bar_width, young)
        y += 1
        if lesson:
            sentence = (
                "Quiet time is named after 5 minutes: held idle, unused or wait. Until then it is shown and not counted as waste."
            )
            sheet.put(y, 2, _shorter(sentence, width - 5), look.fg)
            y += 1
    sheet.words(y, 2, fit(sentence_of(context, view), width - 5))


def _note(context: Context, view: View, ledger: LedgerView, young: bool) -> Words:
    look = context.look
    if young and view.recording.first_ms is not None:
        seconds = (view.now_ms - view.recording.first_ms) / 1000
        return [(f"recording since {clock(view.recording.first_ms, context.tz)}, {duration(seconds)}", look.dim)]
    return efficiency_of(context, ledger)


def efficiency_of(context: Context, ledger: LedgerView, span: str = "") -> Words:
    """``efficiency 47% = allocated 100% × running 91% × fill 51%, tier G``, without its factors below 100 columns; empty if not known."""
    look = context.look
    if ledger.efficiency_low is None:
        return []
    tier = f", tier {ledger.tier.name}" if ledger.running_ratio else ""
    factors = f" = allocated {percent_sign(ledger.allocated_ratio)} × running {percent_sign(ledger.running_ratio)} × fill {fill_text(ledger)}{tier}"
    words: Words = [(f"{span}efficiency ", look.dim), (percent_range(ledger.efficiency_low, ledger.efficiency_high), look.white)]
    return [*words, (factors, look.dim)] if context.width >= 100 else words


def _span(ledger: LedgerView) -> str:
    return duration((ledger.span.end_ms - ledger.span.start_ms) / 1000)


def _today(sheet: Sheet, context: Context, view: View, y: int, bar_width: int, young: bool) -> None:
    look, today = context.look, view.today
    sheet.put(y, 2, "today", look.dim)
    if today is None or young:
        ledger_bar(sheet, y, BAR_LEFT, bar_width, ())
        sheet.right(y, context.width - 3, "–", look.dim)
        return
    ledger_bar(sheet, y, BAR_LEFT, bar_width, split(today))
    sheet.right(y, context.width - 3, f"{gpu_hours(today.capacity_ms)} GPU·h", look.dim)


def _shorter(text: str, width: int) -> str:
    """The text, or as many of its whole sentences as fit."""
    while len(text) > width and ". " in text:
        text = text.rsplit(". ", 1)[0] + "."
    return text if len(text) <= width else ""


def sentence_of(context: Context, view: View, *, short: bool = False) -> list[Words]:
    """Waste now, waste of today, power: groups of words, most important first; whole groups are dropped to fit."""
    look = context.look
    count = sum(1 for gpu in view.gpus if not gpu.parent_uuid)
    waste = view.waste_now_gpus
    hot = look.style("held", "bg", True) if waste else look.white
    first: Words = [(f"{'waste' if short else 'Waste'} {look.now} ", look.dim), (number(waste, 1), hot)]
    first.append((f" of {counted(count, 'GPU')}", look.fg))
    groups = [first]
    if view.today is not None and not is_young(view):
        lost = waste_ms(view.today)
        group: Words = [("today ", look.dim), (gpu_hours(lost), look.white)]
        group.append((" GPU·h" if short else f" of {gpu_hours(view.today.capacity_ms)} GPU·h", look.dim))
        energy = sum(row.energy_mj for row in view.today.parts if any(row.bucket in part.buckets for part in WASTE))
        if energy > 0:
            group += [(", ", look.dim), (kilowatt_hours(energy), look.white), (" kWh", look.dim)]
        groups.append(group)
    groups += _power(context, view, short)
    made = [work.tokens_per_second for work in view.workloads if work.tokens_per_second is not None]
    if made and context.width >= WIDE:
        groups.append([("tokens ", look.dim), (f"{rate(sum(made))}/s", look.white)])
    return groups


def _power(context: Context, view: View, short: bool) -> list[Words]:
    look = context.look
    tops = [gpu for gpu in view.gpus if not gpu.parent_uuid]
    known = [gpu.power_watts for gpu in tops if gpu.power_watts is not None]
    if not known:
        return []
    words: Words = [("power ", look.dim), (power_sum(sum(known)), look.white)]
    if len(known) < len(tops):
        words.append((f" of {counted(len(known), 'GPU')}", look.dim))
    idle = sum(gpu.power_watts or 0.0 for gpu in tops if gpu.state is State.HELD_IDLE)
    if idle and not short:
        words.append((f", of it {idle / 1000:.2f} held idle" if sum(known) >= 1000 else f", of it {idle:.0f} held idle", look.dim))
    return [words]


def fit(groups: list[Words], room: int, gap: str = "   ") -> Words:
    """The groups side by side, as many as ``room`` holds."""
    out: Words = []
    used = 0
    for group in groups:
        need = sum(width_of(text) for text, _ in group) + (len(gap) if out else 0)
        if used + need > room:
            break
        if out:
            out.append((gap, group[0][1]))
        out += group
        used += need
    return out


def draw_ledger_narrow(sheet: Sheet, context: Context, view: View, ledger: LedgerView, top: int) -> None:
    """Below 100 columns: the bar over the whole width and the sentence."""
    look = context.look
    ledger_bar(sheet, top, 0, context.width, split(ledger))
    at = sheet.put(top + 1, 0, _span(ledger), look.dim)
    sheet.words(top + 1, at + 2, fit(sentence_of(context, view, short=True), context.width - at - 2, "  "))
