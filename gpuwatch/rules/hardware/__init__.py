"""Heat, power, clocks, links, errors (F1 to F7)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
