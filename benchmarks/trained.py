"""What the training collector gives each second of one job: its ranks' rows and the times of their steps, and where its run stands."""

from __future__ import annotations

import random

from gpuwatch.model import Batch, LatencyCounts
from gpuwatch.names import Latency, TrainingSource
from gpuwatch.training import Run, Trainer, TrainingSample

ROOT = (1000, 5000)
"""A process of the scene; its ranks are those that follow, every sixteenth."""
STEPS = 4
MIB = 2.0**20


class Trainings:
    """One job with so many ranks, each of which does four steps a second, with noise in every digit."""

    def __init__(self, ranks: int) -> None:
        self._pids = [1000 + 16 * n for n in range(ranks)]
        self._trainers = [
            Trainer(pid, 5000, *ROOT, TrainingSource.HOOK, 5000, rank=n, world=ranks) for n, pid in enumerate(self._pids)
        ]
        self._chance = random.Random(11)
        self._first_s: int | None = None

    def batch(self, second: int) -> Batch:
        """The second that ends now."""
        told = self._trainers if self._first_s is None else ()
        self._first_s = self._first_s or second
        count = STEPS * (1 + second - self._first_s)
        run = Run(
            *ROOT,
            5000,
            steps=count,
            tokens=count * 4096 * len(self._pids),
            last_step_ms=second * 1000,
            step_number=count,
            attached=True,
        )
        samples = [self._rank(n, pid, count) for n, pid in enumerate(self._pids)]
        times = [LatencyCounts(*ROOT, 0, latency, self._buckets(latency)) for latency in Latency if latency >= Latency.STEP]
        return Batch("training", 0, training_samples=samples, latency_counts=times, trainers=told, runs=[run])

    def _rank(self, n: int, pid: int, count: int) -> TrainingSample:
        parts = [self._chance.random() for _ in range(5)]
        data, forward, backward, optimizer, other = (part / sum(parts) for part in parts)
        return TrainingSample(
            pid,
            5000,
            *ROOT,
            steps_total=STEPS if n == 0 else None,
            rank_steps_total=STEPS,
            tokens_total=STEPS * 4096,
            nonpad_tokens_total=self._chance.randrange(3000, 4096),
            counted_tokens_total=4096,
            samples_total=STEPS * 4,
            data_wait_seconds=data,
            forward_seconds=forward,
            backward_seconds=backward,
            optimizer_seconds=optimizer,
            other_seconds=other,
            attached_seconds=1 + self._chance.randrange(-4, 5) / 1000,
            starting_seconds=0.0,
            checkpoint_seconds=0.0,
            eval_seconds=0.0,
            compile_seconds=0.0,
            micro_batches_total=STEPS,
            allocated_bytes=self._chance.randrange(30_000, 40_000) * MIB,
            reserved_bytes=60_000 * MIB,
            allocated_peak_bytes=52_000 * MIB,
            loss=2 + self._chance.random(),
            phase=self._chance.randrange(1, 5),
            phase_age_seconds=self._chance.randrange(200) / 1000,
            step_number=count,
        )

    def _buckets(self, latency: Latency) -> tuple[tuple[int, int, int], ...]:
        first = 100_000 * int(latency)
        return tuple((first + at * 20_000, first + (at + 1) * 20_000, self._chance.randrange(1, 16)) for at in range(3))
