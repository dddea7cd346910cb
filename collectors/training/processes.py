"""Which process a hook file is of, whether it still lives, and to which job it belongs.

A process is its pid and start time: a file of a pid that now is another process' is one of a dead process. In another pid namespace (a
container whose files are seen here) the pid is another one here, which /proc/PID/status tells in its last ``NSpid``.
"""

from __future__ import annotations

import os

from gpuwatch import procfs
from gpuwatch.collectors.training.reader import Identity
from gpuwatch.plugin import CollectorContext, JobProcess

_MAX_STEPS = 32


class Processes:
    """Asks /proc and the board of jobs. ``jobs`` by pid, as of the last ``look``."""

    def __init__(self, context: CollectorContext) -> None:
        self._board = context.trainers
        self._root = str(context.proc_root)
        self._btime: int | None = None
        self._version = -1
        self.jobs: dict[int, JobProcess] = {}
        self.namespace = self._namespace("self")

    def look(self) -> bool:
        """Take what is on the board; True if anything is new there."""
        version, jobs = self._board.current()
        if version == self._version:
            return False
        self._version = version
        self.jobs = {job.pid: job for job in jobs}
        return True

    def start_ms(self, pid: int, start_ticks: int) -> int:
        """The start of a process in unix milliseconds, as the process collector tells it."""
        if self._btime is None:
            try:
                self._btime = procfs.boot_time(self._root)
            except (OSError, ValueError):
                return 0
        found = procfs.start_ms(self._btime, start_ticks)
        job = self.jobs.get(pid)
        return job.start_ms if job is not None and procfs.same_start(job.start_ms, found) else found

    def job(self, pid: int, start_ms: int) -> JobProcess | None:
        """The process on the board, if it is this one."""
        found = self.jobs.get(pid)
        return found if found is not None and found.start_ms == start_ms else None

    def alive(self, pid: int, start_ticks: int) -> bool:
        """Whether that process is there and not yet ended. One that may not be looked at is taken to live."""
        try:
            stat = procfs.read_stat(self._root, pid)
        except PermissionError:
            return True
        except (OSError, ValueError):
            return False
        return stat.start_ticks == start_ticks and stat.state not in ("Z", "X")

    def above(self, pid: int) -> list[tuple[int, int]]:
        """(pid, start in clock ticks) of the process and all above it, as far as they can be seen."""
        found: list[tuple[int, int]] = []
        while pid > 1 and len(found) < _MAX_STEPS:
            try:
                stat = procfs.read_stat(self._root, pid)
            except (OSError, ValueError):
                break
            if found and stat.start_ticks > found[-1][1]:
                break
            found.append((pid, stat.start_ticks))
            pid = stat.ppid
        return found

    def folder(self, pid: int) -> str:
        """The working directory as it can be reached from here (a container's too), empty if it cannot."""
        link = f"{self._root}/{pid}/cwd"
        try:
            path, is_it = os.readlink(link), os.stat(link)
        except OSError:
            return ""
        for here in (path, f"{self._root}/{pid}/root{path}"):
            try:
                if os.path.samestat(is_it, os.stat(here)):
                    return here
            except OSError:
                continue
        return ""

    def owner(self, pid: int) -> int | None:
        """Who owns the process."""
        try:
            return os.stat(f"{self._root}/{pid}").st_uid
        except OSError:
            return None

    def foreign(self, identity: Identity) -> bool:
        """Whether the file is of another pid namespace."""
        return bool(self.namespace and identity.namespace and self.namespace != identity.namespace)

    def pid_here(self, identity: Identity) -> int | None:
        """The pid that a process of another namespace has here, ``None`` if it is not on the board or cannot be told."""
        for job in self.jobs.values():
            try:
                raw = procfs.read_once(f"{self._root}/{job.pid}/status")
                inner = int(raw[raw.index(b"\nNSpid:") + 7 :].split(b"\n", 1)[0].split()[-1])
                same = inner == identity.pid and procfs.read_stat(self._root, job.pid).start_ticks == identity.start_ticks
            except (OSError, ValueError, IndexError):
                continue
            if same and self._namespace(str(job.pid)) in (identity.namespace, 0):
                return job.pid
        return None

    def _namespace(self, pid: str) -> int:
        """The inode of a process' pid namespace, 0 if it cannot be seen."""
        try:
            link = os.readlink(f"{self._root}/{pid}/ns/pid")
            return int(link.partition("[")[2].rstrip("]"))
        except (OSError, ValueError):
            return 0
