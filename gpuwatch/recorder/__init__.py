"""The recorder: threads that read, one thread that merges and writes."""

from gpuwatch.recorder.closer import Closer
from gpuwatch.recorder.cost import CostMeter
from gpuwatch.recorder.recorder import Recorder
from gpuwatch.recorder.source import load_collectors

__all__ = ["Closer", "CostMeter", "Recorder", "load_collectors"]
