"""One moment of a simulated host as a Batch, and many past ones quickly: the same code serves the live collector and the back-fill.

A scenario that loops shows the same span again and again, so samples of equal spans are built once and shared: 24 hours in minutes
cost a few hundred samples, not ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from gpuwatch.collectors.simulated.breakage import broken_measures
from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.entities import gpu_entity, instance_entity
from gpuwatch.collectors.simulated.flat import Fault
from gpuwatch.collectors.simulated.incidents import GPU_LOST, incidents
from gpuwatch.collectors.simulated.people import Axis, Life, People
from gpuwatch.collectors.simulated.samples import Sampler, Span
from gpuwatch.collectors.simulated.servers import INTERVAL_S, Look, Seen, Servers, changes
from gpuwatch.collectors.simulated.trainings import Trained, Trainings
from gpuwatch.dataclass import replace
from gpuwatch.measure import told
from gpuwatch.model import (
    Batch,
    Event,
    Gpu,
    GpuSample,
    Host,
    HostSample,
    MissingKey,
    Process,
    ProcessSample,
    Server,
    Workload,
)
from gpuwatch.names import Missing
from gpuwatch.training import Trainer

HOSTNAME = "demo-01"
NAME = "simulated"
_SCENES_KEPT = 256
_Built = TypeVar("_Built")
_WHOLE_DRIVER = {"driver_gone": "the NVIDIA driver is not loaded", "mismatch": "driver and library versions differ"}


class _Scene(NamedTuple):
    """Who is there and who did what where: one object while nothing of that changes."""

    until_ms: int
    """Scenario time at which it may change."""
    lives: tuple[Life, ...]
    starts: dict[str, int]
    processes: tuple[Process, ...]
    workloads: tuple[Workload, ...]
    held: dict[str, tuple[int, ...]]
    """Place -> bytes of each process there. A GPU in MIG mode lists those of its instances."""
    compute: dict[str, int]
    """Place -> how many of them compute (the driver lists graphics clients apart)."""
    shape: int
    """The same number for scenes in which all GPUs look the same, whoever is there."""


class Stage:
    """A scenario on an absolute time axis. Not thread-safe; holds no time of its own."""

    def __init__(self, scenario: Scenario, axis: Axis) -> None:
        self.scenario, self.axis, self.table = scenario, axis, scenario.table
        self.people = People(scenario)
        self.sampler = Sampler(scenario, self.people)
        self.servers = Servers(scenario, axis)
        self._told: dict[tuple[int, int, int], Server] = {}
        self.gpus: dict[str, Gpu] = {}
        for device in self.table.devices:
            self.gpus[str(device.index)] = gpu_entity(device)
            self.gpus |= {i.place: instance_entity(i, device) for i in self.table.instances if i.gpu == device.index}
        self._instances = frozenset(instance.uuid for instance in self.table.instances)
        self.trainings = Trainings(scenario, axis, [(place, gpu.uuid) for place, gpu in self.gpus.items()])
        self._ranks: dict[tuple[int, int], Trainer] = {}
        self._host = self._describe()
        self._entities = tuple(self.gpus.values())
        self._changes = self.people.changes()
        self._scene: _Scene | None = None
        self._since = 0
        self._scenes: dict[object, _Scene] = {}
        self._shapes: dict[object, int] = {}
        self._shared: dict[object, Any] = {}
        self._usual = {
            ("gpu", self.gpus[p].uuid, f): Missing.NOT_SUPPORTED
            for p, absent in self.sampler.absent.items()
            for f in sorted(absent)
        }

    def _describe(self) -> Host:
        plan = self.scenario.plan
        return Host(
            machine_id=f"simulated-{plan.name}-{self.scenario.seed}",
            hostname=HOSTNAME,
            boot_id=f"simulated-{self.axis.epoch_ms}",
            cpu_count=plan.host.cpu_count,
            memory_total_bytes=plan.host.memory_total,
            kernel=plan.host.kernel,
            driver_version=plan.driver,
            cuda_version=f"{plan.cuda // 1000}.{plan.cuda % 1000 // 10}",
            simulated=True,
        )

    def scene(self, t_ms: int) -> _Scene:
        """Who runs at ``t_ms``; the same object as before while nobody came, went or grew."""
        old = self._scene
        if old is not None and old.until_ms > t_ms >= self._since:
            return old
        self._since, until = self._changes.around(t_ms)
        lives = tuple(self.people.alive(t_ms))
        roles = tuple((self.people.source(p, t_ms), self.people.power_limit_mw(int(p.partition(".")[0]), t_ms)) for p in self.gpus)
        scene = self._scenes.get((lives, roles, t_ms < 0))
        if scene is None:
            scene = self._scenes[lives, roles, t_ms < 0] = self._build(lives, roles, t_ms)
        self._scene = scene = scene._replace(until_ms=until)
        return scene

    def _build(self, lives: tuple[Life, ...], roles: object, t_ms: int) -> _Scene:
        if len(self._scenes) >= _SCENES_KEPT:
            self._scenes.clear()
            self._shared.clear()
        found = {place: self._found(place, lives, t_ms) for place in self.gpus}
        held = {place: tuple(memory for _, memory in there) for place, there in found.items()}
        compute = {place: sum(kind != "G" for kind, _ in there) for place, there in found.items()}
        processes, workloads = self.people.entities(list(lives), self.axis)
        if self._scene is not None and processes == self._scene.processes:
            processes, workloads = self._scene.processes, self._scene.workloads
        starts = {life.slot: self.axis.unix_ms(life.start_ms) for life in lives}
        shape = self._shapes.setdefault((tuple(held.values()), tuple(compute.values()), roles), len(self._shapes))
        return _Scene(0, lives, starts, processes, workloads, held, compute, shape)

    def batch(
        self,
        previous: float | None,
        now: float,
        *,
        share: bool = False,
        known: Sequence[Process] | None = None,
        looks: bool = False,
        looked: float | None = None,
        last: bool = True,
    ) -> Batch:
        """All that the collectors of a real host would learn at ``now``, over the time since ``previous`` (both unix seconds).

        ``share`` keeps built samples for spans that look the same, which only pays when the step is long beside the loop.
        Entities are left out while the processes are the ``known`` ones. ``looks``: servers are read too, which was done before at
        ``looked``; those are told of which something is new. Runs that go on are told again where this is the ``last`` of many batches.
        """
        t = int(now)
        span = self._span(previous, now)
        scene = self.scene(span.end)
        whole = next((f for f in self.table.broken(span.end) if f.kind in _WHOLE_DRIVER and f.gpu < 0), None)
        if whole is not None:
            return Batch(NAME, t, error=_WHOLE_DRIVER[whole.kind], hint="wait, or restart the machine")
        fresh = scene.processes is not known
        faults = {p: self.table.broken(span.end, int(p.partition(".")[0])) for p in self.gpus} if self.table.faults else {}
        gpus, missing = self._gpus(span, scene, faults, share)
        processes = self._processes(span, scene, faults, share)
        seen = self._servers(looked, now, scene, share) if looks and self.servers else Seen()
        news, events = self._news(seen.servers, t)
        trained = self._trained(span, scene, share, last) if self.trainings else Trained()
        if self.table.instances:
            unshared = {
                ("process", f"{s.pid}:{s.start_ms}", "sm_utilization_ratio"): Missing.NOT_SUPPORTED
                for s in processes
                if s.gpu_uuid in self._instances
            }
            missing = missing | unshared
        return Batch(
            NAME,
            t,
            host=self._host if fresh else None,
            gpus=self._entities if fresh else None,
            processes=scene.processes if fresh else None,
            workloads=scene.workloads if fresh else None,
            gpu_samples=gpus,
            process_samples=processes,
            host_sample=self._host_sample(span, share),
            inference_samples=seen.samples,
            latency_counts=(*seen.latencies, *trained.latencies),
            servers=news,
            training_samples=trained.samples,
            trainers=trained.trainers,
            runs=trained.runs,
            events=(*self._events(span), *events),
            missing=missing if span.start is not None else self._not_yet(missing, gpus),
        )

    def past(self, start: int, end: int, step: int, looked: float | None = None) -> Iterator[Batch]:
        """Batches at ``start + step, …, end`` (unix seconds), for the time before each. Entities only when they change."""
        known: Sequence[Process] | None = None
        for now in range(start + step, end + 1, step):
            looks = self.looks_at(now, step)
            batch = self.batch(now - step, now, share=True, known=known, looks=looks, looked=looked, last=now + step > end)
            looked = now if looks else looked
            known = batch.processes or known
            yield batch

    def looks_at(self, now: float, step: float) -> bool:
        """Whether servers are read at that second, when the host is read every ``step`` seconds: less often than GPUs."""
        return step >= INTERVAL_S or int(now) % INTERVAL_S == 0

    def _servers(self, looked: float | None, now: float, scene: _Scene, share: bool) -> Seen:
        span = self._span(looked, now)
        look = Look(span.start, span.end, span.seconds)
        return self.servers.seen(scene.lives, look, (lambda key, build: self._once(key, span, build)) if share else None)

    def _trained(self, span: Span, scene: _Scene, share: bool, last: bool) -> Trained:
        """The trainings at the end of the span; of the ranks those of which something is new."""
        look = Look(span.start, span.end, span.seconds)
        once = (lambda key, build: self._once(key, span, build)) if share else None
        trained = self.trainings.seen(scene.lives, look, once, quiet=not last)
        news = tuple(trainer for trainer in trained.trainers if self._ranks.get(trainer.key) is not trainer)
        self._ranks |= {trainer.key: trainer for trainer in news}
        return replace(trained, trainers=news)

    def _news(self, servers: Sequence[Server], t: int) -> tuple[tuple[Server, ...], tuple[Event, ...]]:
        """The servers of which something is new, and what is worth an event of that."""
        news = tuple(server for server in servers if self._told.get(server.key) is not server)
        events = tuple(event for server in news for event in changes(self._told.get(server.key), server, t * 1000))
        self._told |= {server.key: server for server in news}
        return news, events

    def _events(self, span: Span) -> tuple[Event, ...]:
        if span.start is None or not (self.table.faults or self.table.xids):
            return ()
        return tuple(incidents(self.table, self.gpus, self.axis, span.start, span.end))

    def _span(self, previous: float | None, now: float) -> Span:
        end = self.axis.scenario_ms(round(now * 1000))
        if previous is None:
            return Span(None, end, 0.0)
        return Span(self.axis.scenario_ms(round(previous * 1000)), end, now - previous)

    def _not_yet(self, missing: dict[MissingKey, Missing], samples: Sequence[GpuSample]) -> dict[MissingKey, Missing]:
        """A first sample speaks for no time: what needs two readings is missing for that reason."""
        out = dict(missing)
        for sample in samples:
            for name in told(GpuSample):
                if getattr(sample, name) is None:
                    out.setdefault(("gpu", sample.gpu_uuid, name), Missing.STALE)
        return out

    def _once(self, key: tuple[object, ...], span: Span, build: Callable[[], _Built]) -> _Built:
        """What ``build`` gives, built once for all spans that look the same."""
        start = None if span.start is None else span.end - span.start
        whole = (self.table.wrap(span.end), start, span.seconds, span.end < 0, *key)
        if whole not in self._shared:
            self._shared[whole] = build()
        built: _Built = self._shared[whole]
        return built

    def _gpus(
        self, span: Span, scene: _Scene, faults: dict[str, list[Fault]], share: bool
    ) -> tuple[Sequence[GpuSample], dict[MissingKey, Missing]]:
        if share:
            key = (scene.shape, "gpus", tuple(tuple(broken) for broken in faults.values()))
            return self._once(key, span, lambda: self._gpus(span, scene, faults, False))
        if not faults:
            return [self.sampler.gpu(place, span, scene.held[place], scene.compute[place]) for place in self.gpus], self._usual
        missing = dict(self._usual)
        samples: list[GpuSample] = []
        for place, gpu in self.gpus.items():
            sample = self._broken(gpu, faults.get(place, []), missing)
            if sample is None:
                continue
            if not sample.unavailable:
                sample = _without(
                    self.sampler.gpu(place, span, scene.held[place], scene.compute[place]), broken_measures(faults.get(place, []))
                )
            samples.append(sample)
        return samples, missing

    def _broken(self, gpu: Gpu, faults: list[Fault], missing: dict[MissingKey, Missing]) -> GpuSample | None:
        """An empty sample to fill, an unavailable one, or None for a call that does not return. Adds the reasons to ``missing``."""
        kinds = {fault.kind for fault in faults}
        lost, hung = not kinds.isdisjoint(GPU_LOST), "hang" in kinds
        if lost or hung:
            for name in told(GpuSample):
                missing.setdefault(("gpu", gpu.uuid, name), Missing.DRIVER_ERROR if lost else Missing.STALE)
            return GpuSample(gpu.uuid, unavailable=True) if lost else None
        for name, reason in broken_measures(faults).items():
            missing["gpu", gpu.uuid, name] = reason
        return GpuSample(gpu.uuid)

    def _found(self, place: str, lives: tuple[Life, ...], t_ms: int) -> list[tuple[str, int]]:
        """(kind, bytes) of each process on a place."""
        places = [place, *(i.place for i in self.table.instances if str(i.gpu) == place)]
        kinds = {life.slot: self.scenario.people[life.slot].plan.kind for life in lives}
        there = ((kinds[life.slot], self.people.memory(life, p, t_ms)) for p in places for life in lives)
        return [(kind, memory) for kind, memory in there if memory >= 0]

    def _processes(self, span: Span, scene: _Scene, faults: dict[str, list[Fault]], share: bool) -> Sequence[ProcessSample]:
        gone = frozenset(p for p, broken in faults.items() if any(f.kind in (*GPU_LOST, "hang") for f in broken))
        out: list[ProcessSample] = []
        for life in scene.lives:
            build = partial(self._process_samples, span, scene, life, gone)
            out += self._once((life, gone), span, build) if share else build()
        return out

    def _process_samples(self, span: Span, scene: _Scene, life: Life, gone: frozenset[str]) -> list[ProcessSample]:
        started, out = scene.starts[life.slot], []
        for place in self.scenario.people[life.slot].plan.gpus:
            held = self.people.memory(life, place, span.end)
            if held >= 0 and place not in gone:
                out.append(self.sampler.process_on(life, started, place, span, held))
        return [*out, self.sampler.process_host(life, started, span)]

    def _host_sample(self, span: Span, share: bool) -> HostSample:
        return self._once(("host",), span, lambda: self.sampler.host(span)) if share else self.sampler.host(span)


def _without(sample: GpuSample, names: dict[str, Missing]) -> GpuSample:
    lost: dict[str, Any] = dict.fromkeys(names)
    return replace(sample, **lost) if lost else sample
