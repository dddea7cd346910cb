"""Why the GPUs of a job wait: what its own hook says, else which of the rules about waiting holds on it."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Cause, TrainingSource
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene

_RULES = (
    ("input-bound", Cause.INPUT, "for data"),
    ("slow-storage-or-swap", Cause.INPUT, "for storage"),
    ("single-thread-host-bound", Cause.HOST, "for one thread of its own on the CPU"),
    ("host-cpu-starved", Cause.HOST, "for CPU time"),
    ("launch-bound-small-kernels", Cause.HOST, "for kernels to be launched"),
    ("host-to-device-copy-bound", Cause.TRANSFER, "for copies from the host"),
    ("rank-straggler", Cause.PEERS, "for a slower rank"),
    ("rank-imbalance", Cause.PEERS, "for other ranks"),
    ("low-batch-occupancy", Cause.DEMAND, "for requests"),
    ("replica-no-traffic", Cause.DEMAND, "for requests"),
)


class WaitCause(NamedTuple):
    """``cause``, the words after "it waits", the rule that tells more (empty: none), and a share of time where it was measured."""

    cause: Cause
    words: str
    rule: str
    share: float | None = None


def why(gpu: GpuSubject, scene: Scene, seconds: float) -> WaitCause | None:
    """The first cause that is established; ``None``: nothing tells why it waits."""
    jobs = scene.jobs_on(gpu)
    for job in jobs:
        data, other = part_of_time(job, "data", seconds), part_of_time(job, "other", seconds)
        if data is not None and data >= 0.05 and data >= (other or 0.0):
            return WaitCause(Cause.INPUT, "for data", "input-bound", data)
        if other is not None and other >= 0.2:
            return WaitCause(Cause.HOST, "for the loop's own code on the CPU", "single-thread-host-bound", other)
    for rule, cause, words in _RULES:
        if scene.is_open(rule, gpu) or any(scene.is_open(rule, job) for job in jobs):
            return WaitCause(cause, words, rule)
    return None


def part_of_time(job: JobSubject, name: str, seconds: float) -> float | None:
    """The share that a phase (``data``, ``other`` ...) has in the time of a job's ranks, by their hook; ``None``: not attached."""
    spent = whole = 0.0
    for rank in job.ranks:
        if rank.facts.source == TrainingSource.LOG:
            continue
        spent += rank.series.total(name, seconds) or 0.0
        whole += rank.series.total("attached", seconds) or 0.0
    return spent / whole if whole else None
