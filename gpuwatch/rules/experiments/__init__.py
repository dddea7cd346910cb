"""Start-up, checkpoints, failed runs, many small runs (I1 to I3)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
