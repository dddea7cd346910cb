"""All thresholds in one table: rule, name, default, unit, and where it comes from. The configuration and ``--what-if`` override them.

Source tags: ``vendor`` (a manual or a vendor's tool), ``study`` (published measurements), ``pragmatic`` (ours, tried on the corpus);
``S12`` and the like name the sources that docs/rules.md lists.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import NamedTuple
from gpuwatch.errors import UsageError, nearest


class Limit(NamedTuple):
    """One threshold. ``unit``: ratio, seconds, minutes, count, bytes, celsius ..."""

    rule: str
    name: str
    default: float
    unit: str
    source: str
    help: str


def of_rule(rule: str, *limits: tuple[str, float, str, str, str]) -> tuple[Limit, ...]:
    """The limits of one rule: (name, default, unit, source, help) each."""
    return tuple(Limit(rule, *limit) for limit in limits)


class Limits:
    """The limits in force: the table's defaults and what overrides them, ``{"rule.name": value}``."""

    def __init__(self, table: Mapping[str, Limit], overrides: Mapping[str, float] | None = None) -> None:
        self._values = {key: limit.default for key, limit in table.items()}
        self.raised_seconds = 0.0
        """The longest time that was made longer than its default."""
        for key, value in (overrides or {}).items():
            if key not in self._values:
                raise UsageError(f"no rule has a limit {key!r}", nearest(key, self._values))
            self._values[key] = value
            if table[key].unit == "seconds" and value > table[key].default:
                self.raised_seconds = max(self.raised_seconds, value)

    def of(self, rule: str, name: str) -> float:
        """One limit of a rule."""
        return self._values[f"{rule}.{name}"]
