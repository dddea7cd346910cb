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
from gpuwatch.tui.workloads import gpus_of
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import View, WorkloadView

COMPARE = "Llama 3 405B on H100s: 38 to 43%"
"""The BF16 MFU of the training of Llama 3 405B ("The Llama 3 Herd of Models", arXiv 2407.21783, table 4)."""
CAVEAT = "recomputed and padded work counts too; no FLOPs"
"""What OFU is not: pipe activity cannot be turned into FLOP (an NVIDIA maintainer, DCGM issue 164)."""
BREAKS = (" + ", " × ", " ÷ ", " = ", " (")
"""Where a line of the formula may go on in the next row."""
UNKNOWN = "parameters, tokens or the GPU's peak are not known"


def title_of(training: TrainingView) -> str:
    """``MFU 38%``, ``MFU –``."""
    return f"MFU {percent_sign(training.mfu_ratio)}"


def why_none(training: TrainingView) -> str:
    """Why there is no MFU."""
    return "no step ends" if training.stalled and not training.steps_per_second else training.mfu_missing or UNKNOWN


def tensor_use(view: View, work: WorkloadView) -> tuple[float, float] | None:
    """Tensor activity and clock over its maximum, means of the GPUs of ``work`` in their last sample; None where one tells neither.

    Their product ("OFU", arXiv 2605.20799) is what the tensor cores did, whatever it was good for.
    """
    gpus = gpus_of(view, work)
    pairs = [
        (gpu.tensor_active_ratio, gpu.sm_clock_hertz / gpu.sm_clock_max_hertz)
        for gpu in gpus
        if gpu.tensor_active_ratio is not None and gpu.sm_clock_hertz is not None and gpu.sm_clock_max_hertz
    ]
    if not gpus or len(pairs) < len(gpus):
        return None
    tensor, product = sum(pair[0] for pair in pairs), sum(pair[0] * pair[1] for pair in pairs)
    return tensor / len(gpus), product / tensor if tensor else sum(pair[1] for pair in pairs) / len(gpus)


def ofu_lines(view: View, work: WorkloadView) -> list[str]:
    """``OFU 36% now = tensor active 44% × clock 82%`` and its caveat; nothing where it is not known."""
    known = tensor_use(view, work)
    if known is None:
        return []
    tensor, clock = known
    when = "then" if view.past else "now"
    return [
        f"OFU {percent_sign(tensor * clock)} {when} = tensor active {percent_sign(tensor)} × clock {percent_sign(clock)}",
        CAVEAT,
    ]


def draw_mfu(sheet: Sheet, context: Context, view: View, work: WorkloadView, training: TrainingView, top: int, rows: int, left: int) -> None:  # fmt: skip
    """The boxed panel from column ``left`` to the right edge: the bar, OFU, a comparison, the formula's lines."""
    look, right, inside = context.look, context.width - 1, rows - 2
    box(sheet, top, top + rows - 1, title_of(training), left=left, note=[("model FLOP/s ÷ peak", look.dim)])
    width = right - left - 3
    y, last = top + 1, top + rows - 1
    beside = [line for line in ofu_lines(view, work) if width_of(line) <= width]
    if training.mfu_ratio is None:
        lines = [*_wrapped((why_none(training),), width), *_wrapped(training.mfu_terms, width), *((line, 1) for line in beside)]
        for row, (line, _) in enumerate(lines[:inside]):
            sheet.put(y + row, left + 2, line, look.fg if row == 0 else look.dim)
        return
    draw_bar(sheet, context, training, y, left + 2, right - 12, right - 2)
    terms = _wrapped(training.mfu_terms, width)
    y += 1
    spare = inside - 1 - len(terms)
    notes = [(line, look.fg if number_of == 0 else look.dim) for number_of, line in enumerate(beside)]
    notes.insert(min(1, len(notes)), (cut(COMPARE, width), look.dim))
    if spare <= len(beside):  # the caveat goes last of all
        notes = [note for note in notes if note[0] != COMPARE]
    for line, style in notes[: max(0, spare)]:
        sheet.put(y, left + 2, line, style)
        y += 1
    y += spare > len(notes)
    for row, (line, number_of) in enumerate(terms[: last - y]):
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
