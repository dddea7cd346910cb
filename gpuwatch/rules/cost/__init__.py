"""What a token costs in GPU time, money and energy (J1, J2)."""

from __future__ import annotations

from gpuwatch.rules.cost.joules_per_token_regression import joules_per_token_regression
from gpuwatch.rules.cost.token_cost_above_reference import token_cost_above_reference
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    token_cost_above_reference,
    joules_per_token_regression,
)
