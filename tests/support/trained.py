"""A recorded story with trainings: what each rank tells is a function of the second, written through the real writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Self

from support.story import START, Hold, Story, process

from gpuwatch.measure import quantise
from gpuwatch.model import LatencyCounts, Process, Workload
from gpuwatch.names import Context, Latency, Phase, RunOutcome, TrainingSource
from gpuwatch.store.rows import Tick, TrainingRow
from gpuwatch.store.window import Window
from gpuwatch.training import Run, Trainer, TrainingSample
from gpuwatch.view.build import build_view
from gpuwatch.view.terms import Terms
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import View

ROOT_MS = round(START * 1000) - 100_000
Told = Mapping[str, float | None]
STEP = {"data_wait_seconds": 0.1, "forward_seconds": 0.3, "backward_seconds": 0.5, "optimizer_seconds": 0.1}
"""A step of a second."""


def even(steps: float = 1.0, tokens: float = 1000.0, **parts: float) -> dict[str, float | None]:
    """A second of so many steps, alike; ``parts`` change what a step's seconds are."""
    seconds = {name: value * steps for name, value in (STEP | parts).items()}
    return {
        "rank_steps_total": steps,
        "tokens_total": tokens * steps,
        "phase": int(Phase.FORWARD),
        "phase_age_seconds": 0.2,
        **seconds,
    }


@dataclass
class Trains:
    """One rank: ``tells`` gives the fields of its row for the second that ends at a second, ``None`` for no row."""

    pid: int
    rank: int | None = 0
    tells: Callable[[int], Told | None] = lambda second: even()
    root: int = 0
    """Its workload; 0: itself."""
    facts: Mapping[str, object] = field(default_factory=dict)
    buckets: Callable[[int], Mapping[Latency, Mapping[tuple[int, int], int]]] = lambda second: {}

    dt_ms: int = 1000

    @property
    def root_pid(self) -> int:
        return self.root or self.pid

    def card(self) -> Trainer:
        known: dict[str, object] = {
            "source": TrainingSource.HOOK,
            "attached_ms": ROOT_MS + 5000,
            "framework": "torch 2.13.0",
            "rank": self.rank,
            "local_rank": self.rank,
            "world": 1,
            "data_parallel": 1,
            "data_parallel_source": "single",
            "tokens_kind": "input_ids",
            "model": "GPT",
            "precision": "bf16",
            "first_step_ms": ROOT_MS + 30_000,
        }
        return Trainer(self.pid, ROOT_MS, self.root_pid, ROOT_MS, **(known | self.facts))  # type: ignore[arg-type]

    def process(self) -> Process:
        return process(self.pid, command="python train.py", workload_pid=self.root_pid, workload_start_ms=ROOT_MS)


class TrainedStory(Story):
    """``trained_story(path, Trains(100))``, then run."""

    trains: list[Trains]
    runs: dict[int, Run]
    told: dict[object, object]
    without_cards = False
    """Nobody is in the processes to tell of them."""

    def run(self, seconds: int) -> Self:
        """Record so many seconds."""
        super().run(seconds)
        return self

    def _tick(self) -> Tick:
        tick = super()._tick()
        rows, counts, cards, workloads = [], [], [], []
        leads: set[int] = set()
        for one in self.trains:
            card = one.card()
            if self.told.get(one.pid) != card:
                self.told[one.pid] = card
                cards += [] if self.without_cards else [card]
            if one.pid == one.root_pid and self._second % 60 == 1:  # as a recorder does, once a minute
                workloads.append(Workload(one.root_pid, ROOT_MS, 0, kind="training", name="gpt", user="alice"))
            told = one.tells(self._second)
            if told is None:
                continue
            dt = one.dt_ms if self._second > one.dt_ms / 1000 else 0
            given: dict[str, float | None] = {"attached_seconds": 1.0, **told}
            if one.root_pid not in leads and "rank_steps_total" in given:
                given.setdefault("steps_total", given["rank_steps_total"])
                leads.add(one.root_pid)
            sample = TrainingSample(one.pid, ROOT_MS, **given)  # type: ignore[arg-type]
            rows.append(TrainingRow(one.pid, ROOT_MS, one.root_pid, ROOT_MS, dt, quantise(sample)))
            for latency, buckets in one.buckets(self._second).items():
                triples = tuple((low, high, n) for (low, high), n in buckets.items())
                counts.append(LatencyCounts(one.root_pid, ROOT_MS, 0, latency, triples))
        runs = [run for key, run in self.runs.items() if self.told.get(("run", key)) != run]
        self.told.update({("run", run.root_pid): run for run in runs})
        return replace(tick, workloads=workloads, trainers=cards, runs=runs, training_rows=rows, latencies=counts)


def run_of(trains: Trains, **facts: object) -> Run:
    """Its run, as the collector tells it."""
    known: dict[str, object] = {
        "started_ms": ROOT_MS,
        "first_step_ms": ROOT_MS + 30_000,
        "outcome": RunOutcome.RUNNING,
        "command": "python train.py",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "ranks": 1,
        "attached": True,
    }
    return Run(trains.root_pid, ROOT_MS, **(known | facts))  # type: ignore[arg-type]


def trained_story(path: object, *trains: Trains, gpus: int = 1, runs: bool = True) -> TrainedStory:
    """A story whose ranks tell from its first second on; each workload has a run, and a process on no GPU."""
    story = TrainedStory(str(path), gpus)
    story.trains, story.told = list(trains), {}
    story.runs = {one.root_pid: run_of(one) for one in trains} if runs else {}
    story.host_only = [one.process() for one in trains]
    return story


def held(story: TrainedStory, trains: Trains, gpu: int = 0) -> None:
    """A rank holds a GPU."""
    story.holds.append(Hold(trains.process(), gpu))
    story.host_only = [each for each in story.host_only if each.pid != trains.pid]
    story.gpus[gpu].util, story.gpus[gpu].context = 0.9, Context.PROCESS


def view_of(story: TrainedStory, at_ms: int | None = None, window: Window | None = None, terms: Terms | None = None) -> View:
    """The story's end, or an instant of it."""
    if window is None:
        with Window(Path(str(story.writer.path))) as opened:
            return view_of(story, at_ms, opened, terms)
    return build_view(window, at_ms, now_ms=story.now_ms, tz=UTC, holder_pid=7, terms=terms)


def training_of(story: TrainedStory, at_ms: int | None = None, terms: Terms | None = None) -> TrainingView:
    """Its first training there."""
    found = view_of(story, at_ms, terms=terms).workloads[0].training
    assert found is not None
    return found
