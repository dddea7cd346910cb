"""One daemon thread per collector: it reads on the grid, skips the slots it missed and hands over what it got.

Nothing waits for it: a call that hangs stops this collector's numbers and nothing else, and a daemon thread never blocks the exit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from gpuwatch.clock import Clock
from gpuwatch.recorder.grid import last_slot, wait_for_slot
from gpuwatch.recorder.source import Delivery, Source


class CollectorThread:
    """Runs one source on the wall seconds that are multiples of its interval."""

    def __init__(self, source: Source, clock: Clock, deliver: Callable[[Delivery], None]) -> None:
        self.source = source
        self._clock = clock
        self._deliver = deliver
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"collect-{source.name}", daemon=True)

    def start(self) -> None:
        """Begin with one reading at once, then on the grid."""
        self._thread.start()

    def poke(self) -> None:
        """Read once between two slots: now, or after the reading that is under way."""
        self._wake.set()

    def stop(self, seconds: float = 0.0) -> None:
        """Ask it to end, and wait up to ``seconds`` for the collector to be closed; a hung one is left behind."""
        self._stopping = True
        self._wake.set()
        if seconds > 0 and self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        self._read(last_slot(self._clock, 1.0))
        while not self._stopping:
            slot = wait_for_slot(self._clock, self.source.interval, self._wake)
            self._wake.clear()
            if not self._stopping:
                self._read(last_slot(self._clock, 1.0) if slot is None else slot)
        self.source.close()

    def _read(self, grid: float) -> None:
        self._deliver(self.source.step(grid))
