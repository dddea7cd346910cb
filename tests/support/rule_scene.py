"""A small host for tests of rules: who is there, and so many seconds of what they do, straight as looks.

    stage = Stage(gpus=2, power_limit_watts=700)
    stage.process(10, gpus=(1, 2), job=5, command="python train.py")
    stage.run(1800, gpu={"utilization": 0.3, "busy": 0.3})
    verdict = stage.judge(gpu_memory_held_idle, gpu=1)

GPUs are numbered from 1 (their gpu_id); jobs and processes by what the test says. What a look does not say stays ``None``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from gpuwatch.dataclass import replace
from gpuwatch.model import Gpu
from gpuwatch.names import Basis, Context, TrainingSource
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import (
    BINS,
    LOOK_MS,
    Facts,
    GpuDay,
    GpuFacts,
    GpuLook,
    HostFacts,
    HostLook,
    JobDay,
    JobFacts,
    Look,
    LookEvent,
    ProcessFacts,
    ProcessLook,
    RankFacts,
    ServerLook,
    TrainingLook,
)
from gpuwatch.rules.rule import Rule
from gpuwatch.rules.scene import Scene
from gpuwatch.rules.types import Finding, Verdict

START_MS = 1_764_000_000_000
GIB = 1 << 30
Said = Mapping[str, Any] | Callable[[int], Mapping[str, Any]]
"""Fields of a look, or a function of the look's number (0, 1, 2 ...) that gives them."""


class Stage:
    """Facts that a test lays down, and the scene that its looks make. ``overrides``: limits as ``{"rule.name": value}``."""

    def __init__(self, gpus: int = 1, overrides: Mapping[str, float] | None = None, **gpu_fields: Any) -> None:
        board = {"name": "NVIDIA H100 80GB HBM3", "memory_total_bytes": 80 * GIB, "power_limit_watts": 700.0}
        board |= {"power_limit_default_watts": 700.0, "sm_clock_max_hertz": 1_980_000_000, "compute_capability": "9.0"}
        self.gpus = {
            number: GpuFacts(number, Gpu(uuid=f"GPU-{number}", index=number - 1, **(board | gpu_fields)))
            for number in range(1, gpus + 1)
        }
        self.processes: dict[int, ProcessFacts] = {}
        self.holds: dict[int, tuple[int, ...]] = {}
        self.jobs: dict[int, JobFacts] = {}
        self.gpu_days: dict[int, GpuDay] = {}
        self.job_days: dict[int, JobDay] = {}
        self.sources = {"nvml": "ok", "procs": "ok", "host": "ok", "inference": "ok", "training": "ok"}
        self.host_facts = HostFacts("box", 64, 512 * GIB)
        self.overrides = dict(overrides or {})
        self.t_ms = START_MS
        self.number = 0
        self.scene = Scene(Limits({}))
        self.opened: set[tuple[str, str]] = set()

    # ------------------------------------------------------------------------------------------------------------------ who

    def gpu(self, number: int, **fields: Any) -> None:
        """Change what the driver says of a GPU, or what is known of it (idle_power, reserved)."""
        own = {name: fields.pop(name) for name in ("idle_power", "reserved") if name in fields}
        facts = self.gpus[number]
        self.gpus[number] = replace(facts, gpu=replace(facts.gpu, **fields), **own)

    def process(self, proc_id: int, gpus: Iterable[int] = (), job: int = 0, **fields: Any) -> None:
        """A process (its pid is its proc_id), an hour old unless ``start_ms`` says otherwise."""
        known = {"start_ms": START_MS - 3_600_000, "name": "python3", "role": "gpu"} | fields
        self.processes[proc_id] = ProcessFacts(proc_id, proc_id, workload_id=job, **known)
        self.holds[proc_id] = tuple(gpus)

    def gone(self, proc_id: int) -> None:
        """A process has ended."""
        del self.holds[proc_id]

    def job(self, workload_id: int, kind: str = "training", **fields: Any) -> None:
        """A workload; its root is the process ``workload_id``."""
        known = {"root_pid": workload_id, "root_start_ms": START_MS - 3_600_000} | fields
        self.jobs[workload_id] = JobFacts(workload_id, kind, **known)

    def ranks(self, workload_id: int, proc_ids: Iterable[int], **fields: Any) -> None:
        """The ranks of a training, in order, each on the first GPU that its process holds."""
        ids = list(proc_ids)
        made = []
        for rank, proc_id in enumerate(ids):
            held = self.holds.get(proc_id, ())
            known = {"rank": rank, "world": len(ids), "gpu_uuid": self.gpus[held[0]].gpu.uuid if held else ""} | fields
            made.append(RankFacts(proc_id, TrainingSource.HOOK, **known))
        self.jobs[workload_id] = replace(self.jobs[workload_id], ranks=tuple(made))

    # ------------------------------------------------------------------------------------------------------------- what then

    def run(
        self,
        seconds: float,
        gpu: Said | None = None,
        gpus: Mapping[int, Said] | None = None,
        process: Said | None = None,
        processes: Mapping[int, Said] | None = None,
        training: Mapping[int, Said] | None = None,
        server: Mapping[int, Said] | None = None,
        host: Said | None = None,
        events: Iterable[LookEvent] = (),
        unseen: Iterable[int] = (),
    ) -> None:
        """So many seconds, in looks of ten. ``gpu`` and ``process`` are said of all, ``gpus`` and the like of those named.

        ``unseen`` are GPUs without a row. Events are of the first look.
        """
        told = tuple(events)
        for _ in range(round(seconds * 1000 / LOOK_MS)):
            self.t_ms += LOOK_MS
            look = Look(
                self.t_ms,
                gpus={g: self._gpu(g, self._said(gpu), self._said((gpus or {}).get(g))) for g in self.gpus if g not in set(unseen)},
                processes={p: self._process(p, self._said(process), self._said((processes or {}).get(p))) for p in self.holds},
                trainings={p: TrainingLook(LOOK_MS, **self._said(said)) for p, said in (training or {}).items()},
                servers={w: ServerLook(LOOK_MS, **self._said(said)) for w, said in (server or {}).items()},
                host=HostLook(LOOK_MS, **self._said(host)) if host is not None else None,
                events=told,
            )
            self.scene.feed(look, self.facts())
            self.number += 1
            told = ()

    def facts(self) -> Facts:
        """Who is there, as a look is fed with."""
        return Facts(
            gpus=self.gpus,
            processes=self.processes,
            jobs=self.jobs,
            host=self.host_facts,
            gpu_days=self.gpu_days,
            job_days=self.job_days,
            sources=self.sources,
        )

    def _said(self, said: Said | None) -> dict[str, Any]:
        return dict(said(self.number) if callable(said) else said or {})

    def _gpu(self, number: int, *said: dict[str, Any]) -> GpuLook:
        fields: dict[str, Any] = {}
        for one in said:
            fields |= one
        utilization = fields.get("utilization")
        held = any(number in gpus for gpus in self.holds.values())
        known: dict[str, Any] = {"context": Context.PROCESS if held else Context.NONE}
        if utilization is not None:
            bins = [0] * BINS
            bins[min(BINS - 1, int(utilization * BINS))] = LOOK_MS
            quiet = utilization < 0.05
            before = self.scene.gpus[number].now if number in self.scene.gpus else None
            run = (before.quiet_run_ms if before else 0) + LOOK_MS if quiet else 0
            known |= {"known_ms": LOOK_MS, "quiet_ms": LOOK_MS if quiet else 0, "quiet_run_ms": run}
            known |= {"utilization_bins": tuple(bins), "busy": utilization}
        return GpuLook(**({"ms": LOOK_MS} | known | fields))

    def _process(self, proc_id: int, *said: dict[str, Any]) -> ProcessLook:
        fields: dict[str, Any] = {}
        for one in said:
            fields |= one
        memory = fields.pop("memory", 10 * GIB)
        return ProcessLook(LOOK_MS, **({"gpus": dict.fromkeys(self.holds[proc_id], (memory, None))} | fields))

    # ----------------------------------------------------------------------------------------------------------------- verdict

    def open(self, rule: Rule, subject: str) -> None:
        """Let the scene hold a finding of this rule open."""
        self.opened.add((rule.id, subject))

    def judge(self, rule: Rule, *, gpu: int | None = None, job: int | None = None) -> Verdict:
        """What the rule says now of a GPU, a job, or the host."""
        self.scene.limits = Limits({f"{rule.id}.{limit.name}": limit for limit in rule.limits}, self.overrides)
        self.scene.open = self.opened
        subject = self.scene.gpus[gpu] if gpu is not None else self.scene.jobs[job] if job is not None else None
        said = rule.check(subject, self.scene)
        if isinstance(said, Finding):
            whole(said)
        return said


@cache
def _store() -> sqlite3.Connection:
    """An empty store: its public views are what queries of findings may ask."""
    db = sqlite3.connect(":memory:")
    db.executescript((resources.files("gpuwatch.store") / "ddl.sql").read_text())
    return db


def whole(found: Finding) -> None:
    """What every finding must have, whichever test it came out of."""
    assert len(found.evidence) == 3, "three numbers"
    assert all(fact.what and fact.measured for fact in found.evidence)
    assert found.title.endswith("."), "a sentence"
    assert len(found.name.split()) <= 5, "a few words for a list"
    assert found.how and found.try_first and found.gain and found.gain_source and found.wrong_if
    assert found.basis is Basis.MEASURED or found.gain.startswith("up to")
    assert found.waste_gpus is None or found.waste_gpus >= 0
    assert found.sql, "the query that reproduces the number"
    _store().execute("EXPLAIN " + found.sql)
