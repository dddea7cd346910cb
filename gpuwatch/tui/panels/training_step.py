"""Where a step of a training goes: a bar of its phases, and each with its seconds, share, p95, last hour and what is known of the GPU.

Phases are times of the host: a GPU works off what the host has queued, so that a phase says what the host did and not what the GPU
did. Only the drain probe tells something of the GPU, and no GPU has verified it yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import NOTHING, about, number
from gpuwatch.names import Phase
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.ledgerbar import PATTERNS, ledger_bar, swatch
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.gpu_question import NOTHING_YET
from gpuwatch.tui.panels.hour import mean_of
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.training_words import DATA_NOTICE, attach_command, has_ended, is_old, scale_of, steps_done
from gpuwatch.tui.parts import Part
from gpuwatch.tui.phases import PHASES, in_order, split
from gpuwatch.tui.state import Context
from gpuwatch.view.training_types import PhaseView, TrainingView
from gpuwatch.view.types import DetailView, Lane, View, WorkloadView

Words = list[tuple[str, Style]]
NOT_KNOWN = "GPU idle: not known"
QUEUED = ("host queues it, the GPU runs it then or later", "host queues it for the GPU")
HOST: dict[Phase, tuple[str, ...]] = {
    Phase.FORWARD: QUEUED,
    Phase.BACKWARD: QUEUED,
    Phase.OPTIMIZER: QUEUED,
    Phase.DATA: (f"host waits; {NOT_KNOWN}", "host waits for a batch"),
    Phase.CHECKPOINT: (f"host saves; {NOT_KNOWN}", "host saves"),
    Phase.EVAL: ("no training step meanwhile",),
    Phase.COMPILE: ("no training step meanwhile",),
    Phase.STARTING: ("before the first step",),
    Phase.OTHER: (f"logging, Python; {NOT_KNOWN}", "logging, Python"),
}
"""What is known of a phase without the probe; the first that fits."""
LONGEST_SECONDS = 300.0
"""What a step is the mean of, where the View does not say."""
HEADROOM = 1.4
"""A strip's scale ends so much above its largest share, so that rows do not fuse."""


@dataclass(frozen=True, slots=True)
class Places:
    """Right edges of the numbers, (first column, cells) of the strip, first and last column of the words; -1: not there."""

    swatch: int
    name: int
    mean: int
    share: int
    p95: int
    strip: tuple[int, int]
    words: int
    end: int


def places_for(width: int, *, narrow: bool, gpus: bool) -> Places:
    """The columns of a screen of that width; without ``gpus`` nothing is said of them."""
    if narrow:
        return Places(0, 2, 25, 33, 41, (0, 0), 44 if gpus and width >= 72 else -1, width - 1)
    cells = 60 if width >= (180 if gpus else 112) else 30 if width >= 140 else 20
    strip = (48, cells) if width >= 110 else (0, 0)
    words = (strip[0] + cells + 4 if strip[1] else 49) if gpus else -1
    return Places(2, 4, 27, 36, 45, strip, words, width - 3)


def title_of(training: TrainingView) -> str:
    """``Where a step goes · 1.79 s``."""
    if training.step_seconds is None:
        return "Where a step goes"
    return f"Where a step goes · {scale_of(training).length(training.step_seconds)}"


def note_of(training: TrainingView, *, short: bool = False) -> str:
    """``mean of 319 steps in 5 min, both ranks``."""
    if not training.steps_in_window:
        return ""
    span = f" in {about(training.window_seconds)}" if training.window_seconds else ""
    ranks = len(training.ranks)
    several = f", {'both' if ranks == 2 else f'{ranks}'} ranks" if ranks > 1 else ""
    return f"{'' if short else 'mean of '}{number(training.steps_in_window)} steps{span}{several}"


def foot_of(training: TrainingView, *, gpus: bool) -> str:
    """Whose time it is, and what the probe saw."""
    if not training.phases:
        return ""
    if training.probe:
        probed, drained = training.probed_steps, training.drained_steps
        if probed:
            return f"times of the host · probe: GPU ran dry in {number(drained or 0)} of {number(probed)} probed steps (unverified)"
        return "times of the host · probe on, no step probed yet"
    return "times of the host: the GPU's own stand in the bar below" if gpus else "times of the host"


def rows_wanted(training: TrainingView) -> int:
    """Rows of the boxed panel in which everything has room: bar, heads, phases, sum and a blank row."""
    count = len(in_order(training.phases))
    return count + 6 if count else 3


def draw_step(sheet: Sheet, context: Context, view: View, work: WorkloadView, training: TrainingView, detail: DetailView | None, top: int, rows: int) -> None:  # fmt: skip
    """The boxed panel over the whole width."""
    look, inside = context.look, rows - 2
    note, foot = note_of(training), foot_of(training, gpus=bool(work.gpu_indices))
    box(
        sheet,
        top,
        top + rows - 1,
        title_of(training),
        note=[(note, look.dim)] if note else (),
        foot=[(foot, look.dim)] if foot else (),
    )
    if not training.phases:
        draw_nothing(sheet, context, view, work, training, top + 1, 2)
        return
    ledger_bar(sheet, top + 1, 2, context.width - 4, split(training.phases))
    spaced = inside >= rows_wanted(training) - 2
    places = places_for(context.width, narrow=False, gpus=bool(work.gpu_indices))
    draw_table(sheet, context, training, detail, places, top + 2 + spaced, top + rows - 1)


def draw_nothing(sheet: Sheet, context: Context, view: View, work: WorkloadView, training: TrainingView, y: int, x: int) -> None:
    """Why there are no phases, and what would give them."""
    look, room = context.look, context.width - 2 * x
    if training.attached or has_ended(training):
        text = "It ran without the hook: what its steps were made of was not measured."
        if training.attached:
            text = why_no_phases(training)
        sheet.put(y, x, cut(text, room), look.dim)
        return
    at = sheet.put(y, x, "its log has no phases: they need " if room >= 70 else "phases need: ", look.dim)
    sheet.put(y, at, attach_command(view, work, room + x - at), look.acc)


def why_no_phases(training: TrainingView) -> str:
    """Why an attached training has none: it has not begun, it stands still, or nobody measured them."""
    if training.step_seconds is not None or has_ended(training):
        return "no phase of its steps was measured"
    if not training.steps_per_second and steps_done(training):
        return f"no step has ended in the last {about(training.window_seconds or LONGEST_SECONDS)}"
    return "no step yet" if not steps_done(training) else "no phase of its steps was measured"


def draw_table(sheet: Sheet, context: Context, training: TrainingView, detail: DetailView | None, places: Places, y: int, bottom: int, *, heads: bool = True) -> int:  # fmt: skip
    """Heads, phases and the sum from row ``y`` to the one above ``bottom``; the smallest phases go first. Returns the row after."""
    shares = {part.part: part.percent for part in split(training.phases)}
    phases = in_order(training.phases)
    room = bottom - y - heads
    whole = room >= len(phases) + 1
    kept = set(sorted(phases, key=lambda each: -each.seconds)[: max(0, room)])
    if heads and room >= 1:
        draw_heads(sheet, training, places, y, detail)
        y += 1
    for each in phases:
        if each in kept:
            _phase(sheet, context, training, each, shares[PHASES[each.phase]], places, y)
            if places.strip[1]:
                _strip(sheet, detail, each.phase, places.strip, y)
            y += 1
    if whole:
        _sum(sheet, training, phases, places, y)
        y += 1
    return y


def draw_heads(sheet: Sheet, training: TrainingView, places: Places, y: int, detail: DetailView | None) -> None:
    """The titles of the columns."""
    dim, unit = sheet.look.dim, scale_of(training).unit
    sheet.put(y, places.name, "Phase", dim)
    for at, title in ((places.mean, f"{unit} a step"), (places.share, "share"), (places.p95, f"p95 {unit}")):
        sheet.right(y, at, title, dim)
    if places.strip[1]:
        sheet.put(y, places.strip[0], "last 60 min" if detail is not None else NOTHING_YET, dim)
    if places.words >= 0:
        sheet.put(y, places.words, "What is known of the GPU meanwhile"[: places.end + 1 - places.words], dim)


def _phase(sheet: Sheet, context: Context, training: TrainingView, each: PhaseView, percent: int, places: Places, y: int) -> None:  # fmt: skip
    look, part, scale = context.look, PHASES[each.phase], scale_of(training)
    dim = is_old(training) or has_ended(training)
    much = each.phase is Phase.DATA and each.share >= DATA_NOTICE
    plain = look.dim if dim else look.fg
    _swatch(sheet, y, places.swatch, part)
    sheet.put(y, places.name, part.name, plain)
    sheet.right(y, places.mean, scale.text(each.seconds), plain)
    text = f"{percent}%" if percent else "<1%"
    sheet.right(y, places.share, text, look.dim if dim else look.amber if much else look.white)
    p95 = scale.text(each.p95_seconds)
    sheet.right(y, places.p95, p95, look.dim if p95 == NOTHING else plain)
    if places.words >= 0:
        sheet.put(y, places.words, meanwhile(training, each, places.end + 1 - places.words), look.dim)


def _swatch(sheet: Sheet, y: int, x: int, part: Part) -> None:
    """The phase's mark as it stands in the bar: with its pattern where sixteen colours do not tell it from another one."""
    look = sheet.look
    if look.tier == "16" and not look.ascii and part.fill in PATTERNS:
        sheet.put(y, x, PATTERNS[part.fill], look.style(part.fill))
    else:
        swatch(sheet, y, x, part)


def meanwhile(training: TrainingView, each: PhaseView, room: int) -> str:
    """What the GPU did in that phase, as far as it is known, in ``room`` cells; empty where nothing fits."""
    if each.gpu_idle_seconds is not None:
        idle = f"GPU idle {scale_of(training).length(each.gpu_idle_seconds)} of it"
        texts: Sequence[str] = (f"{idle} (unverified)", f"{idle} (?)")
    else:
        texts = HOST[each.phase]
    return next((text for text in texts if width_of(text) <= room), "")


def _strip(sheet: Sheet, detail: DetailView | None, phase: Phase, place: tuple[int, int], y: int) -> None:
    """The phase's share of the steps of the last hour, to a scale of its own."""
    history = detail.training if detail is not None else None
    cells = mean_of(history.phase_shares.get(phase, ()), place[1]) if history is not None else ()
    peak = max((cell for cell in cells if cell is not None), default=None)
    if peak is not None:
        chart(sheet, y, place[0], Lane(phase.name, cells, None, None), peak * HEADROOM, 1, sheet.look.style(PHASES[phase].fill))


def _sum(sheet: Sheet, training: TrainingView, phases: Sequence[PhaseView], places: Places, y: int) -> None:
    """The whole step, and how its length is spread."""
    look, scale = sheet.look, scale_of(training)
    whole = training.step_seconds if training.step_seconds is not None else sum(each.seconds for each in phases)
    sheet.put(y, places.name, "step", look.white)
    sheet.right(y, places.mean, scale.text(whole), look.white)
    sheet.right(y, places.share, "100%", look.white)
    p95 = scale.text(training.step_p95_seconds)
    sheet.right(y, places.p95, p95, look.dim if p95 == NOTHING else look.fg)
    if places.words >= 0 and training.step_p50_seconds is not None:
        sheet.put(y, places.words, cut(f"p50 {scale.length(training.step_p50_seconds)}", places.end + 1 - places.words), look.dim)
