"""At most three findings of a GPU are told in 24 hours: people stop reading a tool that complains. Critical ones are always told."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Severity
from gpuwatch.rules.types import Finding

PER_DAY = 3
_DAY_MS = 24 * 3_600_000


class _Told(NamedTuple):
    at_ms: int
    key: tuple[str, str]
    rank: tuple[int, float]


def rank(finding: Finding) -> tuple[int, float]:
    """By severity, then by what it wastes."""
    return int(finding.severity), finding.waste_gpus or 0.0


class Places:
    """Who was told of each GPU in the last 24 hours."""

    def __init__(self) -> None:
        self._told: dict[int, list[_Told]] = {}

    def free(self, key: tuple[str, str], finding: Finding, t_ms: int) -> bool:
        """Whether a finding may be told: a place is free on each of its GPUs, or it ranks above one that has a place there.

        What was told before in these hours keeps its place.
        """
        if finding.severity is Severity.CRITICAL:
            return True
        for gpu_id in finding.gpus:
            others = [told for told in self._of(gpu_id, t_ms) if told.key != key]
            if len(others) >= PER_DAY and rank(finding) <= min(told.rank for told in others):
                return False
        return True

    def take(self, key: tuple[str, str], finding: Finding, t_ms: int) -> None:
        """It is told; on a GPU without a free place it takes that of the one that ranks lowest."""
        if finding.severity is Severity.CRITICAL:
            return
        for gpu_id in finding.gpus:
            others = sorted((told for told in self._of(gpu_id, t_ms) if told.key != key), key=lambda told: told.rank)
            self._told[gpu_id] = [*others[max(0, len(others) - PER_DAY + 1) :], _Told(t_ms, key, rank(finding))]

    def _of(self, gpu_id: int, t_ms: int) -> list[_Told]:
        return [told for told in self._told.get(gpu_id, ()) if told.at_ms > t_ms - _DAY_MS]
