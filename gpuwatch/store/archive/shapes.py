"""What chunks hold: one shape for each hot table, with its entity, its columns and the order of its rows."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.columns import (
    EXTRA_SAMPLE,
    GPU_SAMPLE,
    HOST_SAMPLE,
    INFERENCE_SAMPLE,
    PROCESS_SAMPLE,
    RECORDER_SAMPLE,
    TRAINING_SAMPLE,
)

GPU, PROCESS, TRAINING, INFERENCE, HOST, RECORDER, EXTRA = range(7)
"""``chunk.kind``."""


class Shape(NamedTuple):
    """How the rows of a hot table lie in chunks."""

    kind: int
    table: str
    entity: str
    """The hot column whose value is ``chunk.entity_id``; empty where an hour is one chunk, of entity 0."""
    key: tuple[str, ...]
    """What tells rows of the same time apart; within a block, rows are in the order of key and time."""
    values: tuple[str, ...]
    """``dt_ms`` is the first where there is one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the chunk."""
        return (*self.key, "ts_ms", *self.values)

    @property
    def has_host(self) -> bool:
        """Whether its rows know their host."""
        return self.kind in (HOST, RECORDER)

    @property
    def timed(self) -> bool:
        """Whether its rows say for how long they speak."""
        return "dt_ms" in self.values


_ALL = (
    Shape(GPU, "gpu_sample", "gpu_id", (), GPU_SAMPLE[2:]),
    Shape(PROCESS, "process_sample", "gpu_id", ("proc_id",), PROCESS_SAMPLE[3:]),
    Shape(TRAINING, "training_sample", "proc_id", (), ("dt_ms", "workload_id", *TRAINING_SAMPLE[4:])),
    Shape(INFERENCE, "inference_sample", "workload_id", (), INFERENCE_SAMPLE[2:]),
    Shape(HOST, "host_sample", "", (), HOST_SAMPLE[2:]),
    Shape(RECORDER, "recorder_sample", "", (), RECORDER_SAMPLE[2:]),
    Shape(EXTRA, "extra_sample", "", ("name", "gpu_id", "proc_id"), EXTRA_SAMPLE[4:]),
)
SHAPES = {shape.kind: shape for shape in _ALL}
"""``chunk.kind`` -> its shape."""
