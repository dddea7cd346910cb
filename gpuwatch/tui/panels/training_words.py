"""Words and numbers of a training: its unit, where its counts come from, how it ended, what a process does now."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import NOTHING, clock, duration, lasted, number, rate, since
from gpuwatch.names import Phase, RunOutcome, TrainingSource
from gpuwatch.tui.draw.line import cut
from gpuwatch.tui.palette import Look
from gpuwatch.tui.state import Context
from gpuwatch.view.training_ranks import PHASE_WORDS
from gpuwatch.view.training_types import RankView, TrainingView
from gpuwatch.view.types import View, WorkloadView

STALE_SECONDS, STALE_STEPS = 5.0, 3.0
"""Counts are old after so many seconds, and never sooner than after so many steps."""
NOTED_SECONDS = 2.0
"""How long a phase has lasted is told from here on."""
DATA_NOTICE = 0.2
"""From this share of a step on waiting for data is amber: less is often hidden behind the GPU's own work."""

OUTCOMES: Mapping[RunOutcome, tuple[str, str]] = {
    RunOutcome.RUNNING: ("running", "fg"),
    RunOutcome.FINISHED: ("finished", "busy"),
    RunOutcome.FAILED: ("failed", "held"),
    RunOutcome.STOPPED: ("stopped", "waiting"),
    RunOutcome.DIED: ("died", "held"),
    RunOutcome.UNKNOWN: ("ended, how is not known", "dim"),
}
"""The word of an outcome and its ink."""

DIED = "killed or crashed, code not known"
SOURCES: Mapping[TrainingSource, str] = {
    TrainingSource.HOOK: "attached by gpuwatch run",
    TrainingSource.DECLARED: "counts declared by gpuwatch_track",
    TrainingSource.LOG: "from its log",
}
SHORT_SOURCES: Mapping[TrainingSource, str] = {
    TrainingSource.HOOK: "attached",
    TrainingSource.DECLARED: "declared",
    TrainingSource.LOG: "from its log",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """What a training counts: its rate, the things, the unit's name and the title of its panel."""

    value: float | None
    counted: str
    name: str
    title: str


def unit_of(training: TrainingView) -> Unit:
    """Tokens, else samples, else steps a second; tokens where nothing is known yet."""
    if training.tokens_per_second is None:
        if training.samples_per_second is not None:
            return Unit(training.samples_per_second, "samples", "samples/s", "Samples/s")
        if training.steps_per_second is not None:
            return Unit(training.steps_per_second, "steps", "steps/s", "Steps/s")
    return Unit(training.tokens_per_second, "tokens", "tok/s", "Tokens/s")


def small_rate(value: float | None) -> str:
    """A rate in three digits, slow ones too: ``13.7k``, ``272``, ``0.56``, ``0.004``."""
    if value is None or value >= 9.995 or value == int(value):
        return rate(value)
    return f"{value:.2f}" if value >= 0.095 else f"{value:.1g}"


@dataclass(frozen=True, slots=True)
class Scale:
    """How times of one training are written: seconds or milliseconds, with as many decimals in every row."""

    unit: str
    factor: float
    decimals: int

    def text(self, value: float | None) -> str:
        """``1.79``; measured nothing is ``0``, and anything else never looks like it."""
        if value is None:
            return NOTHING
        least = 0.5 * 10.0**-self.decimals
        shown = value * self.factor
        if 0 < shown < least:
            return f"<{number(2 * least, self.decimals)}"
        return number(shown, self.decimals if shown else 0)

    def length(self, value: float | None) -> str:
        """The same with its unit."""
        return NOTHING if value is None else f"{self.text(value)} {self.unit}"


def scale_of(training: TrainingView) -> Scale:
    """Three digits for the whole step, the same unit and decimals for its parts."""
    step = training.step_seconds
    if step is None or step >= 0.9995:
        return Scale("s", 1.0, 0 if step is not None and step >= 999.5 else 1 if step is not None and step >= 99.95 else 2)
    return Scale("ms", 1_000.0, 0 if step >= 0.0995 else 1 if step >= 0.00995 else 2)


def is_old(training: TrainingView) -> bool:
    """Whether the counts are older than a running training's should be. A log's are as old as its last line.

    A View tells the phase only while the newest row is young for the interval of its recording.
    """
    age = training.age_seconds
    if age is None or training.phase is not None or training.source is TrainingSource.LOG or has_ended(training):
        return False
    return age > max(STALE_SECONDS, STALE_STEPS * (training.step_seconds or 0.0))


def value_style(look: Look, training: TrainingView, text: str, style: Style) -> Style:
    """The style of a value: dim where it is old or not there."""
    return look.dim if text in ("–", "?") or is_old(training) or has_ended(training) else style


def has_ended(training: TrainingView) -> bool:
    """Whether its run is over."""
    return training.run is not None and training.run.outcome is not RunOutcome.RUNNING


def source_words(training: TrainingView, *, short: bool = False) -> str:
    """``attached by gpuwatch run`` (``short``: ``attached``), ``from its log, 12 s old``."""
    if training.source is TrainingSource.LOG:
        age = f", {duration(training.age_seconds)} old" if training.age_seconds is not None and not has_ended(training) else ""
        return f"from its log{age}"
    if training.source is not None:
        return (SHORT_SOURCES if short else SOURCES)[training.source]
    return "attached" if training.attached else "not attached"


def lasting(phase: Phase | None, age: float | None) -> str:
    """``waiting for data for 312 s``; up to ten minutes in seconds, and only the phase while it is as short as a step's usually is."""
    if phase is None:
        return ""
    if age is None or age < NOTED_SECONDS or phase is Phase.ENDED:
        return PHASE_WORDS[phase]
    return f"{PHASE_WORDS[phase]} for {lasted(age)}"


def steps_done(training: TrainingView) -> int | None:
    """The number of the newest step by the script's own count, else how many steps the run has taken while it was watched."""
    run = training.run
    if training.step_number is not None or run is None:
        return training.step_number
    return run.step_number if run.step_number is not None else run.steps_total or None


def loss_text(loss: float) -> str:
    """``2.314``; a very small or very large one in three digits with its exponent; what is no number by its name."""
    if not math.isfinite(loss):
        return str(loss)
    return number(loss, 3) if loss == 0 or 0.01 <= abs(loss) < 10_000 else f"{loss:.2e}"


def rank_name(rank: RankView) -> str:
    """``rank 1``, else the process."""
    return f"rank {rank.rank}" if rank.rank is not None else f"pid {rank.pid}"


def when(context: Context, ms: int | None, at_ms: int) -> str:
    """``14:31:52``, with its day if that is not today; nothing where it is not known."""
    return "" if ms is None else since(ms, at_ms, context.tz) + clock(ms, context.tz)[-3:]


def ended_words(context: Context, view: View, training: TrainingView) -> tuple[str, str] | None:
    """``failed 14:20:31, exit code 1`` and its ink; ``None`` while it runs."""
    run = training.run
    if run is None or run.outcome is RunOutcome.RUNNING:
        return None
    word, ink = OUTCOMES[run.outcome]
    at = when(context, run.ended_ms, view.at_ms)
    text = f"{word} {at}" if at else word
    if run.outcome is RunOutcome.FAILED and run.exit_code:
        text += f", exit code {run.exit_code}"
    return text, ink


def rank_end(context: Context, view: View, rank: RankView) -> tuple[str, str] | None:
    """How and when a rank ended, and its ink; ``None`` while it runs. An orderly end is no news."""
    if rank.outcome is RunOutcome.RUNNING:
        return None
    word, ink = OUTCOMES[rank.outcome]
    at = when(context, rank.ended_ms, view.at_ms)
    text = f"{word} {at}" if at else word
    why = rank.detail or (DIED if rank.outcome is RunOutcome.DIED else "")
    return f"{text}: {why}" if why else text, "dim" if ink == "busy" else ink


def bad_end(rank: RankView) -> bool:
    """Whether it is gone in a way that it should not be."""
    return rank.outcome in (RunOutcome.DIED, RunOutcome.FAILED)


def dead_words(training: TrainingView) -> str:
    """``rank 1 died``, ``3 ranks died``; nothing while all are well."""
    dead = [rank for rank in training.ranks if bad_end(rank)]
    if not dead:
        return ""
    word = OUTCOMES[dead[0].outcome][0]
    return f"{rank_name(dead[0])} {word}" if len(dead) == 1 else f"{len(dead)} ranks {word}"


def attach_command(view: View, work: WorkloadView, room: int) -> str:
    """``gpuwatch run -- `` and the command that started it, in ``room`` cells."""
    run = work.training.run if work.training is not None else None
    command = run.command if run is not None else ""
    if not command:
        root = next((p for p in view.processes if (p.pid, p.start_ms) == (work.root_pid, work.root_start_ms)), None)
        command = root.command if root is not None else ""
    return cut(f"gpuwatch run -- {command or 'COMMAND'}", room)
