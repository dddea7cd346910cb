"""GPUs that nobody uses, or that are held and not used (A1 to A5)."""

from __future__ import annotations

from gpuwatch.rules.idle.allocated_gpu_unused import allocated_gpu_unused
from gpuwatch.rules.idle.gpu_idle_unallocated import gpu_idle_unallocated
from gpuwatch.rules.idle.gpu_memory_held_idle import gpu_memory_held_idle
from gpuwatch.rules.idle.gpu_zombie_context import gpu_zombie_context
from gpuwatch.rules.idle.low_duty_cycle import low_duty_cycle
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (gpu_idle_unallocated, gpu_memory_held_idle, gpu_zombie_context, low_duty_cycle, allocated_gpu_unused)
