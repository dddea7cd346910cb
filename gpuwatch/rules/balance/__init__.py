"""Ranks that wait for each other, links between GPUs (E1 to E5, rollout and learner)."""

from __future__ import annotations

from gpuwatch.rules.balance.communication_exposed import communication_exposed
from gpuwatch.rules.balance.nvlink_unused_or_down import nvlink_unused_or_down
from gpuwatch.rules.balance.rank_imbalance import rank_imbalance
from gpuwatch.rules.balance.rank_straggler import rank_straggler
from gpuwatch.rules.balance.rollout_learner_idle import rollout_learner_idle
from gpuwatch.rules.balance.tensor_parallel_over_pcie import tensor_parallel_over_pcie
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    rank_straggler,
    rank_imbalance,
    communication_exposed,
    nvlink_unused_or_down,
    tensor_parallel_over_pcie,
    rollout_learner_idle,
)
