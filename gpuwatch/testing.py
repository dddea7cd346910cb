"""The contract suite for collectors: what the recorder relies on, checked from outside. For authors of collectors, in their tests.

from gpuwatch.testing import check_collector

def test_contract():
    check_collector(factory, context=context_with_recorded_output, advance=play_next_second)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import fields
from gpuwatch.errors import Unavailable
from gpuwatch.measure import measures, quantise, told
from gpuwatch.model import (
    Batch,
    Event,
    ExtraSample,
    Gpu,
    GpuSample,
    Host,
    HostSample,
    InferenceSample,
    LatencyCounts,
    Process,
    ProcessSample,
    Server,
    Workload,
)
from gpuwatch.names import WAITS, Missing, RunOutcome
from gpuwatch.plugin import Collector, CollectorContext, Factory
from gpuwatch.text import clean
from gpuwatch.training import Run, Trainer, TrainingSample

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_ENTITY_KINDS = frozenset({"host", "gpu", "process", "workload"})
_HIGHEST = {"celsius": 200.0, "hertz": 2e10, "watts": 20_000.0, "bytes": 2.0**60, "seconds": 1e9}
_LOWEST = {"celsius": -60.0}
_PLURALS: dict[str, type] = {
    "gpus": Gpu,
    "processes": Process,
    "workloads": Workload,
    "gpu_samples": GpuSample,
    "process_samples": ProcessSample,
    "training_samples": TrainingSample,
    "inference_samples": InferenceSample,
    "latency_counts": LatencyCounts,
    "servers": Server,
    "trainers": Trainer,
    "runs": Run,
    "extra_samples": ExtraSample,
    "events": Event,
}


class ContractError(AssertionError):
    """A collector breaks a rule; the message names the rule, the entity and the field."""


def _demand(condition: object, message: str) -> None:
    if not condition:
        raise ContractError(message)


def check_collector(
    factory: Factory,
    *,
    context: CollectorContext | None = None,
    ticks: int = 4,
    advance: Callable[[float], None] | None = None,
    start: float | None = None,
) -> list[Batch]:
    """Open, read ``ticks`` times, close and open again; every rule broken raises :class:`ContractError`.

    ``context`` defaults to one with a :class:`FakeClock`, which is moved on by the collector's interval between ticks;
    ``advance`` (given the seconds) moves the source of data as well. ``start`` is the first grid second (default: the clock's).
    Returns the batches of the first life, or an empty list when the source is not available here, which is checked too.
    """
    context = context or CollectorContext(clock=FakeClock())
    collector = factory(context)
    _check_protocol(collector)
    collector.close()  # closing what was never opened is harmless
    if not _opens(collector):
        _demand(not _opens(collector), "open() must fail alike when nothing changed")
        collector.close()
        return []
    now = float(int(context.clock.time() if start is None else start))
    first = _live(collector, context, now, ticks, advance)
    collector.close()
    collector.close()
    _demand(_opens(collector), "open() after close() must work again")
    second = _live(collector, context, now + ticks * collector.interval_seconds, 1, advance)
    collector.close()
    _demand(_uuids(first) == _uuids(second), f"reopening must find the same GPUs, found {_uuids(second)} after {_uuids(first)}")
    return first


def _check_protocol(collector: Collector) -> None:
    name = getattr(collector, "name", None)
    _demand(isinstance(name, str) and _NAME.match(name), f"name must be lower case letters, digits and _, not {name!r}")
    interval = getattr(collector, "interval_seconds", None)
    _demand(isinstance(interval, float | int) and interval > 0, f"interval_seconds must be positive, not {interval!r}")
    for method in ("open", "collect", "close"):
        _demand(callable(getattr(collector, method, None)), f"{method}() is missing")


def _opens(collector: Collector) -> bool:
    try:
        collector.open()
    except Unavailable as reason:
        for text in (reason.message, reason.hint):
            _demand(text == clean(text), f"Unavailable must be one clean line, not {text!r}")
        _demand(reason.message, "Unavailable must give a reason")
        return False
    return True


def _live(
    collector: Collector, context: CollectorContext, now: float, ticks: int, advance: Callable[[float], None] | None
) -> list[Batch]:
    batches: list[Batch] = []
    known: set[str] = set()
    for _ in range(ticks):
        batch = collector.collect(now)
        check_batch(batch, collector=collector.name, now=now, known_gpus=known)
        if batch.gpus is not None:
            known = {gpu.uuid for gpu in batch.gpus}
        batches.append(batch)
        step = float(collector.interval_seconds)
        now += step
        if isinstance(context.clock, FakeClock):
            context.clock.advance(step)
        if advance is not None:
            advance(step)
    return batches


def _uuids(batches: Iterable[Batch]) -> list[str]:
    last: list[str] = []
    for batch in batches:
        if batch.gpus is not None:
            last = [gpu.uuid for gpu in batch.gpus]
    return last


def check_batch(batch: Batch, *, collector: str, now: float, known_gpus: Iterable[str] = ()) -> None:
    """Check one batch by itself. ``known_gpus`` are UUIDs of earlier batches, which samples may refer to."""
    _demand(isinstance(batch, Batch), f"collect() must return a Batch, not {type(batch).__name__}")
    _demand(batch.collector == collector, f"Batch.collector must be {collector!r}, not {batch.collector!r}")
    _demand(batch.t == int(now), f"Batch.t must be the grid second {int(now)}, not {batch.t}")
    for number in (batch.duration_ns, batch.driver_calls, batch.driver_ns):
        _demand(isinstance(number, int) and number >= 0, "durations and call counts are integers from 0")
    for name, kind in _PLURALS.items():
        for item in getattr(batch, name) or ():
            _demand(type(item) is kind, f"Batch.{name} must hold {kind.__name__}, not {type(item).__name__}")
            _check_texts(item)
    for one, single in ((batch.host, Host), (batch.host_sample, HostSample)):
        _demand(one is None or type(one) is single, f"Batch holds {type(one).__name__} where {single.__name__} belongs")
    if batch.error is not None:
        _demand(batch.error and batch.error == clean(batch.error), "Batch.error must be one clean line")
        _demand(not batch.gpu_samples and not batch.process_samples, "a batch with an error holds no samples")
    _check_gpus(batch, set(known_gpus))
    _check_processes(batch)
    if batch.host_sample is not None:
        _check_measures(batch.host_sample, "host", "", batch)
    _check_trainings(batch)
    _check_servers(batch)
    for (entity, key, field_name), reason in batch.missing.items():
        _demand(entity in _ENTITY_KINDS, f"a reason for an unknown kind of entity: {entity!r}")
        _demand(isinstance(reason, Missing), f"the reason for {key} {field_name} must be a Missing")


def _check_gpus(batch: Batch, known: set[str]) -> None:
    uuids = [gpu.uuid for gpu in batch.gpus or ()]
    _demand(len(set(uuids)) == len(uuids) and all(uuids), f"GPUs need distinct UUIDs: {uuids}")
    for gpu in batch.gpus or ():
        _demand(not gpu.parent_uuid or gpu.parent_uuid in uuids, f"{gpu.uuid}: its parent is not listed")
        _demand(0 < gpu.compute_fraction <= 1, f"{gpu.uuid}: compute_fraction must be in (0, 1]")
        for name in ("memory_total_bytes", "power_limit_watts", "sm_clock_max_hertz"):
            value = getattr(gpu, name)
            _demand(value is None or value > 0, f"{gpu.uuid}: {name} is None where it is not known, never {value}")
    allowed = set(uuids) if batch.gpus is not None else known
    seen: set[str] = set()
    for sample in batch.gpu_samples:
        _demand(sample.gpu_uuid in allowed, f"a sample of {sample.gpu_uuid!r}, which no batch since open() lists")
        _demand(sample.gpu_uuid not in seen, f"two samples of {sample.gpu_uuid} in one batch")
        seen.add(sample.gpu_uuid)
        _check_measures(sample, "gpu", sample.gpu_uuid, batch)
        for name in () if sample.unavailable else told(GpuSample):
            given = ("gpu", sample.gpu_uuid, name) in batch.missing
            _demand(getattr(sample, name) is not None or given, f"{sample.gpu_uuid}: {name} is None without a reason")


def _check_processes(batch: Batch) -> None:
    keys = [process.key for process in batch.processes or ()]
    _demand(len(set(keys)) == len(keys), "a process is listed twice")
    seen: set[tuple[int, int, str]] = set()
    for sample in batch.process_samples:
        place = (sample.pid, sample.start_ms, sample.gpu_uuid)
        _demand(place not in seen, f"two samples of process {place} in one batch")
        seen.add(place)
        _demand(sample.pid > 0, f"no process has the pid {sample.pid}")
        _check_measures(sample, "process", f"{sample.pid}:{sample.start_ms}", batch)


def _check_trainings(batch: Batch) -> None:
    rows = [(sample.pid, sample.start_ms) for sample in batch.training_samples]
    _demand(len(set(rows)) == len(rows), f"two samples of one rank in one batch: {rows}")
    for sample in batch.training_samples:
        _check_measures(sample, "process", f"{sample.pid}:{sample.start_ms}", batch)
    for trainer in batch.trainers:
        _demand(trainer.root_pid > 0, f"the rank {trainer.key} belongs to no workload")
        _demand(trainer.replicas >= 1, f"the rank {trainer.key}: {trainer.replicas} ranks cannot see the same tokens")
    runs = [run.key for run in batch.runs]
    _demand(len(set(runs)) == len(runs), f"a run is told twice: {runs}")
    for run in batch.runs:
        ended, running = run.ended_ms is not None, run.outcome is RunOutcome.RUNNING
        _demand(ended != running, f"the run {run.key} is {run.outcome.label} and has {'an' if ended else 'no'} end")


def _check_servers(batch: Batch) -> None:
    numbers = {*measures(InferenceSample), *(latency.label for latency in WAITS)}
    for server in batch.servers:
        _demand("@" not in server.url, f"Server.url must hold no credentials: {server.url!r}")
        named = [known.field for known in server.fields]
        _demand(len(set(named)) == len(named), f"a server's fields are told once each: {named}")
        _demand(set(named) <= numbers, f"fields that no InferenceSample has: {sorted(set(named) - numbers)}")
    rows = [(sample.root_pid, sample.root_start_ms, sample.port) for sample in batch.inference_samples]
    _demand(len(set(rows)) == len(rows), f"two samples of one server in one batch: {rows}")
    for sample in batch.inference_samples:
        _check_measures(sample, "workload", f"{sample.root_pid}:{sample.root_start_ms}:{sample.port}", batch)
    rows += [(sample.root_pid, sample.root_start_ms, 0) for sample in batch.training_samples]
    for counts in batch.latency_counts:
        place = (counts.root_pid, counts.root_start_ms, counts.port)
        _demand(place in rows, f"waiting times of {place}, which has no sample in this batch")
        for lower, upper, count in counts.buckets:
            _demand(
                0 <= lower < upper and count > 0, f"{counts.latency.label} of {place}: ({lower}, {upper}, {count}) is no bucket"
            )


def _check_measures(sample: object, entity: str, key: str, batch: Batch) -> None:
    """Values are finite, in their unit's range and fit the store; a present value has no reason to be missing."""
    kind: type = type(sample)
    for name, about in measures(kind).items():
        value: Any = getattr(sample, name)
        if value is None:
            continue
        where = f"{key or entity}: {name} = {value!r}"
        _demand(
            isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value), f"{where} is no finite number"
        )
        _demand(name == "loss" or value >= _LOWEST.get(about.unit, 0.0), f"{where} is too small for {about.unit}")
        highest = _HIGHEST.get(about.unit, math.inf)
        if about.unit == "ratio" and not (isinstance(sample, ProcessSample) and name == "cpu_ratio"):
            highest = 1.0  # a process may use several cores
        _demand(value <= highest, f"{where} is too large for {about.unit}")
        if isinstance(sample, GpuSample):
            _demand((entity, key, name) not in batch.missing, f"{where} is present but has a reason to be missing")
    _demand(all(number is None or -(2**63) <= number < 2**63 for number in quantise(sample)), f"{key}: does not fit the store")


def _check_texts(item: object) -> None:
    for one in fields(item):  # type: ignore[arg-type]
        value = getattr(item, one.name)
        if isinstance(value, str):
            _demand(value == clean(value), f"{type(item).__name__}.{one.name} must pass text.clean(): {value!r}")
