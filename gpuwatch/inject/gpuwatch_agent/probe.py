"""The drain probe: whether the GPU was waiting between two steps, by events and without waiting for it."""

from __future__ import annotations

from typing import Any

from .hookfile import OTHER, PHASES


class Probe:
    """Tells how long the GPU's queue was empty between two steps and what the host was doing then, without waiting for the GPU.

    After the optimizer's step an event is recorded. If that event has happened when the next forward begins, the GPU had run dry, and
    a second event marks where work comes again: the time between both is read when both have happened, some steps later. It was the
    end of the host's time between the two, so it is charged to the phases from the last one backwards. Without an event that has
    happened, the host was ahead: what it waited for has cost nothing. Where the GPU evaluated in between, nothing is said.
    """

    def __init__(self, cuda: Any, pairs: int = 4) -> None:
        self.cuda = cuda
        self.free = [(cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)) for _ in range(pairs)]
        self.open: Any = None
        self.waiting: list[tuple[Any, list[tuple[int, int]]]] = []
        self.moves: list[tuple[int, int]] = []
        self.steps = self.drained = 0
        self.idle = [0] * PHASES

    def step_ended(self, phase: int, now: int) -> None:
        """The host has queued a whole step."""
        if self.cuda.is_current_stream_capturing():
            return
        while self.waiting and all(event.query() for event in self.waiting[0][0]):
            (begin, end), moves = self.waiting.pop(0)
            self.free.append((begin, end))
            self._charge(int(begin.elapsed_time(end) * 1e6), moves)
        if self.open is not None:
            self.free.append(self.open)
        self.open = self.free.pop() if self.free else None
        if self.open is not None:
            self.open[0].record()
            self.moves = [(phase, now)]

    def moved(self, phase: int, now: int) -> None:
        """The host goes on to another phase."""
        if self.open is not None and len(self.moves) < 64:
            self.moves.append((phase, now))

    def forward_begins(self, now: int, training: bool) -> None:
        """The first forward after a step begins."""
        pair, self.open = self.open, None
        if pair is None:
            return
        if training and not self.cuda.is_current_stream_capturing():
            self.steps += 1
            if pair[0].query():
                self.drained += 1
                pair[1].record()
                self.waiting.append((pair, [*self.moves, (OTHER, now)]))
                return
        self.free.append(pair)

    def _charge(self, gap: int, moves: list[tuple[int, int]]) -> None:
        for (phase, begin), (_, end) in reversed(list(zip(moves, moves[1:]))):  # noqa: RUF007 - pairwise is of Python 3.10
            part = min(gap, end - begin)
            self.idle[phase] += part
            gap -= part
