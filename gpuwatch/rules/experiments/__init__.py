"""Start-up, checkpoints, failed runs, many small runs (I1 to I3)."""

from __future__ import annotations

from gpuwatch.rules.experiments.failed_run_waste import failed_run_waste
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (failed_run_waste,)
