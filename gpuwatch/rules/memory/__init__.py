"""GPU memory that runs out, lies in pieces, or grows (D1 to D3)."""

from __future__ import annotations

from gpuwatch.rules.memory.allocator_fragmentation import allocator_fragmentation
from gpuwatch.rules.memory.memory_leak_growth import memory_leak_growth
from gpuwatch.rules.memory.near_oom import near_oom
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (near_oom, allocator_fragmentation, memory_leak_growth)
