"""Waste now: the findings when there are some, else what the ledger alone knows of the last minutes."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.format import duration, gpus_lost
from gpuwatch.names import State
from gpuwatch.tui import findings
from gpuwatch.tui.draw.bars import tick
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.gpus import label_among
from gpuwatch.tui.parts import HELD, LOST, UNUSED, WAIT, WASTE, Part, split
from gpuwatch.tui.state import CELLS, Context
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import LedgerView, View

PART_STATES: dict[Part, State] = {WAIT: State.WAITING, LOST: State.THROTTLED, HELD: State.HELD_IDLE, UNUSED: State.UNUSED}
_WASTING = frozenset(PART_STATES.values())
_FACTS: dict[Part, str] = {
    WAIT: "a process is there, the GPU waits",
    LOST: "clocks lowered, work redone, overhead",
    HELD: "memory held, no work for over 5 min",
    UNUSED: "given to a job that does not use it",
}
NO_FINDING = "From the ledger: no rule has named a cause."
NOTHING_WASTED = "Nothing wasted above 0.1 GPU in the time shown."
MOST = 3
"""Findings that the overview shows; screen 4 has all."""


def _gpus_of(view: View, state: State, *, largest: bool) -> list[str]:
    """Labels of the GPUs (and MIG instances) whose last 15 minutes were in ``state`` for a tenth at least, else for any cell.

    Waste too short to give a cell its state counts as the ``largest`` part.
    """
    shares: dict[str, float] = {}
    for gpu in view.gpus:
        cells: list[State] = [cell.state for cell in gpu.strip[-CELLS:] if cell.state is not State.NO_DATA]
        hidden = largest and (gpu.waste_gpus or 0.0) >= 0.1 and not _WASTING.intersection(cells)
        if cells and not gpu.mig_enabled:
            shares[gpu.gpu_uuid] = 1.0 if hidden else cells.count(state) / len(cells)
    chosen = [uuid for uuid, share in shares.items() if share >= 0.1] or [uuid for uuid, share in shares.items() if share]
    return [label_among(view, uuid) for uuid in chosen]


def _gpu_list(labels: Sequence[str], room: int) -> str:
    text = "GPU " + " ".join(labels)
    return text if len(text) <= room else f"{len(labels)} GPUs"


def draw_waste(sheet: Sheet, context: Context, view: View, top: int, rows: int, right: int) -> None:
    """The boxed panel in columns 0 to ``right``."""
    look, inside = context.look, rows - 2
    step = 2 if inside >= 6 else 1
    shown = view.findings[: min(MOST if step == 2 else inside, inside // step)]
    foot = []
    if view.findings:
        more = len(view.findings) - len(shown)
        foot = [
            (f"+{more} · " if more else "", look.dim),
            ("4", look.title),
            (" why · ", look.dim),
            ("x", look.title),
            (" copy fix", look.dim),
        ]
    box(sheet, top, top + rows - 1, _title(view), right=right, foot=foot)
    y, last = top + 1, top + rows - 2
    for rank, finding in enumerate(shown, 1):
        _finding(sheet, context, view, finding, rank, y, right, step)
        y += step
    if view.findings:
        return
    found = _from_ledger(view.ledger) if view.ledger is not None else []
    if not found:
        sheet.put(y, 2, cut(NOTHING_WASTED, right - 4), look.fg)
        y += 1
    for part, lost in found[: rows - 3]:
        _part(sheet, context, view, part, lost, y, right, largest=part is found[0][0])
        y += 1
    if found and y <= last:
        sheet.put(last, 2, cut(NO_FINDING, right - 4), look.dim)


def _title(view: View) -> str:
    """What the amounts are: those of findings are of now, those of the ledger are a mean."""
    if view.findings or view.ledger is None:
        return "Waste then" if view.past else "Waste now"
    return f"Waste, mean of {duration((view.ledger.span.end_ms - view.ledger.span.start_ms) / 1000)}"


def _from_ledger(ledger: LedgerView) -> list[tuple[Part, float]]:
    """The parts that are waste, as GPUs over the ledger's span, the largest first; less than a tenth of a GPU is left out."""
    span = max(1, ledger.span.end_ms - ledger.span.start_ms)
    found = [(share.part, share.ms / span) for share in split(ledger) if share.part in WASTE and share.ms / span >= 0.05]
    return sorted(found, key=lambda item: -item[1])


def _part(sheet: Sheet, context: Context, view: View, part: Part, lost: float, y: int, right: int, *, largest: bool) -> None:
    look = context.look
    state = PART_STATES[part]
    tick(sheet, y, 5, state)
    sheet.put(y, 7, f"{gpus_lost(lost)} GPU", look.state(state))
    labels = _gpus_of(view, state, largest=largest)
    if labels:
        sheet.put(y, 17, _gpu_list(labels, 8), look.white)
    text = f"{part.name}: {_FACTS[part]}"
    at = 26
    if at + len(text) > right - 1:
        text = part.name
    sheet.put(y, at, text, look.fg)


def _finding(sheet: Sheet, context: Context, view: View, finding: FindingView, rank: int, y: int, right: int, step: int) -> None:
    look = context.look
    sheet.right(y, 3, str(rank), look.dim)
    findings.put_tick(sheet, view, finding, 5, range(y, y + step))
    sheet.put(y, 7, findings.amount(finding), findings.amount_style(look, view, finding))
    sheet.put(y, 17, findings.gpus_text(finding.gpu_indices, 8), look.white)
    sheet.put(y, 26, findings.fact_of(finding, right - 28), look.fg)
    if step > 1:
        sheet.put(y + 1, 26, findings.second_line(finding, right - 28), look.dim)


def rows_needed(view: View) -> int:
    """How many of three rows the narrow layout fills."""
    if view.findings:
        return min(MOST, len(view.findings))
    return min(3, 1 + len(_from_ledger(view.ledger))) if view.ledger is not None else 1


def draw_waste_narrow(sheet: Sheet, context: Context, view: View, top: int, rows: int) -> None:
    """Below 100 columns: one row each."""
    look = context.look
    for y, finding in enumerate(view.findings[:rows], top):
        findings.put_tick(sheet, view, finding, 0, (y,))
        sheet.put(y, 2, findings.amount(finding), findings.amount_style(look, view, finding))
        sheet.put(y, 12, findings.gpus_text(finding.gpu_indices, 8), look.white)
        words = [("4", look.title), (" why ", look.dim), ("x", look.title), (" copy fix", look.dim)] if y == top else []
        end = sheet.words_right(y, context.width - 1, words) - 1 if words else context.width
        sheet.put(y, 21, findings.fact_of(finding, end - 21), look.fg)
    if view.findings:
        return
    found = _from_ledger(view.ledger)[:rows] if view.ledger is not None else []
    for y, (part, lost) in enumerate(found, top):
        state = PART_STATES[part]
        tick(sheet, y, 0, state)
        sheet.put(y, 2, f"{gpus_lost(lost)} GPU", look.state(state))
        labels = _gpus_of(view, state, largest=part is found[0][0])
        if labels:
            sheet.put(y, 12, _gpu_list(labels, 8), look.white)
        sheet.put(y, 21, f"{part.name}: {_FACTS[part]}"[: context.width - 21], look.fg)
    if len(found) < rows:
        text = NO_FINDING if found else NOTHING_WASTED
        sheet.put(top + len(found), 0, text[: context.width], look.dim)
