"""All training runs of the host: when each began, who belongs to it, when it is over, and whose exit code is its own.

``gpuwatch run`` sees how its command ends. That code is a run's if the command's process is the root of the run, or has started this
one run only and ended with it: of a script that starts twenty trainings, each is a run, and the script's code is none of theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gpuwatch.collectors.training.git import commit_of
from gpuwatch.collectors.training.notes import Note, Notes
from gpuwatch.collectors.training.processes import Processes
from gpuwatch.collectors.training.ranks import Key, Rank
from gpuwatch.collectors.training.run import RunState
from gpuwatch.names import RunOutcome
from gpuwatch.plugin import JobProcess
from gpuwatch.training import Run

NOTE_MS = 4_000
"""So long after a run its command's note may take to say how that ended, and so near the ends of both must be."""
_LATE_MS = 10_000
"""A recorder that begins so soon after a command (``gpuwatch run`` starts one beside it) has watched all of the command's life."""
_AWAITED, _BLOCKED = ("", "waiting", "attached"), ("blocked", "failed", "off")
"""States of a note's ``attach``."""
_TOGETHER_MS = 120_000
"""Ranks found dead whose processes were armed within this are of one run."""
_MAX_OVER = 4096


class Runs:
    """``look`` once a tick; ``states`` are the runs that go on, by workload."""

    def __init__(self, processes: Processes, notes: Notes, opened_ms: int) -> None:
        self._processes = processes
        self._notes = notes
        self._opened_ms = opened_ms
        self.states: dict[Key, RunState] = {}
        self._over: dict[Key, RunOutcome] = {}
        """How runs ended whose end was told, the oldest first."""
        self._homes: dict[Key, Key] = {}
        """Process -> the run that it was counted in."""
        self._under: dict[tuple[int, int], int] = {}
        """How many runs the command of each note has started."""
        self._present: set[Key] = set()

    def look(self, now_ms: int, ranks: Collection[Rank], changed: bool) -> list[Run]:
        """Runs of which there is something new. ``changed``: the board of jobs is not what it was."""
        if changed:
            self._find(self._processes.jobs.values())
        self._gather(ranks)
        homes, self._homes = self._homes, {rank.key: rank.root for rank in ranks}
        for rank in ranks:
            before = homes.get(rank.key, rank.root)
            if before != rank.root and before in self.states:
                self.states[before].leave(rank.key)
            state = self.states.get(rank.root)
            if state is None and rank.counters is not None and rank.counters.steps:
                state = self._begin(rank.root, self._processes.jobs.get(rank.root[0]))
            if state is not None and not state.over:
                state.take(rank)
        living = {rank.root for rank in ranks if rank.outcome is RunOutcome.RUNNING}
        told = []
        for key, state in list(self.states.items()):
            if not state.over:
                self._watch(state, key in living or self._goes_on(state), now_ms)
            run = state.news(now_ms)
            if run is not None:
                told.append(run)
            if state.over:
                self._forget(key)
        return told

    def outcome(self, root: Key) -> RunOutcome:
        """How the run of that workload ended; ``RUNNING`` while it goes on, or is none that is known."""
        state = self.states.get(root)
        return state.outcome if state is not None else self._over.get(root, RunOutcome.RUNNING)

    # -------------------------------------------------------------------------------------------------------------- begin

    def _find(self, jobs: Iterable[JobProcess]) -> None:
        by_root: dict[Key, JobProcess] = {}
        for job in jobs:
            if job.workload not in by_root or (job.pid, job.start_ms) == job.workload:
                by_root[job.workload] = job
        self._present = set(by_root)
        for key, job in by_root.items():
            if job.training and key not in self.states and key not in self._over:
                self._begin(key, job)

    def _begin(self, root: Key, job: JobProcess | None) -> RunState | None:
        if root in self._over:
            return None
        processes, pid = self._processes, root[0]
        if job is not None and job.workload != root:
            job = None
        is_root = job is not None and (job.pid, job.start_ms) == root
        owner = processes.owner(pid) if is_root else None
        commit = commit_of(processes.folder(pid), {owner, 0}) if owner is not None else ""
        command, name = (job.command if is_root else "", job.name) if job is not None else ("", "")
        notes = self._notes.by_process
        gone = [process for process in notes if process[0] == pid and processes.start_ms(*process) == root[1]]
        command = command or next((notes[process].command for process in gone), "")
        state = self.states[root] = RunState(root, command=command, name=name, git_commit=commit)
        state.rooted = is_root
        state.above = processes.above(pid) if is_root else gone
        if note := self._note_above(state):
            self._under = {process: count for process, count in self._under.items() if process in notes}
            self._under[note.process] = self._under.get(note.process, 0) + 1
        return state

    # ---------------------------------------------------------------------------------------------------------------- end

    def _goes_on(self, state: RunState) -> bool:
        """Whether a run of which nobody trains now has more to come: its root is there, which may start the next (the board does not
        know it between two), or, where that cannot be seen, the board has it. Of one whose root and trainers are gone it says so late.
        """
        alive = bool(state.above) and self._processes.alive(*state.above[0])
        if alive and state.rooted:
            return True
        return state.key in self._present and (alive or not (state.ends and state.above))

    def _watch(self, state: RunState, there: bool, now_ms: int) -> None:
        note = self._own_note(state)
        if there:
            state.gone_ms = None
            state.awaited = note is not None and note.attach in _AWAITED
            state.detail = note.problem if note is not None and note.attach in _BLOCKED else ""
            return
        if state.gone_ms is None:
            state.gone_ms = now_ms
        seen_ms = state.last_end_ms or state.gone_ms
        ended = note.ended_ms if note is not None else None
        if note is not None and ended is None and 0 <= now_ms - state.gone_ms < NOTE_MS:
            return  # who started it writes how it ended a moment later
        if note is not None and ended is not None and note.process == _root(state):
            state.ends_at(min(ended, now_ms), note.exit_code)
        elif note is not None and ended is not None and abs(ended - state.gone_ms) <= NOTE_MS and not _hides(note, state):
            state.ends_at(seen_ms, note.exit_code)
        else:
            state.ends_at(seen_ms, None)

    def _note_above(self, state: RunState) -> Note | None:
        """The note of the nearest process at or above the root."""
        return next((note for process in state.above if (note := self._notes.by_process.get(process)) is not None), None)

    def _own_note(self, state: RunState) -> Note | None:
        """The note whose command is this run, or has started only this one while we watched all of its life."""
        note = self._note_above(state)
        if note is None or note.process == _root(state):
            return note
        return note if self._under.get(note.process) == 1 and note.started_ms >= self._opened_ms - _LATE_MS else None

    def _forget(self, key: Key) -> None:
        self._over[key] = self.states.pop(key).outcome
        if len(self._over) > _MAX_OVER:
            for old in list(self._over)[: _MAX_OVER // 2]:
                del self._over[old]

    # ---------------------------------------------------------------------------------------------------- found too late

    def _gather(self, ranks: Collection[Rank]) -> None:
        """Give processes that were dead when their files were found a common run, as far as that can be told."""
        found = [rank for rank in ranks if rank.found_dead and rank.identity is not None and (rank.identity.world or 1) > 1]
        groups: list[list[Rank]] = []
        for rank in sorted(found, key=_armed_ms):
            for group in groups:
                first = group[0]
                if _world(first) == _world(rank) and _armed_ms(rank) - _armed_ms(first) <= _TOGETHER_MS:
                    group.append(rank)
                    break
            else:
                groups.append([rank])
        for group in groups:
            root = self._root_of(group)
            for rank in group:
                rank.root = root

    def _root_of(self, group: list[Rank]) -> Key:
        covering = [
            note
            for note in self._notes.by_process.values()
            if all(note.started_ms <= _armed_ms(rank) <= (note.ended_ms or _armed_ms(rank)) for rank in group)
        ]
        if len(covering) == 1:
            pid, ticks = covering[0].process
            return pid, self._processes.start_ms(pid, ticks)
        lead = min(group, key=lambda rank: (rank.identity.rank or 0) if rank.identity is not None else 0)
        return lead.key


def _root(state: RunState) -> tuple[int, int]:
    return state.above[0] if state.above else (0, 0)


def _hides(note: Note, state: RunState) -> bool:
    """Whether a script ended well though its training says itself that it did not: a shell goes on after a command that failed."""
    end = state.ends.get(state.key)
    return note.exit_code == 0 and end is not None and end.outcome in (RunOutcome.FAILED, RunOutcome.STOPPED)


def _armed_ms(rank: Rank) -> int:
    return rank.identity.wall_ns // 1_000_000 if rank.identity is not None else 0


def _world(rank: Rank) -> int | None:
    return rank.identity.world if rank.identity is not None else None
