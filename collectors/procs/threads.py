"""How busy the busiest thread of a process is: looked at only where the whole process uses about one core, since that takes many reads.

Two readings ten seconds apart give one figure, which holds until the next. A tick reads one process, or several small ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from gpuwatch import procfs
from gpuwatch.dataclass import NamedTuple

LOW_CPU, HIGH_CPU = 0.85, 1.6
"""CPU of the whole process (cores) within which one thread may be what everything waits for."""
PERIOD_NS = 10_000_000_000
MAX_THREADS = 512
THREADS_PER_TICK = 128
_SLACK_NS = 1_000_000_000
"""Ticks are not exact."""

Key = tuple[int, int]
"""(pid, start_ms)."""


class _Look(NamedTuple):
    """When the threads of a process were read, their CPU ticks by thread id, and the share of the busiest one up to then."""

    at_ns: int
    ticks: dict[int, int]
    busiest: float | None


class Threads:
    """Of the processes below one /proc."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._looks: dict[Key, _Look] = {}

    def look(self, processes: Iterable[tuple[Key, float | None]], now_ns: int) -> dict[Key, float]:
        """(process, CPU in cores) of all processes on GPUs -> CPU of their busiest thread, where it is known."""
        candidates = [key for key, cpu in processes if cpu is not None and LOW_CPU <= cpu <= HIGH_CPU]
        looks = self._looks = {key: look for key in candidates if (look := self._looks.get(key)) is not None}
        due = [key for key in candidates if key not in looks or now_ns - looks[key].at_ns >= PERIOD_NS - _SLACK_NS]
        due.sort(key=lambda key: looks[key].at_ns if key in looks else 0)
        room = THREADS_PER_TICK
        for key in due:
            if room <= 0:
                break
            look = self._read(key[0], looks.get(key), now_ns)
            looks[key] = look
            room -= max(1, len(look.ticks))
        return {key: look.busiest for key, look in looks.items() if look.busiest is not None}

    def _read(self, pid: int, before: _Look | None, now_ns: int) -> _Look:
        ticks = self._ticks(pid)
        if before is None or not before.ticks or not ticks:
            return _Look(now_ns, ticks, None)
        seconds = (now_ns - before.at_ns) / 1e9
        grown = max(count - before.ticks.get(thread, 0) for thread, count in ticks.items())
        return _Look(now_ns, ticks, max(0, grown) / procfs.CLOCK_TICKS / seconds)

    def _ticks(self, pid: int) -> dict[int, int]:
        """CPU ticks by thread; empty where there are too many threads, or none can be read."""
        folder = f"{self._root}/{pid}/task"
        try:
            threads = [name for name in os.listdir(folder) if name.isdigit()]
        except OSError:
            return {}
        out: dict[int, int] = {}
        for name in threads if len(threads) <= MAX_THREADS else ():
            try:
                out[int(name)] = procfs.parse_stat(procfs.read_once(f"{folder}/{name}/stat")).cpu_ticks
            except (OSError, ValueError):
                continue  # it has just ended
        return out
