"""How tokens and samples follow from two lines of one log: the only place where that is decided, with the formula in words."""

from __future__ import annotations

from enum import StrEnum

from gpuwatch.collectors.training.logs.line import LogLine, Over, Per
from gpuwatch.collectors.training.logs.told import Told
from gpuwatch.dataclass import dataclass

_COARSE = 50
"""A difference of two counts that are printed coarsely is taken when it is so many times what the print can show (2 %)."""


class Trust(StrEnum):
    """How sure a count is."""

    HIGH = "high"
    """The framework's own count, or one that follows exactly."""
    MEDIUM = "medium"
    """Its mean rate over the whole time between the lines."""
    LOW = "low"
    """Its rate for a part of the time, taken for all of it."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was done between two lines by the whole job, and by which formula. ``amount`` is ``None`` while the difference of two
    coarse counts is too small to be told: the next line is to be compared with the same earlier one.
    """

    amount: float | None
    how: str
    trust: Trust


@dataclass(frozen=True, slots=True)
class Between:
    """What is known besides the two lines: the time between them without an evaluation in it, how many devices the job trains on,
    what the command line says, and whether lines between them may have been missed.
    """

    seconds: float | None
    devices: int | None
    told: Told
    gap: bool = False


def tokens(before: LogLine, line: LogLine, between: Between) -> Counted | None:
    """Tokens of the whole job between two lines, ``None`` if that cannot be told. Counts go before rates, exact ones before means."""
    steps = line.step - before.step if line.step is not None and before.step is not None else None
    if line.tokens_total is not None and before.tokens_total is not None:
        amount = line.tokens_total - before.tokens_total
        coarse = max(line.tokens_resolution, before.tokens_resolution)
        how = f"difference of {line.tokens_name}" + (", printed with four digits" if coarse else "")
        return Counted(None if 0 <= amount < _COARSE * coarse else amount, how, Trust.MEDIUM if coarse else Trust.HIGH)
    if length := between.told.seq_length:
        if line.samples_total is not None and before.samples_total is not None:
            return Counted((line.samples_total - before.samples_total) * length, "consumed samples x --seq-length", Trust.HIGH)
        if line.batch_samples is not None and steps is not None:
            return Counted(steps * line.batch_samples * length, "steps x global batch size x --seq-length", Trust.HIGH)
    if between.told.iteration_tokens and steps is not None and line.framework == "nanogpt":
        how = "steps x --batch_size x --block_size x --gradient_accumulation_steps"
        return Counted(float(steps * between.told.iteration_tokens), how, Trust.HIGH)
    rate = line.tokens_per_second
    if rate is None:
        return None
    return _by_rate(rate, line, between, steps)


def _by_rate(rate: float, line: LogLine, between: Between, steps: int | None) -> Counted | None:
    devices = 1 if line.tokens_per is Per.JOB else between.devices
    if not devices:
        return None
    how = "tokens/s" if line.tokens_per is Per.JOB else f"tokens/s per device x {devices} devices"
    if line.step_seconds and steps is not None:
        return Counted(rate * devices * line.step_seconds * steps, how + " x time of a step x steps", Trust.HIGH)
    if between.seconds is None or between.gap:
        return None
    how += " x time"
    whole_time = line.tokens_over is Over.SINCE_LINE
    return Counted(
        rate * devices * between.seconds,
        how if whole_time else how + ", at the speed of the last step",
        Trust.MEDIUM if whole_time else Trust.LOW,
    )


def samples(before: LogLine, line: LogLine, between: Between) -> Counted | None:
    """Samples of the whole job between two lines, ``None`` if that cannot be told."""
    steps = line.step - before.step if line.step is not None and before.step is not None else None
    if line.samples_total is not None and before.samples_total is not None:
        return Counted(line.samples_total - before.samples_total, "difference of its sample count", Trust.HIGH)
    if line.batch_samples is not None and steps is not None:
        return Counted(float(steps * line.batch_samples), "steps x global batch size", Trust.HIGH)
    rate = line.samples_per_second
    if rate is None:
        return None
    if line.step_seconds and steps is not None:
        return Counted(rate * line.step_seconds * steps, "samples/s x time of a step x steps", Trust.HIGH)
    if between.seconds is None or between.gap:
        return None
    return Counted(rate * between.seconds, "samples/s x time, at the speed of the last step", Trust.LOW)
