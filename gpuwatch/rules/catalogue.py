"""All rules, in the order of the study, and all their limits."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.rules import balance, compute, cost, experiments, hardware, host, idle, memory, serving, sizing
from gpuwatch.rules.limits import Limit
from gpuwatch.rules.rule import Rule

GROUPS = (idle, host, compute, memory, balance, hardware, serving, sizing, experiments, cost)
RULES: Mapping[str, Rule] = {rule.id: rule for group in GROUPS for rule in group.RULES}
LIMITS: Mapping[str, Limit] = {f"{limit.rule}.{limit.name}": limit for rule in RULES.values() for limit in rule.limits}
