"""Ranks that wait for each other, links between GPUs (E1 to E5, rollout and learner)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
