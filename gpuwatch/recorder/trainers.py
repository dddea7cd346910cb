"""Samples of ranks on their way through the recorder: two readings as one."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.recorder.told import summed
from gpuwatch.training import TrainingSample


def joined_trainings(first: Sequence[TrainingSample], second: Sequence[TrainingSample]) -> Sequence[TrainingSample]:
    """Two readings for one second: counts of the same rank add up, all else is that of the later one."""
    if not first or not second:
        return second or first
    out = {(sample.pid, sample.start_ms): sample for sample in first}
    for sample in second:
        key = sample.pid, sample.start_ms
        out[key] = summed(out[key], sample) if key in out else sample
    return list(out.values())
