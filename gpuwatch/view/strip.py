"""The cells of one GPU's strip: time per state and mean height, added up row by row."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.names import Bucket, State
from gpuwatch.view.types import Cell

NO_CELL = Cell(None, State.NO_DATA)
STATE_OF = {
    Bucket.UNAVAILABLE: State.UNAVAILABLE,
    Bucket.UNALLOCATED: State.FREE,
    Bucket.IDLE_UNATTRIBUTED: State.IDLE_UNATTRIBUTED,
    Bucket.ALLOCATED_UNUSED: State.UNUSED,
    Bucket.HELD_IDLE: State.HELD_IDLE,
    Bucket.WAIT: State.WAITING,
    Bucket.THROTTLED: State.THROTTLED,
    Bucket.QUIET: State.QUIET,
}
"""The state that a bucket's time was spent in; all others are busy."""
_THROTTLED_PART = 50
"""A lost part of 1/50 of the busy time is what single rows call throttled (``track.THROTTLED_BELOW_PM``)."""


def state_of_buckets(milliseconds: Mapping[int, int]) -> State:
    """The state that took most of a cell, from its time by bucket.

    The ledger splits a busy second into many buckets and books as throttled only what was lost; here they count together.
    """
    sums: dict[State, int] = {}
    for bucket, ms in milliseconds.items():
        state = STATE_OF.get(Bucket(bucket), State.BUSY)
        state = State.BUSY if state is State.THROTTLED else state
        sums[state] = sums.get(state, 0) + ms
    most = max(sums, key=lambda each: (sums[each], each), default=State.NO_DATA)
    lost = milliseconds.get(Bucket.THROTTLED, 0)
    return State.THROTTLED if most is State.BUSY and lost * _THROTTLED_PART > sums[most] else most


class _CellSum:
    """What a cell is made of: height x time, time with a height, time per state."""

    __slots__ = ("height", "height_ms", "states")

    def __init__(self) -> None:
        self.height = 0
        self.height_ms = 0
        self.states: dict[State, int] = {}

    def move(self, ms: int, was: State, to: State) -> None:
        """Time has got another name."""
        self.states[was] = self.states.get(was, 0) - ms
        self.states[to] = self.states.get(to, 0) + ms

    def cell(self) -> Cell:
        """The mean height and the state that took most of the time."""
        state = max(self.states, key=lambda s: (self.states[s], s))
        return Cell(self.height / self.height_ms / 1000 if self.height_ms else None, state)


class Strip:
    """Cells by number: unix time divided by their length."""

    def __init__(self, cell_ms: int) -> None:
        self.cell_ms = cell_ms
        self._sums: dict[int, _CellSum] = {}
        self._cells: dict[int, Cell] = {}

    def put(self, index: int, state: State, ms: int, height: int, height_ms: int) -> None:
        """``ms`` of one state into a cell; ``height`` is per mille x milliseconds over ``height_ms``."""
        sums = self._sums.get(index)
        if sums is None:
            sums = self._sums[index] = _CellSum()
        sums.states[state] = sums.states.get(state, 0) + ms
        sums.height += height
        sums.height_ms += height_ms
        self._cells.pop(index, None)

    def rename(self, pending: dict[int, int], name: State, was: State = State.QUIET) -> None:
        """Milliseconds by cell have got their name."""
        for index, ms in pending.items():
            sums = self._sums.get(index)
            if sums is not None:
                sums.move(ms, was, name)
                self._cells.pop(index, None)

    def cells(self, last: int, count: int) -> tuple[Cell, ...]:
        """``count`` cells up to number ``last``, oldest first."""
        done, sums = self._cells, self._sums
        out = []
        for index in range(last - count + 1, last + 1):
            cell = done.get(index)
            if cell is None:
                found = sums.get(index)
                cell = done[index] = NO_CELL if found is None else found.cell()
            out.append(cell)
        return tuple(out)

    def forget(self, before_ms: int) -> None:
        """Drop the cells that end before ``before_ms``."""
        for index in [i for i in self._sums if (i + 1) * self.cell_ms <= before_ms]:
            del self._sums[index]
        for index in [i for i in self._cells if (i + 1) * self.cell_ms <= before_ms]:
            del self._cells[index]
