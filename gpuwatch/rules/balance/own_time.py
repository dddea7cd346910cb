"""What each rank of a training does by itself in a step, before it waits for the others."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.scene import JobSubject, RankSubject
from gpuwatch.rules.statistics import median

PARTS = ("data", "forward", "other")
"""Backward is left out: gradients are summed over ranks in it, so the fast ones wait there."""
PART_WORDS = {"data": "waiting for data", "forward": "in forward", "other": "in its own code between steps"}


class Own(NamedTuple):
    """Mean seconds of a rank's own parts of a step, and of the whole step."""

    rank: RankSubject
    parts: dict[str, float]
    step: float

    @property
    def seconds(self) -> float:
        """Its own time of a step."""
        return sum(self.parts.values())

    @property
    def name(self) -> str:
        """``rank 3``."""
        number = self.rank.facts.rank
        return f"rank {number}" if number is not None else f"proc {self.rank.facts.proc_id}"


def own_times(job: JobSubject, seconds: float, least_steps: float) -> list[Own]:
    """Those ranks that counted so many steps in a window and tell their parts."""
    found = []
    for rank in job.ranks:
        steps = rank.series.total("rank_steps", seconds)
        attached = rank.series.total("attached", seconds)
        if not steps or steps < least_steps or not attached:
            continue
        parts = {name: value / steps for name in PARTS if (value := rank.series.total(name, seconds)) is not None}
        if rank.facts.rank == 0:
            parts.pop("other", None)  # it logs and saves for all: its extra work is no fault of its GPU
        if "forward" in parts:
            found.append(Own(rank, parts, attached / steps))
    return found


class Slowest(NamedTuple):
    """The rank that the others wait for: ``score`` is the others' median own time over its own; ``part`` is where it takes longest."""

    own: Own
    score: float
    excess: float
    part: str
    waits: float
    """What all others wait, in GPUs: the sum of what their own time lacks of its, over the step."""


def slowest(owns: list[Own]) -> Slowest | None:
    """Compare one rank with the median of the others; ``None`` with fewer than two."""
    if len(owns) < 2:
        return None
    worst = max(owns, key=lambda own: own.seconds)
    others = [own for own in owns if own is not worst]
    usual = median([own.seconds for own in others])
    if worst.seconds <= 0 or worst.step <= 0:
        return None
    part = max(worst.parts, key=lambda name: worst.parts[name] - median([own.parts.get(name, 0.0) for own in others]))
    waits = sum(min(1.0, max(0.0, worst.seconds - own.seconds) / worst.step) for own in others)
    return Slowest(worst, usual / worst.seconds, worst.seconds - usual, part, waits)
