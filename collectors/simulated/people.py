"""Who runs at a moment of a scenario: lives and pids of its slots, the processes of the past, and who did what on which GPU.

Times are scenario milliseconds: 0 is the epoch, negative ones are the past, which always runs at normal speed.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from typing import NamedTuple

from gpuwatch.collectors.simulated.compiled import Person, Scenario
from gpuwatch.collectors.simulated.flat import PER_PROCESS_HOST
from gpuwatch.dataclass import dataclass
from gpuwatch.model import Process, Workload

FOREVER = 1 << 62
PID_LIMIT = 4_194_304
_LIFE_STEP = 97
"""How far apart the pids of two lives of one slot are."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How absolute time maps to scenario time: ``epoch_ms`` is scenario time 0; after it, time runs ``speed`` times faster."""

    epoch_ms: int
    speed: float = 1.0

    def scenario_ms(self, unix_ms: int) -> int:
        """Scenario time of an absolute time."""
        past = unix_ms - self.epoch_ms
        return past if past < 0 else round(past * self.speed)

    def unix_ms(self, scenario_ms: int) -> int:
        """Absolute time of a scenario time."""
        return self.epoch_ms + (scenario_ms if scenario_ms < 0 else round(scenario_ms / self.speed))


class Life(NamedTuple):
    """One run of a slot's process."""

    slot: str
    pid: int
    start_ms: int
    """Scenario time of its start."""


class Changes:
    """When anything about processes or the past may change: moments in absolute scenario time, and moments of each loop."""

    def __init__(self, moments: set[int], looped: set[int], loop_ms: int) -> None:
        self._moments = sorted(moments)
        self._looped = sorted(looped)
        self._loop_ms = loop_ms

    def around(self, t_ms: int) -> tuple[int, int]:
        """The last change at or before ``t_ms`` and the next one after it."""
        at = bisect_right(self._moments, t_ms)
        since = self._moments[at - 1] if at else -FOREVER
        until = self._moments[at] if at < len(self._moments) else FOREVER
        if self._looped:
            begin = t_ms // self._loop_ms * self._loop_ms if self._loop_ms else 0
            at = bisect_right(self._looped, t_ms - begin)
            since = max(since, begin + (self._looped[at - 1] if at else 0))
            until = min(until, begin + (self._looped[at] if at < len(self._looped) else self._loop_ms or FOREVER))
        return since, until


class People:
    """Lives at any moment. Pids are fixed by scenario, seed and life, so the same span shows the same processes."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.table = scenario.table
        self._of_place: dict[str, list[Person]] = {}
        for person in scenario.people.values():
            for place in person.plan.gpus:
                self._of_place.setdefault(place, []).append(person)

    def changes(self) -> Changes:
        """The moments between which :meth:`alive`, :meth:`memory` and :meth:`source` cannot change."""
        plans = [person.plan for person in self.scenario.people.values()]
        moments = {0, *(-plan.age_ms for plan in plans), *(-plan.ended_ms for plan in plans)}
        for blocks in self.scenario.past.values():
            moments |= {-t for block in blocks for t in (block.from_ms, block.until_ms)}
        held = [series for (_, _, quantity), series in self.table.process.items() if quantity in ("mem", "alive")]
        looped = {t for series in held if len(series.times) > 1 for t in series.times}
        return Changes(moments, looped, self.table.loop_ms)

    def alive(self, t_ms: int) -> list[Life]:
        """All processes that run at ``t_ms``, in the order of the scenario."""
        lives = (self.life(person, t_ms) for person in self.scenario.people.values())
        return [life for life in lives if life is not None]

    def life(self, person: Person, t_ms: int) -> Life | None:
        """The run of one slot at ``t_ms``, or None when it does not run then."""
        plan = person.plan
        if person.past:
            inside = -plan.age_ms <= t_ms < -plan.ended_ms
            return Life(person.slot, self._pid(person, 0), -plan.age_ms) if inside else None
        if t_ms < -plan.age_ms and not plan.born_ms and not plan.lives_ms:
            return None
        return self._looped(person, t_ms)

    def _looped(self, person: Person, t_ms: int) -> Life | None:
        """A slot by its alive series: whole loops long, or born and ended within each loop."""
        plan, loop = person.plan, self.table.loop_ms
        if not plan.born_ms and not plan.lives_ms:
            return Life(person.slot, self._pid(person, 0), -plan.age_ms)
        if not self.table.alive(person.slot, t_ms) or (t_ms < 0 and not loop):
            return None
        number = t_ms // loop if loop else 0
        return Life(person.slot, self._pid(person, number), number * loop + plan.born_ms)

    def _pid(self, person: Person, life: int) -> int:
        base = person.plan.pid or 20_000 + zlib.crc32(f"{self.scenario.seed}/{person.plan.slot}".encode()) % 60_000
        _, dot, copy = person.slot.rpartition(".")
        return 300 + (base - 300 + (int(copy) if dot and person.plan.copies > 1 else 0) + _LIFE_STEP * life) % (PID_LIMIT - 300)

    def memory(self, life: Life, place: str, t_ms: int) -> int:
        """Bytes that a live process holds on ``place``; -1 when it is not there."""
        person = self.scenario.people[life.slot]
        if person.past or t_ms < 0:
            return round(person.plan.gpus[place] * 1024) * 1024**2 if place in person.plan.gpus else -1
        held = self.table.process_value(life.slot, place, "mem", t_ms)
        return -1 if held is None else held

    def source(self, place: str, t_ms: int) -> str:
        """Whose series describe ``place`` at ``t_ms``: its own, in the past perhaps another's, or ``free.I``.

        A place on which processes of the scenario work was free before the first of them came: nobody made its load then.
        """
        if t_ms < 0:
            users = self._of_place.get(place, ())
            if users and not any(self.life(person, t_ms) for person in users):
                return f"free.{place}"
            for block in self.scenario.past.get(place, ()):
                if -block.from_ms <= t_ms < -block.until_ms:
                    return block.like or f"free.{place}"
        return place

    def power_limit_mw(self, device: int, t_ms: int) -> int:
        """The power limit in force."""
        if t_ms < 0:
            for block in self.scenario.past.get(str(device), ()):
                if -block.from_ms <= t_ms < -block.until_ms and block.power_limit:
                    return round(block.power_limit * 1000)
        changing = self.table.value(str(device), "power_limit_mw", t_ms)
        return self.table.devices[device].power_limit if changing is None else changing

    def host_values(self, life: Life, start_ms: int, end_ms: int) -> dict[str, float]:
        """Means of a process' host side over [start, end): cpu (cores x 1000), rss (bytes), read and write (KiB/s)."""
        plan = self.scenario.people[life.slot].plan
        if self.scenario.people[life.slot].past:
            return {
                "cpu": plan.cpu * 1000,
                "rss": plan.rss * 1024**3,
                "read_kib_s": plan.read * 1024,
                "write_kib_s": plan.write * 1024,
            }
        table = self.table
        return {
            quantity: table.mean(table.process[life.slot, PER_PROCESS_HOST, quantity], start_ms, end_ms)
            for quantity in ("cpu", "rss", "read_kib_s", "write_kib_s")
        }

    def entities(self, lives: list[Life], axis: Axis) -> tuple[tuple[Process, ...], tuple[Workload, ...]]:
        """The process and workload entities of the given lives."""
        by_slot = {life.slot: life for life in lives}
        roots: dict[str, Life] = {}
        for life in lives:
            roots.setdefault(self.scenario.people[life.slot].plan.workload or life.slot, life)
        processes = tuple(self._process(life, by_slot, roots, axis) for life in lives)
        workloads = tuple(
            self._workload(name, life, axis) for name, life in roots.items() if self.scenario.people[life.slot].plan.workload
        )
        return processes, workloads

    def _process(self, life: Life, by_slot: dict[str, Life], roots: dict[str, Life], axis: Axis) -> Process:
        person = self.scenario.people[life.slot]
        plan, parent = person.plan, by_slot.get(person.parent)
        root = roots[plan.workload or life.slot]
        return Process(
            pid=life.pid,
            start_ms=axis.unix_ms(life.start_ms),
            name=plan.name,
            parent_pid=parent.pid if parent else 0,
            parent_start_ms=axis.unix_ms(parent.start_ms) if parent else 0,
            uid=plan.uid,
            user=plan.user,
            command=plan.command,
            container=plan.container,
            job=plan.job,
            workload_pid=root.pid,
            workload_start_ms=axis.unix_ms(root.start_ms),
            role=plan.role,
            visible_gpus=plan.visible_gpus,
        )

    def _workload(self, name: str, root: Life, axis: Axis) -> Workload:
        plan = self.scenario.people[root.slot].plan
        return Workload(
            root_pid=root.pid,
            root_start_ms=axis.unix_ms(root.start_ms),
            port=plan.port,
            kind="training" if plan.workload_kind == "training" else "inference" if plan.workload_kind == "inference" else "other",
            name=name,
            model=plan.model,
            engine=plan.engine,
            engine_version=plan.engine_version,
            user=plan.user,
            job=plan.job,
        )
