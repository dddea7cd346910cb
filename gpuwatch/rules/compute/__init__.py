"""Busy, and little gets done (C1 to C6, and a job that hangs while it looks busy)."""

from __future__ import annotations

from gpuwatch.rules.compute.busy_but_empty_sm import busy_but_empty_sm
from gpuwatch.rules.compute.busy_but_no_progress import busy_but_no_progress
from gpuwatch.rules.compute.eager_where_compile_pays import eager_where_compile_pays
from gpuwatch.rules.compute.low_mfu import low_mfu
from gpuwatch.rules.compute.recompilation_churn import recompilation_churn
from gpuwatch.rules.compute.small_batch_headroom import small_batch_headroom
from gpuwatch.rules.compute.tensor_cores_unused import tensor_cores_unused
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    busy_but_empty_sm,
    tensor_cores_unused,
    small_batch_headroom,
    low_mfu,
    recompilation_churn,
    eager_where_compile_pays,
    busy_but_no_progress,
)
