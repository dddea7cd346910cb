"""From batches to a tick: rows that speak for their time, facts, the join of pids, changes of missing reasons.

A row speaks for the time since the previous row of the same entity if that is at most three periods of its collector; else for no
time at all, and the time between is a gap. A server that is asked more seldom than its collector may has periods of its own, and a row
that counts over a longer time, as it does after looks that failed, speaks for that time: else what it counted would count nowhere.
Process rows come at the rhythm of the process collector: what a faster driver says in between is folded into them.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field, replace
from gpuwatch.ledger import facts
from gpuwatch.ledger.runs import next_quiet_ms
from gpuwatch.measure import measures, quantise
from gpuwatch.model import Batch, Event, ExtraSample, Gpu, GpuSample, LatencyCounts, MissingKey
from gpuwatch.names import Cause, Context, GapReason, Missing
from gpuwatch.recorder.people import People
from gpuwatch.recorder.processes import ProcessRows
from gpuwatch.recorder.servers import Paces
from gpuwatch.recorder.timeline import PERIODS
from gpuwatch.recorder.work import WorkFacts
from gpuwatch.store.rows import GapEnergy, GapRow, GpuRow, Tick, TrainingRow, Values, WorkloadRow
from gpuwatch.training import TrainingSample

_KEPT_MS = 60_000
"""So long the last row of an entity is remembered at least: longer than a server's counts are told over when looks at it failed."""
_ENERGY = list(measures(GpuSample)).index("energy_joules")


@dataclass(slots=True)
class _GpuState:
    """What the next row of a GPU builds on."""

    ts_ms: int
    quiet_ms: int
    quiet: bool | None
    context: Context | None


@dataclass(slots=True)
class _Rows:
    """The rows of a tick while they are gathered."""

    gpus: dict[str, GpuRow] = field(default_factory=dict)
    workloads: list[WorkloadRow] = field(default_factory=list)
    trainings: list[TrainingRow] = field(default_factory=list)
    latencies: list[LatencyCounts] = field(default_factory=list)
    gaps: list[GapRow] = field(default_factory=list)
    gap_energy: list[GapEnergy] = field(default_factory=list)
    host_dt_ms: int = 0
    host_values: Values | None = None
    extras: list[ExtraSample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    missing: dict[MissingKey, Missing | None] = field(default_factory=dict)


class Merger:
    """The memory between ticks. ``intervals`` are the collectors' periods in seconds by name."""

    def __init__(self, intervals: Mapping[str, float]) -> None:
        self.people = People()
        self._period_ms = {name: round(seconds * 1000) for name, seconds in intervals.items()}
        self._gpus: dict[str, _GpuState] = {}
        self._last: dict[object, int] = {}
        self._broken: dict[str, int] = {}
        """GPUs that had a row before the break of the whole host that began then, and none since."""
        self._processes = ProcessRows(self.people)
        self.work = WorkFacts(self.people)
        self._paces = Paces()
        self._missing: dict[str, Mapping[MissingKey, Missing]] = {}
        self.last_ms: int | None = None
        """When the last tick was."""

    @property
    def inferred(self) -> Mapping[str, Cause]:
        """The cause that an open finding names for the waiting of a GPU, by UUID; it stands in all rows from now on."""
        return self.work.inferred

    @inferred.setter
    def inferred(self, causes: Mapping[str, Cause]) -> None:
        self.work.inferred = causes

    def set_interval(self, name: str, seconds: float) -> None:
        """A collector is read at another rhythm from here on."""
        self._period_ms[name] = round(seconds * 1000)

    def resume(self, facts: Mapping[str, tuple[int, int, bool | None, Context | None]]) -> None:
        """Go on where another recorder has just stopped: GPU -> (time, quiet run, quiet, context) of its last row."""
        for uuid, (ts_ms, quiet_ms, quiet, context) in facts.items():
            self._gpus[uuid] = _GpuState(ts_ms, quiet_ms, quiet, context)

    def forget(self) -> None:
        """After a break of the recorder or the clock: no row bridges it, and every quiet run begins anew."""
        self._broken = dict.fromkeys(self._gpus, self.last_ms or 0)
        self._gpus.clear()
        self._last.clear()
        self._processes.forget()
        self.work.forget()

    def forget_reasons(self) -> None:
        """A new session begins: reasons that still hold are told again."""
        self._missing.clear()

    def merge(self, ts_ms: int, batches: Mapping[str, Batch]) -> Tick:
        """One tick from the batches (by collector) of one instant."""
        rows = _Rows()
        self.last_ms = ts_ms
        for name, batch in batches.items():
            self.people.learn(name, batch)
            self.work.trainers(batch.trainers)
        for name, batch in batches.items():
            period = self._period_ms[name]
            for sample in batch.gpu_samples:
                self._add_gpu(rows, ts_ms, sample, period)
            if batch.host_sample is not None:
                rows.host_dt_ms = self._dt("host", ts_ms, period)
                rows.host_values = quantise(batch.host_sample)
            self._add_workloads(rows, ts_ms, batch, period)
            rows.extras.extend(batch.extra_samples)
            rows.events.extend(batch.events)
            if batch.error is None:
                self._changes(rows.missing, name, batch.missing)
        process_rows = self._processes.merge(ts_ms, batches, self._period_ms)
        if self._processes.complete:
            self.work.processes(process_rows)
        self.work.fill(ts_ms, rows.gpus)
        host, gpus, processes, workloads, servers = self.people.take()
        return Tick(
            ts_ms=ts_ms,
            host=host,
            gpus=gpus,
            processes=processes,
            workloads=workloads,
            servers=servers,
            trainers=self.people.trainers.take(),
            runs=self.people.runs.take(),
            gpu_rows=list(rows.gpus.values()),
            process_rows=process_rows,
            workload_rows=rows.workloads,
            training_rows=rows.trainings,
            latencies=rows.latencies,
            host_dt_ms=rows.host_dt_ms,
            host_values=rows.host_values,
            extras=rows.extras,
            events=rows.events,
            gaps=rows.gaps,
            gap_energy=rows.gap_energy,
            missing=rows.missing,
        )

    def _dt(self, entity: object, ts_ms: int, period_ms: int) -> int:
        """The time that a row of ``entity`` at ``ts_ms`` speaks for."""
        last = self._last.get(entity)
        self._last[entity] = ts_ms
        return bridged(last, ts_ms, period_ms)

    def prune(self, ts_ms: int) -> None:
        """Forget entities that have had no row for so long that the next one could not bridge the time anyway."""
        longest, paces = max(self._period_ms.values(), default=0), self._paces
        self._last = {
            entity: last
            for entity, last in self._last.items()
            if ts_ms - last <= max(_KEPT_MS, 2 * PERIODS * max(longest, paces.of(entity)))
        }
        paces.keep(self._last)

    def _add_gpu(self, rows: _Rows, ts_ms: int, sample: GpuSample, period_ms: int) -> None:
        uuid = sample.gpu_uuid
        if uuid in rows.gpus:  # a second collector knows more about it
            known = rows.gpus[uuid]
            rows.gpus[uuid] = replace(known, values=_fill(known.values, quantise(sample)))
            return
        gpu = self.people.gpus.get(uuid) or Gpu(uuid, -1, "")
        state = self._gpus.get(uuid)
        dt = bridged(state.ts_ms if state else None, ts_ms, period_ms)
        if state is not None and ts_ms - state.ts_ms > PERIODS * period_ms:
            rows.gaps.append(GapRow(state.ts_ms, ts_ms, GapReason.DRIVER, uuid))
        quiet = facts.quiet(sample)
        context = None if sample.unavailable else facts.context(sample, gpu, sliced=uuid in self.people.sliced)
        before = (state.quiet_ms, (state.quiet, state.context)) if state else (0, (None, None))
        quiet_ms = next_quiet_ms(*before, quiet, context, dt)
        self._gpus[uuid] = _GpuState(ts_ms, quiet_ms, quiet, context)
        kappa = facts.kappa_pm(sample, gpu)
        values = quantise(sample)
        gap_ms = self._broken.pop(uuid, ts_ms) if state is None else state.ts_ms
        used = values[_ENERGY]
        if not dt and gap_ms < ts_ms and used is not None:  # by nobody knows whom
            rows.gap_energy.append(GapEnergy(uuid, gap_ms, used))
            values = (*values[:_ENERGY], None, *values[_ENERGY + 1 :])
        rows.gpus[uuid] = GpuRow(uuid, dt, quiet, context, quiet_ms, kappa, sample.unavailable, values)

    def _add_workloads(self, rows: _Rows, ts_ms: int, batch: Batch, period_ms: int) -> None:
        for training in batch.training_samples:
            rows.trainings.append(self._training_row(ts_ms, training, period_ms))
        for server in batch.inference_samples:
            key = server.root_pid, server.root_start_ms, server.port
            entity = ("inference", *key)
            pace = self._paces.take(entity, max(period_ms, round(server.interval_seconds * 1000)))
            counted_ms = round(server.window_seconds * 1000) + period_ms if server.window_seconds else 0
            dt = self._dt(entity, ts_ms, max(pace, -(-counted_ms // PERIODS)))
            row = WorkloadRow(*key, "inference", dt, quantise(server))
            rows.workloads.append(row)
            self.work.server(ts_ms, row, pace)
        rows.latencies.extend(batch.latency_counts)

    def _training_row(self, ts_ms: int, sample: TrainingSample, period_ms: int) -> TrainingRow:
        """The row of one rank. A process that counts from its beginning speaks for the time since then at its first row."""
        process = self.people.find(sample.pid) if not (sample.start_ms and sample.root_pid) else None
        key = sample.pid, sample.start_ms or (process.start_ms if process is not None else 0)
        root = sample.root_pid, sample.root_start_ms
        if not sample.root_pid:
            of_job = process is not None and process.key == key and process.workload_pid
            root = (process.workload_pid, process.workload_start_ms) if process is not None and of_job else key
        entity = ("training", *key)
        own_ms, counted = round(sample.interval_seconds * 1000), sample.attached_seconds
        pace = self._paces.take(entity, max(period_ms, own_ms))
        first = entity not in self._last
        dt = self._dt(entity, ts_ms, max(pace, -(-(round(counted * 1000) + period_ms) // PERIODS) if counted else 0))
        if first and counted is not None and own_ms:
            dt = own_ms
        row = TrainingRow(*key, *root, dt, quantise(sample))
        self.work.training(ts_ms, row, pace)
        return row

    def _changes(self, out: dict[MissingKey, Missing | None], name: str, now: Mapping[MissingKey, Missing]) -> None:
        before = self._missing.get(name, {})
        if now is before or now == before:
            return
        for key, reason in now.items():
            if before.get(key) is not reason:
                out[self._named(key)] = reason
        for key in before:
            if key not in now:
                out.setdefault(self._named(key), None)
        self._missing[name] = now

    def _named(self, key: MissingKey) -> MissingKey:
        """A driver says ``pid:0``; the store knows the process by its start."""
        kind, entity, name = key
        if kind != "process" or not entity.endswith(":0"):
            return key
        process = self.people.find(int(entity[:-2]))
        return (kind, f"{process.pid}:{process.start_ms}", name) if process else key


def bridged(last_ms: int | None, ts_ms: int, period_ms: int) -> int:
    """Milliseconds since the last row, 0 if there is none or it is more than three periods ago."""
    dt = 0 if last_ms is None else ts_ms - last_ms
    return dt if 0 < dt <= PERIODS * period_ms else 0


def _fill(values: Values, more: Values) -> Values:
    """What the first does not say, the second does."""
    return tuple(first if first is not None else second for first, second in zip(values, more))
