"""The few lines of /proc that more than one room needs: a process' stat line, its start time, the boot time.

A process is (host, pid, start time). The start time in unix milliseconds is the boot time (whole seconds, ``btime`` of /proc/stat)
plus the start in clock ticks after boot (field 22 of /proc/PID/stat). The ticks never change while a process lives; ``btime``
may move by a second when the clock is slewed, so whoever keeps start times reads it once, and ``same_start`` forgives that second.
"""

from __future__ import annotations

import os

from gpuwatch.dataclass import NamedTuple

CLOCK_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
PF_KTHREAD = 0x0020_0000


class Stat(NamedTuple):
    """What /proc/PID/stat tells: ``cpu_ticks`` is user + system time, ``start_ticks`` is counted from boot, both in ticks.

    ``stack`` is where its stack begins, another place after each exec; 0 where that is not shown (another user's process, a zombie).
    """

    pid: int
    comm: bytes
    state: str
    ppid: int
    session: int
    flags: int
    cpu_ticks: int
    start_ticks: int
    rss_pages: int
    stack: int = 0


def read(path: str, limit: int = 65536) -> bytes:
    """Up to ``limit`` bytes of a small kernel file; raises ``OSError``. Four times cheaper than ``open().read()``."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, limit)
        while len(data) < limit and (more := os.read(fd, limit - len(data))):
            data += more
        return data
    finally:
        os.close(fd)


def read_once(path: str, limit: int = 4096) -> bytes:
    """A kernel file of one record (those of /proc/PID) in a single read, without a second one for its end; raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)


class KeptFile:
    """A small kernel file that is read again and again: kept open, a reading costs a third. Closed when it is forgotten.

    A file of /proc/PID that stays open belongs to that process for ever: after its end reading fails, even if the pid lives again.
    """

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def read_once(self, limit: int = 4096) -> bytes:
        """The file as it is now, if a single read gives all of it (less than a page); raises ``OSError``."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._fd, limit, 0)

    def read(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of the file as it is now; raises ``OSError``."""
        data = self.read_once(limit)
        while 0 < len(data) < limit and (more := os.pread(self._fd, limit - len(data), len(data))):
            data += more
        return data

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def parse_stat(raw: bytes) -> Stat:
    """One stat line. The name may hold spaces, newlines and ``)``: only the last ``)`` ends it. Raises ``ValueError``."""
    left, right = raw.find(b"("), raw.rfind(b")")
    fields = raw[right + 1 :].split(None, 26)
    if left < 0 or right < left or len(fields) < 22:
        raise ValueError("not a stat line")
    return Stat(
        int(raw[:left]),
        raw[left + 1 : right],
        fields[0].decode("ascii", "replace"),
        int(fields[1]),
        int(fields[3]),
        int(fields[6]),
        int(fields[11]) + int(fields[12]),
        int(fields[19]),
        int(fields[21]),
        int(fields[25]) if len(fields) > 25 else 0,
    )


def read_stat(root: str, pid: int) -> Stat:
    """The stat line of one process: one read, about 15 us. Raises ``OSError`` or ``ValueError``."""
    return parse_stat(read_once(f"{root}/{pid}/stat"))


def pids(root: str) -> list[int]:
    """The processes that are visible below ``root``."""
    return [int(name) for name in os.listdir(root) if name.isdigit()]


def boot_time(root: str) -> int:
    """Unix second of boot, ``btime`` of /proc/stat. Raises ``OSError``, or ``ValueError`` if there is none."""
    for line in read(f"{root}/stat", 1 << 20).splitlines():
        if line.startswith(b"btime "):
            return int(line.split()[1])
    raise ValueError("no btime in stat")


def start_ms(btime: int, start_ticks: int) -> int:
    """Start of a process in unix milliseconds."""
    return btime * 1000 + start_ticks * 1000 // CLOCK_TICKS


def same_start(one_ms: int, other_ms: int) -> bool:
    """Whether two start times of a pid mean one process: equal, or exactly one second apart (a slewed ``btime``)."""
    return abs(one_ms - other_ms) in (0, 1000)
