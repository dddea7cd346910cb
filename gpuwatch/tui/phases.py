"""The phases of a training step as the screen draws them: words, letters and inks, in one order on every screen.

What computes is green as the ledger's own work is, waiting for data is a darker amber than the GPU's wait (the host waits, which the
GPU may not feel), and what makes no step is violet like time that is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch.format import shares
from gpuwatch.names import Phase
from gpuwatch.tui.parts import Part, Share
from gpuwatch.view.training_types import PhaseView

PHASES: Mapping[Phase, Part] = {
    Phase.FORWARD: Part("forward", "fwd", "#", "busy", "ink", ()),
    Phase.BACKWARD: Part("backward", "bwd", "=", "stalled", "white", ()),
    Phase.OPTIMIZER: Part("optimizer", "opt", "o", "optimizer", "white", ()),
    Phase.DATA: Part("data wait", "data", "~", "data_wait", "ink", ()),
    Phase.CHECKPOINT: Part("checkpoint", "ckpt", "!", "overhead", "white", ()),
    Phase.EVAL: Part("eval", "eval", "e", "redone", "white", ()),
    Phase.COMPILE: Part("compile", "comp", "c", "throttled", "ink", ()),
    Phase.STARTING: Part("start-up", "start", "s", "free", "white", ()),
    Phase.OTHER: Part("other host", "other", ".", "neutral", "ink", ()),
}
"""Left to right in the bar, from top to bottom in the table. A phase that nobody measured is not there."""

MICROSECONDS = 1_000_000
"""A part's size in the bar: whole numbers that keep the smallest phase apart from nothing."""


def in_order(phases: Sequence[PhaseView]) -> list[PhaseView]:
    """Those that took time, as the bar has them."""
    place = {phase: number for number, phase in enumerate(PHASES)}
    return sorted((each for each in phases if each.phase in place and each.seconds > 0), key=lambda each: place[each.phase])


def split(phases: Sequence[PhaseView]) -> tuple[Share, ...]:
    """The phases as parts of a bar; the whole percentages sum to 100."""
    found = in_order(phases)
    percents = shares([each.seconds for each in found])
    return tuple(
        Share(PHASES[each.phase], max(1, round(each.seconds * MICROSECONDS)), percent) for each, percent in zip(found, percents)
    )
