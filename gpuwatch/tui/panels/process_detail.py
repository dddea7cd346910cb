"""One process: its command, when and by whom it was started, what it holds, its last half hour and where its GPU time went."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import duration, gib, percent_sign, since, state_word
from gpuwatch.names import Missing, State
from gpuwatch.tui import findings
from gpuwatch.tui.draw.bars import state_at, strip
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.family import Family
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.process_facts import Place, draw_facts, hold_label
from gpuwatch.tui.parts import BUCKETS, split
from gpuwatch.tui.state import Context
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import Cell, GpuView, Lane, ProcessHistory, ProcessView, View

Words = list[tuple[str, Style]]
SPAN_SECONDS = 1_800
FULL_ROWS = 16
"""Rows of the pane with borders in which everything has room."""


def place_for(width: int) -> Place:
    """Where things stand on a screen of that width."""
    if width < 100:
        return Place(0, 11, width - 1, cells_for(width - 20))
    return Place(2, 15, width - 3, cells_for(width - 30))


def cells_for(room: int) -> int:
    """The most cells in ``room`` that divide the half hour into whole seconds, none shorter than five."""
    return next(n for n in range(min(room, 360), 0, -1) if SPAN_SECONDS % n == 0)


def title_of(process: ProcessView, view: View) -> str:
    """``pid 51877 · carol · GPU 2, 3``."""
    gpus = [hold_label(view, hold) for hold in sorted(process.holds, key=lambda hold: hold.gpu_index)]
    shown = ", ".join(gpus[:6]) + (f" +{len(gpus) - 6}" if len(gpus) > 6 else "")
    return f"pid {process.pid} · {cut(process.user or '?', 16)}{f' · GPU {shown}' if gpus else ''}"


def gpu_of(process: ProcessView, view: View) -> GpuView | None:
    """The GPU that its largest hold is on."""
    uuid = process.holds[0].gpu_uuid if process.holds else ""
    return next((gpu for gpu in view.gpus if gpu.gpu_uuid == uuid), None) if uuid else None


def draw_detail(
    sheet: Sheet, context: Context, view: View, process: ProcessView, history: ProcessHistory | None, top: int, bottom: int
) -> None:
    """The pane in rows ``top`` to ``bottom`` (inclusive): boxed from 100 columns on, on a band below."""
    look, place = context.look, place_for(context.width)
    gpu = gpu_of(process, view)
    if context.width >= 100:
        note: Words = []
        if gpu is not None and process.state is not State.NO_DATA:
            word = f" since {since(gpu.state_since_ms, view.at_ms, context.tz)}" if gpu.state_since_ms is not None else ""
            note = [(state_word(process.state), look.state(process.state)), (word, look.dim)]
        box(sheet, top, bottom, title_of(process, view), note=[part for part in note if part[0]])
        top, bottom = top + 1, bottom - 1
    else:
        sheet.ground(top, 0, context.width - 1, "bar")
        at = sheet.put(top, 0, title_of(process, view), look.title)
        if process.state is not State.NO_DATA and at + 16 < context.width:
            state_at(sheet, top, at + 2, process.state, state_word(process.state))
        top += 1
    room = bottom + 1 - top
    y = draw_facts(sheet, context, view, process, place, top, bottom, 2 if room < 18 else 4)
    rest = bottom + 1 - y
    spaced = rest >= 10
    if rest >= 4:
        y = _strips(sheet, context, process, history, place, y + (rest >= 6), gpu)
    if bottom + 1 - y >= 1 + spaced and process.holds:
        _ledger(sheet, context, history, place, y + spaced)
        y += 1 + spaced
    if bottom + 1 - y >= 2 + spaced:
        _finding(sheet, context, view, process, place, y + spaced)


# ------------------------------------------------------------------------------------------------------------ the strips


def _strips(
    sheet: Sheet,
    context: Context,
    process: ProcessView,
    history: ProcessHistory | None,
    place: Place,
    y: int,
    gpu: GpuView | None,
) -> int:
    """SM, GPU memory and CPU of the last half hour and their axis; returns the row after."""
    look, cells = context.look, place.cells
    lanes = {lane.name: lane for lane in history.lanes} if history else {}
    rows: list[tuple[str, Lane | None, str]] = []
    if process.holds:
        hold = process.holds[0]
        rows += [
            ("SM %", lanes.get("sm_utilization_ratio"), percent_sign(hold.sm_utilization_ratio, 0, process.missing.get("sm_utilization_ratio"))),
            ("GPU GiB", lanes.get("gpu_memory_bytes"), gib(hold.gpu_memory_bytes, 1, process.missing.get("gpu_memory_bytes"))),
        ]  # fmt: skip
    rows.append(("CPU %", lanes.get("cpu_ratio"), percent_sign(process.cpu_ratio, 0, process.missing.get("cpu_ratio"))))
    for label, lane, now in rows:
        sheet.put(y, place.label, label, look.dim)
        roomy = width_of(now) + 4 <= place.right - place.text - cells
        sheet.words_right(y, place.right, [(now, look.dim if now in "–?" else look.fg), (" now" if roomy else "", look.dim)])
        if history is None:
            sheet.put(y, place.text, "reading …", look.dim)
        elif lane is None or all(cell is None for cell in lane.cells):
            sheet.put(y, place.text, _why_empty(process, label), look.dim)
        elif label == "SM %":
            states = [State.NO_DATA if state is None else state for state in history.states]
            strip(sheet, y, place.text, [Cell(height, state) for height, state in zip(lane.cells, states)][-cells:])
        else:
            # A core is the smallest scale for CPU: a sleeping process is not drawn as a busy one.
            top = lane.scale_max or max((1.0, *(cell for cell in lane.cells if cell is not None)))
            chart(sheet, y, place.text, lane, top, 1, look.style("memory" if label == "GPU GiB" else "neutral"))
        y += 1
    if history is not None:
        start, half = history.span.start_ms, (history.span.start_ms + history.span.end_ms) // 2
        sheet.put(y, place.text, since(start, start, context.tz), look.dim)
        sheet.put(y, place.text + cells // 2, since(half, half, context.tz), look.dim)
        sheet.right(y, place.text + cells - 1, look.now, look.dim)
    return y + 1


def _why_empty(process: ProcessView, label: str) -> str:
    if label == "SM %" and process.missing.get("sm_utilization_ratio") is Missing.NOT_SUPPORTED:
        return "not supported on this GPU"
    return "nothing recorded in the last 30 min"


def _ledger(sheet: Sheet, context: Context, history: ProcessHistory | None, place: Place, y: int) -> None:
    look = context.look
    sheet.put(y, place.label, "Its time", look.dim)
    ledger = history.ledger if history else None
    if ledger is None:
        sheet.put(y, place.text, "reading …" if history is None else "no GPU time yet", look.dim)
        return
    ledger_bar(sheet, y, place.text, place.cells, split(ledger, BUCKETS))
    # Its own share of its GPUs' time: less than the span where others had the GPU or where it is younger.
    span_ms = ledger.span.end_ms - ledger.span.start_ms
    sheet.right(y, place.right, duration(min(span_ms, ledger.capacity_ms) / 1000), look.dim)


def finding_of(view: View, process: ProcessView) -> tuple[int, FindingView] | None:
    """Rank and finding of the costliest one that names it or a process below it, else of one on its GPUs."""
    family = {member.pid for member in Family(view.processes).below(process)}
    return findings.of_pids(view, family, {hold.gpu_index for hold in process.holds})


def _finding(sheet: Sheet, context: Context, view: View, process: ProcessView, place: Place, y: int) -> None:
    look, found = context.look, finding_of(view, process)
    if found is None:
        return
    rank, finding = found
    at = sheet.put(y, place.label, f"Finding {rank} ", look.amber)
    at = sheet.put(y, at, cut(finding.name or finding.rule, place.right + 1 - at), look.white)
    if place.right - at > 12 and finding.title:
        sheet.put(y, at + 2, cut(finding.title, place.right - 1 - at), look.fg)
    sheet.put(y + 1, place.label, findings.second_line(finding, place.right + 1 - place.label), look.dim)
