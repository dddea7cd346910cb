"""Everything that a rule may ask: subjects with their windows, who holds what, the limits in force. Built by the engine, look by look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpuwatch.dataclass import dataclass, field
from gpuwatch.model import Gpu
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import (
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
from gpuwatch.rules.series import Series
from gpuwatch.rules.worn import FRESH_GPU_MS, FRESH_PROCESS_MS, worn_gpu, worn_process

_EVENTS_MS = 24 * 3_600_000
LASTING = ("remap_failed", "remap_pending", "recovery_action")
"""Kinds of events that say how a GPU is until the next one of it says otherwise, however long ago."""
_PROCESS_MS = 62 * 60_000
"""The longest window over a process is an hour, and there are many of them."""


@dataclass(slots=True)
class GpuSubject:
    """One GPU with its looks."""

    facts: GpuFacts
    series: Series[GpuLook] = field(default_factory=Series)

    @property
    def id(self) -> int:
        return self.facts.gpu_id

    @property
    def gpu(self) -> Gpu:
        return self.facts.gpu

    @property
    def now(self) -> GpuLook | None:
        return self.series.newest

    @property
    def key(self) -> str:
        """Its name in the store of findings: it lasts over restarts."""
        return f"gpu:{self.gpu.uuid}"

    @property
    def label(self) -> str:
        return f"GPU {self.gpu.index}"


@dataclass(slots=True)
class ProcessSubject:
    """One process with its looks."""

    facts: ProcessFacts
    series: Series[ProcessLook] = field(default_factory=Series)

    @property
    def now(self) -> ProcessLook | None:
        return self.series.newest

    @property
    def gpu_ids(self) -> tuple[int, ...]:
        """The GPUs that it holds now."""
        return tuple(sorted(self.now.gpus)) if self.now else ()


@dataclass(slots=True)
class RankSubject:
    """One training process (rank)."""

    facts: RankFacts
    process: ProcessSubject | None
    series: Series[TrainingLook] = field(default_factory=Series)


@dataclass(slots=True)
class JobSubject:
    """One workload: a process tree that does one job. ``server`` is there if it is an inference server that was met."""

    facts: JobFacts
    gpus: tuple[GpuSubject, ...] = ()
    """That its processes hold now."""
    processes: tuple[ProcessSubject, ...] = ()
    """Of its tree, that are there now."""
    ranks: tuple[RankSubject, ...] = ()
    server: Series[ServerLook] | None = None

    @property
    def key(self) -> str:
        f = self.facts
        return f"job:{f.root_pid}:{f.root_start_ms}:{f.port}"

    @property
    def label(self) -> str:
        return self.facts.name or f"pid {self.facts.root_pid}"

    @property
    def on_gpus(self) -> tuple[ProcessSubject, ...]:
        """Its processes that hold a GPU now."""
        return tuple(p for p in self.processes if p.gpu_ids)

    @property
    def workers(self) -> tuple[ProcessSubject, ...]:
        """Its processes that hold none (data loaders, tokenizers)."""
        return tuple(p for p in self.processes if not p.gpu_ids and p.facts.role == "worker")


@dataclass(slots=True)
class Scene:
    """All of it at one look. Rules read it; only the engine feeds it."""

    limits: Limits
    patience: float = 300.0
    """Seconds of a process that are not judged: it loads (S12: 300 s; S16: about 8 min)."""
    t_ms: int = 0
    look_ms: int = 10_000
    gpus: dict[int, GpuSubject] = field(default_factory=dict)
    processes: dict[int, ProcessSubject] = field(default_factory=dict)
    jobs: dict[int, JobSubject] = field(default_factory=dict)
    host: Series[HostLook] = field(default_factory=Series)
    facts: Facts = field(default_factory=Facts)
    events: list[LookEvent] = field(default_factory=list)
    """Of the last 24 hours, oldest first; those of :data:`LASTING` kinds for as long as anybody looks."""
    open: set[tuple[str, str]] = field(default_factory=set)
    """(rule, subject key) that is open now: a rule clears at another limit than it fires at."""
    started: dict[tuple[str, str], int] = field(default_factory=dict)
    """Since when each of these holds, unix milliseconds."""
    _ranks: dict[int, RankSubject] = field(default_factory=dict)
    _servers: dict[int, Series[ServerLook]] = field(default_factory=dict)
    _holders: dict[int, list[ProcessSubject]] = field(default_factory=dict)

    @property
    def host_facts(self) -> HostFacts:
        return self.facts.host

    def is_open(self, rule: str, subject: GpuSubject | JobSubject | str) -> bool:
        """Whether a finding of this rule on this subject is open."""
        return (rule, subject if isinstance(subject, str) else subject.key) in self.open

    def seconds_open(self, rule: str, subject: GpuSubject | JobSubject) -> float:
        """Since when an open finding of this rule on this subject holds, in seconds up to now; 0 if there is none."""
        started_ms = self.started.get((rule, subject.key))
        return 0.0 if started_ms is None else (self.t_ms - started_ms) / 1000

    def holders(self, gpu: GpuSubject) -> Sequence[ProcessSubject]:
        """The processes that hold a GPU now, those with most memory first."""
        return self._holders.get(gpu.id, ())

    def job_of(self, process: ProcessSubject) -> JobSubject | None:
        """The workload that a process is of."""
        return self.jobs.get(process.facts.workload_id)

    def jobs_on(self, gpu: GpuSubject) -> list[JobSubject]:
        """The workloads that hold a GPU now."""
        ids = dict.fromkeys(p.facts.workload_id for p in self.holders(gpu))
        return [self.jobs[i] for i in ids if i in self.jobs]

    def gpu_day(self, gpu: GpuSubject) -> GpuDay | None:
        return self.facts.gpu_days.get(gpu.id)

    def job_day(self, job: JobSubject) -> JobDay | None:
        return self.facts.job_days.get(job.facts.workload_id)

    def events_of(self, kinds: Iterable[str], seconds: float, gpu: GpuSubject | None = None) -> list[LookEvent]:
        """Events of these kinds in a window, of one GPU or of all."""
        wanted, since = frozenset(kinds), self.t_ms - seconds * 1000
        return [e for e in self.events if e.ts_ms > since and e.kind in wanted and (gpu is None or e.gpu_id == gpu.id)]

    def age_seconds(self, process: ProcessSubject) -> float:
        """How long a process has run."""
        return max(0.0, (self.t_ms - process.facts.start_ms) / 1000)

    # ------------------------------------------------------------------------------------------------------------ feeding

    def feed(self, look: Look, facts: Facts) -> None:
        """The next look. Things that it does not list pass the time unobserved; what has ended is forgotten by :meth:`prune`."""
        self.t_ms, self.look_ms, self.facts = look.t_ms, look.ms, facts
        for gpu_id, gpu_facts in facts.gpus.items():
            gpu = self.gpus.get(gpu_id)
            if gpu is None:
                gpu = self.gpus[gpu_id] = GpuSubject(gpu_facts, Series(worn=worn_gpu, fresh_ms=self._fresh()))
            gpu.facts = gpu_facts
        for proc_id, process_facts in facts.processes.items():
            process = self.processes.get(proc_id)
            if process is None:
                series: Series[ProcessLook] = Series(_PROCESS_MS, worn_process, FRESH_PROCESS_MS)
                process = self.processes[proc_id] = ProcessSubject(process_facts, series)
            process.facts = process_facts
        _feed(look.t_ms, look.gpus, {i: g.series for i, g in self.gpus.items()})
        _feed(look.t_ms, look.processes, {i: p.series for i, p in self.processes.items()})
        self._holders = _by_gpu(self.processes.values())
        self._feed_jobs(look, facts)
        if look.host is not None:
            self.host.add(look.t_ms, look.host)
        else:
            self.host.pass_time(look.t_ms)
        self.events = [e for e in (*self.events, *look.events) if e.ts_ms > look.t_ms - _EVENTS_MS or e.kind in LASTING]
        self._prune(facts)

    def _fresh(self) -> int:
        """How long looks of a GPU are kept whole: longer where the user made a window longer."""
        return max(FRESH_GPU_MS, round(min(self.limits.raised_seconds, _EVENTS_MS / 1000) * 1000) + 60_000)

    def _feed_jobs(self, look: Look, facts: Facts) -> None:
        for job_facts in facts.jobs.values():
            for rank in job_facts.ranks:
                kept = self._ranks.get(rank.proc_id)
                if kept is None:
                    kept = self._ranks[rank.proc_id] = RankSubject(rank, None)
                kept.facts, kept.process = rank, self.processes.get(rank.proc_id)
        for workload_id in look.servers:
            self._servers.setdefault(workload_id, Series())
        _feed(look.t_ms, look.trainings, {i: r.series for i, r in self._ranks.items()})
        _feed(look.t_ms, look.servers, self._servers)
        members: dict[int, list[ProcessSubject]] = {}
        for process in self.processes.values():
            if process.now is not None and process.facts.workload_id:
                members.setdefault(process.facts.workload_id, []).append(process)
        for workload_id, job_facts in facts.jobs.items():
            job = self.jobs.setdefault(workload_id, JobSubject(job_facts))
            job.facts = job_facts
            job.processes = tuple(members.get(workload_id, ()))
            held = dict.fromkeys(i for p in job.processes for i in p.gpu_ids)
            job.gpus = tuple(self.gpus[i] for i in sorted(held) if i in self.gpus)
            job.ranks = tuple(self._ranks[r.proc_id] for r in job_facts.ranks)
            job.server = self._servers.get(workload_id)

    def _prune(self, facts: Facts) -> None:
        """Forget who is in no facts any more: the maker of facts lists everybody for as long as a rule may ask for him."""
        for known, there in ((self.gpus, facts.gpus), (self.processes, facts.processes), (self.jobs, facts.jobs)):
            for gone in [i for i in known if i not in there]:
                del known[gone]
        ranks = {r.proc_id for job in facts.jobs.values() for r in job.ranks}
        self._ranks = {i: r for i, r in self._ranks.items() if i in ranks}
        self._servers = {i: s for i, s in self._servers.items() if i in facts.jobs}

    def subjects(self, about: str) -> Iterator[GpuSubject | JobSubject | None]:
        """What a rule is asked about: each ``gpu``, each ``job``, or the ``host`` once (None)."""
        if about == "gpu":
            yield from self.gpus.values()
        elif about == "job":
            yield from self.jobs.values()
        else:
            yield None


def _by_gpu(processes: Iterable[ProcessSubject]) -> dict[int, list[ProcessSubject]]:
    """Who holds each GPU now, those with most memory first."""
    found: dict[int, list[tuple[float, ProcessSubject]]] = {}
    for process in processes:
        now = process.now
        for gpu_id, (memory, _) in now.gpus.items() if now is not None else ():
            found.setdefault(gpu_id, []).append((memory or 0.0, process))
    return {gpu_id: [p for _, p in sorted(held, key=lambda each: -each[0])] for gpu_id, held in found.items()}


def _feed(t_ms: int, looks: Mapping[int, object], series: Mapping[int, Series]) -> None:  # type: ignore[type-arg]
    for key, one in series.items():
        look = looks.get(key)
        if look is not None:
            one.add(t_ms, look)
        else:
            one.pass_time(t_ms)
