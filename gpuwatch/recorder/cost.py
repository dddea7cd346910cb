"""What watching costs: the recorder's own CPU, memory, driver time and writes, as one more row every ten seconds."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from gpuwatch import procfs
from gpuwatch.model import RecorderSample

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class CostMeter:
    """Differences between calls of ``sample``; ``proc`` is /proc."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._driver_ns = 0
        self._driver_calls = 0
        self._cpu = _cpu_seconds()
        self._written = self._written_bytes()

    def count(self, driver_calls: int, driver_ns: int) -> None:
        """Add what one batch cost its driver."""
        self._driver_calls += driver_calls
        self._driver_ns += driver_ns

    def sample(self) -> RecorderSample:
        """The cost since the last call; parts that the system does not tell are ``None``."""
        cpu, written = _cpu_seconds(), self._written_bytes()
        sample = RecorderSample(
            cpu_seconds=cpu - self._cpu,
            rss_bytes=self._rss_bytes(),
            driver_seconds=self._driver_ns / 1e9,
            driver_calls_total=self._driver_calls,
            written_bytes=None if written is None or self._written is None else written - self._written,
        )
        self._cpu, self._written, self._driver_ns, self._driver_calls = cpu, written, 0, 0
        return sample

    def _rss_bytes(self) -> int | None:
        try:
            return int(procfs.read(f"{self._proc}/self/statm").split()[1]) * _PAGE_BYTES
        except (OSError, ValueError, IndexError):
            return None

    def _written_bytes(self) -> int | None:
        try:
            words = procfs.read(f"{self._proc}/self/io").split()
            return int(words[words.index(b"wchar:") + 1])
        except (OSError, ValueError, IndexError):
            return None


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
