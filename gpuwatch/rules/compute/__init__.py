"""Busy, and little gets done (C1 to C6, and a job that hangs while it looks busy)."""

from __future__ import annotations

from gpuwatch.rules.compute.busy_but_empty_sm import busy_but_empty_sm
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (busy_but_empty_sm,)
