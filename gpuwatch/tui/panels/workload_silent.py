"""A workload that tells no numbers of itself: why, what it would need, where its GPU time went, which processes it has."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.names import ServerState
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.panels.server_words import SENTENCES, state_words
from gpuwatch.tui.panels.training_cost import facts_of
from gpuwatch.tui.panels.training_words import attach_command
from gpuwatch.tui.panels.workload_time import draw_members, draw_time, nothing_text
from gpuwatch.tui.parts import split
from gpuwatch.tui.state import Context
from gpuwatch.view.types import DetailView, View, WorkloadView

Lines = list[tuple[str, Style]]


def why(context: Context, view: View, work: WorkloadView) -> tuple[str, Lines]:
    """A title and sentences; what can be typed or added stands in the colour of commands."""
    look, server = context.look, work.inference
    if server is not None:
        lines: Lines = [(SENTENCES[server.state], look.fg)]
        if server.detail:
            lines.append((f"Seen: {server.detail}", look.dim))
        if server.hint:
            lines.append((f"Try:  {server.hint}", look.acc))
        if server.state in (ServerState.METRICS_OFF, ServerState.NO_METRICS) and work.gpu_indices:
            lines.append(("Its GPU time, memory and power are measured all the same.", look.dim))
        return f"No numbers: {state_words(server)}", lines
    if work.kind == "training" or work.training is not None:
        return "Steps and tokens", _training(context, view, work)
    if work.kind == "inference":
        return "No numbers", [
            ("Nothing was asked of this server yet: it is new, or its recorder asks none ([inference] enabled = false).", look.fg)
        ]
    return "No numbers", [("It is neither a training run nor an inference server: only its GPU time is known.", look.fg)]


def _training(context: Context, view: View, work: WorkloadView) -> Lines:
    """What is not known of a training without the hook, how to know it next time, and what its run is known by."""
    look, training = context.look, work.training
    lines: Lines = [("Step times, tokens and what a step waits for can only be told from inside the program.", look.fg)]
    run = training.run if training is not None else None
    seen = (training.detail if training is not None else "") or (run.detail if run is not None else "")
    if seen:
        lines.append((f"Seen: {seen}", look.amber))
    if training is None or training.hint or not training.detail:  # what could not be attached says itself what to do
        lines.append((f"step times need: {attach_command(view, work, 400)}", look.acc))
    if training is not None:
        text = "   ".join(f"{label} {value} {unit} {beside}".rstrip() for label, value, unit, beside in facts_of(training))
        if text:
            lines.append((f"Known without it: {text}", look.dim))
    return lines


def draw_silent(sheet: Sheet, context: Context, view: View, work: WorkloadView, detail: DetailView | None) -> None:
    """Everything below the two title rows."""
    title, lines = why(context, view, work)
    width = context.width - (5 if context.width >= 100 else 0)
    wrapped = [(part, style) for line, style in lines for part in wrap(line, width, 4)]
    if context.width >= 100:
        room = context.height - 4
        rows = min(len(wrapped) + 2, room - 4)
        box(sheet, 3, 2 + rows, title)
        _lines(sheet, wrapped[: rows - 2], 4, 2)
        draw_time(sheet, context, view, work, detail, 3 + rows, room - rows)
        return
    _band(sheet, 3, title)
    last = context.height - 1
    y = _lines(sheet, wrapped[: max(1, last - 8)], 4, 0)
    _band(sheet, y, "Where its GPU time went")
    ledger = detail.workload_ledger if detail is not None else None
    if ledger is None:
        sheet.put(y + 1, 0, nothing_text(view, work, detail), context.look.dim)
    else:
        ledger_bar(sheet, y + 1, 0, context.width, split(ledger))
    draw_members(sheet, context, view, work, y + 2, last)


def _lines(sheet: Sheet, lines: Sequence[tuple[str, Style]], y: int, x: int) -> int:
    for text, style in lines:
        sheet.put(y, x, text, style)
        y += 1
    return y


def _band(sheet: Sheet, y: int, title: str) -> None:
    sheet.ground(y, 0, sheet.width - 1, "bar")
    sheet.put(y, 0, title, sheet.look.title)
