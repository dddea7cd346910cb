"""The rows of one GPU and hour as columns: what the store's tables, the ledger and the archive take of them."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import compress, repeat
from operator import mul
from typing import Any, TypeVar

from gpuwatch.ledger import stored
from gpuwatch.ledger.alone import Columns
from gpuwatch.ledger.types import NO_WORK, Fill, Work
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample
from gpuwatch.names import Tier
from gpuwatch.recorder.importing.sums import Facts, minutes
from gpuwatch.recorder.importing.track import Timed
from gpuwatch.store import columns
from gpuwatch.store.archive.codec import CODEC, Encoder
from gpuwatch.store.archive.hist import METRICS, Histogram, bin_of, bins_of
from gpuwatch.store.archive.shapes import GPU, SHAPES

COLUMNS = columns.measure_columns(GpuSample)
NAMES = tuple(measures(GpuSample))
KEY = ("tick_id", "gpu_id", *columns.GPU_FACTS)
_AT = {name: number for number, name in enumerate(COLUMNS)}
_BUSY, _SIGNALS, _WORK = ([_AT[name] for name in names] for names in (stored.BUSY, stored.SIGNALS, stored.WORK))
_SM, _FRACTION = _AT["sm_active_pm"], _AT["power_fraction_pm"]
MADE = frozenset((_FRACTION,))
"""Measures that a log does not have but that are worked out of it."""
_BY_POWER = [Fill(Tier.P, fraction) for fraction in range(1001)]
_UTILIZATION, _ENERGY, _POWER = _AT["utilization_pm"], _AT["energy_mj"], _AT["power_mw"]
_FLAG: dict[bool | None, int | None] = {None: None, False: 0, True: 1}
_CHUNK = columns.insert_sql("chunk", ("kind", "host_id", "entity_id", "t0_ms", "t1_ms", "n", "codec", "cols", "body"))
_MOST_BINS = 20_000
_GUESS_ROWS = 256
_BLOCK_ROWS = 900
"""So many rows has a block of a chunk: to replay an instant it is decoded as a whole."""
Cells = Sequence[int | None]


class HourRows:
    """One GPU's hour. ``sliced``: MIG instances are cut out of it, and its energy is theirs too.

    ``fresh`` says which rows are of this log, where others have joined them (``None``: all).
    """

    def __init__(self, gpu_id: int, timed: Timed, *, sliced: bool = False, fresh: Sequence[bool] | None = None) -> None:
        self.gpu_id, self.timed, self._sliced, self._fresh = gpu_id, timed, sliced, fresh
        self.cells: Sequence[Cells] = timed.cells
        self.used = [n for n, cells in enumerate(self.cells) if cells.count(None) != len(cells)]
        """The measures that some of the rows have, by their number."""
        self._flags = [_FLAG[quiet] for quiet in timed.quiet]

    def hot(self, tick_of: dict[int, int], used: Sequence[int]) -> list[tuple[int | None, ...]]:
        """Rows of ``gpu_sample`` with these measures."""
        one = self.timed
        facts = (one.dt_ms, self._flags, one.context, one.quiet_ms, one.kappa_pm, map(int, one.unavailable))
        ticks = map(tick_of.__getitem__, one.ts_ms)
        return list(zip(ticks, repeat(self.gpu_id), *facts, *(self.cells[n] for n in used)))

    @cached_property
    def ledger(self) -> Columns:
        """What the ledger reads of them."""
        one, busy = self.timed, self._busy()
        return Columns(
            one.ts_ms,
            one.dt_ms,
            one.quiet,
            one.quiet_ms,
            one.context,
            busy,
            one.kappa_pm,
            one.unavailable,
            [0] * len(one.ts_ms) if self._sliced else self._energy,
            one.labels,
            self._work(),
            self._fill(busy),
        )

    def _work(self) -> list[Work] | None:
        """The facts of work of each row; only an export of a recording has some."""
        if not set(_WORK) & set(self.used):
            return None
        known = _Kept(stored.work_of)
        found = [known[facts] for facts in zip(*(self.cells[n] for n in _WORK), strict=True)]
        return None if all(work is NO_WORK for work in found) else found

    def _fill(self, busy: Cells) -> list[Fill | None] | None:
        """How full the busy time of each row was."""
        used = {_SM, *_SIGNALS} & set(self.used)
        if not used:
            return None
        if used == {_FRACTION}:
            return [None if fraction is None else _BY_POWER[stored.share_pm(fraction)] for fraction in self.cells[_FRACTION]]
        known = _Kept(lambda key: stored.fill_of(key[0], key[1], key[2], key[3:]))
        columns = (busy, self.timed.kappa_pm, *(self.cells[n] for n in (_SM, *_SIGNALS)))
        return [known[key] for key in zip(*columns, strict=True)]

    def minutes(self) -> Iterator[tuple[int | None, ...]]:
        """Rows of ``gpu_minute``."""
        one = self.timed
        facts = Facts(one.ts_ms, one.dt_ms, self._flags, one.context, one.unavailable, self._energy)
        return minutes(self.gpu_id, facts, self.cells, self.used)

    def _busy(self) -> Cells:
        """The busy share in per mille: the first that is known of each row."""
        known = [self.cells[n] for n in _BUSY if n in self.used]
        if not known:
            return [None] * len(self.timed.ts_ms)
        if len(known) == 1 and not any(value is None or not 0 <= value <= 1000 for value in set(known[0])):
            return known[0]
        first = (next((value for value in values if value is not None), None) for values in zip(*known, strict=True))
        return [None if value is None else stored.share_pm(value) for value in first]

    @cached_property
    def _energy(self) -> list[int]:
        """Millijoules of each row: counted, else power over its time; 0 where neither is known."""
        none = [0] * len(self.timed.ts_ms)
        if not {_ENERGY, _POWER} & set(self.used):
            return none
        counted, power = self.cells[_ENERGY], self.cells[_POWER]
        if _ENERGY not in self.used and None not in power:
            found = [watts * dt // 1000 for watts, dt in zip(power, self.timed.dt_ms)]  # type: ignore[operator]
        else:
            found = [
                joules if joules is not None else 0 if watts is None else watts * dt // 1000
                for joules, watts, dt in zip(counted, power, self.timed.dt_ms)
            ]
        return [max(0, joules) for joules in found] if min(found) < 0 else found

    def utilization(self) -> tuple[int, int, int, int]:
        """Of the log's own rows: those with a utilization, their sum (per mille), their sum over time (per mille x ms), and that time (ms)."""
        times, values = self.timed.dt_ms, self.cells[_UTILIZATION]
        if None in values or self._fresh is not None:
            own = self._fresh or [True] * len(times)
            known = [(value, dt) for value, dt, mine in zip(values, times, own) if mine and value is not None]
            values, times = [value for value, _ in known], [dt for _, dt in known]
        return len(values), sum(values), sum(map(mul, values, times)), sum(times)  # type: ignore[arg-type]

    @property
    def observed_ms(self) -> int:
        """The time that the log's own rows speak for."""
        times = self.timed.dt_ms
        return sum(times if self._fresh is None else compress(times, self._fresh))

    def seal(self, db: sqlite3.Connection, host_id: int, t0_ms: int) -> None:
        """The chunk and the distributions of the hour, as sealing its hot rows would write them; in the open transaction."""
        one = self.timed
        facts: tuple[Cells, ...] = (
            one.dt_ms,
            self._flags,
            one.context,
            one.quiet_ms,
            one.kappa_pm,
            list(map(int, one.unavailable)),
        )
        names = SHAPES[GPU].columns
        values: list[Sequence[int | None]] = [one.ts_ms, *facts, *self.cells]
        rows = len(one.ts_ms)
        encoder, histogram = Encoder(names, t0_ms), Histogram(GPU)
        for start in range(0, rows, _BLOCK_ROWS):
            block = [cells[start : start + _BLOCK_ROWS] for cells in values]
            for _ in encoder.add(block):
                pass
        cols, body = encoder.finish()
        db.execute(_CHUNK, (GPU, host_id, self.gpu_id, t0_ms, one.ts_ms[-1], rows, CODEC, cols, body))
        for metric in METRICS.values():
            if metric.kind == GPU and _AT[metric.column] in self.used:
                histogram.add(_binned(metric.column, self.cells[_AT[metric.column]], one.dt_ms))
        histogram.write(db, t0_ms // 1000, self.gpu_id)


_V = TypeVar("_V")


class _Kept(dict[tuple[Any, ...], _V]):
    """What a function says of a row's values, remembered: rows repeat themselves."""

    def __init__(self, ask: Callable[[tuple[Any, ...]], _V]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, key: tuple[Any, ...]) -> _V:
        found = self[key] = self._ask(key)
        return found


class _Bins(dict[int, int]):
    """Value -> its bin, remembered."""

    def __missing__(self, value: int) -> int:
        if len(self) > _MOST_BINS:
            self.clear()
        found = self[value] = bin_of(value)
        return found


_BINS = _Bins()


def _binned(column: str, values: Cells, lengths: Sequence[int]) -> dict[str, Sequence[int]]:
    """The rows of one measure with the same distribution: one for each bin, for all of its time."""
    if None in values:
        lengths = [length for value, length in zip(values, lengths) if value is not None]
        values = [value for value in values if value is not None]
    some = values[:_GUESS_ROWS]
    few = 2 * len(set(some)) < len(some)  # values that do not repeat are not worth remembering
    numbers = list(map(_BINS.__getitem__, values)) if few else bins_of(values)  # type: ignore[arg-type]
    times: dict[int, int] = defaultdict(int)
    for number, length in zip(numbers, lengths):
        times[number] += length
    example = dict(zip(numbers, values))
    return {column: [example[number] for number in times], "dt_ms": list(times.values())}  # type: ignore[misc]
