"""The processes of a View as families: who started whom, and what a process uses together with everything below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.view.types import ProcessView

Key = tuple[int, int]
"""pid and start time: a pid alone may come again."""

BUSY_WORKER = 0.85
"""Share of a core from which loader workers are the limit, in the mean."""


@dataclass(frozen=True, slots=True)
class Totals:
    """A process with everything below it in its tree; ``None`` when nothing of it could be read."""

    cpu_ratio: float | None
    rss_bytes: float | None
    disk_bytes_per_second: float | None
    busy_workers: bool
    """It has workers and they are at more than 85 % of a core in the mean: the loader is the limit."""


def key_of(process: ProcessView) -> Key:
    """The identity of a process."""
    return (process.pid, process.start_ms)


def plus(a: float | None, b: float | None) -> float | None:
    """The sum of what is known; ``None`` when neither is."""
    return b if a is None else a if b is None else a + b


def sum_of(totals: Iterable[Totals]) -> Totals:
    """Several processes together."""
    cpu, ram, disk = None, None, None
    for each in totals:
        cpu, ram = plus(cpu, each.cpu_ratio), plus(ram, each.rss_bytes)
        disk = plus(disk, each.disk_bytes_per_second)
    return Totals(cpu, ram, disk, False)


def feeds(processes: Iterable[ProcessView]) -> dict[Key, ProcessView]:
    """Worker -> the process with a GPU that it works for, which is its parent."""
    known = list(processes)
    holders = {process.pid: process for process in known if process.holds}
    return {
        key_of(process): holders[process.parent_pid]
        for process in known
        if process.role == "worker" and not process.holds and process.parent_pid in holders
    }


class Family:
    """The processes of a View with their children and totals. Nothing here recurses: a chain of processes may be long."""

    def __init__(self, processes: Iterable[ProcessView]) -> None:
        self.by_key = {key_of(p): p for p in processes}
        by_pid = {p.pid: key_of(p) for p in self.by_key.values()}
        self.children: dict[Key, list[ProcessView]] = {}
        self.roots: list[ProcessView] = []
        for process in self.by_key.values():
            # The parent's start time may differ by the rounding of two readings; the pid decides among what lives now.
            parent = by_pid.get(process.parent_pid) if process.parent_pid else None
            if parent is None or parent == key_of(process):
                self.roots.append(process)
            else:
                self.children.setdefault(parent, []).append(process)
        self._totals: dict[Key, Totals] = {}

    def below(self, process: ProcessView) -> Iterator[ProcessView]:
        """``process`` and everything below it, parents before their children."""
        seen: set[Key] = set()
        stack = [process]
        while stack:
            member = stack.pop()
            if key_of(member) not in seen:  # a damaged recording could hold a circle of parents
                seen.add(key_of(member))
                yield member
                stack += self.children.get(key_of(member), ())

    def totals(self, process: ProcessView) -> Totals:
        """The process and all below it."""
        if not self._totals:
            order = self.order()
            reached = {key_of(member) for member in order}
            circles = [member for key, member in self.by_key.items() if key not in reached]
            for member in reversed([*circles, *order]):
                self._totals[key_of(member)] = self._sum(member, self.children.get(key_of(member), ()))
        return self._totals[key_of(process)]

    def order(self) -> list[ProcessView]:
        """Everything that hangs on a root, parents before their children."""
        return [member for root in self.roots for member in self.below(root)]

    def _sum(self, process: ProcessView, children: Sequence[ProcessView]) -> Totals:
        if not children:
            return _own(process)
        workers = [child.cpu_ratio for child in children if child.role == "worker" and child.cpu_ratio is not None]
        known = [self._totals[key_of(child)] for child in children if key_of(child) in self._totals]
        whole = sum_of([_own(process), *known])
        busy = bool(workers) and sum(workers) / len(workers) > BUSY_WORKER
        return Totals(whole.cpu_ratio, whole.rss_bytes, whole.disk_bytes_per_second, busy)


def _own(process: ProcessView) -> Totals:
    disk = plus(process.read_bytes_per_second, process.write_bytes_per_second)
    return Totals(process.cpu_ratio, process.rss_bytes, disk, False)
