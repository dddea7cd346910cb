"""Several addresses of one workload as one server: engines of one model behind ports of their own, or a parent and its children.

A number that one address has told before and cannot tell now is unknown for all together: the rest of a sum is not the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from gpuwatch.collectors.inference.buckets import Exclusive, Waited
from gpuwatch.collectors.inference.target import Told
from gpuwatch.dataclass import replace
from gpuwatch.model import FieldSource
from gpuwatch.names import Latency

Part = tuple[Told | None, Told | None]
"""What an address told at this look, and at its last good one."""
K = TypeVar("K")
V = TypeVar("V")
_SUMMED = ("max_running_requests", "kv_cache_tokens")
_MEANS, _HIGHEST = ("kv_cache_ratio",), ("kv_cache_fullest_ratio",)


def merged(parts: Sequence[Part]) -> Told | None:
    """All that the addresses of a workload told at one look; ``None`` if none told anything."""
    now = [told for told, _ in parts if told is not None]
    if len(parts) == 1 or not now:
        return now[0] if now else None
    windows = [told.window_seconds for told in now if told.window_seconds is not None]
    counts = {name: _sum(values) for name, values in _gathered(parts, lambda told: told.counts).items()}
    waits = {latency: _waits(values) for latency, values in _gathered(parts, lambda told: told.waits).items()}
    gauges = _gauges(_gathered(parts, lambda told: told.gauges), now)
    return Told(sum(windows) / len(windows) if windows else None, counts, waits, gauges, _facts(now), _sources(now))


def joined(first: Told | None, second: Told) -> Told:
    """Two looks at one server, one after the other, as one: growth adds up, all else is as it is now. Where the second knows of no
    growth (the server began anew), that of the first is told: it happened."""
    if first is None or first.window_seconds is None:
        return second
    if second.window_seconds is None:
        return replace(second, window_seconds=first.window_seconds, counts=first.counts, waits=first.waits)
    counts = {name: _sum([first.counts.get(name), second.counts.get(name)]) for name in {**first.counts, **second.counts}}
    waits = {latency: _waits([first.waits.get(latency), second.waits.get(latency)]) for latency in {**first.waits, **second.waits}}
    return replace(second, window_seconds=first.window_seconds + second.window_seconds, counts=counts, waits=waits)


def _gathered(parts: Sequence[Part], of: Callable[[Told], Mapping[K, V]]) -> dict[K, list[V | None]]:
    """Name -> what each address that ever told it tells now."""
    out: dict[K, list[V | None]] = {}
    for now, before in parts:
        values: Mapping[K, V] = of(now) if now else {}
        for name in {**(of(before) if before else {}), **values}:
            out.setdefault(name, []).append(values.get(name))
    return out


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    total = sum(value for value in known if value is not None)
    return None if None in known else total


def _waits(parts: Sequence[Waited | None]) -> Waited:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return Waited(None, None, None)
    return Waited(
        _sum(part.count for part in known), _sum(part.sum_seconds for part in known), _buckets([part.buckets for part in known])
    )


def _buckets(parts: Sequence[Exclusive | None]) -> Exclusive | None:
    """Added up per bucket; ``None`` where one is unknown or they do not fit together."""
    counts: dict[tuple[int, int], int] = {}
    for part in parts:
        if part is None:
            return None
        for lower, upper, count in part:
            counts[lower, upper] = counts.get((lower, upper), 0) + count
    found = sorted(counts)
    if any(before[1] > after[0] for before, after in pairwise(found)):
        return None
    return tuple([(*bounds, counts[bounds]) for bounds in found])


def _gauges(parts: Mapping[str, Sequence[float | None]], now: Sequence[Told]) -> dict[str, float]:
    out = {}
    for name, values in parts.items():
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            continue
        if name in _HIGHEST:
            out[name] = max(known)
        elif name in _MEANS:
            sizes = [_size(told) for told in now if name in told.gauges]
            weights = sizes if all(sizes) else [1.0] * len(sizes)
            out[name] = sum(value * weight for value, weight in zip(known, weights, strict=True)) / sum(weights)
        else:
            out[name] = sum(known)
    return out


def _size(told: Told) -> float:
    size = told.facts.get("kv_cache_tokens", 0)
    return float(size) if isinstance(size, int) else 0.0


def _facts(now: Sequence[Told]) -> dict[str, str | int]:
    """What the first says; limits that are those of one address add up, if all tell theirs."""
    out: dict[str, str | int] = {}
    for told in reversed(now):
        out |= told.facts
    for name in _SUMMED:
        values = [told.facts.get(name) for told in now]
        numbers = [value for value in values if isinstance(value, int)]
        if name in out and len(numbers) == len(values):
            out[name] = sum(numbers)
        else:
            out.pop(name, None)
    return out


def _sources(now: Sequence[Told]) -> dict[str, FieldSource]:
    """Where each number is from: of two addresses the one that counts worse."""
    out: dict[str, FieldSource] = {}
    for told in now:
        for name, source in told.sources.items():
            known = out.get(name)
            if known is None or source.quality > known.quality:
                out[name] = source
    return out


def latencies(waits: Mapping[Latency, Waited]) -> dict[str, float | None]:
    """The fields of ``InferenceSample`` that waiting times give."""
    out: dict[str, float | None] = {}
    for latency, waited in waits.items():
        out[f"{latency.label}_count_total"], out[f"{latency.label}_sum_seconds"] = waited.count, waited.sum_seconds
    return out
