"""What the table of an engine makes of a page: counters per series, gauges, histograms, facts, and which family each number is from.

A field takes the first of its candidates that is on the page; one without any is unknown. So is a field whose family cannot be trusted
(``Page.spoiled``): the next candidate would be another count of the same thing, and changing to and fro would look like a restart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from gpuwatch.collectors.inference.engine import Engine, Fact, Source
from gpuwatch.collectors.inference.page import Labels, Page, Wanted, is_page, read_page, value_of, without
from gpuwatch.collectors.inference.reading import LESS, Answer, Reading, SeriesKey
from gpuwatch.dataclass import replace
from gpuwatch.measure import measures
from gpuwatch.model import FieldSource, InferenceSample
from gpuwatch.names import Latency
from gpuwatch.text import clean

START = "process_start_time_seconds"
_NUMBERS = ("max_model_tokens", "max_running_requests", "kv_cache_tokens")
_NO_NAMES = ("", "None", "undefined", "unknown")
_HIGHEST = 1e15
"""No server has counted further, and no number beyond it fits the store."""
_KINDS = {name: about.kind for name, about in measures(InferenceSample).items()}
_RATIOS = frozenset(name for name, about in measures(InferenceSample).items() if about.unit == "ratio")
_JOINS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "max": max,
    "mean": lambda values: sum(values) / len(values),
    "first": lambda values: values[0],
}


class Absent(Exception):
    """No series of a source is on the page."""


class Spoiled(Exception):
    """A family of a source is on the page and cannot be trusted."""


class TableReader:
    """Reads pages of one server by the table ``engine``: see :class:`~gpuwatch.collectors.inference.reading.Reader`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._path = 0
        self._prefixes = [engine.prefixes[0] if engine.prefixes else "", *engine.aliases]

    def paths(self, now_ns: int) -> Sequence[str]:
        """The path that answers, else the next to be tried."""
        return self.engine.paths[self._path : self._path + 1]

    def next_path(self) -> bool:
        """The path that was asked is not there; whether there is another to try."""
        self._path += 1
        if self._path >= len(self.engine.paths):
            self._path = 0
        return self._path > 0

    def read(self, answers: Sequence[Answer], now_ns: int) -> Reading:
        """What the page in the last good answer says; ``recognised`` is False where it is no page of this engine."""
        body = next(answer.body for answer in reversed(answers) if answer.status == 200)
        for at, prefix in enumerate(self._prefixes):
            names = _names(self.engine, prefix)
            page = read_page(body, names.wanted)
            if any(page.has(mark) for mark in names.marks):
                if at:
                    self._prefixes.insert(0, self._prefixes.pop(at))
                return names.reading(page)
        return Reading(recognised=self.engine.late and is_page(body), detail="no request yet")


@lru_cache(maxsize=32)
def _names(engine: Engine, prefix: str) -> _Names:
    """One for all servers of an engine: it is 30 KiB."""
    return _Names(engine, prefix)


class _Names:
    """The table with one of its prefixes: what to keep of a page, and what to make of it."""

    def __init__(self, engine: Engine, prefix: str) -> None:
        own = engine.prefixes[0] if engine.prefixes else ""
        self._own, self._prefix = own, prefix
        self.marks = [self._named(mark) for mark in engine.marks]
        every = {**engine.fields, **{latency.label: sources for latency, sources in engine.latencies.items()}}
        self._sources = {
            name: [(source, FieldSource(name, source.quality, clean(formula(source)))) for source in self._renamed(sources)]
            for name, sources in every.items()
        }
        self._facts = {
            name: tuple(
                [replace(fact, family=self._named(fact.family), times=tuple(map(self._named, fact.times))) for fact in facts]
            )
            for name, facts in engine.facts.items()
        }
        facts = [fact for group in self._facts.values() for fact in group]
        families = {family for group in self._sources.values() for source, _ in group for family in _families(source)}
        families |= {name for fact in facts for name in (fact.family, *fact.times)}
        self.wanted = Wanted((prefix, *engine.prefixes[1:], START), {*families, *self.marks, START})

    def _named(self, family: str) -> str:
        own = self._own
        return self._prefix + family[len(own) :] if own and family.startswith(own) else family

    def _renamed(self, sources: Iterable[Source]) -> tuple[Source, ...]:
        return tuple(
            [
                replace(
                    source,
                    family=self._named(source.family),
                    beside=tuple(map(self._named, source.beside)),
                    minus=self._renamed(source.minus),
                    plus=self._renamed(source.plus),
                    over=self._renamed(source.over),
                )
                for source in sources
            ]
        )

    def reading(self, page: Page) -> Reading:
        """Everything that the table finds on the page."""
        reading = Reading(start_seconds=_start(page))
        for name, sources in self._sources.items():
            _first(page, sources, reading, _TAKES.get(_KINDS.get(name, ""), _take_histogram))
        for name, facts in self._facts.items():
            value = next((value for fact in facts if (value := _fact(page, fact, name in _NUMBERS)) is not None), None)
            if value is not None:
                reading.facts[name] = value
        return reading


def _families(source: Source) -> Iterable[str]:
    yield source.family
    yield from source.beside
    for more in (*source.minus, *source.plus, *source.over):
        yield from _families(more)


def _first(page: Page, sources: Iterable[tuple[Source, FieldSource]], reading: Reading, take: _Take) -> None:
    for source, told in sources:
        if not all(map(page.has, source.beside)):
            continue
        try:
            take(page, source, told.field, reading)
        except Absent:
            continue
        except Spoiled:
            return
        reading.sources[told.field] = told
        return


def formula(source: Source) -> str:
    """The formula in words of the page: ``a + b - c``, ``a / b``, labels in braces."""
    labels = ",".join(f'{name}="{value}"' for name, value in source.labels.items())
    tail = "" if source.part == "value" else f"_{source.part}"
    parts = [source.family + tail + (f"{{{labels}}}" if labels else "")]
    parts += [f" + {formula(more)}" for more in source.plus]
    parts += [f" - {formula(more)}" for more in source.minus]
    parts += [f" / {formula(more)}" for more in source.over]
    return "".join(parts)


# ----------------------------------------------------------------------------------------------------------------- values


def _series(page: Page, source: Source, tail: str) -> dict[Labels, float]:
    """The series of a source, by its labels. Raises :class:`Absent` and :class:`Spoiled`."""
    if source.family in page.spoiled:
        raise Spoiled
    found = page.series.get(source.family + tail)
    if found is None or (not tail and page.types.get(source.family) in ("histogram", "summary")):
        raise Absent
    if source.labels:
        found = {labels: value for labels, value in found.items() if _fits(labels, source.labels)}
        if not found:
            raise Absent
    return _of_lowest(found, source.lowest) if source.lowest else found


def _of_lowest(found: Mapping[Labels, float], ranks: tuple[str, ...]) -> dict[Labels, float]:
    """One series for each set of labels but ``ranks``: that of the lowest of these."""
    best: dict[Labels, tuple[list[tuple[int, str]], Labels]] = {}
    for labels in found:
        rest, order = labels, [(len(text), text) for text in (value_of(labels, name) for name in ranks)]  # "2" before "10"
        for name in ranks:
            rest = without(rest, name)
        if rest not in best or order < best[rest][0]:
            best[rest] = order, labels
    return {labels: found[labels] for _, labels in best.values()}


def _fits(labels: Labels, wanted: Mapping[str, str]) -> bool:
    return all(value_of(labels, name) in values.split("|") for name, values in wanted.items())


def _part(page: Page, source: Source) -> dict[Labels, float]:
    found = _series(page, source, "" if source.part == "value" else f"_{source.part}")
    if not all(0 <= value * source.scale < _HIGHEST for value in found.values()):
        raise Spoiled
    if source.moves and not any(found.values()):
        raise Absent
    return found


def _joined(page: Page, source: Source) -> float:
    """One number of all series of a source, with its companions."""
    values = [value * source.scale for value in _part(page, source).values()]
    joined = _JOINS[source.how](values)
    joined += sum(_joined(page, more) for more in source.plus) - sum(_joined(page, less) for less in source.minus)
    if not source.over:
        return float(joined)
    whole = sum(_joined(page, part) for part in source.over)
    if whole <= 0:
        raise Spoiled
    return float(joined / whole)


def _take_counter(page: Page, source: Source, name: str, reading: Reading) -> None:
    """Keeps series apart, as each may begin anew by itself; those that are subtracted are marked."""
    reading.counters[name] = _counters(page, source, sign="")


def _counters(page: Page, source: Source, sign: str) -> dict[SeriesKey, float]:
    family = source.family + ("" if source.part == "value" else f"_{source.part}")
    if source.how == "sum":
        out: dict[SeriesKey, float] = {
            (sign + family, *labels): value * source.scale for labels, value in _part(page, source).items()
        }
    else:
        out = {(sign + family,): _joined(page, replace(source, plus=(), minus=(), over=()))}
    for more in source.plus:
        out |= _counters(page, more, sign)
    for less in source.minus:
        out |= _counters(page, less, "" if sign else LESS)
    return out


def _take_gauge(page: Page, source: Source, name: str, reading: Reading) -> None:
    value = _joined(page, source)
    if name in _RATIOS:
        if not 0 <= value < 1.5:  # two families are not read at one instant: a little above 1 is full, far above is another unit
            raise Spoiled
        value = min(1.0, value)
    reading.gauges[name] = max(0.0, value)


def _take_histogram(page: Page, source: Source, name: str, reading: Reading) -> None:
    """Buckets and sums per series; of what has no buckets (a summary) only how many and their sum."""
    if source.family in page.spoiled:
        raise Spoiled
    latency = Latency[name.upper()]
    buckets: dict[SeriesKey, dict[float, float]] = {}
    try:
        for labels, count in _series(page, source, "_bucket").items():
            bound = _bound(value_of(labels, "le"), source.scale)
            buckets.setdefault((source.family, *without(labels, "le")), {})[bound] = count
    except Absent:
        for labels, count in _series(page, source, "_count").items():
            buckets[source.family, *labels] = {math.inf: count}
    for of_series in buckets.values():
        if math.inf not in of_series or min(of_series.values()) < 0 or max(of_series.values()) >= _HIGHEST:
            raise Spoiled
    reading.histograms[latency] = dict(buckets)
    try:
        sums = _series(page, source, "_sum")
    except Absent:
        return
    if all(0 <= value * source.scale < _HIGHEST / 1e6 for value in sums.values()):
        reading.histogram_sums[latency] = {(source.family, *labels): value * source.scale for labels, value in sums.items()}


_Take = Callable[[Page, Source, str, Reading], None]
_TAKES: Mapping[str, _Take] = {"delta": _take_counter, "gauge": _take_gauge}


def _bound(text: str, scale: float) -> float:
    try:
        bound = float(text) * scale
    except ValueError:
        raise Spoiled from None
    if not bound >= 0:  # not a number as well
        raise Spoiled
    return bound


# ------------------------------------------------------------------------------------------------------------------ facts


def _start(page: Page) -> float | None:
    found = page.series.get(START, {})
    return next(iter(found.values())) if len(found) == 1 and START not in page.spoiled else None


def _fact(page: Page, fact: Fact, number: bool) -> str | int | None:
    series = page.series.get(fact.family, {})
    if fact.family in page.spoiled or not series:
        return None
    if not number:
        names = [value_of(labels, fact.label) for labels in series]
        return next((clean(name) for name in names if name not in _NO_NAMES), None)
    numbers = [found for labels, value in series.items() if (found := _product(page, fact, labels, value)) is not None]
    if not numbers:
        return None
    total = _JOINS[fact.how](numbers)
    return round(total) if 0 < total < _HIGHEST else None


def _product(page: Page, fact: Fact, labels: Labels, value: float) -> float | None:
    """The number of one series of a fact; ``None`` where a part of it is no number."""
    try:
        product = float(value_of(labels, fact.label)) if fact.label else value
        for name in fact.times:
            text = value_of(labels, name)
            product *= float(text) if text else next(iter(page.series[name].values()))
    except (ValueError, KeyError, StopIteration):
        return None
    return product if math.isfinite(product) else None
