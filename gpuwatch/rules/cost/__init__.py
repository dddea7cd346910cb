"""What a token costs in GPU time, money and energy (J1, J2)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
