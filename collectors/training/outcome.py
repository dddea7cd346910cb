"""How a run ended, from what its processes said last and from what ``gpuwatch run`` saw of its command."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence

from gpuwatch.collectors.training.ranks import Rank
from gpuwatch.dataclass import dataclass
from gpuwatch.names import RunOutcome

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STOPPED_CODES = tuple(128 + number for number in _STOPPING)
_LOST_PEERS = ("DistBackendError", "DistNetworkError", "DistStoreError", "ConnectionResetError", "BrokenPipeError")
"""What torch.distributed raises in a rank whose peer is gone (torch.distributed.DistError and its kinds)."""
_CLASS = {RunOutcome.STOPPED: 1, RunOutcome.UNKNOWN: 2, RunOutcome.FINISHED: 3}
"""A run ended as its worst process did; those that failed or died come before all."""
_OF_SHELL = 128
"""A shell ends with 128 and the number of the signal that its command died of."""


@dataclass(frozen=True, slots=True)
class End:
    """How one process ended. ``gone_ms`` is when it was found gone, ``sign_ns`` its last sign of life: of two that are found gone at one
    look the one that fell silent first failed first.
    """

    name: str
    outcome: RunOutcome
    said: str
    sign_ns: int
    gone_ms: int = 0

    @property
    def words(self) -> str:
        """One line: ``rank 1: ValueError``."""
        if self.outcome is RunOutcome.DIED:
            return f"{self.name or 'its process'} died"
        return f"{self.name}: {self.said}" if self.name and self.said else self.said or (f"{self.name} failed" if self.name else "")


def end_of(rank: Rank) -> End:
    """How a process ended that has ended."""
    return End(name_of(rank), rank.outcome, rank.detail, rank.sign_ns, rank.gone_ms)


def name_of(rank: Rank) -> str:
    """``rank 1``; empty for a process that trains alone."""
    one = rank.identity
    return f"rank {one.rank}" if one is not None and one.rank is not None and (one.world or 1) > 1 else ""


def in_order(ends: Iterable[End]) -> list[End]:
    """Who began first: who is gone first, since a launcher ends the others only when one has gone. Of those found gone at one look: one that
    failed by its own word before those that only fell silent; but one that says that it lost its peers comes after them.
    """
    return sorted(ends, key=lambda end: (_CLASS.get(end.outcome, 0), end.gone_ms, _turn(end), end.sign_ns))


def _turn(end: End) -> int:
    if end.outcome is RunOutcome.FAILED:
        return 2 if end.said in _LOST_PEERS else 0
    return 1


def unsure(first: End, other: End) -> bool:
    """Whether ``other`` may have died before ``first`` failed: torch raises a RuntimeError where a peer is gone, and both were found gone
    at one look.
    """
    return first.said == "RuntimeError" and other.outcome is RunOutcome.DIED and other.gone_ms == first.gone_ms


def _blamed(ends: Sequence[End]) -> str:
    """Who began, in one line. A RuntimeError may be what began it, or what torch raises where a peer is gone: then both are named."""
    first, *others = ends
    silent = [end for end in others if unsure(first, end)]
    if not silent:
        return first.words
    who = silent[0].words if len(silent) == 1 else f"{len(silent)} ranks died"
    return f"{first.words}, {who}: which came first is not known"


def outcome_of(ends: Sequence[End], exit_code: int | None) -> tuple[RunOutcome, str]:
    """How the whole run ended, and one line on it. ``exit_code`` (negative for a signal) if it is known, goes before all else."""
    ordered = in_order(ends)
    first = ordered[0] if ordered else None
    blamed = _blamed(ordered) if first is not None and first.outcome in (RunOutcome.FAILED, RunOutcome.DIED) else ""
    if exit_code is None:
        if first is None:
            return RunOutcome.UNKNOWN, ""
        return first.outcome, blamed or (first.words if first.outcome is not RunOutcome.FINISHED else "")
    if exit_code == 0:
        return RunOutcome.FINISHED, blamed
    if -exit_code in _STOPPING or exit_code in _STOPPED_CODES:
        return RunOutcome.STOPPED, _signal(exit_code)
    if exit_code < 0 or exit_code > _OF_SHELL and _known(exit_code - _OF_SHELL):
        return RunOutcome.DIED, blamed or _signal(exit_code)
    if first is not None and first.outcome is RunOutcome.STOPPED:
        return RunOutcome.STOPPED, first.words
    return RunOutcome.FAILED, blamed or f"exit code {exit_code}"


def _signal(exit_code: int) -> str:
    number = -exit_code if exit_code < 0 else exit_code - _OF_SHELL
    return f"signal {number} ({signal.Signals(number).name})" if _known(number) else f"signal {number}"


def _known(number: int) -> bool:
    return number in signal.Signals.__members__.values()
