"""The energy of GPUs over the seconds of a rate, from single rows that are read when somebody asks."""

from __future__ import annotations

from gpuwatch.store.facts import GpuFacts
from gpuwatch.store.window import Window

KEPT_MS = 75_000
"""So much is read at once; more where a rate goes further back."""


class Energies:
    """Rows of all GPUs up to an instant; at the live end only new ones are read."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._rows: dict[int, list[GpuFacts]] = {}
        self._from_ms = self._to_ms = 0
        self._back_ms = KEPT_MS

    def power(self, gpu_id: int, start_ms: int, end_ms: int, at_ms: int) -> float | None:
        """The mean power of a GPU in ``[start_ms, end_ms]``, watts: from its energy counter, else its power readings.

        ``at_ms`` is the instant of the view. ``None`` where less than half of the time was observed.
        """
        self._take(start_ms, at_ms)
        energy = seen = 0.0
        for row in reversed(self._rows.get(gpu_id, ())):
            ts_ms, ms = row.ts_ms, row.dt_ms
            if ts_ms <= start_ms:
                break
            if ts_ms > end_ms or ts_ms - ms < start_ms:
                ms = min(end_ms, ts_ms) - max(start_ms, ts_ms - ms)
            if ms <= 0:
                continue
            used: float | None = row.energy_mj
            if used is None and row.power_mw is not None:
                used = row.power_mw * row.dt_ms / 1000
            if used is not None:
                energy, seen = energy + used * ms / row.dt_ms, seen + ms
        return energy / seen if seen and seen * 2 >= end_ms - start_ms else None

    def _take(self, start_ms: int, at_ms: int) -> None:
        self._back_ms = max(self._back_ms, at_ms - start_ms)
        before_ms = at_ms - self._back_ms
        if self._to_ms == at_ms and self._from_ms <= before_ms:
            return
        if self._to_ms > at_ms or self._from_ms > before_ms or self._to_ms <= before_ms:
            self._rows, self._to_ms = {}, before_ms
        first, last = self._window.tick_range(self._to_ms + 1, at_ms)
        for row in self._window.gpu_rows(first, last) if first <= last else ():
            self._rows.setdefault(row.gpu_id, []).append(row)
        for rows in self._rows.values():
            while rows and rows[0].ts_ms <= before_ms:
                rows.pop(0)
        self._from_ms, self._to_ms = before_ms, at_ms
