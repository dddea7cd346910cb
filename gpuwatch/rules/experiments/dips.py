"""Checkpoints of a training without a hook: pauses of its GPUs in which much is written."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.scene import JobSubject, Scene

WRITES = 200e6
"""Bytes a second that go to disk while a checkpoint is written."""
FEWEST = 3
"""So many pauses of one kind are a habit."""


class Dips(NamedTuple):
    """How many pauses there were, and what share of the window they took."""

    times: int
    share: float


def dips(job: JobSubject, scene: Scene, seconds: float) -> Dips | None:
    """Pauses of the job's first GPU in which the host wrote; ``None`` where one of both is not known for the same looks."""
    if not job.gpus:
        return None
    gpu, host = job.gpus[0].series.looks(seconds), scene.host.looks(seconds)
    if not gpu or len(gpu) != len(host):
        return None
    count, quiet_ms, known, before = 0, 0, 0, False
    for look, writing in zip(gpu, host, strict=True):
        if not look.known_ms or writing.disk_write is None:
            continue
        known += 1
        now = look.quiet_ms > 0 and writing.disk_write >= WRITES
        count += now and not before
        quiet_ms += look.quiet_ms if now else 0
        before = now
    return Dips(count, quiet_ms / (seconds * 1000)) if known >= 0.9 * len(gpu) else None
