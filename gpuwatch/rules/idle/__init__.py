"""GPUs that nobody uses, or that are held and not used (A1 to A5)."""

from __future__ import annotations

from gpuwatch.rules.idle.gpu_memory_held_idle import gpu_memory_held_idle
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (gpu_memory_held_idle,)
