"""A host of the corpus: stories side by side, each on GPUs of its own, judged by all rules in looks of ten seconds, without a store.

A story draws its numbers from a seed and says beforehand, from these numbers and by the rules' definitions, what must be found, what may
be, and what its matched run would have saved. All else that is found of it is wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.rule_scene import GIB, START_MS, Said, Stage

from gpuwatch.names import Severity
from gpuwatch.rules.catalogue import RULES
from gpuwatch.rules.engine import Engine
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import LookEvent

GPUS = 8
LOOKS_A_MINUTE = 6
GATED = tuple(rule.id for rule in RULES.values() if rule.phase == 1 and rule.severity >= Severity.WARNING and rule.on)
"""The rules that must meet the gate: those of phase 1 that warn."""
Fields = Mapping[str, Any]


@dataclass
class Truth:
    """``must`` be found (each once), ``may`` be as well; ``waste``: rule -> GPUs that the matched run would have saved."""

    must: set[str] = field(default_factory=set)
    may: set[str] = field(default_factory=set)
    waste: dict[str, float] = field(default_factory=dict)
    near: bool = False
    """Too near a threshold to be one of either kind."""


@dataclass
class Place:
    """Where a story plays: its GPUs (by gpu_id), the id of its job and main process, and what it makes of each look."""

    stage: Host
    gpus: tuple[int, ...]
    job: int
    minutes: float = 40
    gpu: dict[int, Said] = field(default_factory=dict)
    process: dict[int, Said] = field(default_factory=dict)
    training: dict[int, Said] = field(default_factory=dict)
    server: dict[int, Said] = field(default_factory=dict)
    host: Said | None = None
    at: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    events: dict[int, list[tuple[str, Severity, str]]] = field(default_factory=dict)
    unseen: Callable[[int], bool] | None = None

    def then(self, minute: float, do: Callable[[], None]) -> None:
        """Something changes at this minute."""
        self.at.setdefault(round(minute * LOOKS_A_MINUTE), []).append(do)

    def happens(self, minute: float, kind: str, severity: Severity, detail: str = "") -> None:
        """The driver reports something of the first GPU."""
        self.events.setdefault(round(minute * LOOKS_A_MINUTE), []).append((kind, severity, detail))

    def keys(self) -> set[str]:
        """The subjects that are this story's."""
        facts = self.stage.jobs.get(self.job)
        own = {f"gpu:{self.stage.gpus[g].gpu.uuid}" for g in self.gpus}
        return own | ({f"job:{facts.root_pid}:{facts.root_start_ms}:{facts.port}"} if facts else set())


Story = Callable[[Place, random.Random], Truth]


class _Judged:
    """Stands where a stage has its scene: each look is judged."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.changes = engine, list[Any]()

    @property
    def gpus(self) -> Mapping[int, Any]:
        """The engine's."""
        return self.engine.scene.gpus

    def feed(self, look: Any, facts: Any) -> None:
        """Judge a look."""
        self.changes += self.engine.add(look, facts)


@dataclass
class Played:
    """A story, what was true, and what was told: rule -> how often it was opened, and the waste of the last time."""

    name: str
    seed: int
    truth: Truth
    opened: dict[str, int]
    waste: dict[str, float]
    mild: set[str]
    """Rules that told no more than a notice."""


class Host(Stage):
    """Eight GPUs for stories that begin together."""

    def __init__(self) -> None:
        super().__init__(
            gpus=GPUS, nvlink_count=18, pcie_generation_max=5, pcie_width_max=16, gpm_supported=True, persistence_mode=True
        )
        self.judged = _Judged(
            Engine(Limits({f"{limit.rule}.{limit.name}": limit for rule in RULES.values() for limit in rule.limits}))
        )
        self.scene = self.judged  # type: ignore[assignment]
        self.places: list[tuple[str, int, Place, Truth]] = []

    def settle(self, name: str, story: Story, seed: int, gpus: int) -> Truth:
        """Give a story the next GPUs, and let it say what is true of it."""
        used = sum(len(place.gpus) for _, _, place, _ in self.places)
        place = Place(self, tuple(range(used + 1, used + gpus + 1)), 100 + 10 * used)
        truth = story(place, random.Random(f"{name} {seed}"))
        self.places.append((name, seed, place, truth))
        return truth

    def play(self) -> list[Played]:
        """All looks of all stories, each for as long as it lasts."""
        self.number = 0
        used = {g for _, _, place, _ in self.places for g in place.gpus}
        for spare in set(self.gpus) - used:
            del self.gpus[spare]
        told, number = list[Played](), 0
        while self.places:
            self._look(number)
            number += 1
            for each in [each for each in self.places if number >= round(each[2].minutes * LOOKS_A_MINUTE)]:
                told.append(self._told(*each))
                self._leave(each[2])
                self.places.remove(each)
        return told

    def _leave(self, place: Place) -> None:
        """A story is over: nobody of it is there any more."""
        for gpu in place.gpus:
            del self.gpus[gpu]
        for proc_id in range(place.job, place.job + 10):
            self.holds.pop(proc_id, None)
            self.processes.pop(proc_id, None)
        self.jobs.pop(place.job, None)

    def _look(self, number: int) -> None:
        events = []
        merged: dict[str, dict[int, Said]] = {"gpus": {}, "processes": {}, "training": {}, "server": {}}
        host: Said = {
            "cpu": 0.2,
            "iowait": 0.0,
            "load": 8.0,
            "steal": 0.0,
            "io_pressure": 0.0,
            "memory_pressure": 0.0,
            "swap_in": 0.0,
        }
        unseen: list[int] = []
        for _, _, place, _ in self.places:
            for do in place.at.get(number, ()):
                do()
            events += [LookEvent(self.t_ms + 5000, *what, gpu_id=place.gpus[0]) for what in place.events.get(number, ())]
            merged["gpus"] |= place.gpu
            merged["processes"] |= {p: said for p, said in place.process.items() if p in self.holds}
            merged["training"] |= {p: said for p, said in place.training.items() if p in self.holds}
            merged["server"] |= place.server
            host = {**host, **self._said(place.host)} if place.host is not None else host  # type: ignore[dict-item]
            unseen += place.gpus if place.unseen is not None and place.unseen(number) else ()
        self.run(10, host=host, events=events, unseen=unseen, **merged)  # type: ignore[arg-type]

    def _told(self, name: str, seed: int, place: Place, truth: Truth) -> Played:
        keys, opened, waste, mild = place.keys(), dict[str, int](), dict[str, float](), set[str]()
        for change in self.judged.changes:
            if change.finding.subject not in keys:
                continue
            rule = change.finding.rule
            if change.what == "opened":
                opened[rule] = opened.get(rule, 0) + 1
            if change.finding.finding.waste_gpus is not None:
                waste[rule] = change.finding.finding.waste_gpus
            (mild.add if change.finding.finding.severity <= Severity.NOTICE else mild.discard)(rule)
        return Played(name, seed, truth, opened, waste, mild)


def near(dice: random.Random, value: float, by: float = 0.02) -> float:
    """A value with a little noise."""
    return value * dice.uniform(1 - by, 1 + by)


def well(dice: random.Random, **other: Any) -> Said:
    """A GPU that trains a large dense model: full, and nothing is wrong."""
    base = {
        "utilization": 0.97, "sm": 0.90, "tensor": 0.50, "dram": 0.45, "fp32": 0.05, "fp64": 0.0, "power": 610.0, "power_limit": 700.0,
        "power_fraction": 0.86, "memory_used": 60.0 * GIB, "temperature": 62.0, "sm_clock": 1.93e9, "sm_clock_min": 1.90e9,
        "sm_clock_max": 1.95e9, "kappa": 1.0, "thermal": 0.0, "slowdown": 0.0, "power_cap": 0.0, "clocks_set": 0.0, "pcie_rx": 2e8,
        "pcie_tx": 1e8, "pcie_generation": 5, "pcie_width": 16, "nvlink": 5e10, "nvlink_active": 18, "ecc_uncorrected": 0, "mfu": 0.50,
    }  # fmt: skip
    base |= other

    def said(number: int) -> Fields:
        told = {name: value(number) if callable(value) else value for name, value in base.items()}
        for name in ("sm", "tensor", "dram", "power", "power_fraction"):
            if told[name] is not None:
                told[name] = near(dice, told[name])
        return told

    return said


QUIET: Fields = {
    "utilization": 0.0, "sm": 0.0, "tensor": 0.0, "dram": 0.0, "fp32": 0.0, "power": 120.0, "power_fraction": 0.03, "pcie_rx": 0.0,
    "pcie_tx": 0.0, "nvlink": 0.0, "mfu": None, "sm_clock": 1.2e9, "pcie_generation": 1,
}  # fmt: skip
"""What is different of a GPU that does nothing."""


def rank(dice: random.Random, **other: Any) -> Said:
    """A rank that steps ten times a look and hardly waits."""
    base = {
        "attached": 10.0, "steps": 10.0, "rank_steps": 10.0, "tokens": 40_000.0, "samples": 80.0, "data": 0.10, "forward": 3.0,
        "backward": 6.2, "optimizer": 0.5, "checkpoint": 0.0, "evaluation": 0.0, "compiling": 0.0, "other": 0.2, "starting": 0.0,
        "compilations": 0.0, "alloc_retries": 0.0, "out_of_memory": 0.0, "allocated": 50.0 * GIB, "reserved": 55.0 * GIB,
        "allocated_peak": 56.0 * GIB, "inactive_split": 0.5 * GIB, "phase": 3, "phase_age": 0.1,
    }  # fmt: skip
    base |= other
    return lambda number: {name: value(number) if callable(value) else value for name, value in base.items()}


def holder(place: Place, command: str = "python train.py --config a.yaml", **fields: Any) -> int:
    """The main process of a story on all its GPUs, in a job of its own."""
    place.stage.process(place.job, gpus=place.gpus, job=place.job, command=command, user="ana", **fields)
    place.process[place.job] = {"cpu": 0.6, "run_state": "S", "read": 1e6, "memory": 60.0 * GIB}
    return place.job


def trains(place: Place, dice: random.Random, *, ranks: int = 1, started_ms: int = START_MS - 3_600_000, **job: Any) -> list[int]:
    """A training with a hook in each of its ranks, one process a GPU."""
    stage, ids = place.stage, [place.job + n for n in range(ranks)]
    for proc_id, gpu in zip(ids, place.gpus):
        stage.process(
            proc_id, gpus=(gpu,), job=place.job, command="python train.py --config a.yaml", user="ana", start_ms=started_ms
        )
        place.process[proc_id] = {"cpu": 0.9, "thread_cpu": 0.8, "run_state": "R", "read": 1e6, "memory": 60.0 * GIB}
        place.training[proc_id] = rank(dice)
    stage.job(
        place.job,
        "training",
        name="train.py",
        user="ana",
        command="python train.py --config a.yaml",
        root_start_ms=started_ms,
        **job,
    )
    stage.ranks(place.job, ids, framework="pytorch", parameters=7_000_000_000, flops_per_token=4.2e10, precision="bf16",
                attached_ms=started_ms, first_step_ms=started_ms + 60_000)  # fmt: skip
    return ids


def serves(place: Place, dice: random.Random, engine: str = "vllm", **server: Any) -> None:
    """An inference server with good traffic."""
    stage = place.stage
    command = "vllm serve llama-8b --port 8000"
    stage.process(place.job, gpus=place.gpus, job=place.job, command=command, user="svc")
    place.process[place.job] = {"cpu": 1.4, "run_state": "S", "read": 0.0, "memory": 70.0 * GIB}
    stage.job(place.job, "inference", name="vllm llama-8b", model="llama-8b", engine=engine, user="svc", command=command, port=8000,
              served=True, max_running_requests=256, kv_cache_tokens=400_000)  # fmt: skip
    base = {
        "window": 10.0, "running": 24.0, "waiting": 0.0, "kv_cache": 0.55, "kv_cache_fullest": 0.55, "requests": 40.0, "preemptions": 0.0,
        "output_tokens": 9_000.0, "prefill_tokens": 12_000.0, "prompt_tokens": 20_000.0, "cached_tokens": 8_000.0,
        "prefix_queries": 20_000.0, "prefix_hits": 8_000.0, "failed": 0.0, "itl_sum": 200.0, "itl_count": 8_900.0, "ttft_sum": 8.0,
        "ttft_count": 40.0, "queue_sum": 1.0, "queue_count": 40.0,
    }  # fmt: skip
    base |= server
    place.server[place.job] = lambda number: {name: value(number) if callable(value) else value for name, value in base.items()}
    for gpu in place.gpus:
        place.gpu[gpu] = well(dice, tensor=0.20, dram=0.62, power_fraction=0.65, memory_used=72.0 * GIB, mfu=None)
