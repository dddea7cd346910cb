"""The author's format: TOML tables checked key by key into dataclasses, with the nearest known key named for a wrong one.

Durations are texts such as ``"2h51m9s"`` or ``"250ms"`` (or a number of seconds), memory is in GiB, power in watts, clocks in MHz, rates in
MiB/s, loads in percent, shares 0-1, CPU in cores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gpuwatch.collectors.simulated.patterns import Phase
from gpuwatch.collectors.simulated.profiles import PROFILES
from gpuwatch.errors import UsageError

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_LONGEST_MS = 400 * _UNITS["d"]
_MOST = 10**15
"""No quantity of a machine is above this in its own unit; infinite and undefined ones are not numbers either."""
_SHORTEST_PERIOD_MS = 100
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")


def duration_ms(text: object, where: str) -> int:
    """Milliseconds of ``"1h2m3s"`` or of a number of seconds. Raises :class:`UsageError`."""
    return round(exact_ms(text, where))


def exact_ms(text: object, where: str) -> float:
    """The same, with the fraction of a millisecond."""
    if isinstance(text, int | float) and not isinstance(text, bool) and 0 <= text * 1000 <= _LONGEST_MS:
        return text * 1000
    if isinstance(text, str):
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            total = sum(float(number) * _UNITS[unit] for number, unit in parts)
            if total <= _LONGEST_MS:
                return total
    raise UsageError(f"{where}: '{text}' is not a duration", "write it like 2h51m9s or 250ms, at most 400d")


def check(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raise :class:`UsageError` for the first key that is not known, naming the nearest that is."""
    known = list(known)
    for key in table:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
            raise UsageError(f"{where}: unknown key '{key}'", hint)


def _finite(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST:
        raise UsageError(f"{where}: '{str(value)[:40]}' is not a number")
    return float(value)


class Reader:
    """Typed access to one TOML table that was checked against its known keys."""

    def __init__(self, table: object, where: str, known: Iterable[str]) -> None:
        if not isinstance(table, dict):
            raise UsageError(f"{where}: expected a table, got {table!r}")
        check(table, known, where)
        self.table: dict[str, Any] = table
        self.where = where

    def has(self, key: str) -> bool:
        """Whether the author wrote the key."""
        return key in self.table

    def rows(self, key: str) -> list[Any]:
        """An array of tables (empty when absent)."""
        value = self.table.get(key, [])
        if not isinstance(value, list):
            raise UsageError(f"{self.where}.{key}: expected a list")
        return value

    def number(self, key: str, default: float = 0.0) -> float:
        """A number."""
        value = self.table.get(key, default)
        return _finite(value, f"{self.where}.{key}")

    def whole(self, key: str, default: int = 0) -> int:
        """A whole number."""
        value = self.table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST:
            raise UsageError(f"{self.where}.{key}: '{value}' is not a whole number")
        return value

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        value = self.table.get(key, default)
        if not isinstance(value, str):
            raise UsageError(f"{self.where}.{key}: {value!r} is not a text")
        return value

    def word(self, key: str, default: str = "") -> str:
        """A text without spaces."""
        value = self.text(key, default)
        if " " in value:
            raise UsageError(f"{self.where}.{key}: '{value}' must not contain spaces")
        return value

    def span(self, key: str, default: int = 0) -> int:
        """A duration in milliseconds."""
        return duration_ms(self.table[key], f"{self.where}.{key}") if key in self.table else default

    def choice(self, key: str, allowed: Iterable[str], default: str) -> str:
        """One of some words."""
        value = self.text(key, default)
        allowed = list(allowed)
        if value not in allowed:
            raise UsageError(f"{self.where}.{key}: '{value}' is not one of {', '.join(allowed)}")
        return value

    def pair(self, key: str, first: str, second: str, default: tuple[float, float]) -> tuple[float, float]:
        """Two numbers of an inline table."""
        if key not in self.table:
            return default
        inner = Reader(self.table[key], f"{self.where}.{key}", (first, second))
        return inner.number(first, default[0]), inner.number(second, default[1])


_PHASE = ("kind", "for", "level", "noise", "low", "high", "period", "duty", "to", "peak")


def phases(value: object, where: str) -> tuple[Phase, ...]:
    """A pattern: a number, one phase, or a list of phases. Raises :class:`UsageError`."""
    if isinstance(value, int | float):
        return (Phase(level=_finite(value, where)),)
    rows = value if isinstance(value, list) else [value]
    out = tuple(_phase(row, f"{where}[{i}]") for i, row in enumerate(rows))
    if not out:
        raise UsageError(f"{where}: an empty pattern")
    return out


def _phase(row: object, where: str) -> Phase:
    r = Reader(row, where, _PHASE)
    kind = r.choice("kind", ("flat", "square", "sine", "ramp"), "flat")
    phase = Phase(
        kind=kind, for_ms=r.span("for"), level=r.number("level"), noise=r.number("noise"), low=r.number("low"), high=r.number("high", 100.0),
        period_ms=r.span("period"), duty=r.number("duty", 0.5), to=r.number("to"), peak_ms=r.span("peak"),
    )  # fmt: skip
    if kind in ("square", "sine") and phase.period_ms < _SHORTEST_PERIOD_MS:
        raise UsageError(f"{where}: a {kind} needs a period of at least {_SHORTEST_PERIOD_MS}ms")
    if not 0 < phase.duty <= 1:
        raise UsageError(f"{where}.duty: {phase.duty} is not within 0 and 1")
    return phase


def profile_name(r: Reader) -> str:
    """The device class of a block; an unknown one is an error that names the nearest."""
    name = r.text("profile")
    if name not in PROFILES:
        check({name: 1}, PROFILES, f"{r.where}.profile")
    return name
