"""How much of its time a control group was not allowed to use a CPU: ``cpu.stat`` of the groups of GPU processes, every ten seconds.

A limit counts in the group that has it, which may be one above that of the process (a pod, a slice): the share of a process is that
of the group on its path that was throttled most. Without a limit no period is counted, and there is no share.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpuwatch import procfs

PERIOD_NS = 10_000_000_000
_SLACK_NS = 1_000_000_000
_MAX_LEVELS = 12
_V1_FOLDERS = ("cpu,cpuacct", "cpu", "cpuacct,cpu")


class Throttling:
    """Of the groups below one /sys. A group is named as ``where.cpu_group`` names it."""

    def __init__(self, sys_root: Path) -> None:
        self._root = str(sys_root / "fs/cgroup")
        self._read_ns: int | None = None
        self._counts: dict[str, tuple[int, int]] = {}
        self._shares: dict[str, float] = {}

    def look(self, groups: Iterable[str], now_ns: int) -> dict[str, float]:
        """Group -> share of its periods in which it, or one above it, was throttled; without those that have no limit."""
        if self._read_ns is None or now_ns - self._read_ns >= PERIOD_NS - _SLACK_NS:
            self._read({group for group in groups if group}, now_ns)
        return self._shares

    def _read(self, groups: set[str], now_ns: int) -> None:
        counts: dict[str, tuple[int, int]] = {}
        shares: dict[str, float] = {}
        for group in groups:
            levels = list(_levels(group))
            for level in levels:
                if level not in counts and (found := self._count(level)) is not None:
                    counts[level] = found
            known = [share for level in levels if (share := self._share(level, counts)) is not None]
            if known:
                shares[group] = max(known)
        self._counts, self._shares, self._read_ns = counts, shares, now_ns

    def _share(self, level: str, counts: dict[str, tuple[int, int]]) -> float | None:
        now, before = counts.get(level), self._counts.get(level)
        if now is None or before is None or now[0] <= before[0]:
            return None
        return min(1.0, max(0, now[1] - before[1]) / (now[0] - before[0]))

    def _count(self, level: str) -> tuple[int, int] | None:
        """(periods, those in which it was throttled) so far."""
        version, _, path = level.partition(":")
        folders = [self._root] if version == "2" else [f"{self._root}/{name}" for name in _V1_FOLDERS]
        for folder in folders:
            try:
                words = procfs.read_once(f"{folder}{path}/cpu.stat").split()
                return int(words[words.index(b"nr_periods") + 1]), int(words[words.index(b"nr_throttled") + 1])
            except (OSError, ValueError, IndexError):
                continue
        return None


def _levels(group: str) -> Iterable[str]:
    """The group and those above it, the root included."""
    version, _, path = group.partition(":")
    parts = [part for part in path.split("/") if part][:_MAX_LEVELS]
    return (f"{version}:{''.join(f'/{part}' for part in parts[:depth])}" for depth in range(len(parts), -1, -1))
