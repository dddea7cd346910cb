"""Where hook files and run notes lie, and whom they are taken from. Nothing here writes; a file of a dead process can be unlinked.

A folder counts if it is no link and only its owner may write to it, and if that owner is who we are (root reads everybody's). A file
counts if it is a plain one of the folder's owner. Looking costs one ``lstat`` a folder while nothing comes or goes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence

from gpuwatch import hookdir
from gpuwatch.collectors.training.layout import NOTE_SUFFIX, SUFFIX
from gpuwatch.dataclass import NamedTuple, dataclass
from gpuwatch.text import lazy

MAX_FILES = 512
"""Files of one folder, of each kind: more are no host's trainings."""
_MAX_NAMES = 50_000
_CROWD, _CROWD_TICKS = 2_000, 10
"""A folder with more names than this is listed each tenth tick at most."""
_PARENT_TICKS = 60
_NAME = lazy(r"(\d{1,10})-(\d{1,20})(\.gw|\.run)")
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Place(NamedTuple):
    """One file: its folder, its name, and which file it is. Another process' file may get the same name."""

    folder: str
    name: str
    inode: int

    @property
    def process(self) -> tuple[int, int]:
        """(pid, start in clock ticks), as its name says."""
        pid, _, rest = self.name.partition("-")
        return int(pid), int(rest.partition(".")[0])


@dataclass(slots=True)
class _Folder:
    """What is known of one folder. ``mark`` changes when a file comes or goes; ``settled`` is False if more may have come unseen."""

    path: str
    mark: tuple[int, ...] = (0,)
    settled: bool = False
    wait: int = 0
    owner: int = -1
    names: int = 0
    files: Sequence[Place] = ()


class Folders:
    """All folders. ``look`` once a tick; ``hooks`` and ``notes`` as of then, ``changed`` if they are not those of the look before.

    ``uid`` is who we are; ``parents`` are folders in which users have theirs, for who may read them all.
    """

    def __init__(self, paths: Iterable[str], *, uid: int, parents: Sequence[str] = ()) -> None:
        self.uid = uid
        self.hooks: list[Place] = []
        self.notes: list[Place] = []
        self.changed = False
        self.refused: dict[str, str] = {}
        """Folders that are there and do not count, and why; of those that were named or are this user's."""
        self.kept_open = 0
        """Files of these folders that somebody keeps open."""
        self._folders = {path: _Folder(path) for path in map(os.path.abspath, paths)}
        self._own = frozenset(self._folders)
        self._parents = parents
        self._ticks = 0

    def look(self) -> None:
        """Bring everything up to date."""
        if self._ticks % _PARENT_TICKS == 0:
            self._find_others()
        self._ticks += 1
        self.changed = False
        for folder in self._folders.values():
            self._look_at(folder)
        if self.changed:
            files = [file for folder in self._folders.values() for file in folder.files]
            self.hooks = [file for file in files if file.name.endswith(SUFFIX)]
            self.notes = [file for file in files if file.name.endswith(NOTE_SUFFIX)]

    def of_users(self, uids: Collection[int]) -> None:
        """Who looks at all users' folders looks at those of these users from now on."""
        if self._parents:
            for uid in uids:
                for path in (hookdir.standard(uid), f"/run/user/{uid}/gpuwatch", f"/tmp/gpuwatch-{uid}"):
                    self._folders.setdefault(path, _Folder(path))

    def _find_others(self) -> None:
        """Folders of all users that are there now."""
        for parent in self._parents:
            for name in _names(parent):
                if name.startswith("gpuwatch-"):
                    path = f"{parent}/{name}"
                elif parent.endswith("/user") and name.isdigit():
                    path = f"{parent}/{name}/gpuwatch"
                else:
                    continue
                if len(self._folders) < MAX_FILES:
                    self._folders.setdefault(path, _Folder(path))

    def _look_at(self, folder: _Folder) -> None:
        try:
            found = os.lstat(folder.path)
        except OSError:
            self._becomes(folder, ())
            folder.mark = (0,)
            return
        mark = found.st_ino, found.st_mtime_ns, found.st_mode, found.st_uid
        if mark == folder.mark and folder.settled:
            return
        if folder.wait > 0 and mark[0] == folder.mark[0]:
            folder.wait -= 1
            return
        folder.settled = mark == folder.mark  # a change of the same instant would not show: one look more tells
        folder.mark = mark
        reason = self._distrust(found)
        if reason:
            if folder.path in self._own:
                self.refused[folder.path] = reason
            self._becomes(folder, ())
            return
        self.refused.pop(folder.path, None)
        folder.owner = found.st_uid
        self._becomes(folder, self._list(folder))
        folder.wait = _CROWD_TICKS if folder.names > _CROWD else 0

    def _becomes(self, folder: _Folder, files: Sequence[Place]) -> None:
        if list(files) != list(folder.files):
            folder.files, self.changed = files, True

    def _distrust(self, found: os.stat_result) -> str:
        if stat.S_ISLNK(found.st_mode):
            return "it is a link"
        if not stat.S_ISDIR(found.st_mode):
            return "it is no folder"
        if self.uid not in (0, found.st_uid):
            return f"it belongs to another user (uid {found.st_uid})"
        return f"others may write to it (mode {found.st_mode & 0o777:04o})" if found.st_mode & 0o022 else ""

    def _list(self, folder: _Folder) -> list[Place]:
        files: dict[str, list[Place]] = {SUFFIX: [], NOTE_SUFFIX: []}
        folder.names = 0
        try:
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    folder.names += 1
                    kind = _NAME.fullmatch(entry.name)
                    if kind is not None and len(found := files[kind[3]]) < MAX_FILES:
                        found.append(Place(folder.path, entry.name, entry.inode()))
                    if folder.names >= _MAX_NAMES:
                        break
        except OSError:
            return []
        return sorted(files[SUFFIX] + files[NOTE_SUFFIX])

    def open(self, place: Place, size: int | None = None) -> int:
        """A descriptor for reading; raises ``OSError`` where the file is gone, is another one by now, or does not count.

        ``size``: how many bytes it must have.
        """
        folder = os.open(place.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            owner = os.fstat(folder)
            if self._distrust(owner):
                raise PermissionError(f"{place.folder}: {self._distrust(owner)}")
            fd = os.open(place.name, _FLAGS, dir_fd=folder)
        finally:
            os.close(folder)
        found = os.fstat(fd)
        reason = ""
        if not stat.S_ISREG(found.st_mode):
            reason = "it is no plain file"
        elif found.st_uid != owner.st_uid:
            reason = f"it belongs to another user (uid {found.st_uid})"
        elif size is not None and found.st_size != size:
            reason = f"it has {found.st_size} bytes, not {size}"
        elif found.st_ino != place.inode:
            reason = "it is another file by now"
        if reason:
            os.close(fd)
            raise PermissionError(reason)
        return fd

    def unlink(self, place: Place) -> None:
        """Remove the file if it is still this one."""
        try:
            folder = os.open(place.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        try:
            if os.stat(place.name, dir_fd=folder, follow_symlinks=False).st_ino == place.inode:
                os.unlink(place.name, dir_fd=folder)
        except OSError:
            pass
        finally:
            os.close(folder)


def usual(more: Iterable[str], environ: Mapping[str, str], uid: int) -> Folders:
    """The folders of a host: ``more``, those of this user, and as root those of all users."""
    own = [*hookdir.candidates(environ, uid), *hookdir.candidates({**environ, hookdir.VARIABLE: ""}, uid)]
    return Folders([*more, *own], uid=uid, parents=(hookdir.MEMORY, "/tmp", "/run/user") if uid == 0 else ())


def _names(path: str) -> list[str]:
    found = []
    try:
        with os.scandir(path) as entries:
            for count, entry in enumerate(entries):
                if count >= _MAX_NAMES:
                    break
                found.append(entry.name)
    except OSError:
        pass
    return found
