"""What the training collector does once there is something to watch."""

from __future__ import annotations

from gpuwatch.collectors.training import ring
from gpuwatch.collectors.training.attached import Attached, stepping
from gpuwatch.collectors.training.folders import Folders
from gpuwatch.collectors.training.processes import Processes
from gpuwatch.collectors.training.ranks import Rank
from gpuwatch.model import Batch, LatencyCounts
from gpuwatch.plugin import CollectorContext


class Watching:
    """Everything that is known of the trainings of this host."""

    def __init__(self, context: CollectorContext, folders: Folders, opened_ns: int) -> None:
        self._context = context
        self._folders = folders
        self._processes = Processes(context)
        self._attached = Attached(context, folders, self._processes, opened_ns)

    def close(self) -> None:
        """Let go of all files."""
        self._attached.close()
        self._context.trainers.trains(())

    def batch(self, now: float, began: int) -> Batch:
        """One tick."""
        context, attached = self._context, self._attached
        if self._processes.look():
            self._folders.of_users({job.uid for job in self._processes.jobs.values() if job.uid is not None})
        attached.look(round(now * 1000))
        ranks, leads = attached.ranks, attached.leads()
        counts: list[LatencyCounts] = []
        for rank in ranks:
            if rank.key in leads:
                counts += self._steps(rank)
        samples = [sample for rank in ranks if (sample := rank.sample(rank.key in leads)) is not None]
        trainers = [trainer for rank in ranks if (trainer := rank.trainer()) is not None]
        context.trainers.trains(stepping(ranks))
        return Batch(
            "training",
            int(now),
            monotonic_ns=began,
            duration_ns=context.clock.monotonic_ns() - began,
            training_samples=samples,
            latency_counts=counts,
            trainers=trainers,
            events=attached.events,
        )

    @staticmethod
    def _steps(rank: Rank) -> list[LatencyCounts]:
        try:
            return ring.counted(rank.root, rank.new_steps())
        except OSError:
            return []
