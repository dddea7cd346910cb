"""The recorder: threads that read, one thread that merges and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch.recorder.recorder import Recorder
from gpuwatch.recorder.source import load_collectors

if TYPE_CHECKING:
    from gpuwatch.recorder.closer import Closer
    from gpuwatch.recorder.cost import CostMeter

__all__ = ["Closer", "CostMeter", "Recorder", "load_collectors"]


def __getattr__(name: str) -> object:
    """What only a lasting recorder needs; a single sample is spared loading it."""
    if name == "Closer":
        from gpuwatch.recorder.closer import Closer

        return Closer
    if name == "CostMeter":
        from gpuwatch.recorder.cost import CostMeter

        return CostMeter
    raise AttributeError(name)
