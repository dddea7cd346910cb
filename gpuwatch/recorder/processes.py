"""Process rows: the driver's side (which GPU, how much memory, SM time) joined to the host's side (CPU, RSS, I/O).

There is one row per process and GPU; the host's side stands on the row of the first GPU. Rows come when the process collector has
looked; readings that a faster driver made in between are folded: memory is the last one, utilization the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter

from gpuwatch.measure import measures
from gpuwatch.model import Batch, ProcessSample
from gpuwatch.recorder.people import People
from gpuwatch.recorder.timeline import PERIODS
from gpuwatch.store.rows import ProcessRow, Values

Key = tuple[int, int]
_MEASURES = measures(ProcessSample)
_DRIVER_GROUPS = ("gpu_memory", "sm")
_DRIVER_NAMES = tuple(name for name, m in _MEASURES.items() if m.group in _DRIVER_GROUPS)
_HOST_NAMES = tuple(name for name in _MEASURES if name not in _DRIVER_NAMES)
_AVERAGED = tuple(n for n, name in enumerate(_DRIVER_NAMES) if _MEASURES[name].group == "sm")
_NO_DRIVER_SIDE: Values = (None,) * len(_DRIVER_NAMES)
_NO_HOST_SIDE: Values = (None,) * len(_HOST_NAMES)


def _side(names: tuple[str, ...]) -> Callable[[ProcessSample], Values]:
    """``quantise`` for one side of a sample: half of its measures are always empty."""
    get, scales = attrgetter(*names), tuple(_MEASURES[name].scale for name in names)

    def side(sample: ProcessSample) -> Values:
        return tuple([None if value is None else round(value * scale) for value, scale in zip(get(sample), scales)])

    return side


_driver_side, _host_side = _side(_DRIVER_NAMES), _side(_HOST_NAMES)


def _folded(readings: list[Values]) -> Values:
    """One row from the driver's readings since the last one."""
    if len(readings) == 1:
        return readings[0]
    out = list(readings[-1])
    for n in _AVERAGED:
        known = [value for reading in readings if (value := reading[n]) is not None]
        out[n] = round(sum(known) / len(known)) if known else None
    return tuple(out)


class ProcessRows:
    """Gathers both sides until a row is due."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._last: dict[tuple[Key, str], int] = {}
        self._driver: dict[Key, dict[str, list[Values]]] = {}
        self._looked_ms = 0
        self._look_period_ms = 0
        self.complete = False
        """Whether all processes had their row in the last merge, which is so when the process collector looked."""

    def forget(self) -> None:
        """Nothing of before belongs to the next rows."""
        self._driver.clear()
        self._last.clear()

    def merge(self, ts_ms: int, batches: Mapping[str, Batch], periods_ms: Mapping[str, int]) -> list[ProcessRow]:
        """The rows that are due at ``ts_ms``: all of them when the process collector has looked, or when it is not there."""
        looked = False
        host_side: dict[Key, Values] = {}
        for name, batch in batches.items():
            if batch.processes is not None or any(not sample.gpu_uuid for sample in batch.process_samples):
                looked, self._looked_ms, self._look_period_ms = True, ts_ms, periods_ms[name]
            for process in batch.processes or ():
                host_side[process.pid, process.start_ms] = _NO_HOST_SIDE
        self._people.forget_strangers(ts_ms)
        driver_period = 0
        for name, batch in batches.items():
            if self._take_driver(ts_ms, batch, looked):
                driver_period = periods_ms[name]
            for sample in batch.process_samples:
                if not sample.gpu_uuid:
                    host_side[sample.pid, sample.start_ms] = _host_side(sample)
        self.complete = looked or (driver_period > 0 and ts_ms - self._looked_ms > PERIODS * self._look_period_ms)
        if not self.complete:
            return []
        return self._rows(ts_ms, host_side, self._look_period_ms if looked else driver_period)

    def _take_driver(self, ts_ms: int, batch: Batch, looked: bool) -> bool:
        """Fold what one driver says of processes on its GPUs; True if it says anything."""
        samples = [sample for sample in batch.process_samples if sample.gpu_uuid]
        for sample in samples:
            pid, start_ms = sample.pid, sample.start_ms
            if not start_ms:
                process = self._people.identify(pid, ts_ms, looked)
                if process is None:
                    continue
                start_ms = process.start_ms
            on_gpus = self._driver.setdefault((pid, start_ms), {})
            on_gpus.setdefault(sample.gpu_uuid, []).append(_driver_side(sample))
        return bool(samples)

    def _rows(self, ts_ms: int, host_side: dict[Key, Values], period_ms: int) -> list[ProcessRow]:
        rows: list[ProcessRow] = []
        last, reach = self._last, PERIODS * period_ms

        def add(key: Key, uuid: str, values: Values) -> None:
            entity = key, uuid
            dt = ts_ms - last.get(entity, ts_ms)
            last[entity] = ts_ms
            rows.append(ProcessRow(key[0], key[1], uuid, dt if 0 < dt <= reach else 0, values))

        for key, on_gpus in self._driver.items():
            host_values = host_side.pop(key, _NO_HOST_SIDE)
            for uuid in on_gpus if len(on_gpus) == 1 else sorted(on_gpus, key=self._gpu_order):
                add(key, uuid, _folded(on_gpus[uuid]) + host_values)
                host_values = _NO_HOST_SIDE
        for key, values in host_side.items():
            add(key, "", _NO_DRIVER_SIDE + values)
        self._driver.clear()
        if len(last) > 2 * len(rows) + 64:
            self._last = {entity: at for entity, at in last.items() if at >= ts_ms - reach}
        return rows

    def _gpu_order(self, uuid: str) -> tuple[int, str]:
        gpu = self._people.gpus.get(uuid)
        return (gpu.index if gpu else -1, uuid)
