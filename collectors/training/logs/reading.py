"""What a log says since it was last asked."""

from __future__ import annotations

from gpuwatch.collectors.training.logs.counting import Trust
from gpuwatch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class LogReading:
    """Differences since the last reading, of the whole job, each with the seconds that it lies in (from one line to another, so it
    is not the time between two readings). ``None`` is not known: no new line, no earlier line to compare with, or a line that
    does not tell it. It is never a zero that nobody counted.

    ``age_seconds`` is how long ago the newest line came. ``evaluating`` is whether that line is of an evaluation. ``mfu`` (0 to 1) is the
    framework's own word. ``source`` says in words what was read and how tokens (or, without any, samples) follow, ``trust`` how sure
    that is.
    ``skipped_bytes`` were written faster than they are read here.
    """

    framework: str
    source: str
    trust: Trust | None = None
    steps: int | None = None
    steps_seconds: float | None = None
    tokens: float | None = None
    tokens_seconds: float | None = None
    samples: float | None = None
    samples_seconds: float | None = None
    step: int | None = None
    total_steps: int | None = None
    step_seconds: float | None = None
    tokens_per_second_per_device: float | None = None
    loss: float | None = None
    grad_norm: float | None = None
    mfu: float | None = None
    evaluating: bool = False
    ended: bool = False
    new_lines: int = 0
    age_seconds: float | None = None
    skipped_bytes: int = 0

    @property
    def window_seconds(self) -> float | None:
        """The time that the counts lie in: of the tokens if there are any, else of the steps, else of the samples."""
        return self.tokens_seconds or self.steps_seconds or self.samples_seconds
