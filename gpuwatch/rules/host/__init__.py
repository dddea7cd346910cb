"""Waiting for data, the CPU, storage, launches, copies (B1 to B6)."""

from __future__ import annotations

from gpuwatch.rules.host.input_bound import input_bound
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (input_bound,)
