"""What the hook of a job says of its training steps over a window."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import TrainingSource
from gpuwatch.rules.scene import JobSubject, RankSubject

_WIDER = (1, 3, 6, 12, 24)
_PARTS = ("data", "forward", "backward", "optimizer", "other")
ENABLE = "gpuwatch run -- "


class Steps(NamedTuple):
    """Sums over the ranks of a job in the last ``seconds``: ``steps`` is the mean of a rank, the others are seconds of all ranks.

    ``whole`` is the time of steps: without starting, compiling, checkpoints and evaluation; ``attached`` is all time that was read.
    """

    seconds: float
    steps: float
    whole: float
    data: float
    other: float
    attached: float

    @property
    def stepping(self) -> float:
        """The share of all time in which it made steps."""
        return min(1.0, self.whole / self.attached) if self.attached else 1.0

    @property
    def data_share(self) -> float:
        return self.data / self.whole if self.whole else 0.0

    @property
    def other_share(self) -> float:
        return self.other / self.whole if self.whole else 0.0

    def each(self, ranks: int) -> float | None:
        """Seconds of one step."""
        return self.whole / (self.steps * ranks) if self.steps and ranks else None


def attached(job: JobSubject) -> list[RankSubject]:
    """The ranks that are read from inside and have a reading now."""
    return [rank for rank in job.ranks if rank.facts.source != TrainingSource.LOG and rank.series.newest is not None]


def steps_of(job: JobSubject, seconds: float, least: float = 0) -> Steps | None:
    """The shortest window of ``seconds`` or a multiple of it (up to two hours) with ``least`` steps a rank; ``None``: not attached.

    Where even the longest has fewer, that one.
    """
    ranks = attached(job)
    found = None
    for factor in _WIDER:
        if factor > 1 and factor * seconds > 7200:
            break
        found = _sums(ranks, factor * seconds)
        if found is None or found.steps >= least:
            break
    return found


def _sums(ranks: list[RankSubject], seconds: float) -> Steps | None:
    spent = dict.fromkeys(_PARTS, 0.0)
    steps, attached_seconds, known = 0.0, 0.0, False
    for rank in ranks:
        for name in _PARTS:
            amount = rank.series.total(name, seconds)
            known |= name == "data" and amount is not None
            spent[name] += amount or 0.0
        steps += rank.series.total("rank_steps", seconds) or 0.0
        attached_seconds += rank.series.total("attached", seconds) or 0.0
    if not known:
        return None
    return Steps(seconds, steps / len(ranks), sum(spent.values()), spent["data"], spent["other"], attached_seconds)
