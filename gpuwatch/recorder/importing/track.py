"""One GPU of a past log: the time that each of its rows speaks for, and the facts of ``ledger.facts``, as the recorder would have them.

A log has millions of rows and few different ones: a fact is asked of the ledger once for each combination of values it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from statistics import median_low
from typing import Generic, TypeVar

from gpuwatch.collectors.importers.types import LogRow
from gpuwatch.dataclass import NamedTuple
from gpuwatch.ledger import facts
from gpuwatch.ledger.alone import ACTIVE, label
from gpuwatch.ledger.runs import next_quiet_ms
from gpuwatch.model import Gpu, GpuSample, measures
from gpuwatch.names import Context
from gpuwatch.recorder.timeline import PERIODS

_MEASURES = measures(GpuSample)
_AT = {name: number for number, name in enumerate(_MEASURES)}
_QUIET = ("utilization_ratio", "graphics_active_ratio", "sm_active_ratio", "encoder_utilization_ratio", "decoder_utilization_ratio")
_CONTEXT = ("process_count", "memory_used_bytes")
_CLOCKS = ("clock_event_reasons", "sm_clock_hertz", "power_limit_watts")
_MOST_KEPT = 100_000
_Values = tuple[int | None, ...]


def sample_of(names: Sequence[str], values: Sequence[int | None]) -> GpuSample:
    """A sample that has these measures, from the store's integers."""
    given = {name: None if value is None else value / _MEASURES[name].scale for name, value in zip(names, values, strict=True)}
    reasons = given.get("clock_event_reasons")
    if reasons is not None:
        given["clock_event_reasons"] = int(reasons)
    return GpuSample("", **given)  # type: ignore[arg-type]


_T = TypeVar("_T")


class _Fact(Generic[_T]):
    """One function of a few measures, remembered by their integers."""

    def __init__(self, names: Sequence[str], ask: Callable[[GpuSample], _T]) -> None:
        self.pick: Callable[[_Values], _Values] = itemgetter(*(_AT[name] for name in names))
        self.known: dict[_Values, _T] = {}
        self._names, self._ask = names, ask

    def learn(self, key: _Values) -> _T:
        """Ask, and remember the answer."""
        if len(self.known) >= _MOST_KEPT:
            self.known.clear()
        found = self.known[key] = self._ask(sample_of(self._names, key))
        return found


class Timed(NamedTuple):
    """The rows of one GPU with what they say, column by column; ``dt_ms`` 0: the row speaks for no time."""

    ts_ms: list[int]
    dt_ms: list[int]
    quiet: list[bool | None]
    context: list[Context | None]
    quiet_ms: list[int]
    kappa_pm: list[int]
    unavailable: list[bool]
    values: list[_Values]
    labels: list[int]
    gaps: list[tuple[int, int]]


class Track:
    """The memory between the rows of one GPU. ``interval_ms``: the time between rows, of which three are bridged."""

    def __init__(self, gpu: Gpu, interval_ms: int, *, sliced: bool = False) -> None:
        self._reach = PERIODS * interval_ms
        self.last_ms: int | None = None
        self._quiet_ms = 0
        self._before: tuple[bool | None, Context | None] = (None, None)
        self._quiet = _Fact(_QUIET, facts.quiet)
        self._context = _Fact(_CONTEXT, lambda sample: facts.context(sample, gpu, sliced=sliced))
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
        out = Timed([row[0] for row in rows], [], [], [], [], [], [row[4] for row in rows], [row[2] for row in rows], [], [])
        quiets, contexts, clocks = self._quiet, self._context, self._clocks
        add_dt, add_quiet, add_context = out.dt_ms.append, out.quiet.append, out.context.append
        add_run, add_kappa, add_label = out.quiet_ms.append, out.kappa_pm.append, out.labels.append
        last, run, before, reach = self.last_ms, self._quiet_ms, self._before, self._reach
        for ts, _, values, given, lost in rows:
            dt = given if given is not None else 0 if last is None or ts - last > reach else ts - last
            if dt == 0 and last is not None:
                out.gaps.append((last, ts))
            key = quiets.pick(values)
            quiet = quiets.known[key] if key in quiets.known else quiets.learn(key)
            key = contexts.pick(values)
            context = contexts.known[key] if key in contexts.known else contexts.learn(key)
            key = clocks.pick(values)
            kappa = clocks.known[key] if key in clocks.known else clocks.learn(key)
            if lost:
                quiet = context = None
            run = next_quiet_ms(run, before, quiet, context, dt) if quiet and dt else 0
            before, last = (quiet, context), ts
            add_dt(dt)
            add_quiet(quiet)
            add_context(context)
            add_run(run)
            add_kappa(kappa)
            add_label(ACTIVE if quiet is False else label(quiet, run, context, lost))
        self.last_ms, self._quiet_ms, self._before = last, run, before
        return out


def usual_interval(rows: Mapping[str, Sequence[LogRow]]) -> int | None:
    """The median time between neighbouring rows of one GPU; ``None`` where no GPU has two."""
    steps = [after[0] - before[0] for own in rows.values() for before, after in pairwise(own) if after[0] > before[0]]
    return median_low(steps) if steps else None
