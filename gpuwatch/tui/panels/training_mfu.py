"""Model FLOPs utilization: what the model's arithmetic takes of the GPUs' dense peak, with the formula and its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.format import NOTHING, percent_sign
from gpuwatch.tui.draw.bars import bar
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.panels.training_words import is_old, value_style
from gpuwatch.tui.state import Context
from gpuwatch.view.training_types import TrainingView

COMPARE = "Llama 3 405B on H100s: 38 to 43%"
"""The BF16 MFU of the training of Llama 3 405B ("The Llama 3 Herd of Models", arXiv 2407.21783, table 4)."""
BREAKS = (" + ", " × ", " ÷ ", " = ", " (")
"""Where a line of the formula may go on in the next row."""
UNKNOWN = "parameters, tokens or the GPU's peak are not known"


def title_of(training: TrainingView) -> str:
    """``MFU 38%``, ``MFU –``."""
    return f"MFU {percent_sign(training.mfu_ratio)}"


def why_none(training: TrainingView) -> str:
    """Why there is no MFU."""
    return "no step ends" if training.stalled and not training.steps_per_second else training.mfu_missing or UNKNOWN


def draw_mfu(sheet: Sheet, context: Context, training: TrainingView, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge: the bar, a comparison, the formula's lines."""
    look, right, inside = context.look, context.width - 1, rows - 2
    box(sheet, top, top + rows - 1, title_of(training), left=left, note=[("model FLOP/s ÷ peak", look.dim)])
    width = right - left - 3
    y = top + 1
    if training.mfu_ratio is None:
        lines = [*_wrapped((why_none(training),), width), *_wrapped(training.mfu_terms, width)]
        for row, (line, _) in enumerate(lines[:inside]):
            sheet.put(y + row, left + 2, line, look.fg if row == 0 else look.dim)
        return
    draw_bar(sheet, context, training, y, left + 2, right - 12, right - 2)
    terms = _wrapped(training.mfu_terms, width)
    y += 1
    if inside >= len(terms) + 2:
        sheet.put(y, left + 2, cut(COMPARE, width), look.dim)
        y += 1 + (inside >= len(terms) + 3)
    for row, (line, number_of) in enumerate(terms[: top + rows - 1 - y]):
        sheet.put(y + row, left + 2, line, look.dim if number_of >= 2 or is_old(training) else look.fg)


def draw_bar(sheet: Sheet, context: Context, training: TrainingView, y: int, first: int, last: int, right: int) -> None:
    """The bar in columns ``first`` to ``last`` and its value, ending in column ``right``."""
    look, ratio = context.look, training.mfu_ratio
    bar(sheet, y, first, last + 1 - first, ratio, look.faint if is_old(training) else look.style("busy"))
    text = percent_sign(ratio)
    sheet.right(y, right, text, look.dim if text == NOTHING else value_style(look, training, text, look.white))


def _wrapped(lines: Sequence[str], width: int) -> list[tuple[str, int]]:
    """Each line in as many rows as it needs (each with the line's number), broken before an operator: a number keeps together."""
    out = []
    for number_of, line in enumerate(lines):
        lead = ""
        while width_of(lead + line) > width:
            room = width - len(lead)
            at = max((found for sign in BREAKS if (found := line.rfind(sign, 1, room + 1)) > room // 3), default=0)
            if not at:
                break
            out.append((lead + line[:at], number_of))
            line, lead = line[at:].lstrip(), "  "
        out += [(part, number_of) for part in wrap(lead + line, width, 3)]
    return out
