"""A smaller share of a GPU, or a smaller GPU, would do (H1, H2)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
