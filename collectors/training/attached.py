"""All processes that write hook files: found, read, and told apart into living and dead ones."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable

from gpuwatch.collectors.training.folders import Folders, Place
from gpuwatch.collectors.training.hookfile import HookFile
from gpuwatch.collectors.training.processes import Processes
from gpuwatch.collectors.training.ranks import Key, Rank
from gpuwatch.collectors.training.reader import Foreign, Identity
from gpuwatch.model import Event
from gpuwatch.names import RunOutcome, Severity
from gpuwatch.plugin import CollectorContext
from gpuwatch.text import clean

_NS = 1_000_000_000
PATIENCE_NS = 6 * _NS
"""So long a new process may take to appear among the jobs before it is taken for a job of its own."""
UNLINK_NS = 15 * _NS
"""A dead process' file stays so long after it was told: until what it said is surely stored."""
_TOLD_NS = 2 * _NS
"""Who only looks once at what is so now (``gpuwatch status``) is gone before this, and leaves the file to whoever records."""
_LIVELY_NS = _NS // 5
"""Who gave a sign of life within this is not looked for in /proc."""
SILENT_NS = 600 * _NS
"""A process that cannot be seen is taken to have ended when its file has not changed for so long."""
_MAKING_NS, _TORN_NS = 3 * _NS, 10 * _NS
"""A file may not yet have its size and its first words when it is found; what says who writes it is written at once."""
_PASSING = (errno.ENOENT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What says nothing of a file itself: it is gone, or there is no room to open it now."""
_MAX_RANKS = 512
_MOST_SAID = 100
"""Files that are not read are said one by one up to this number."""


class Attached:
    """``look`` once a tick. ``ranks``: those that are told of, the ones that have just ended included."""

    def __init__(self, context: CollectorContext, folders: Folders, processes: Processes, opened_ns: int) -> None:
        self._clock = context.clock
        self._folders = folders
        self._processes = processes
        self._opened_ns = opened_ns
        self._files: dict[Place, Rank] = {}
        self._found_ns: dict[Place, int] = {}
        self._ignored: set[Place] = set()
        self._dead: dict[Place, int] = {}
        """Files of processes whose end was told, and when."""
        self._leads: dict[Key, Rank] = {}
        self._said = 0
        self.ranks: list[Rank] = []
        self.ended: list[Rank] = []
        """Those of ``ranks`` that have ended since the last look."""
        self.events: list[Event] = []

    def look(self, now_ms: int) -> None:
        """Read every file and find out who has ended."""
        now_ns = self._clock.monotonic_ns()
        self.events, self.ended, self.ranks = [], [], []
        if self._folders.changed:
            self._sort(now_ns)
        for place, rank in list(self._files.items()):
            if place in self._files and self._look_at(place, rank):
                self.ranks.append(rank)
        leaving = {rank.root for rank in self.ranks if rank.ended}
        for rank in self.ranks:
            if self._doubtful(rank, leaving) and not self._lives(rank):
                self._read_last(rank)
                rank.ends(now_ms)
                self.ended.append(rank)
                self._forget(rank.file.place, now_ns)
            rank.advance(self._opened_ns)
        self._tidy(now_ns)

    def _sort(self, now_ns: int) -> None:
        """Files that came; one whose name another file has now is gone. A file that was deleted is read on as long as it is open."""
        present = set(self._folders.hooks)
        self._ignored &= present
        self._dead = {place: at for place, at in self._dead.items() if place in present}
        names = {(place.folder, place.name) for place in present}
        for place in [place for place in self._files if place not in present and (place.folder, place.name) in names]:
            self._drop(place)
        for place in self._folders.hooks:
            known = place in self._files or place in self._ignored or place in self._dead
            if not known and len(self._files) < _MAX_RANKS:
                self._files[place] = Rank(HookFile(self._folders, place))
                self._found_ns[place] = now_ns

    def _drop(self, place: Place) -> Rank:
        rank = self._files.pop(place)
        rank.file.close()
        del self._found_ns[place]
        return rank

    def _forget(self, place: Place, now_ns: int) -> None:
        rank = self._drop(place)
        if rank.unseen:
            self._ignored.add(place)
        else:
            self._dead[place] = now_ns

    def _tidy(self, now_ns: int) -> None:
        for place in [place for place, at in self._dead.items() if now_ns - at >= UNLINK_NS]:
            self._folders.unlink(place)
            del self._dead[place]
            self._ignored.add(place)

    def close(self) -> None:
        """Let go of all files; those of the dead are removed if their end was told some ticks ago, so by one who records."""
        now_ns = self._clock.monotonic_ns()
        for rank in self._files.values():
            rank.file.close()
        for place, at in self._dead.items():
            if now_ns - at >= _TOLD_NS:
                self._folders.unlink(place)

    # ------------------------------------------------------------------------------------------------------------- one file

    def _look_at(self, place: Place, rank: Rank) -> bool:
        """Read it; whether anything can be told of it at this tick."""
        now_ns = self._clock.monotonic_ns()
        try:
            known = rank.read(now_ns)
        except (OSError, Foreign) as error:
            passes = isinstance(error, OSError) and error.errno in _PASSING
            if passes and rank.key[0]:
                return True
            if isinstance(error, FileNotFoundError):
                self._drop(place)
            if passes:
                return False
            if now_ns - self._found_ns[place] < _MAKING_NS:
                return False
            return self._ignore(place, str(error))
        if not known or rank.identity is None:
            if now_ns - self._found_ns[place] > _TORN_NS:
                return self._ignore(place, "it is damaged: what it says of its process does not fit its checksum")
            return False
        return bool(rank.key[0]) or self._settle(place, rank, rank.identity, now_ns)

    def _doubtful(self, rank: Rank, leaving: Collection[Key]) -> bool:
        """Whether it may have ended: nothing new in its file, no sign of life for a moment, or one of its job is ending."""
        now_ns = rank.read_ns
        if rank.lost or rank.moved_ns != now_ns or rank.ended or rank.found_dead or rank.root in leaving:
            return True
        return now_ns - rank.sign_ns > _LIVELY_NS

    def _read_last(self, rank: Rank) -> None:
        """Its last words, now that nobody writes any more."""
        try:
            rank.read(self._clock.monotonic_ns())
        except (OSError, Foreign):
            pass

    def _ignore(self, place: Place, reason: str) -> bool:
        """Say once why a file is not read; a process that was told of is over for us."""
        self._drop(place)
        self._ignored.add(place)
        self._said += 1
        if self._said <= _MOST_SAID:
            detail = clean(f"{place.folder}/{place.name} is not read: {reason}")
            self.events.append(Event(round(self._clock.time() * 1000), "hook_file_ignored", detail, Severity.NOTICE))
        return False

    def _settle(self, place: Place, rank: Rank, identity: Identity, now_ns: int) -> bool:
        """Find out which process it is and to which job it belongs; False while that is not known yet."""
        processes = self._processes
        patient = now_ns - self._found_ns[place] < PATIENCE_NS
        if (identity.pid, identity.start_ticks) != place.process:
            return self._ignore(place, "it says another process than its name does")
        pid = processes.pid_here(identity) if processes.foreign(identity) else identity.pid
        if pid is None:
            if patient:
                return False
            pid, rank.unseen = identity.pid, True
        key = pid, processes.start_ms(pid, identity.start_ticks)
        job = processes.job(*key)
        rank.found_dead = not rank.unseen and not processes.alive(pid, identity.start_ticks)
        if job is None and patient and not rank.found_dead:
            return False
        if not (rank.unseen or rank.found_dead) and processes.owner(pid) not in (None, rank.file.owner):
            return self._ignore(place, "the process that it names is another user's")
        if not self._newest(key, identity):
            return self._ignore(place, "the process that it names has a newer file")
        rank.key, rank.root = key, job.workload if job is not None else key
        return True

    def _newest(self, key: Key, identity: Identity) -> bool:
        """Whether of all files of one process this is the one that was armed last; those before it are let go."""
        for place, other in list(self._files.items()):
            if other.key == key and other.identity is not None:
                if other.identity.monotonic_ns > identity.monotonic_ns:
                    return False
                self._ignore(place, "its process has a newer file")
                self.ranks = [rank for rank in self.ranks if rank is not other]
        return True

    def moved(self) -> None:
        """The board of jobs has changed: a process may be known to belong to another job than it was taken for."""
        for rank in self._files.values():
            job = self._processes.job(*rank.key)
            if job is not None:
                rank.root = job.workload

    def _lives(self, rank: Rank) -> bool:
        if rank.unseen:
            return self._clock.monotonic_ns() - rank.moved_ns < SILENT_NS and not rank.ended
        return rank.identity is not None and self._processes.alive(rank.key[0], rank.identity.start_ticks)

    # --------------------------------------------------------------------------------------------------------------- leads

    def leads(self) -> set[Key]:
        """The ranks that tell the steps of their job: of each job on this host the lowest one; it stays so while it lives."""
        groups: dict[Key, list[Rank]] = {}
        for rank in self.ranks:
            if rank.counters is None:
                continue
            together = rank.identity is not None and (rank.identity.world or 1) > 1
            groups.setdefault(rank.root if together else rank.key, []).append(rank)
        leads = {}
        for group, ranks in groups.items():
            lead = self._leads.get(group)
            leads[group] = lead if lead in ranks and lead is not None else min(ranks, key=_order)
        self._leads = leads
        return {lead.key for lead in leads.values()}


def _order(rank: Rank) -> tuple[int, int, int]:
    one = rank.identity
    assert one is not None
    number = one.local_rank if one.local_rank is not None else one.rank
    return rank.outcome is not RunOutcome.RUNNING, number if number is not None else 1 << 30, rank.key[0]


def stepping(ranks: Iterable[Rank]) -> list[int]:
    """The pids of processes that train: a step of an optimizer was seen."""
    living = (rank for rank in ranks if rank.outcome is RunOutcome.RUNNING and not rank.unseen)
    return [rank.key[0] for rank in living if rank.counters is not None and rank.counters.steps]
