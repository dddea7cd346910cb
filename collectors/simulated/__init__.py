"""Simulated hosts: one scenario format for the demo, the tests and the fake driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.collectors.simulated.collector import SimulatedCollector
    from gpuwatch.plugin import CollectorContext


def factory(context: CollectorContext) -> SimulatedCollector:
    """The collector of ``context.options["scenario"]``. Raises :class:`gpuwatch.errors.UsageError` for wrong options."""
    from gpuwatch.collectors.simulated.collector import SimulatedCollector

    return SimulatedCollector(context)
