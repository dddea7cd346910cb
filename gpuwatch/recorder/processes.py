"""Process rows: the driver's side (which GPU, how much memory, SM time) joined to the host's side (CPU, RSS, I/O).

There is one row per process and GPU; the host's side stands on the row of the first GPU. Rows come when the process collector has
looked; readings that a faster driver made in between are folded: memory is the last one, utilization the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuwatch.model import Batch, ProcessSample, measures, quantise
from gpuwatch.recorder.people import People
from gpuwatch.store.rows import ProcessRow, Values

Key = tuple[int, int]
_COLUMNS = tuple(measures(ProcessSample))
_AVERAGED = frozenset(n for n, name in enumerate(_COLUMNS) if measures(ProcessSample)[name].group == "sm")
_NOTHING: Values = (None,) * len(_COLUMNS)


def fill(values: Values, more: Values) -> Values:
    """What the first does not say, the second does."""
    return tuple(first if first is not None else second for first, second in zip(values, more))


class _Folded:
    """Readings of one process on one GPU since its last row."""

    __slots__ = ("counts", "last", "sums")

    def __init__(self, values: Values) -> None:
        self.last = values
        self.sums: dict[int, int] = {}
        self.counts: dict[int, int] = {}
        self.add(values)

    def add(self, values: Values) -> None:
        self.last = values
        for n in _AVERAGED:
            if (value := values[n]) is not None:
                self.sums[n] = self.sums.get(n, 0) + value
                self.counts[n] = self.counts.get(n, 0) + 1

    def values(self) -> Values:
        out = list(self.last)
        for n, total in self.sums.items():
            out[n] = round(total / self.counts[n])
        return tuple(out)


class ProcessRows:
    """Gathers both sides until a row is due."""

    def __init__(self, people: People, dt: Callable[[object, int, int], int]) -> None:
        self._people = people
        self._dt = dt
        self._driver: dict[Key, dict[str, _Folded]] = {}
        self._looked_ms = 0
        self._look_period_ms = 0

    def forget(self) -> None:
        """Nothing of before belongs to the next rows."""
        self._driver.clear()

    def merge(self, ts_ms: int, batches: Mapping[str, Batch], periods_ms: Mapping[str, int]) -> list[ProcessRow]:
        """The rows that are due at ``ts_ms``: all of them when the process collector has looked, or when it is not there."""
        looked = False
        host_side: dict[Key, Values] = {}
        for name, batch in batches.items():
            if batch.processes is not None or any(not sample.gpu_uuid for sample in batch.process_samples):
                looked, self._looked_ms, self._look_period_ms = True, ts_ms, periods_ms[name]
            for process in batch.processes or ():
                host_side[process.key] = _NOTHING
        driver_period = 0
        for name, batch in batches.items():
            if self._take_driver(ts_ms, batch, looked):
                driver_period = periods_ms[name]
            for sample in batch.process_samples:
                if not sample.gpu_uuid:
                    key = sample.pid, sample.start_ms
                    host_side[key] = fill(quantise(sample), host_side.get(key, _NOTHING))
        if not looked and (not driver_period or ts_ms - self._looked_ms <= 3 * self._look_period_ms):
            return []
        return self._rows(ts_ms, host_side, self._look_period_ms if looked else driver_period)

    def _take_driver(self, ts_ms: int, batch: Batch, looked: bool) -> bool:
        """Fold what one driver says of processes on its GPUs; True if it says anything."""
        samples = [sample for sample in batch.process_samples if sample.gpu_uuid]
        for sample in samples:
            start_ms = sample.start_ms
            if not start_ms:
                process = self._people.identify(sample.pid, ts_ms, looked)
                if process is None:
                    continue
                start_ms = process.start_ms
            values = quantise(sample)
            on_gpus = self._driver.setdefault((sample.pid, start_ms), {})
            if sample.gpu_uuid in on_gpus:
                on_gpus[sample.gpu_uuid].add(values)
            else:
                on_gpus[sample.gpu_uuid] = _Folded(values)
        if batch.gpu_samples:
            self._people.keep_strangers(frozenset(sample.pid for sample in samples))
        return bool(samples)

    def _rows(self, ts_ms: int, host_side: dict[Key, Values], period_ms: int) -> list[ProcessRow]:
        rows: list[ProcessRow] = []
        for key, on_gpus in self._driver.items():
            host_values = host_side.pop(key, _NOTHING)
            for uuid in sorted(on_gpus, key=self._gpu_order):
                values = fill(on_gpus[uuid].values(), host_values)
                host_values = _NOTHING
                rows.append(ProcessRow(*key, uuid, self._dt((key, uuid), ts_ms, period_ms), values))
        for key, values in host_side.items():
            rows.append(ProcessRow(*key, "", self._dt((key, ""), ts_ms, period_ms), values))
        self._driver.clear()
        return rows

    def _gpu_order(self, uuid: str) -> tuple[int, str]:
        gpu = self._people.gpus.get(uuid)
        return (gpu.index if gpu else -1, uuid)
