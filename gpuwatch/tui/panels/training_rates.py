"""Tokens, samples or steps a second of a training: now, mean and best minute, and the last hour."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import NOTHING, clock_minute, number
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.gpu_question import NOTHING_YET
from gpuwatch.tui.panels.hour import mean_of
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.server_rates import nice, scale_text, span_text
from gpuwatch.tui.panels.server_words import tokens
from gpuwatch.tui.panels.training_words import Unit, small_rate, unit_of, value_style
from gpuwatch.tui.panels.workload_question import Places
from gpuwatch.tui.state import Context
from gpuwatch.view.training_types import TrainingHistory, TrainingView
from gpuwatch.view.types import DetailView, Lane

VALUE, NAME = 7, 9
"""Columns where values end and names begin."""
SMALL = 1_000.0
"""Slow rates are scaled by this before a round number is looked for."""
Row = tuple[str, str]
"""A value and its name."""


def top_of(peak: float) -> float:
    """The top of the scale: the next round number, below one step a second too."""
    return nice(peak) if peak >= 1 else nice(peak * SMALL) / SMALL


def top_text(top: float) -> str:
    """``15k``, ``0.6``."""
    return scale_text(top) if top >= 1 else f"{top:.2g}"


def rows_of(training: TrainingView, history: TrainingHistory | None, now: str = "now") -> list[Row]:
    """Now (``now`` is what that is called), mean, best minute, per GPU, without padding."""
    unit = unit_of(training)
    rows = [(small_rate(unit.value), f"{unit.name} {now}")]
    if history is not None and history.unit == unit.counted:
        rows.append((small_rate(history.mean_per_second), "mean"))
        rows.append((small_rate(history.best_minute_per_second), "best min"))
    if training.tokens_per_second_per_gpu not in (None, training.tokens_per_second):
        rows.append((small_rate(training.tokens_per_second_per_gpu), "per GPU"))
    if training.nonpad_tokens_per_second is not None and training.padding_ratio:
        rows.append((small_rate(training.nonpad_tokens_per_second), "not padding"))
    return rows


def total_of(training: TrainingView) -> str:
    """``139.8M tokens``: what the run has done so far."""
    run = training.run
    if run is None:
        return ""
    if run.tokens_total is not None:
        return f"{tokens(run.tokens_total)} tokens"
    if run.samples_total is not None:
        return f"{tokens(run.samples_total)} samples"
    return f"{number(run.steps_total)} steps" if run.steps_total is not None else ""


def draw_rates(sheet: Sheet, context: Context, training: TrainingView, detail: DetailView | None, top: int, rows: int, places: Places) -> None:  # fmt: skip
    """The boxed panel in columns 0 to ``places.split``."""
    look, bottom = context.look, top + rows - 1
    unit, history = unit_of(training), detail.training if detail is not None else None
    assumed = "assumed" in training.parallelism and unit.counted != "steps"
    foot = [("sum over ranks, assumed data parallel", look.dim)] if assumed else []
    box(sheet, top, bottom, unit.title, right=places.split, note=[(span_text(places), look.dim)], foot=foot)
    y = draw_values(sheet, context, training, unit, history, top + 1, bottom, spaced=rows >= 10)
    total = total_of(training)
    if total and y + 2 < bottom:
        sheet.put(bottom - 2, 2, cut(total, places.chart - 8), look.fg)
        sheet.put(bottom - 1, 2, "in this run", look.dim)
    elif total and y < bottom:
        sheet.put(bottom - 1, 2, cut(total, places.chart - 8), look.fg)
    draw_chart(sheet, context, detail, places, top + 1, rows - 3, scale=True)


def draw_values(sheet: Sheet, context: Context, training: TrainingView, unit: Unit, history: TrainingHistory | None, y: int, bottom: int, *, spaced: bool) -> int:  # fmt: skip
    """The values from row ``y`` to the one above ``bottom``; returns the row after."""
    look = context.look
    for place, (text, name) in enumerate(rows_of(training, history, look.now)):
        if y >= bottom:
            break
        first = place == 0 and text != NOTHING
        style: Style = look.style("busy", "bg", True) if first and unit.value else look.white
        sheet.right(
            y, VALUE, text, value_style(look, training, text, style) if place == 0 else look.dim if text == NOTHING else style
        )
        sheet.put(y, NAME, name, look.fg if first else look.dim)
        y += 1 + (spaced and place == 0)
    return y


def draw_chart(
    sheet: Sheet, context: Context, detail: DetailView | None, places: Places, top: int, rows: int, *, scale: bool
) -> None:
    """``rows`` rows of the hour and its axis below; its scale at the left if ``scale``."""
    look = context.look
    history = detail.training if detail is not None else None
    cells = mean_of(history.per_second, places.columns) if history is not None else ()
    peak = max((cell for cell in cells if cell is not None), default=None)
    if history is None or peak is None:
        why = "nothing recorded in the last 60 min" if places.columns >= 36 else "nothing recorded"
        sheet.put(top, places.chart, NOTHING_YET if detail is None else why, look.dim)
        return
    highest = top_of(peak) if peak > 0 else None
    chart(sheet, top, places.chart, Lane(history.unit, cells, None, None), highest, rows, look.style("busy"))
    if scale and highest and rows >= 2:
        _beside(sheet, top, places.chart, top_text(highest))
        _beside(sheet, top + rows - 1, places.chart, "0")
    draw_axis(sheet, context, history, places, top + rows)


def _beside(sheet: Sheet, y: int, chart_at: int, text: str) -> None:
    """A number of the scale, where the words of that row leave room for it."""
    start = chart_at - 1 - len(text)
    if all(end < start or first >= chart_at for first, end, _, _ in sheet.rows[y].puts):
        sheet.put(y, start, text, sheet.look.dim)


def draw_axis(sheet: Sheet, context: Context, history: TrainingHistory, places: Places, y: int) -> None:
    """The local time of the first and the middle cell, and ``now``."""
    look, count = context.look, places.columns
    sheet.put(y, places.chart, clock_minute(history.start_ms, context.tz), look.dim)
    if count >= 24:
        middle_ms = history.start_ms + len(history.per_second) * history.cell_seconds * 500
        sheet.put(y, places.chart + count // 2, clock_minute(middle_ms, context.tz), look.dim)
    sheet.right(y, places.chart + count - 1, look.now, look.dim)
