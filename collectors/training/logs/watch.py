"""The logs of one training: what it writes to its standard output or to a named file, as differences from one look to the next.

Nothing is asked of the training and nothing is opened that is not a regular file: a pipe would lose what is read from it. No text of a
log or of a command line is kept or handed on, only numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gpuwatch.clock import Clock
from gpuwatch.collectors.training.logs.formats import FORMATS
from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, Per, plain
from gpuwatch.collectors.training.logs.meter import Meter
from gpuwatch.collectors.training.logs.outputs import regular_outputs
from gpuwatch.collectors.training.logs.reading import LogReading
from gpuwatch.collectors.training.logs.recognise import recognise
from gpuwatch.collectors.training.logs.tail import Chunk, Tail
from gpuwatch.collectors.training.logs.told import Told, told_by_any

_NS = 1e9
_MOST_FILES = 64


class Follower:
    """One file: of which framework it is, and what its lines add up to."""

    def __init__(self, tail: Tail, settings: Told) -> None:
        self.tail, self._settings = tail, settings
        self.format: Format | None = None
        self.meter = Meter(settings)
        self.skipped_bytes = 0
        self._training_bar: int | None = None
        """The total of the bar that is drawn after a line of the training: an evaluation has another."""
        self._bar_follows = False

    def read(self, clock: Clock, now: float, devices: int | None) -> None:
        """Look at what was written."""
        chunk = self.tail.read()
        if not chunk.lines:
            return
        at = clock.monotonic_ns() / _NS
        if chunk.joined and self.tail.changed_at is not None:
            at -= max(0.0, now - self.tail.changed_at)
        self.skipped_bytes += chunk.skipped_bytes
        self._take(chunk, at, devices)
        if chunk.joined:
            self.meter.forget()

    def _take(self, chunk: Chunk, at: float, devices: int | None) -> None:
        gap = chunk.skipped_bytes > 0
        self._bar_follows = self._bar_follows and not gap
        for raw in chunk.lines:
            text = plain(raw)
            found = recognise(text, self.format)
            if found is not self.format:
                self.format, self.meter = found, Meter(self._settings)
            line = self.format.parse(text) if self.format and text else None
            if line is not None:
                self._show(line, at, devices, gap)
                gap = gap and line.kind is not Kind.TRAIN

    def _show(self, line: LogLine, at: float, devices: int | None, gap: bool) -> None:
        if line.kind is not Kind.PROGRESS:
            self._bar_follows = line.kind is Kind.TRAIN
        elif self._bar_follows:
            self._training_bar, self._bar_follows = line.total_steps, False
            if self.meter.step is not None and line.step is not None and line.step < self.meter.step:
                self.meter.restart()
        elif line.total_steps != self._training_bar:
            return
        self.meter.show(line, at, devices, gap)


class LogWatch:
    """Reads the logs of one process. ``argv`` is its command line, already split: a few numbers are taken from it, no word is kept.

    ``named_files`` are followed as well, and before the outputs, if the process' own user owns them; ``more_pids`` are the other
    processes of the same job, whose outputs may be other files (Megatron-LM prints on its last rank alone) and whose command lines
    may say what that of a shell does not. Not thread-safe.
    """

    def __init__(
        self,
        pid: int,
        argv: Sequence[str],
        named_files: Sequence[str | Path],
        clock: Clock,
        proc_root: Path = Path("/proc"),
        more_pids: Sequence[int] = (),
    ) -> None:
        self._clock = clock
        settings = told_by_any(argv, more_pids, proc_root)
        try:
            owner = os.stat(f"{proc_root}/{pid}").st_uid
        except OSError:
            owner = -1  # nobody's: a process that is gone has no file of its own
        tails = [Tail(str(path), clock, owner) for path in named_files]
        tails += [Tail(path, clock) for path in _different(pid, *more_pids, proc_root=proc_root)]
        self._followers = [Follower(tail, settings) for tail in tails[:_MOST_FILES]]

    @property
    def problems(self) -> dict[str, str]:
        """Why a file is not followed at the moment, by its path: in words after "it is"."""
        return {follower.tail.path: follower.tail.problem for follower in self._followers if follower.tail.problem}

    def read(self, now: float, devices: int | None = None) -> LogReading | None:
        """What was written since the last call; ``None`` while no file is of a framework that is known.

        ``now`` is unix seconds. ``devices`` is how many devices the whole job trains on, if that is known: a rate per device says
        nothing of the job without it. The first reading only sets what later ones are compared with. Never raises.
        """
        files: dict[tuple[int, int], Follower] = {}
        for follower in self._followers:
            if follower.tail.identity not in files:
                follower.read(self._clock, now, devices)
            if follower.tail.identity:
                files.setdefault(follower.tail.identity, follower)
        known = [(FORMATS.index(follower.format), at) for at, follower in enumerate(files.values()) if follower.format]
        if not known:
            return None
        return reading(list(files.values())[min(known)[1]], self._clock.monotonic_ns() / _NS)

    def close(self) -> None:
        """Let all files go."""
        for follower in self._followers:
            follower.tail.close()


def _source(form: Format | None, meter: Meter, has_rate: bool) -> str:
    if form is None:
        return ""
    if meter.tokens.how:
        return f"{form.title} log: {meter.tokens.how}"
    if has_rate:
        how = "tokens/s per device"
    elif meter.tokens.before is not None:
        how = "no token count yet"
    else:
        how = f"no token count without {form.needs} on the command line" if form.needs else "no token count"
    return f"{form.title} log: {how}" + (f"; samples: {meter.samples.how}" if meter.samples.how else "")


def _different(*pids: int, proc_root: Path) -> list[str]:
    """The outputs of several processes, each file once."""
    found: dict[tuple[int, int], str] = {}
    for pid in pids:
        for path in regular_outputs(pid, proc_root):
            try:
                there = os.stat(path)
            except OSError:
                continue
            found.setdefault((there.st_dev, there.st_ino), path)
    return list(found.values())


def reading(follower: Follower, at: float) -> LogReading:
    """What a file's lines added up to since the last time, and what the newest says."""
    meter, form = follower.meter, follower.format
    last = meter.last
    steps, steps_seconds = meter.steps.take()
    tokens, tokens_seconds = meter.tokens.take()
    samples, samples_seconds = meter.samples.take()
    taken, meter.taken = meter.taken, 0
    skipped, follower.skipped_bytes = follower.skipped_bytes, 0
    per_device = last is not None and last.tokens_per is Per.DEVICE
    return LogReading(
        framework=form.name if form else "",
        source=_source(form, meter, per_device and last is not None and last.tokens_per_second is not None),
        trust=meter.tokens.trust or meter.samples.trust,
        steps=None if steps is None else round(steps),
        steps_seconds=steps_seconds,
        tokens=tokens,
        tokens_seconds=tokens_seconds,
        samples=samples,
        samples_seconds=samples_seconds,
        step=meter.step,
        total_steps=meter.total_steps,
        step_seconds=last.step_seconds if last else None,
        tokens_per_second_per_device=last.tokens_per_second if last and per_device else None,
        loss=last.loss if last else None,
        grad_norm=last.grad_norm if last else None,
        mfu=last.mfu if last else None,
        evaluating=meter.kind is Kind.EVAL,
        ended=meter.kind is Kind.END,
        new_lines=taken,
        age_seconds=None if meter.newest_at is None else max(0.0, at - meter.newest_at),
        skipped_bytes=skipped,
    )
