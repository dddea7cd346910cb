"""Processes from /proc: those on GPUs, their ancestors up to the job, their workers, and ML processes on the CPU.

Per tick one listing of /proc and one 15 us read per watched process; everything else is looked at once or in turn. Secrets are
masked before anything leaves this package. Which processes can be seen by whom: ``visibility``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.plugin import Collector, CollectorContext


def factory(context: CollectorContext) -> Collector:
    """The collector ``procs``. Option ``command_lines``: ``redacted`` (default), ``name`` or ``none``."""
    from gpuwatch.collectors.procs.collector import ProcsCollector  # who only masks secrets does not load it

    return ProcsCollector(context)
