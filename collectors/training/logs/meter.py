"""Adds up what a log's lines say between two readings: each count with the time that it lies in, and none twice."""

from __future__ import annotations

from collections.abc import Callable

from gpuwatch.collectors.training.logs.counting import Between, Counted, Trust, samples, tokens
from gpuwatch.collectors.training.logs.line import Kind, LogLine
from gpuwatch.collectors.training.logs.told import Told
from gpuwatch.dataclass import NamedTuple

CountFunction = Callable[[LogLine, LogLine, Between], Counted | None]
REPEAT_SECONDS = 30.0
"""Lines of earlier steps than the last are repeats (each rank of a job may print them, some later than others) until they have gone on
for so long: then the training began anew, or went back to a checkpoint."""
_MOST = 1e15
"""What no training does between two readings: a log that says so says nothing."""
_CLOCKS_AGREE_SECONDS = 1800.0
"""The times in two lines are believed if they are as far apart as the lines came, but for this: their clock has no zone and changes
twice a year."""


class Seen(NamedTuple):
    """A line and when it came, in seconds of a clock that never goes back."""

    line: LogLine
    at: float


def seconds_between(before: Seen, seen: Seen) -> float:
    """By the times in the lines if both have one, else by when they came."""
    came = seen.at - before.at
    if before.line.written is not None and seen.line.written is not None:
        own = seen.line.written - before.line.written
        if own >= 0 and abs(own - came) < _CLOCKS_AGREE_SECONDS:
            return own
    return max(0.0, came)


class Sum:
    """One count since the last reading."""

    def __init__(self) -> None:
        self.before: Seen | None = None
        self.amount: float | None = None
        self.seconds = 0.0
        self.how = ""
        self.trust: Trust | None = None

    def add(self, amount: float, seconds: float) -> None:
        """Something was done in so many seconds."""
        self.amount = (self.amount or 0.0) + amount
        self.seconds += seconds

    def take(self) -> tuple[float | None, float | None]:
        """Amount and seconds since the last time; ``None`` where nothing was counted or no time passed."""
        amount, seconds = self.amount, self.seconds
        self.amount, self.seconds = None, 0.0
        return (amount, seconds) if amount is not None and seconds > 0 else (None, None)


class Meter:
    """Steps, tokens and samples of the lines that it is shown, and the newest of what is not a count."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.steps, self.tokens, self.samples = Sum(), Sum(), Sum()
        self.last: LogLine | None = None
        """The newest line of the training itself."""
        self.kind: Kind | None = None
        self.newest_at: float | None = None
        self.step: int | None = None
        self.total_steps: int | None = None
        self.taken = 0
        self._back_since: float | None = None
        self._evaluated: Seen | None = None

    def show(self, line: LogLine, at: float, devices: int | None = None, gap: bool = False) -> None:
        """A line came at ``at``; ``gap``: lines before it may have been missed."""
        self.newest_at = at if self.newest_at is None else max(self.newest_at, at)
        self.taken += 1
        if line.kind is Kind.PROGRESS:
            self._move(Seen(line, at), line.step)
            return
        self.kind = line.kind
        seen = Seen(line, at)
        if line.kind is Kind.EVAL:
            self._evaluated = seen
        if line.kind is not Kind.TRAIN or not self._is_new(line, at):
            return
        self._move(seen, line.step)
        told = self._told
        for total, count in ((self.tokens, tokens), (self.samples, samples)):
            self._count(total, count, seen, devices, gap)
        self._evaluated = None
        if line.step is None and self.step is None:
            if told.logging_steps and self.steps.before and not gap:
                self.steps.add(told.logging_steps, seconds_between(self.steps.before, seen))
            self.steps.before = seen
        self.last = line

    def restart(self) -> None:
        """Nothing before counts any more."""
        self.steps.before = self.tokens.before = self.samples.before = None
        self.step = self._back_since = None

    def forget(self) -> None:
        """Count nothing of what was shown so far: it was done before anybody looked."""
        for total in (self.steps, self.tokens, self.samples):
            total.take()

    def _is_new(self, line: LogLine, at: float) -> bool:
        if line.step is None or self.step is None or line.step > self.step:
            self._back_since = None if line.step is not None else self._back_since
            return True
        if line.step == self.step:
            return self.steps.before is not None and self.steps.before.line.kind is Kind.PROGRESS
        if self._back_since is None:
            self._back_since = at
        if at - self._back_since < REPEAT_SECONDS:
            return False
        self.restart()
        return True

    def _move(self, seen: Seen, step: int | None) -> None:
        if step is None:
            return
        if self.steps.before is not None and self.step is not None and step > self.step:
            self.steps.add(step - self.step, seconds_between(self.steps.before, seen))
        if self.step is None or step > self.step:
            self.step, self.steps.before = step, seen
        self.total_steps = seen.line.total_steps or self.total_steps

    def _count(self, total: Sum, count: CountFunction, seen: Seen, devices: int | None, gap: bool) -> None:
        if count(seen.line, seen.line, Between(1.0, 1, self._told)) is None:
            return  # a line that tells nothing of this is no line to compare with either
        before = total.before
        if before is None:
            total.before = seen
            return
        counted = count(before.line, seen.line, Between(self._training_seconds(before, seen), devices, self._told, gap))
        if counted is not None and counted.amount is None:
            return
        total.before = seen
        if counted is None or counted.amount is None or not 0 <= counted.amount < _MOST:
            return
        total.add(counted.amount, seconds_between(before, seen))
        total.how, total.trust = counted.how, counted.trust

    def _training_seconds(self, before: Seen, seen: Seen) -> float:
        """Without an evaluation that came between: a rate is a mean since it."""
        return seconds_between(self._evaluated or before, seen)
