"""Trainings without an agent that write a log: what that says, as samples of their root process.

A log is read where the standard output or error of the job is a plain file, and where the configuration names a file (``logs``) that a
process of the job has open, or that lies below its working directory while no other training's does. A log never adds to an agent.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch import procfs
from gpuwatch.collectors.training.processes import Processes
from gpuwatch.collectors.training.ranks import Key
from gpuwatch.collectors.training.run import RunState
from gpuwatch.model import Event
from gpuwatch.names import Severity, TrainingSource
from gpuwatch.plugin import CollectorContext, JobProcess
from gpuwatch.text import clean
from gpuwatch.training import Trainer, TrainingSample

if TYPE_CHECKING:
    from gpuwatch.collectors.training.logs.reading import LogReading
    from gpuwatch.collectors.training.logs.watch import LogWatch

_LOOK_TICKS, _PATIENT_LOOKS = 10, 6
_MAX_WATCHED = 64
_MAX_OPEN = 512
_COMMAND_LIMIT = 16384


class _Log:
    """The log of one job, told as that of ``job``, its root."""

    def __init__(self, watch: LogWatch, members: list[JobProcess], began_ms: int) -> None:
        self.watch = watch
        self.job = members[0]
        self.pids = {job.pid for job in members}
        self.began_ms = began_ms
        self.told: Trainer | None = None
        self.begun = False


class Logged:
    """``look`` once a tick."""

    def __init__(self, context: CollectorContext, processes: Processes) -> None:
        self._context = context
        self._processes = processes
        named = context.options.get("logs", ())
        self._unclaimed = {str(path): 0 for path in (named if isinstance(named, (list, tuple)) else (named,))}
        """Named files that no job was found for, and how often one was looked for."""
        self._claimed: dict[Key, list[str]] = {}
        self._logs: dict[Key, _Log] = {}
        self._without: set[Key] = set()
        """Jobs without a log that can be read."""
        self._ticks = 0
        self.samples: list[TrainingSample] = []
        self.trainers: list[Trainer] = []
        self.events: list[Event] = []

    def look(self, now: float, states: Collection[RunState]) -> None:
        """Read the logs of the runs that have no agent."""
        self.samples, self.trainers, self.events = [], [], []
        wanted = {state.key: state for state in states if not state.over and not state.attached}
        for key in [key for key in self._logs if key not in wanted]:
            self._logs.pop(key).watch.close()
        if not wanted:
            return
        if self._ticks % _LOOK_TICKS == 0:
            self._without.clear()
            self._claim(wanted, now)
            self._begin_again()
        self._ticks += 1
        for key, state in wanted.items():
            log = self._logs.get(key)
            if log is None and key not in self._without and len(self._logs) < _MAX_WATCHED:
                log = self._begin(key, now)
            if log is not None and (reading := log.watch.read(now, self._devices(key))) is not None:
                self._tell(log, state, reading, now)

    def close(self) -> None:
        """Let go of all files."""
        for log in self._logs.values():
            log.watch.close()

    # -------------------------------------------------------------------------------------------------------------- whose

    def _members(self, key: Key) -> list[JobProcess]:
        """The python processes of a job, its root first."""
        found = [job for job in self._processes.jobs.values() if job.workload == key]
        return sorted(found, key=lambda job: ((job.pid, job.start_ms) != key, not job.python, job.pid))

    def _begin(self, key: Key, now: float) -> _Log | None:
        from gpuwatch.collectors.training.logs.outputs import regular_outputs

        members, root = self._members(key), self._context.proc_root
        named = self._claimed.get(key, [])
        if not members or not (named or any(regular_outputs(job.pid, root) for job in members[:_MAX_WATCHED])):
            self._without.add(key)
            return None
        from gpuwatch.collectors.training.logs.watch import LogWatch

        first = members[0]
        watch = LogWatch(first.pid, self._argv(first.pid), named, self._context.clock, root, [job.pid for job in members[1:]])
        self._logs[key] = log = _Log(watch, members, round(now * 1000))
        return log

    def _begin_again(self) -> None:
        """Give up logs that tell nothing of a training where the job has got processes since: ranks come after their launcher."""
        for key, log in list(self._logs.items()):
            if log.told is None and not {job.pid for job in self._members(key)} <= log.pids:
                self._logs.pop(key).watch.close()

    def _argv(self, pid: int) -> list[str]:
        """The arguments as they are now. Never kept."""
        try:
            raw = procfs.read_once(f"{self._context.proc_root}/{pid}/cmdline", _COMMAND_LIMIT)
        except OSError:
            return []
        return raw.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")

    def _claim(self, wanted: Mapping[Key, RunState], now: float) -> None:
        """Find out to which job each named file belongs; say once of one that belongs to none. The next training may write it anew."""
        for ended in self._claimed.keys() - wanted:
            self._unclaimed |= dict.fromkeys(self._claimed.pop(ended), _PATIENT_LOOKS)
        for path in list(self._unclaimed):
            key = self._owner_of(path, wanted)
            if key is not None:
                self._claimed.setdefault(key, []).append(path)
                if key in self._logs:
                    self._logs.pop(key).watch.close()
                del self._unclaimed[path]
                continue
            self._unclaimed[path] += 1
            if self._unclaimed[path] == _PATIENT_LOOKS:
                detail = f"{path} is not read: no training without an agent has it open, or has it below its working directory"
                self.events.append(Event(round(now * 1000), "log_ignored", clean(detail), Severity.NOTICE))

    def _owner_of(self, path: str, wanted: Iterable[Key]) -> Key | None:
        try:
            there = os.stat(path)
        except OSError:
            return None
        below = []
        for key in wanted:
            members = self._members(key)[:_MAX_WATCHED]
            if any(self._has_open(job.pid, there) for job in members):
                return key
            if any(_is_below(path, self._processes.folder(job.pid)) for job in members[:1]):
                below.append(key)
        return below[0] if len(below) == 1 else None

    def _has_open(self, pid: int, there: os.stat_result) -> bool:
        folder = f"{self._context.proc_root}/{pid}/fd"
        try:
            names = os.listdir(folder)[:_MAX_OPEN]
        except OSError:
            return False
        for name in names:
            try:
                if os.path.samestat(os.stat(f"{folder}/{name}"), there):
                    return True
            except OSError:
                continue
        return False

    def _devices(self, key: Key) -> int | None:
        """How many processes of the job are on GPUs: as many devices, in training. ``None`` if none is seen there."""
        on_gpus = self._context.gpu_pids.current()
        return sum(job.workload == key for pid, job in self._processes.jobs.items() if pid in on_gpus) or None

    # -------------------------------------------------------------------------------------------------------------- telling

    def _tell(self, log: _Log, state: RunState, said: LogReading, now: float) -> None:
        job, now_ms = log.job, round(now * 1000)
        counted = any(count is not None for count in (said.steps, said.tokens, said.samples))
        state.take_log(said.steps, _whole(said.tokens), _whole(said.samples), now_ms)
        state.take_place(said.step, said.total_steps)
        if counted or not log.begun:
            log.begun = True
            sample = TrainingSample(
                job.pid,
                job.start_ms,
                *job.workload,
                interval_seconds=said.window_seconds or 0.0,
                steps_total=said.steps,
                rank_steps_total=said.steps,
                tokens_total=said.tokens,
                samples_total=said.samples,
                loss=said.loss,
                step_number=said.step,
            )
            self.samples.append(sample)
        trainer = Trainer(
            job.pid,
            job.start_ms,
            *job.workload,
            source=TrainingSource.LOG,
            attached_ms=log.began_ms,
            detail=f"{said.source}; trust: {said.trust}" if said.trust else said.source,
            framework=said.framework,
            total_steps=said.total_steps,
        )
        if trainer != log.told:
            log.told = trainer
            self.trainers.append(trainer)


def _whole(count: float | None) -> int | None:
    return None if count is None else round(count)


def _is_below(path: str, folder: str) -> bool:
    return bool(folder) and Path(os.path.realpath(path)).is_relative_to(folder) and len(Path(folder).parts) > 2
