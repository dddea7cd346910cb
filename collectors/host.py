"""The host itself from /proc: who it is, and CPU, memory, load, pressure, disks and network over the time since the previous tick."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from gpuwatch import procfs
from gpuwatch.errors import Unavailable
from gpuwatch.model import Batch, Host, HostSample, MissingKey
from gpuwatch.names import Missing
from gpuwatch.plugin import Collector, CollectorContext
from gpuwatch.text import clean, clean_bytes, lazy
from gpuwatch.zone import zone_name

SECTOR_BYTES = 512  # the unit of /proc/diskstats, whatever the disk's own is
_MEMORY = lazy(rb"(?m)^(Mem(?:Total|Available)|Swap(?:Total|Free)):\s*(\d+)")
_SWAPPED_IN = lazy(rb"(?m)^pswpin (\d+)$")
_PRESSURE = {
    "cpu_pressure_ratio": ("cpu", b"some"),
    "io_pressure_ratio": ("io", b"some"),
    "memory_pressure_ratio": ("memory", b"full"),
}
"""Measure -> (file of /proc/pressure, its line)."""
_WHOLE_DISK = lazy(r"(?:sd[a-z]+|hd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+|dasd[a-z]+)")

Counters = dict[str, tuple[int, int]]


class HostCollector:
    """One tick reads ten small files. Values that a kernel does not give are ``None`` with ``NOT_SUPPORTED``."""

    name = "host"
    interval_seconds = 2.0

    def __init__(self, context: CollectorContext) -> None:
        self.context = context
        self.root = str(context.proc_root)
        self.machine_id_path = Path(str(context.options.get("machine_id_path", "/etc/machine-id")))
        self._host: Host | None = None
        self._cpu: tuple[int, ...] | None = None
        self._disks: Counters | None = None
        self._links: Counters | None = None
        self._swapped_in: int | None = None
        self._whole: dict[str, bool] = {}
        self._files: dict[str, procfs.KeptFile] = {}
        """Open files of the real /proc; elsewhere a file that stays open may have been replaced."""

    def open(self) -> None:
        """Raises :class:`Unavailable` where there is no /proc (not Linux, not mounted)."""
        try:
            procfs.read(f"{self.root}/stat", 64)
        except OSError as error:
            raise Unavailable(f"{self.root} cannot be read: {type(error).__name__}", "hosts are recorded on Linux only") from None
        self._host = self._cpu = self._disks = self._links = self._swapped_in = None

    def close(self) -> None:
        """Let go of the files."""
        self._files.clear()

    def collect(self, now: float) -> Batch:
        """One tick; amounts and shares come from the second one on."""
        began = self.context.clock.monotonic_ns()
        cpu_lines = self._lines("stat", 1 << 20)
        if self._host is None:
            self._host = self._identify(cpu_lines)
        cpu, iowait, steal = self._cpu_ratios(cpu_lines)
        memory, swap, load, read, written, received, sent = (None,) * 7
        if meminfo := self._memory():
            memory, swap = _used(meminfo, b"MemTotal", b"MemAvailable"), _used(meminfo, b"SwapTotal", b"SwapFree")
        if words := b" ".join(self._lines("loadavg")).split():
            load = _number(words[0])
        disks, links = self._read_disks(), self._read_links()
        read, written = _increase(self._disks, disks)
        received, sent = _increase(self._links, links)
        pressure = {name: self._pressure(*place) for name, place in _PRESSURE.items()}
        before, self._swapped_in = self._swapped_in, self._read_swapped_in()
        swapped = None if before is None or self._swapped_in is None else max(0, self._swapped_in - before)
        absent = {
            "memory_used_bytes": memory is None,
            "swap_used_bytes": swap is None,
            "load_average": load is None,
            "cpu_ratio": not cpu_lines,
            "iowait_ratio": not cpu_lines,
            "steal_ratio": not cpu_lines or (cpu is not None and steal is None),
            "swap_in_bytes": self._swapped_in is None,
            **{name: value is None for name, value in pressure.items()},
            "disk_read_bytes": disks is None,
            "disk_write_bytes": disks is None,
            "network_receive_bytes": links is None,
            "network_transmit_bytes": links is None,
        }
        self._disks, self._links = disks, links
        missing: dict[MissingKey, Missing] = {("host", "", name): Missing.NOT_SUPPORTED for name, gone in absent.items() if gone}
        amounts = (memory, swap, load, read, written, received, sent)
        sample = HostSample(cpu, iowait, *amounts, self._count(), steal_ratio=steal, swap_in_bytes=swapped, **pressure)
        took = self.context.clock.monotonic_ns() - began
        return Batch(self.name, int(now), began, took, host=self._host, host_sample=sample, missing=missing)

    def _lines(self, name: str, limit: int = 1 << 16) -> list[bytes]:
        return self._read(name, limit).splitlines()

    def _read(self, name: str, limit: int = 1 << 16) -> bytes:
        path = f"{self.root}/{name}"
        try:
            if self.root != "/proc":
                return procfs.read(path, limit)
            if name not in self._files:
                self._files[name] = procfs.KeptFile(path)
            return self._files[name].read(limit)
        except OSError:
            return b""

    def _memory(self) -> dict[bytes, int]:
        """The four amounts of /proc/meminfo that count here, in bytes."""
        return {name: int(kib) * 1024 for name, kib in _MEMORY.findall(self._read("meminfo"))}

    def _text(self, name: str) -> str:
        lines = self._lines(name)
        return clean_bytes(lines[0].strip(), 128) if lines else ""

    def _count(self) -> int | None:
        try:
            return sum(map(str.isdigit, os.listdir(self.root)))
        except OSError:
            return None

    def _identify(self, cpu_lines: list[bytes]) -> Host:
        boot_id = self._text("sys/kernel/random/boot_id")
        hostname = self._text("sys/kernel/hostname")
        try:
            machine = self.machine_id_path.read_text("utf-8", "replace").strip()
        except OSError:
            machine = ""
        if not re.fullmatch(r"[0-9a-f-]{32,36}", machine):
            machine = boot_id or hostname
        total = self._memory().get(b"MemTotal")
        return Host(
            machine_id=_sha256(f"gpuwatch:{machine}".encode("utf-8", "replace"))[:16],
            hostname=hostname or "localhost",
            boot_id=boot_id,
            cpu_count=sum(line.startswith(b"cpu") and line[3:4].isdigit() for line in cpu_lines) or None,
            memory_total_bytes=total,
            kernel=self._text("sys/kernel/osrelease"),
            utc_offset_seconds=time.localtime(self.context.clock.time()).tm_gmtoff,
            timezone=clean(zone_name(), 64),
        )

    def _cpu_ratios(self, lines: list[bytes]) -> tuple[float | None, float | None, float | None]:
        """(in use, waiting for I/O, taken by the hypervisor) of all cores since the previous tick.

        In use: user to steal without idle and iowait. A kernel that is too old to count stolen time gives no share of it.
        """
        words = lines[0].split()[1:9] if lines and lines[0].startswith(b"cpu ") else []
        if len(words) < 5 or not all(word.isdigit() for word in words):
            self._cpu = None
            return None, None, None
        before, self._cpu = self._cpu, tuple(int(word) for word in words)
        if before is None or len(before) != len(self._cpu):
            return None, None, None
        # a core that goes offline, and iowait by itself, may count backwards
        grown = [max(0, new - old) for new, old in zip(self._cpu, before, strict=True)]
        total = sum(grown)
        if total == 0:
            return None, None, None
        return (total - grown[3] - grown[4]) / total, grown[4] / total, grown[7] / total if len(grown) > 7 else None

    def _pressure(self, name: str, line: bytes) -> float | None:
        """The kernel's own mean over ten seconds, as a share; ``None`` where it does not keep it (before 4.20, or turned off)."""
        for found in self._lines(f"pressure/{name}"):
            words = found.split()
            if len(words) > 1 and words[0] == line and words[1].startswith(b"avg10="):
                percent = _number(words[1][6:])
                return None if percent is None else percent / 100
        return None

    def _read_swapped_in(self) -> int | None:
        """Bytes that came back from swap since boot."""
        found = _SWAPPED_IN.search(self._read("vmstat"))
        return int(found[1]) * procfs.PAGE_BYTES if found else None

    def _read_disks(self) -> Counters | None:
        """Bytes (read, written) of whole physical disks: partitions, loop, RAM, RAID and mapped devices would count twice."""
        lines = self._lines("diskstats", 1 << 18)
        out: Counters = {}
        for words in map(bytes.split, lines):
            if len(words) >= 10 and self._is_disk(name := clean_bytes(words[2], 64)):
                out[name] = int(words[5]) * SECTOR_BYTES, int(words[9]) * SECTOR_BYTES
        return out if lines else None

    def _is_disk(self, name: str) -> bool:
        known = self._whole.get(name)
        if known is None:
            block = self.context.sys_root / "block"
            in_sysfs = block.is_dir() and (block / name / "device").exists()
            known = self._whole[name] = in_sysfs or _WHOLE_DISK.fullmatch(name) is not None
        return known

    def _read_links(self) -> Counters | None:
        """Bytes (received, sent) of all interfaces but loopback."""
        lines = self._lines("net/dev", 1 << 18)[2:]
        out: Counters = {}
        for line in lines:
            name, _, rest = line.rpartition(b":")
            words = rest.split()
            if len(words) >= 9 and (text := clean_bytes(name.strip(), 64)) != "lo":
                out[text] = int(words[0]), int(words[8])
        return out if lines else None


def factory(context: CollectorContext) -> Collector:
    """The collector ``host``. Option ``machine_id_path``: where the machine's id is (default /etc/machine-id)."""
    return HostCollector(context)


def _sha256(data: bytes) -> str:
    """SHA-256 by the interpreter's own module where it has it, as ``random`` does: ``hashlib`` loads all of OpenSSL for it."""
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        try:
            from _sha2 import sha256  # type: ignore[import-not-found]
        except ImportError:
            from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest


def _used(table: dict[bytes, int], total: bytes, free: bytes) -> int | None:
    return max(0, table[total] - table[free]) if total in table and free in table else None


def _number(word: bytes) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _increase(before: Counters | None, now: Counters | None) -> tuple[int | None, int | None]:
    """How much all devices that exist in both counted; one that was reset in between counts from its last state on."""
    if before is None or now is None:
        return None, None
    both = [(now[name], before[name]) for name in now.keys() & before.keys()]
    return sum(max(0, n[0] - b[0]) for n, b in both), sum(max(0, n[1] - b[1]) for n, b in both)
