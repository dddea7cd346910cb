"""Which file is the store: option, environment, config, system store, state directory; a local disk instead of a network one.

SQLite's write-ahead log needs memory that all users of the file share, which network file systems do not give. Everything that
comes from outside (environment, uid, mount table) is passed in, so that tests decide it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

from gpuwatch.dataclass import dataclass
from gpuwatch.errors import StoreError
from gpuwatch.paths import base_directory

FILE_NAME = "gpuwatch.db"
SYSTEM_STORE = Path("/var/lib/gpuwatch") / FILE_NAME
MEMORY = Path("/dev/shm")
MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "orangefs", "pvfs2",
    "smb2", "smb3", "smbfs", "virtiofs", "wekafs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Location:
    """The chosen file. ``source`` is option, environment, config, system or state; ``notice`` one sentence for the user or empty.

    ``network`` means that the file lies on a network file system all the same, because the user named it.
    """

    path: Path
    source: str
    notice: str = ""
    network: bool = False


def locate(
    *,
    option: str | None,
    environ: Mapping[str, str],
    config: str | None,
    uid: int,
    writing: bool = False,
    system: Path = SYSTEM_STORE,
    local_root: Path = Path("/var/tmp"),
    mounts: Path = MOUNTS,
) -> Location:
    """The store's file by the order of the first line. ``writing``: a system store counts only if it can be written.

    Raises :class:`StoreError` for a URL and for a local directory that somebody else has laid in our place.
    """
    for source, named in (("option", option), ("environment", environ.get("GPUWATCH_STORE")), ("config", config)):
        if named:
            return _named(named, source, mounts)
    if os.access(system, os.R_OK | (os.W_OK if writing else 0)):
        return Location(system, "system")
    path = base_directory("STATE", environ) / "gpuwatch" / FILE_NAME
    kind = network_filesystem(path, mounts)
    if not kind:
        return Location(path, "state")
    local = private_directory(local_root / f"gpuwatch-{uid}", uid) / FILE_NAME
    return Location(local, "state", f"The store lies in {local}, because {path.parent} is on a network file system ({kind}).")


def _named(named: str, source: str, mounts: Path) -> Location:
    if "://" in named:
        raise StoreError(f"{named} is a URL; this version keeps its store in a file", "give a path with --store")
    if "\0" in named:
        raise StoreError("the path of the store holds a NUL character", "name another file")
    path = Path(os.path.expanduser(named)).absolute()
    if os.path.isdir(path):
        path = path / FILE_NAME
    kind = network_filesystem(path, mounts)
    notice = f"{path} is on a network file system ({kind}): rows are written every 60 s." if kind else ""
    return Location(path, source, notice, bool(kind))


def network_filesystem(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the network file system that ``path`` is (or would be) on, or empty for a local one or an unknown table."""
    real = os.path.realpath(path)
    best, kind = "", ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        left, _, right = line.partition(" - ")
        cells = left.split(" ")
        if len(cells) < 5 or not right:
            continue
        point = cells[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = point == "/" or real == point or real.startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ", 1)[0]
    return kind if kind in _NETWORK or kind.startswith("fuse.") else ""


def private_directory(path: Path, uid: int) -> Path:
    """Make (or check) a directory that only ``uid`` can use, in a place where everybody may write.

    Raises :class:`StoreError` if it is a link, belongs to another user, or others may write to it.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreError(f"cannot make {path}: {error.strerror}", "name another file with --store") from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o022:
        raise StoreError(f"{path} is not a private directory of this user", f"remove {path}, or name another file with --store")
    return path


def fallback_path(uid: int, path: Path, root: Path | None = None) -> Path:
    """Where the store in memory that stands in for ``path`` would be."""
    return (root or MEMORY) / f"gpuwatch-{uid}" / f"{path.stem}-{crc32(os.fsencode(path.absolute())):08x}.db"


def fallback_store(uid: int, path: Path, root: Path | None = None) -> Path:
    """The store in memory for when ``path`` has no room or no permission; makes its directory. Raises :class:`StoreError`."""
    found = fallback_path(uid, path, root)
    private_directory(found.parent, uid)
    return found
