"""What is said when a process of a training ends and that was not the orderly end of all of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from gpuwatch.collectors.training.outcome import End, end_of, in_order, name_of, unsure
from gpuwatch.collectors.training.ranks import Key, Rank
from gpuwatch.model import Event
from gpuwatch.names import RunOutcome, Severity

KIND = "rank_died"
_PATIENCE_MS = 10_000
"""Ranks that end in order do so one after the other: one that ended is missed only if others still train after this."""
_FOLLOWS_MS = 60_000
"""After one has failed its launcher ends the others: what dies within this says nothing new."""
_BAD = (RunOutcome.FAILED, RunOutcome.DIED)


class Deaths:
    """``look`` once a tick. ``name`` tells what a workload is called, ``outcome`` how its run has ended so far."""

    def __init__(self, name: Callable[[Key], str], outcome: Callable[[Key], RunOutcome]) -> None:
        self._name = name
        self._outcome = outcome
        self._alone: list[tuple[Rank, int, str]] = []
        """Processes that trained alone and fell silent, when that was seen and what their job is called: a signal may have stopped them."""
        self._left: list[tuple[Rank, int]] = []
        """Ranks that ended in order, and when that was seen."""
        self._first: dict[Key, tuple[str, int, End]] = {}
        """Of each workload who failed or died first, and when that was seen."""

    def look(self, now_ms: int, ended: Sequence[Rank], ranks: Collection[Rank]) -> list[Event]:
        """Events of this tick; ``ended`` are those that have ended since the last one."""
        events = []
        order = {end: place for place, end in enumerate(in_order(end_of(rank) for rank in ended))}
        for rank in sorted(ended, key=lambda rank: order[end_of(rank)]):
            if rank.found_dead:
                continue
            if rank.outcome is RunOutcome.DIED and not name_of(rank):
                self._alone.append((rank, now_ms, self._name(rank.root)))
            elif rank.outcome in _BAD:
                events.append(self._died(rank, now_ms))
            elif name_of(rank):
                self._left.append((rank, now_ms))
        events += self._missed(now_ms, ranks) + self._silent(now_ms)
        self._first = {root: first for root, first in self._first.items() if now_ms - first[1] < _FOLLOWS_MS}
        return events

    def _died(self, rank: Rank, now_ms: int) -> Event:
        how = f"failed: {rank.detail}" if rank.outcome is RunOutcome.FAILED else "died without an orderly end"
        first = self._first.get(rank.root)
        if first is not None and now_ms - first[1] < _FOLLOWS_MS:
            if unsure(first[2], end_of(rank)):
                return self._event(rank, f"{how}; whether before {first[0]} is not known", Severity.WARNING)
            return self._event(rank, f"{how}, after {first[0]}", Severity.NOTICE)
        self._first[rank.root] = name_of(rank) or f"pid {rank.key[0]}", now_ms, end_of(rank)
        return self._event(rank, how, Severity.WARNING)

    def _missed(self, now_ms: int, ranks: Collection[Rank]) -> list[Event]:
        due = [rank for rank, at in self._left if not 0 <= now_ms - at < _PATIENCE_MS]
        self._left = [(rank, at) for rank, at in self._left if 0 <= now_ms - at < _PATIENCE_MS]
        training = {rank.root for rank in ranks if not rank.ended and name_of(rank)}
        return [self._event(rank, "ended while other ranks go on", Severity.WARNING) for rank in due if rank.root in training]

    def _silent(self, now_ms: int) -> list[Event]:
        """Of processes that trained alone, those whose run is known not to have been stopped, or of which nobody says anything."""
        events, waiting = [], []
        for rank, at, name in self._alone:
            outcome = self._outcome(rank.root)
            if outcome is RunOutcome.RUNNING and 0 <= now_ms - at < _PATIENCE_MS:
                waiting.append((rank, at, name))
            elif outcome is not RunOutcome.STOPPED:
                events.append(self._event(rank, "died without an orderly end", Severity.WARNING, name))
        self._alone = waiting
        return events

    def _event(self, rank: Rank, how: str, severity: Severity, name: str = "") -> Event:
        who, name = name_of(rank), name or self._name(rank.root)
        of = f" of {name}" if name else ""
        detail = f"{who}{of} (pid {rank.key[0]}) {how}" if who else f"{name or 'a training'} (pid {rank.key[0]}) {how}"
        return Event(
            rank.ended_ms or 0, KIND, detail, severity, gpu_uuid=rank.identity.gpu_uuid if rank.identity else "", pid=rank.key[0]
        )
