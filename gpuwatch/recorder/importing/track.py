"""One GPU of a past log: the time that each of its rows speaks for, and the facts of ``ledger.facts``, as the recorder would have them.

A log has millions of rows and few different ones: a fact is asked of the ledger once for each combination of values it depends on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import sub
from statistics import median_low
from typing import TypeVar

from gpuwatch.collectors.importers.types import LogRow
from gpuwatch.dataclass import NamedTuple
from gpuwatch.ledger import facts
from gpuwatch.ledger.alone import ACTIVE, label
from gpuwatch.ledger.runs import next_quiet_ms
from gpuwatch.measure import measures
from gpuwatch.model import Gpu, GpuSample
from gpuwatch.names import Context
from gpuwatch.recorder.timeline import PERIODS

_MEASURES = measures(GpuSample)
_AT = {name: number for number, name in enumerate(_MEASURES)}
_QUIET = ("utilization_ratio", "graphics_active_ratio", "sm_active_ratio", "encoder_utilization_ratio", "decoder_utilization_ratio")
_CONTEXT = ("process_count", "memory_used_bytes")
_CLOCKS = ("clock_event_reasons", "sm_clock_hertz", "power_limit_watts")
_ENERGY, _REASONS = _AT["energy_joules"], _AT["clock_event_reasons"]
_POWER, _LIMIT, _FRACTION, _SIBLING = (
    _AT[name] for name in ("power_watts", "power_limit_watts", "power_fraction_ratio", "sibling_active")
)
_MILLI = 1000
_MOST_KEPT = 100_000
_MOST_MEMORY = 1 << 40
"""More than any GPU has, in the store's unit."""
_AWAKE: tuple[bool | None, Context | None] = (False, None)
_Values = tuple[int | None, ...]


def sample_of(names: Sequence[str], values: Sequence[int | None]) -> GpuSample:
    """A sample that has these measures, from the store's integers."""
    given = {name: None if value is None else value / _MEASURES[name].scale for name, value in zip(names, values, strict=True)}
    reasons = given.get("clock_event_reasons")
    if reasons is not None:
        given["clock_event_reasons"] = int(reasons)
    return GpuSample("", **given)  # type: ignore[arg-type]


_T = TypeVar("_T")


class _Fact(dict[_Values, _T]):
    """One function of a few measures, remembered by their integers."""

    def __init__(self, names: Sequence[str], ask: Callable[[GpuSample], _T]) -> None:
        super().__init__()
        self._at = [_AT[name] for name in names]
        self._names, self._ask = names, ask

    def __missing__(self, key: _Values) -> _T:
        if len(self) >= _MOST_KEPT:
            self.clear()
        found = self[key] = self._ask(sample_of(self._names, key))
        return found

    def of(self, cells: Sequence[_Values]) -> list[_T]:
        """The fact of every row; ``cells`` are the columns of all measures."""
        columns = [cells[at] for at in self._at]
        nothing: list[int | None] = [None] * len(columns)
        known = [at for at, own in enumerate(columns) if own.count(None) != len(own)]
        if not known:
            return [self[tuple(nothing)]] * len(columns[0])
        if len(known) > 1:
            return [self[key] for key in zip(*columns)]
        (only,) = known
        facts = {value: self[(*nothing[:only], value, *nothing[only + 1 :])] for value in set(columns[only])}
        return [facts[value] for value in columns[only]]


class _Held(_Fact[Context | None]):
    """The context. Of the memory only counts whether it is more than an empty GPU has: the largest integer that is not, is looked for once."""

    def __init__(self, gpu: Gpu, *, sliced: bool) -> None:
        super().__init__(_CONTEXT, lambda sample: facts.context(sample, gpu, sliced=sliced))
        most = self[None, _MOST_MEMORY]
        self._limit = (
            bisect_left(range(_MOST_MEMORY), True, key=lambda used: self._ask(sample_of(_CONTEXT, (None, used))) is most) - 1
        )

    def of(self, cells: Sequence[_Values]) -> list[Context | None]:
        """The context of every row."""
        counts, memory = (cells[at] for at in self._at)
        limit = self._limit
        if None not in memory and counts.count(None) == len(counts):
            little, much = self[None, 0], self[None, limit + 1]
            return [much if used > limit else little for used in memory]  # type: ignore[operator]
        over = [None if used is None else limit + 1 if used > limit else 0 for used in memory]
        return [self[key] for key in zip(counts, over)]


class Timed(NamedTuple):
    """The rows of one GPU column by column; ``cells`` are those of the measures; ``dt_ms`` 0: the row speaks for no time."""

    ts_ms: list[int]
    dt_ms: list[int]
    quiet: list[bool | None]
    context: list[Context | None]
    quiet_ms: list[int]
    kappa_pm: list[int]
    unavailable: list[bool]
    cells: list[_Values]
    labels: list[int]
    gaps: list[tuple[int, int]]
    gap_energy: list[tuple[int, int]]
    """Start of a gap and what the energy counter gained over it (mJ): used by nobody knows whom, and in no row."""


class _Fractions(dict[tuple[int, int], int | None]):
    """(Power, limit) in milliwatts -> the power fraction in per mille, remembered."""

    def __init__(self, idle_watts: float | None) -> None:
        super().__init__()
        self._idle_watts = idle_watts

    def __missing__(self, key: tuple[int, int]) -> int | None:
        if len(self) >= _MOST_KEPT:
            self.clear()
        found = facts.power_fraction(key[0] / _MILLI, key[1] / _MILLI, self._idle_watts)
        self[key] = None if found is None else round(found * _MILLI)
        return self[key]


class Track:
    """The memory between the rows of one GPU. ``interval_ms``: the time between rows, of which three are bridged.

    ``idle_watts``: what the GPU draws when nobody holds it, where that is known.
    """

    def __init__(self, gpu: Gpu, interval_ms: int, *, sliced: bool = False, idle_watts: float | None = None) -> None:
        self._limit = None if gpu.power_limit_watts is None else round(gpu.power_limit_watts * _MILLI)
        self._fractions = _Fractions(idle_watts)
        self._reach = PERIODS * interval_ms
        self.last_ms: int | None = None
        self._quiet_ms = 0
        self._before: tuple[bool | None, Context | None] = (None, None)
        self._quiet = _Fact(_QUIET, facts.quiet)
        self._context = _Held(gpu, sliced=sliced)
        self._clocks = _Fact(_CLOCKS, lambda sample: facts.kappa_pm(sample, gpu))

    @property
    def quiet_ms(self) -> int:
        """Length of the quiet run that the last row is in."""
        return self._quiet_ms

    def resume(self, last_ms: int | None, quiet_ms: int, before: tuple[bool | None, Context | None]) -> None:
        """The next row comes after another one than the last that was added."""
        self.last_ms, self._quiet_ms, self._before = last_ms, quiet_ms, before

    def add(self, rows: Sequence[LogRow]) -> Timed:
        """Take rows that ascend in time and lie after those before them."""
        times = [row[0] for row in rows]
        cells: list[_Values] = list(zip(*[row[2] for row in rows], strict=True))
        lengths, gaps = self._lengths(rows, times)
        quiet, context = self._quiet.of(cells), self._context.of(cells)
        lost = [row[4] for row in rows]
        for at in [at for at, gone in enumerate(lost) if gone]:
            quiet[at] = context[at] = None
        used = self._over_gaps(cells, lengths, times)
        kappa = self._clocks.of(cells) if any(cells[_REASONS]) else [self._clocks[None, None, None]] * len(times)
        self._add_fractions(cells)
        runs, labels = self._runs(lengths, quiet, context, lost, cells[_SIBLING])
        self.last_ms = times[-1]
        return Timed(times, lengths, quiet, context, runs, kappa, lost, cells, labels, gaps, used)

    def _lengths(self, rows: Sequence[LogRow], times: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """The time that each row speaks for, and the gaps."""
        last, reach = self.last_ms, self._reach
        before = [times[0] if last is None else last, *times[:-1]]
        lengths = list(map(sub, times, before))
        if max(lengths) > reach:
            lengths = [length if length <= reach else 0 for length in lengths]
        given = [row[3] for row in rows]
        if given.count(None) != len(given):
            lengths = [length if told is None else told for told, length in zip(given, lengths)]
        if 0 not in lengths:
            return lengths, []
        silent = [at for at, length in enumerate(lengths) if length == 0]
        return lengths, [(before[at], times[at]) for at in silent if at or last is not None]

    def _add_fractions(self, cells: list[_Values]) -> None:
        """The power fraction of rows that do not say it themselves; they stay without where the limit is not known."""
        power, limits, given = cells[_POWER], cells[_LIMIT], cells[_FRACTION]
        rows = len(power)
        if power.count(None) == rows or (self._limit is None and limits.count(None) == rows):
            return
        of, known = self._fractions, self._limit
        found = [
            None if watts is None or (limit is None and known is None) else of[watts, known if limit is None else limit]  # type: ignore[index]
            for watts, limit in zip(power, limits)
        ]
        if given.count(None) != rows:
            found = [made if told is None else told for told, made in zip(given, found)]
        cells[_FRACTION] = tuple(found)

    def _over_gaps(self, cells: list[_Values], lengths: list[int], times: list[int]) -> list[tuple[int, int]]:
        """Take the energy of rows after a gap out of the cells."""
        energy = cells[_ENERGY]
        found: list[tuple[int, int]] = []
        left = list(energy)
        for at, used in enumerate(energy) if 0 in lengths else ():
            before = times[at - 1] if at else self.last_ms
            if lengths[at] == 0 and used is not None and before is not None:
                found.append((before, used))
                left[at] = None
        if found:
            cells[_ENERGY] = tuple(left)
        return found

    def _runs(
        self, lengths: list[int], quiet: list[bool | None], context: list[Context | None], lost: list[bool], sibling: _Values
    ) -> tuple[list[int], list[int]]:
        """The quiet run that ends with each row, and what the ledger can say of it by itself."""
        runs, labels = [0] * len(quiet), [ACTIVE] * len(quiet)
        run, before = self._quiet_ms, self._before
        for at, still in enumerate(quiet):
            if still is False:
                run, before = 0, _AWAKE
                continue
            who, length = context[at], lengths[at]
            run = next_quiet_ms(run, before, still, who, length) if still and length else 0
            before = (still, who)
            runs[at], labels[at] = run, label(still, run, who, lost[at], bool(sibling[at]))
        self._quiet_ms, self._before = run, before
        return runs, labels


def usual_interval(rows: Mapping[str, Sequence[LogRow]]) -> int | None:
    """The median time between neighbouring rows of one GPU; ``None`` where no GPU has two."""
    steps = [after[0] - before[0] for own in rows.values() for before, after in pairwise(own) if after[0] > before[0]]
    return median_low(steps) if steps else None
