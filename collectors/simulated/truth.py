"""What is true at a second of a scenario: the answer sheet for tests that compare the driver, the store and the screens."""

from __future__ import annotations

from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.people import Axis, People
from gpuwatch.collectors.simulated.rates import AMOUNTS
from gpuwatch.collectors.simulated.serving import Serving
from gpuwatch.dataclass import dataclass
from gpuwatch.names import Latency


@dataclass(frozen=True, slots=True)
class GpuTruth:
    """One GPU or MIG device at the end of a second. None: the device class has no such value, or the GPU is lost."""

    uuid: str
    utilization_ratio: float | None
    """Mean over the second."""
    utilization_percent_now: int | None
    """The value in force at its end."""
    memory_used_bytes: int | None
    power_watts: float | None
    """Mean over the second."""
    power_watts_now: float | None
    processes: dict[str, int]
    """Slot -> bytes held."""
    lost: bool


def truth(scenario: Scenario, epoch_s: float, second: float, *, speed: float = 1.0) -> dict[str, GpuTruth]:
    """Place (``I`` or ``I.J``) -> what is true at the unix ``second``, for means over the second before it."""
    axis, people, table = Axis(round(epoch_s * 1000), speed), People(scenario), scenario.table
    start, end = axis.scenario_ms(round((second - 1) * 1000)), axis.scenario_ms(round(second * 1000))
    lives = people.alive(end)
    uuids = {str(d.index): d.uuid for d in table.devices} | {i.place: i.uuid for i in table.instances}
    out: dict[str, GpuTruth] = {}
    for place, uuid in uuids.items():
        series = scenario.sources[people.source(place, end)]
        power, memory = series.get("power_mw"), series.get("memory_used")
        util, full = (series["gpm.1"], 1000) if "." in place and "gpm.1" in series else (series.get("util"), 100)
        held = {life.slot: people.memory(life, place, end) for life in lives}
        total = sum(size for size in held.values() if size > 0)
        has_memory = memory is not None and (table.devices[int(place.partition(".")[0])].memory or "." in place)
        lost = any(fault.kind in ("lost", "reset") for fault in table.broken(end, int(place.partition(".")[0])))
        out[place] = GpuTruth(
            uuid=uuid,
            utilization_ratio=None if util is None or lost else table.mean(util, start, end) / full,
            utilization_percent_now=None if util is None or lost else table.at(util, end) * 100 // full,
            memory_used_bytes=None if memory is None or not has_memory or lost else total if end < 0 else table.at(memory, end),
            power_watts=None if power is None or lost else table.mean(power, start, end) / 1000,
            power_watts_now=None if power is None or lost else table.at(power, end) / 1000,
            processes={} if lost else {slot: size for slot, size in held.items() if size >= 0},
            lost=lost,
        )
    return out


@dataclass(frozen=True, slots=True)
class ServerTruth:
    """What one server did in a span, whether or not anybody could read it then."""

    output_tokens: int
    prefill_tokens: int
    cached_tokens: int
    requests: int
    preemptions: int
    latencies: dict[Latency, dict[tuple[int, int], int]]
    """Latency -> (lower, upper) bound of a bucket in microseconds -> observations in it."""


def server_truth(scenario: Scenario, epoch_s: float, start: float, end: float) -> dict[str, ServerTruth]:
    """Slot of each process that serves now -> what its server did in [start, end), unix seconds at normal speed."""
    axis = Axis(round(epoch_s * 1000))
    out: dict[str, ServerTruth] = {}
    for slot, person in scenario.people.items():
        if person.plan.server is None or person.past:
            continue
        serving = Serving(scenario, person, person.plan.server)
        before, after = (list(serving.counts(axis.scenario_ms(round(t * 1000)))) for t in (start, end))
        counts = [new - old for old, new in zip(before, after, strict=True)]
        of = dict(zip(AMOUNTS, counts, strict=False))
        out[slot] = ServerTruth(
            output_tokens=of["output"],
            prefill_tokens=of["prefill"],
            cached_tokens=of["cached"],
            requests=of["stop"] + of["length"] + of["aborted"] + of["error"],
            preemptions=of["preemptions"],
            latencies={
                latency: {(lower, upper): counts[column] for column, lower, upper in columns.buckets if counts[column]}
                for latency, columns in serving.latencies.items()
            },
        )
    return out
