"""Start-up, checkpoints, failed runs, many small runs (I1 to I3)."""

from __future__ import annotations

from gpuwatch.rules.experiments.checkpoint_eval_overhead import checkpoint_eval_overhead
from gpuwatch.rules.experiments.failed_run_waste import failed_run_waste
from gpuwatch.rules.experiments.slow_first_step import slow_first_step
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    slow_first_step,
    checkpoint_eval_overhead,
    failed_run_waste,
)
