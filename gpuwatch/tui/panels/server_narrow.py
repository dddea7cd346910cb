"""An inference server below 100 columns: tokens, queue, waiting times, one line of energy and the bar, parted by bands."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.format import NOTHING, number
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.server_energy import facts_of
from gpuwatch.tui.panels.server_latency import draw_heads, draw_table, goodput_words
from gpuwatch.tui.panels.server_latency import fitting as fit_goodput
from gpuwatch.tui.panels.server_latency import places_for as latency_places
from gpuwatch.tui.panels.server_queue import Place, draw_line, fitting, lines_of
from gpuwatch.tui.panels.server_rates import NAME, VALUE, draw_charts, rows_of, span_text
from gpuwatch.tui.panels.server_words import is_old, value_style
from gpuwatch.tui.panels.workload_finding import draw_work_finding
from gpuwatch.tui.panels.workload_question import places_of
from gpuwatch.tui.panels.workload_time import draw_members, nothing_text
from gpuwatch.tui.parts import split
from gpuwatch.tui.state import Context
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import DetailView, View, WorkloadView

Words = list[tuple[str, Style]]
LATENCY_ROWS, ENERGY_ROWS = 6, 2


def draw_narrow(sheet: Sheet, context: Context, view: View, work: WorkloadView, server: InferenceView, detail: DetailView | None) -> None:  # fmt: skip
    """Everything below the two title rows; where rows are missing energy goes first, then waiting times."""
    last = context.height - 2
    spare = last - 2 - 7 - 4
    latency = LATENCY_ROWS if spare >= LATENCY_ROWS else 0
    spare -= latency
    energy = min(ENERGY_ROWS, max(0, spare))
    spare -= energy
    chart = 5 + max(0, min(4, spare - 1))
    queue_rows = last - 2 - (chart + 2) - 1 - latency - energy
    y = _rates(sheet, context, server, detail, 3, chart)
    y = _queue(sheet, context, server, y, min(queue_rows, 8))
    if latency:
        y = _latency(sheet, context, server, y)
    if energy:
        _energy(sheet, context, view, work, server, detail, y)
        draw_work_finding(sheet, context, view, work, y + energy, min(1, last + 1 - y - energy), 0, context.width - 1)
        draw_members(sheet, context, view, work, y + energy + 1, last + 1)


def band(sheet: Sheet, y: int, title: str, note: Sequence[tuple[str, Style]] = ()) -> None:
    """A part's head."""
    sheet.ground(y, 0, sheet.width - 1, "bar")
    at = sheet.put(y, 0, title, sheet.look.title)
    if note and at + 2 + words_width(note) <= sheet.width:
        sheet.words_right(y, sheet.width - 1, note)


def _rates(sheet: Sheet, context: Context, server: InferenceView, detail: DetailView | None, top: int, rows: int) -> int:
    """Band, ``rows`` rows of values beside both charts, the axis; returns the row after."""
    look, places = context.look, places_of(context)
    band(sheet, top, "Tokens/s", [(span_text(places), look.dim)])
    values = rows_of(server)
    for number_of, (y, (text, name)) in enumerate(zip(range(top + 1, top + 1 + rows), values[:4])):
        style = look.style("busy", "bg", True) if number_of == 0 and text != NOTHING else look.white
        sheet.right(y, VALUE, text, value_style(look, server, text, style))
        sheet.put(y, NAME, name, look.fg if number_of == 0 else look.dim)
    prompt, output = values[4][0], values[5][0]
    words: Words = [("mean ", look.dim), (prompt, look.fg), (" in, ", look.dim), (output, look.fg), (" out", look.dim)]
    if rows >= 5 and words_width(words) < places.chart:
        sheet.words(top + 5, 2, words)
    prefill = max(1, rows // 3)
    captions = draw_charts(sheet, context, detail, places, top + 1, rows - prefill, prefill, captions=False)
    text = cut(" · ".join(caption for caption in captions if caption), places.chart - 2)
    sheet.put(top + 1 + rows, 0, text, look.dim)
    return top + 2 + rows


def _queue(sheet: Sheet, context: Context, server: InferenceView, top: int, rows: int) -> int:
    """Band with what limits it, and the lines that fit; returns the row after."""
    look, width = context.look, context.width
    said = cut(server.diagnosis, width - 20)
    band(sheet, top, "Queue and cache", [(said, look.fg)] if said else ())
    lines = fitting(lines_of(server), rows)
    place = Place(0, 14, 20, 40, 42, width - 1)
    for y, line in enumerate(lines, top + 1):
        draw_line(sheet, y, line, place, old=is_old(server))
    return top + 1 + len(lines)


def _latency(sheet: Sheet, context: Context, server: InferenceView, top: int) -> int:
    """Band with the heads, four measures, goodput; returns the row after."""
    places = latency_places(context.width, narrow=True)
    sheet.ground(top, 0, sheet.width - 1, "bar")
    sheet.put(top, 0, "Latency", context.look.title)
    draw_heads(sheet, places, top)
    draw_table(sheet, context, server, None, places, top, heads=False)
    sheet.words(top + 5, 0, fit_goodput(goodput_words(context, server), context.width))
    return top + 6


def _energy(sheet: Sheet, context: Context, view: View, work: WorkloadView, server: InferenceView, detail: DetailView | None, top: int) -> None:  # fmt: skip
    """One line of energy and the bar of its GPU time in the last row."""
    look = context.look
    groups: list[Words] = []
    for label, value, unit, how in facts_of(view, work, server):
        if label == "yield":
            continue
        words: Words = [(value, look.dim if value == NOTHING else look.white), (f" {unit}", look.dim)]
        if label == "energy" and value == NOTHING and how:
            words.append((f" {how}", look.dim))
        groups.append(words)
    if server.finished_error or server.finished_aborted:
        ended = (server.finished_error or 0) + (server.finished_aborted or 0)
        groups.append([(number(ended), look.white), (" aborted or failed", look.dim)])
    sheet.words(top, 0, fit(groups, context.width))
    if top + 1 > context.height - 2:
        return
    ledger = detail.workload_ledger if detail is not None else None
    if ledger is None:
        sheet.put(top + 1, 0, nothing_text(view, work, detail), look.dim)
        return
    at = sheet.put(top + 1, 0, "GPU time ", look.dim)
    ledger_bar(sheet, top + 1, at, context.width - at, split(ledger))
