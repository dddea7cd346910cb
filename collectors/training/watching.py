"""What the training collector does once there is something to watch."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from gpuwatch.collectors.training import ring
from gpuwatch.collectors.training.attached import Attached, stepping
from gpuwatch.collectors.training.deaths import Deaths
from gpuwatch.collectors.training.folders import Folders
from gpuwatch.collectors.training.logged import Logged
from gpuwatch.collectors.training.notes import Notes
from gpuwatch.collectors.training.processes import Processes
from gpuwatch.collectors.training.ranks import Key, Rank
from gpuwatch.collectors.training.reasons import reasons
from gpuwatch.collectors.training.runs import Runs
from gpuwatch.model import Batch, LatencyCounts, MissingKey
from gpuwatch.names import Missing
from gpuwatch.plugin import CollectorContext
from gpuwatch.training import Run, Trainer

_TELL_TICKS = 5
"""How often an end is told: of two readings for one second one may be dropped."""


class Watching:
    """Everything that is known of the trainings of this host."""

    def __init__(self, context: CollectorContext, folders: Folders, opened_ns: int) -> None:
        self._context = context
        self._folders = folders
        self._processes = Processes(context)
        self._notes = Notes(folders, self._processes, str(context.options.get("command_lines", "redacted")))
        self._attached = Attached(context, folders, self._processes, opened_ns)
        now_ns, now_ms = context.clock.monotonic_ns(), round(context.clock.time() * 1000)
        self._runs = Runs(self._processes, self._notes, now_ms - (now_ns - opened_ns) // 1_000_000)
        self._deaths = Deaths(self._name, self._runs.outcome)
        self._logged = Logged(context, self._processes)
        self._ends: deque[tuple[list[Trainer], list[Run]]] = deque(maxlen=_TELL_TICKS)
        self._missing: Mapping[MissingKey, Missing] = {}

    def close(self) -> None:
        """Let go of all files."""
        self._attached.close()
        self._logged.close()
        self._context.trainers.trains(())

    def batch(self, now: float, began: int) -> Batch:
        """One tick."""
        context, attached, processes = self._context, self._attached, self._processes
        now_ms = round(context.clock.time() * 1000)
        changed = processes.look()
        if changed:
            self._folders.of_users({job.uid for job in processes.jobs.values() if job.uid is not None})
            attached.moved()
        self._notes.look(now_ms)
        attached.look(now_ms)
        ranks, leads = attached.ranks, attached.leads()
        deaths = self._deaths.look(now_ms, attached.ended, ranks)
        logged = self._logged
        logged.look(now, self._runs.states.values())
        runs = self._runs.look(now_ms, ranks, changed)
        context.trainers.trains(stepping(ranks))
        samples = [sample for rank in ranks if (sample := rank.sample(rank.key in leads)) is not None]
        trainers = [trainer for rank in ranks if (trainer := rank.trainer()) is not None]
        counts = [counts for rank in ranks for counts in self._steps(rank, rank.key in leads)]
        self._missing = reasons(self._runs.states.values(), ranks, self._missing)
        again = self._tell_again(trainers, runs)
        return Batch(
            "training",
            int(now),
            monotonic_ns=began,
            duration_ns=context.clock.monotonic_ns() - began,
            training_samples=[*samples, *logged.samples],
            latency_counts=counts,
            trainers=[*again[0], *trainers, *logged.trainers],
            runs=[*again[1], *runs],
            events=[*attached.events, *logged.events, *deaths],
            missing=self._missing,
        )

    def _tell_again(self, trainers: list[Trainer], runs: list[Run]) -> tuple[list[Trainer], list[Run]]:
        again = [one for ends, _ in self._ends for one in ends], [one for _, ends in self._ends for one in ends]
        ended = [one for one in trainers if one.ended_ms is not None], [one for one in runs if one.ended_ms is not None]
        self._ends.append(ended)
        return again

    def _name(self, root: Key) -> str:
        state = self._runs.states.get(root)
        return state.name if state is not None else ""

    @staticmethod
    def _steps(rank: Rank, lead: bool) -> list[LatencyCounts]:
        try:
            return ring.counted(rank.root, rank.new_steps(lead))
        except OSError:
            return []
