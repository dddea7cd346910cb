"""Training processes: what the agent inside them counts, what ``gpuwatch run`` notes of how they end, and what their logs say.

``layout`` how a hook file lies in memory, ``folders`` where files are and whom they are taken from, ``reader`` what one file says,
``ranks`` what a process has done since it was read before, ``runs`` what became of a whole run, ``collector`` all of it each second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.collectors.training.collector import TrainingCollector
    from gpuwatch.plugin import CollectorContext


def factory(context: CollectorContext) -> TrainingCollector:
    """The collector behind the entry point ``training``. Options: ``directories`` (more hook folders), ``logs`` (log files to read)."""
    from gpuwatch.collectors.training.collector import TrainingCollector

    return TrainingCollector(context)
