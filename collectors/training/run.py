"""One training run: a workload of kind training from its start to its end, with what all of its processes have done."""

from __future__ import annotations

from gpuwatch.collectors.training import layout
from gpuwatch.collectors.training.growth import went_back
from gpuwatch.collectors.training.outcome import End, end_of, outcome_of
from gpuwatch.collectors.training.ranks import Key, Rank
from gpuwatch.collectors.training.reader import Counters
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.names import RunOutcome
from gpuwatch.training import Run

_TELL_MS = 10_000
"""What only grows is told this often; everything else at once."""


@dataclass(slots=True)
class _Part:
    """What one process has done. ``place`` is its rank in the world, ``None`` for one that trains alone."""

    place: int | None
    counters: Counters | None = None
    replicas: int = 1
    before: tuple[int, int | None, int | None] = (0, None, None)
    """Its steps, tokens and samples before it began to count anew."""

    def take(self, counters: Counters) -> None:
        if self.counters is not None and went_back(self.counters, counters):
            self.before = self.steps, self.tokens, self.samples
        self.counters = counters

    @property
    def steps(self) -> int:
        return self.before[0] + (self.counters.steps if self.counters is not None else 0)

    @property
    def tokens(self) -> int | None:
        """Its share of the tokens; ``None`` if it does not count them. So it is with samples."""
        one = self.counters
        return _sum(self.before[1], one.tokens // self.replicas if one is not None and one.known & layout.SNAP_TOKENS else None)

    @property
    def samples(self) -> int | None:
        one = self.counters
        return _sum(self.before[2], one.samples // self.replicas if one is not None and one.known & layout.SNAP_SAMPLES else None)


class RunState:
    """What is known of one run."""

    def __init__(self, root: Key, *, command: str = "", name: str = "", git_commit: str = "") -> None:
        self.key = root
        self.name = name
        self.above: list[tuple[int, int]] = []
        """(pid, start in clock ticks) of the root and all above it at its start."""
        self.rooted = False
        """Its root was there at its start, and may start more of it as long as it is."""
        self.ends: dict[Key, End] = {}
        self.last_end_ms: int | None = None
        """When the last of its processes that were read ended."""
        self.gone_ms: int | None = None
        """When its last process was found gone."""
        self.over = False
        """Its end is known and goes on being told only."""
        self.detail = ""
        """One line on it while it runs."""
        self.awaited = False
        """It was started by ``gpuwatch run``, and its processes may still begin to tell."""
        self._fixed = Run(*root, started_ms=root[1], command=command, git_commit=git_commit)
        self._parts: dict[Key, _Part] = {}
        self._first_step_ms: int | None = None
        self._last_step_ms: int | None = None
        self._checkpoint_ms: int | None = None
        self._number: int | None = None
        self._total: int | None = None
        self._logged: tuple[int | None, int | None, int | None] = (None, None, None)
        self._by_log = False
        self._told: Run | None = None
        self._told_ms = 0
        self._mark: tuple[object, ...] = ()

    def take(self, rank: Rank) -> None:
        """Take over what one of its processes has done so far."""
        one, counters = rank.identity, rank.counters
        if one is None:
            return
        if rank.outcome is not RunOutcome.RUNNING and rank.key not in self.ends:
            self.ends[rank.key] = end_of(rank)
            self.last_end_ms = _later(self.last_end_ms, rank.ended_ms)
        part = self._parts.get(rank.key)
        if part is None:
            part = self._parts[rank.key] = _Part(one.rank if (one.world or 1) > 1 else None)
        part.replicas = one.replicas
        if counters is None or counters is part.counters:
            return
        part.take(counters)
        self._first_step_ms = self._first_step_ms or rank.wall_ms(counters.first_step_ns)
        self._last_step_ms = _later(self._last_step_ms, rank.wall_ms(counters.last_step_ns))
        self._checkpoint_ms = _later(self._checkpoint_ms, rank.wall_ms(counters.last_checkpoint_ns))
        self._number = _later(self._number, counters.step_number)
        self._total = one.total_steps or self._total

    def leave(self, process: Key) -> None:
        """A process is known to belong to another run by now."""
        self._parts.pop(process, None)

    @property
    def outcome(self) -> RunOutcome:
        """How it ended."""
        return self._fixed.outcome

    def take_log(self, steps: int | None, tokens: int | None, samples: int | None, now_ms: int) -> None:
        """Take over what its log has told since it was last read."""
        before, self._by_log = self._logged, True
        self._logged = _sum(before[0], steps), _sum(before[1], tokens), _sum(before[2], samples)
        if steps:
            self._last_step_ms = now_ms

    def take_place(self, step: int | None, total: int | None) -> None:
        """Where its log says that it is."""
        self._number, self._total = (step if step is not None else self._number), total or self._total

    def ends_at(self, ended_ms: int, exit_code: int | None) -> None:
        """It is over; ``exit_code`` if anybody saw it, negative for a signal."""
        outcome, self.detail = outcome_of(list(self.ends.values()), exit_code)
        ended_ms = max(ended_ms, self._fixed.started_ms)
        self._fixed = replace(self._fixed, ended_ms=ended_ms, exit_code=exit_code, outcome=outcome)
        self.over = True

    @property
    def attached(self) -> bool:
        """Whether one of its processes writes a hook file."""
        return bool(self._parts)

    @property
    def told(self) -> bool:
        """Whether its processes or its log tell anything of it."""
        return bool(self._parts) or self._by_log

    def news(self, now_ms: int) -> Run | None:
        """The run if there is something new to tell of it."""
        first, total, checkpoint = self._first_step_ms, self._total, self._checkpoint_ms
        mark = (first, total, checkpoint, self.detail, self.over, len(self._parts), self._by_log)
        if mark == self._mark and 0 <= now_ms - self._told_ms < _TELL_MS:
            return None
        now, told = self._run(), self._told
        self._mark, self._told, self._told_ms = mark, now, now_ms
        return now if now != told else None

    def _run(self) -> Run:
        places: dict[int, int] = {}
        alone = 0
        attached = self.attached
        steps, tokens, samples = (None, None, None) if attached else self._logged
        for part in self._parts.values():
            if part.place is None:
                alone += part.steps
            else:
                places[part.place] = places.get(part.place, 0) + part.steps
            tokens = _sum(tokens, part.tokens)
            samples = _sum(samples, part.samples)
        return replace(
            self._fixed,
            first_step_ms=self._first_step_ms,
            last_step_ms=self._last_step_ms,
            last_checkpoint_ms=self._checkpoint_ms,
            detail=self.detail,
            steps=alone + max(places.values(), default=0) if attached else steps,
            tokens=tokens,
            samples=samples,
            step_number=self._number,
            total_steps=self._total,
            ranks=(len(places) or 1) if attached else None,
            attached=attached,
        )


def _later(one: int | None, two: int | None) -> int | None:
    return max(one, two) if one is not None and two is not None else one if two is None else two


def _sum(one: int | None, two: int | None) -> int | None:
    return one if two is None else two if one is None else one + two
