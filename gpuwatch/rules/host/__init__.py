"""Waiting for data, the CPU, storage, launches, copies (B1 to B6)."""

from __future__ import annotations

from gpuwatch.rules.host.host_cpu_starved import host_cpu_starved
from gpuwatch.rules.host.host_to_device_copy_bound import host_to_device_copy_bound
from gpuwatch.rules.host.input_bound import input_bound
from gpuwatch.rules.host.launch_bound_small_kernels import launch_bound_small_kernels
from gpuwatch.rules.host.single_thread_host_bound import single_thread_host_bound
from gpuwatch.rules.host.slow_storage_or_swap import slow_storage_or_swap
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    input_bound,
    single_thread_host_bound,
    host_cpu_starved,
    slow_storage_or_swap,
    launch_bound_small_kernels,
    host_to_device_copy_bound,
)
