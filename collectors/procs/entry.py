"""One process as the collector knows it: the last stat line, what its command line told, and its static facts."""

from __future__ import annotations

import pwd
from functools import lru_cache

from gpuwatch import procfs
from gpuwatch.collectors.procs.programs import Program
from gpuwatch.collectors.procs.redact import redact, redact_argv
from gpuwatch.collectors.procs.where import Where, cpu_group, parse_cgroup, visible_from_environ, world_from_environ
from gpuwatch.dataclass import dataclass
from gpuwatch.names import Missing
from gpuwatch.text import clean, clean_bytes

CMDLINE_LIMIT, _ENVIRON_LIMIT = 16384, 1 << 18
_NO_PROGRAM, _NOWHERE = Program(), Where()


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The account of ``uid``, or the number as text where there is none (a container's user)."""
    try:
        return clean(pwd.getpwuid(uid).pw_name, 64)
    except (KeyError, OSError):
        return str(uid)


@dataclass(slots=True)
class Entry:
    """A process that exists. ``ml``: an ML library was found in its memory map; ``trains``: its steps were seen. Rates are relative to
    the last sample.

    ``ranked``: it trains, and may be one of several processes that do so together; ``None``: that was not looked for.
    ``judged`` is a hash of what was judged last (name and command line, which are not kept themselves).
    """

    pid: int
    start_ticks: int
    start_ms: int
    comm: str = ""
    raw_comm: bytes = b""
    state: str = ""
    ppid: int = 0
    session: int = 0
    kernel: bool = False
    cpu_ticks: int = 0
    rss_pages: int = 0
    stack: int = 0
    program: Program = _NO_PROGRAM
    ml: bool = False
    trains: bool = False
    ranked: bool | None = None
    maps_due_ms: int = 0
    maps_delay_ms: int = 0
    facts_stale: bool = True
    judged: int = 0
    kept_stat: procfs.KeptFile | None = None
    kept_io: procfs.KeptFile | None = None
    uid: int | None = None
    user: str = ""
    command: str = ""
    where: Where = _NOWHERE
    cpu_group: str = ""
    visible_gpus: str | None = None
    """``None``: not looked for yet."""
    io_missing: Missing | None = None
    sampled_ns: int = 0
    sampled_cpu_ticks: int = 0
    sampled_io: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """(pid, start_ms)."""
        return self.pid, self.start_ms

    @property
    def ended(self) -> bool:
        """A zombie: it ran, it holds nothing."""
        return self.state in ("Z", "X")

    @property
    def is_ml(self) -> bool:
        """Whether it is an ML process by its memory map, its command line or its steps."""
        return self.ml or self.trains or self.program.ml

    @property
    def whole_training(self) -> bool:
        """Whether it is all of a training, by its command line and environment: the launcher of its ranks, or what trains alone."""
        program = self.program
        return program.kind == "training" and (program.launcher or (program.python and not self.ranked))

    def look_for_ranks(self, root: str) -> None:
        """Whether what it was started with says that it is a rank of several: once, and so it is taken to be where that cannot be read."""
        self.ranked = True
        if self.program.ranked:
            return
        try:
            raw = procfs.read(f"{root}/{self.pid}/environ", _ENVIRON_LIMIT)
        except OSError:
            return
        self.ranked = len(raw) >= _ENVIRON_LIMIT or world_from_environ(raw) > 1

    def look_for_visible_gpus(self, root: str) -> None:
        """Which GPUs it was started to see: once; nothing where that is not set or cannot be read."""
        try:
            self.visible_gpus = visible_from_environ(procfs.read(f"{root}/{self.pid}/environ", _ENVIRON_LIMIT))
        except OSError:
            self.visible_gpus = ""

    def update(self, stat: procfs.Stat) -> bool:
        """Take over a stat line; True when it has become another program, which may have the same name (python that execs python)."""
        self.state, self.ppid, self.session = stat.state, stat.ppid, stat.session
        self.cpu_ticks, self.rss_pages = stat.cpu_ticks, stat.rss_pages
        self.kernel = bool(stat.flags & procfs.PF_KTHREAD)
        executed = 0 != stat.stack != self.stack != 0
        self.stack = stat.stack or self.stack
        if stat.comm == self.raw_comm and not executed:
            return False
        if self.raw_comm:
            self.visible_gpus = None
            self.ml, self.maps_due_ms, self.maps_delay_ms = False, 0, 0
        self.raw_comm, self.comm = stat.comm, redact(clean_bytes(stat.comm, 64))
        return True

    def keep_open(self, root: str) -> None:
        """From now on this process is read each tick."""
        if self.kept_stat is None:
            self.kept_stat = procfs.KeptFile(f"{root}/{self.pid}/stat")
            self.kept_io = procfs.KeptFile(f"{root}/{self.pid}/io")

    def let_go(self) -> None:
        """It is read now and then only."""
        self.kept_stat = self.kept_io = None

    def read_command(self, root: str) -> bytes:
        """The raw command line as it is now; empty for zombies, for kernel threads and where it cannot be read. Never kept."""
        try:
            return procfs.read_once(f"{root}/{self.pid}/cmdline", CMDLINE_LIMIT)
        except OSError:
            return b""

    def read_argv(self, root: str) -> list[str]:
        """The arguments as they are now. Never kept."""
        return self.arguments(self.read_command(root))

    @staticmethod
    def arguments(raw: bytes) -> list[str]:
        """The arguments of a raw command line."""
        argv = raw.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")
        if len(raw) >= CMDLINE_LIMIT and len(argv) > 1:
            argv.pop()  # it may be half a secret
        return argv if argv != [""] else []

    def read_facts(self, root: str, command_lines: str, argv: list[str] | None = None) -> bool:
        """Read user, command line and cgroup; True when any of them is new. ``argv``: the arguments if they were just read."""
        before = (self.uid, self.command, self.where)
        self.facts_stale = False
        self.uid = self._read_uid(root)
        self.user = "" if self.uid is None else user_name(self.uid)
        self.command = ""
        if command_lines == "name":
            self.command = self.comm
        elif command_lines != "none":
            self.command = clean(redact_argv(self.read_argv(root) if argv is None else argv))
        try:
            groups = procfs.read_once(f"{root}/{self.pid}/cgroup", 16384).decode("utf-8", "replace")
            self.where, self.cpu_group = parse_cgroup(groups), cpu_group(groups)
        except OSError:
            pass
        return before != (self.uid, self.command, self.where)

    def _read_uid(self, root: str) -> int | None:
        try:
            raw = procfs.read_once(f"{root}/{self.pid}/status")
            return int(raw[raw.index(b"\nUid:") + 5 :].split(None, 1)[0])
        except (OSError, ValueError, IndexError):
            pass
        return self.uid

    def read_io(self, root: str) -> tuple[int, int] | None:
        """(bytes read, bytes written) from and to storage so far; ``None`` with ``io_missing``, which is remembered."""
        if self.io_missing is not None:
            return None
        try:
            raw = procfs.read_once(f"{root}/{self.pid}/io") if self.kept_io is None else self.kept_io.read_once()
            words = raw.split()
            at = words.index(b"read_bytes:")
            return int(words[at + 1]), int(words[at + 3])
        except PermissionError:
            self.io_missing = Missing.NO_PERMISSION
        except (FileNotFoundError, ValueError, IndexError):
            self.io_missing = Missing.NOT_SUPPORTED
        except OSError:
            pass
        return None
