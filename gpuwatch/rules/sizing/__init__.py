"""A smaller share of a GPU, or a smaller GPU, would do (H1, H2)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule
from gpuwatch.rules.sizing.share_or_mig_candidate import share_or_mig_candidate
from gpuwatch.rules.sizing.smaller_gpu_would_do import smaller_gpu_would_do

RULES: tuple[Rule, ...] = (
    share_or_mig_candidate,
    smaller_gpu_would_do,
)
