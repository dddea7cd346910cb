"""Letting a laptop's GPU sleep: an open driver keeps an idle GPU awake (5 to 25 W), so it is closed after a while of idleness.

Only where every GPU is one that sleeps. While closed, sysfs alone is read; the driver is opened
again when something else woke the GPU, or when it did not fall asleep after all (a display keeps it awake) and then for longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpuwatch.collectors.nvml.boards import Board
from gpuwatch.collectors.nvml.opening import sleeping
from gpuwatch.model import Gpu

_IDLE_SECONDS = 20
_PATIENCE_SECONDS = 15
"""The kernel suspends a GPU some six seconds after its last user."""
_NEXT_TRY_SECONDS = 6 * 3600
"""An attempt in vain costs the rows of a quarter of a minute."""


class Doze:
    """When to let go of the driver and when to take it up again. ``gpus`` are the GPUs that are left alone, if any."""

    def __init__(self, sys_root: Path) -> None:
        self._sys_root = sys_root
        self._idle_since: int | None = None
        self._begun = self._not_before = 0
        self._slept = False
        self.gpus: Sequence[Gpu] = ()

    def is_time(self, boards: Sequence[Board], second: int) -> bool:
        """Whether all GPUs have been idle long enough to be left alone."""
        if not all(board.may_sleep and not board.asleep and _idle(board) for board in boards):
            self._idle_since = None
            return False
        if self._idle_since is None or self._idle_since > second:
            self._idle_since = second
        return second - self._idle_since >= _IDLE_SECONDS and second >= self._not_before

    def begin(self, gpus: Sequence[Gpu], second: int) -> None:
        """The driver is closed now."""
        self.gpus, self._begun, self._slept = gpus, second, False

    def is_over(self, second: int) -> bool:
        """Whether to open the driver again; asks sysfs only."""
        if all(sleeping(self._sys_root, gpu.pci_bus_id) for gpu in self.gpus):
            self._slept = True
            return False
        if not self._slept:
            if 0 <= second - self._begun < _PATIENCE_SECONDS:
                return False
            self._not_before = second + _NEXT_TRY_SECONDS
        return True

    def end(self) -> None:
        """The driver is open again, or given up."""
        self.gpus, self._idle_since = (), None


def _idle(board: Board) -> bool:
    if board.reader is None or board.lost:
        return False
    readings = board.reader.readings
    return readings["utilization_ratio"] == 0 and readings["process_count"] == 0
