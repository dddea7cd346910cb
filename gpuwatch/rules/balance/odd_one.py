"""The GPU of a job whose clock or power stands out from its siblings'."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.scene import GpuSubject, JobSubject
from gpuwatch.rules.statistics import median, robust_z


class Odd(NamedTuple):
    """A GPU whose clock (lower) or power (higher) stands out from its siblings'."""

    gpu: GpuSubject
    what: str
    value: float
    usual: float
    z: float

    @property
    def slower(self) -> float:
        """How much slower it is than they are, at most."""
        return 1 - min(self.value, self.usual) / max(self.value, self.usual)


def odd_one(job: JobSubject, name: str, seconds: float, *, lower: bool) -> Odd | None:
    """The GPU with the lowest (``lower``) or highest mean of a field; ``None`` unless all of them tell it."""
    values = [(gpu, value) for gpu in job.gpus if (value := gpu.series.mean(name, seconds)) is not None and value > 0]
    if len(values) < len(job.gpus):
        return None
    gpu, value = min(values, key=lambda one: one[1]) if lower else max(values, key=lambda one: one[1])
    others = [amount for other, amount in values if other is not gpu]
    return Odd(gpu, "SM clock" if lower else "power used", value, median(others), robust_z(value, others))
