"""Who can see what about processes here: facts for ``gpuwatch doctor``, from /proc itself, stated for a user and for root."""

from __future__ import annotations

import os
from pathlib import Path

from gpuwatch import procfs
from gpuwatch.dataclass import dataclass
from gpuwatch.plugin import CollectorContext

_HIDEPID = {"off": 0, "noaccess": 1, "invisible": 2, "ptraceable": 4}
_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Visibility:
    """What this account sees. ``hidepid`` None: the mount options cannot be read; ``listed`` processes, ``io_readable`` of
    ``io_tried`` let their disk figures be read."""

    uid: int
    hidepid: int | None
    host_namespace: bool
    listed: int
    io_tried: int
    io_readable: int

    @property
    def is_root(self) -> bool:
        """Root, as far as /proc is concerned."""
        return self.uid == 0

    def lines(self) -> list[str]:
        """Plain sentences: what is seen now, what a user and root would see, what to do about it."""
        who = "root" if self.is_root else f"user {self.uid}"
        out = [f"running as {who}: {self.listed} processes listed, disk figures of {self.io_readable} in {self.io_tried} readable"]
        if not self.host_namespace:
            out.append("inside a container: processes of the host and of other containers are not visible, their GPU use is")
            out.append("as root inside a container: the same; start the container with --pid=host, or record on the host")
        hides = self.hidepid is not None and self.hidepid > 0
        if hides:
            out.append(f"/proc is mounted with hidepid={self.hidepid}: a user sees own processes only, root sees all")
        elif self.hidepid == 0:
            out.append("as a user: all processes with name, command line, CPU and memory; disk figures and libraries of own ones")
        if not self.is_root:
            out.append("as root: also disk figures and libraries of all processes (sudo gpuwatch record, or the system service)")
        if hides and not self.is_root:
            out.append("or let a group see all: mount -o remount,hidepid=2,gid=GROUP /proc")
        return out


def visibility(context: CollectorContext) -> list[str]:
    """Who can see what about processes here, as lines for ``gpuwatch doctor``."""
    return look(context.proc_root).lines()


def look(proc_root: Path = Path("/proc"), uid: int | None = None) -> Visibility:
    """Look once (up to 200 processes are tried). Never raises: what cannot be read is counted as not visible."""
    root = str(proc_root)
    try:
        pids = procfs.pids(root)
    except OSError:
        pids = []
    tried = readable = 0
    for pid in pids[-_SAMPLE:]:
        try:
            procfs.read(f"{root}/{pid}/io", 256)
            readable += 1
        except PermissionError:
            pass
        except OSError:
            continue
        tried += 1
    return Visibility(os.geteuid() if uid is None else uid, _hidepid(root), _host_namespace(root), len(pids), tried, readable)


def _hidepid(root: str) -> int | None:
    try:
        text = procfs.read(f"{root}/self/mountinfo", 1 << 18).decode("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split()
        if dash and len(fields) > 4 and fields[4] == "/proc" and after.startswith("proc "):
            value = next((option[8:] for option in after.split()[-1].split(",") if option.startswith("hidepid=")), "0")
            return int(value) if value.isdigit() else _HIDEPID.get(value)
    return None


def _host_namespace(root: str) -> bool:
    """Only the host's pid namespace has the kernel's thread parent as pid 2."""
    try:
        return procfs.read_stat(root, 2).comm == b"kthreadd"
    except (OSError, ValueError):
        return False
