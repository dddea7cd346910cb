"""What is true of a span of a simulated host, straight from the scenario's step functions: no row, no store, no ledger.

The simulated host is read once a minute: a reading speaks for the minute before it, with exact means of its rates and with whoever
is there at its end. So truth here is a sum over whole minutes; what a report may differ by is only how finely readings are kept:
utilization and SM activity to 1/1000, energy to a millijoule, a reading.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.people import Axis, People
from gpuwatch.collectors.simulated.scenario import load

MINUTE_MS, GIB = 60_000, 1024**3
HELD_IDLE_MINUTES = 5


@dataclass(slots=True)
class Minute:
    """One GPU over one minute."""

    utilization: float
    sm_active: float | None
    busy: float
    watts: float
    users: tuple[str, ...]
    held: bool
    memory_mib: int

    @property
    def quiet(self) -> bool:
        """Under 5 % utilization and, where measured, under 2 % SM activity."""
        return self.utilization < 0.05 and (self.sm_active or 0.0) < 0.02


@dataclass(slots=True)
class GpuTruth:
    """One GPU over a span, in minutes and base units."""

    minutes: int = 0
    utilization: float = 0.0
    """Mean; so are the next two."""
    sm_active: float | None = None
    watts: float = 0.0
    joules: float = 0.0
    quiet: int = 0
    free: int = 0
    held_idle: int = 0
    wait: float = 0.0
    busy: float = 0.0
    """Throttled time is busy."""
    memory_max_mib: int = 0
    users: Counter[str] = field(default_factory=Counter)
    """Minutes held; a minute that several users share counts for all of them together as ``shared``."""


class SpanTruth:
    """The scenario ``name`` with its time 0 at unix second ``epoch_s``."""

    def __init__(self, name: str, epoch_s: int, seed: int = 7) -> None:
        self.scenario: Scenario = compile_plan(load(name), seed)
        self.axis, self.people = Axis(epoch_s * 1000), People(self.scenario)
        self.places = [str(device.index) for device in self.scenario.table.devices]

    def minute(self, place: str, end_ms: int) -> Minute:
        """The minute before ``end_ms``."""
        table, until = self.scenario.table, self.axis.scenario_ms(end_ms)
        since = self.axis.scenario_ms(end_ms - MINUTE_MS)
        series = self.scenario.sources[self.people.source(place, until)]
        held = [(life, self.people.memory(life, place, until)) for life in self.people.alive(until)]
        held = [(life, size) for life, size in held if size >= 0]
        used = sum(size for _, size in held) if until < 0 or "memory_used" not in series else table.at(series["memory_used"], until)
        compute = any(self.scenario.people[life.slot].plan.kind in "CM" for life, _ in held)
        total = table.devices[int(place)].memory
        utilization = table.mean(series["util"], since, until) / 100
        return Minute(
            utilization=utilization,
            sm_active=table.mean(series["gpm.2"], since, until) / 1000 if "gpm.2" in series else None,
            busy=table.mean(series["gpm.1"], since, until) / 1000 if "gpm.1" in series else utilization,
            watts=table.mean(series["power_mw"], since, until) / 1000,
            users=tuple(sorted({self.scenario.people[life.slot].plan.user for life, _ in held})),
            held=compute or used > max(0.02 * total, GIB),
            memory_mib=round(used / 2**20),
        )

    def gpu(self, place: str, start_s: int, end_s: int) -> GpuTruth:
        """One GPU over whole minutes; the span's readings begin with it and go on after it."""
        rows = [self.minute(place, t * 1000) for t in range(start_s + 60, end_s + 60 * HELD_IDLE_MINUTES + 1, 60)]
        count = (end_s - start_s) // 60
        runs = [0] * len(rows)
        for number in range(len(rows)):
            runs[number] = (runs[number - 1] if number else 0) + 1 if rows[number].quiet else 0
        for number in reversed(range(len(rows) - 1)):
            if runs[number] and runs[number + 1]:
                runs[number] = max(runs[number], runs[number + 1])
        out = GpuTruth(minutes=count)
        for row, run in zip(rows[:count], runs):
            out.utilization += row.utilization / count
            if row.sm_active is not None:
                out.sm_active = (out.sm_active or 0.0) + row.sm_active / count
            out.watts += row.watts / count
            out.joules += row.watts * 60
            out.quiet += row.quiet
            out.memory_max_mib = max(out.memory_max_mib, row.memory_mib)
            if not row.held and row.quiet:
                out.free += 1
                continue
            out.held_idle += run >= HELD_IDLE_MINUTES
            out.wait += 0.0 if run >= HELD_IDLE_MINUTES else 1.0 if row.quiet else 1 - row.busy
            out.busy += 0.0 if row.quiet else row.busy
            out.users["?" if not row.users else row.users[0] if len(row.users) == 1 else "shared"] += 1
        return out
