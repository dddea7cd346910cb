"""Which file the writer really writes: the one asked for, a side file, a fresh one in place of a damaged one, or one in memory."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gpuwatch.clock import Clock
from gpuwatch.errors import StoreError
from gpuwatch.store import columns, connection, homecoming
from gpuwatch.store.connection import DamagedStore, NewerStore
from gpuwatch.store.lease import is_held
from gpuwatch.store.location import fallback_path, fallback_store, network_filesystem

logger = logging.getLogger("gpuwatch.recorder")

_MEMORY_NOTICE = "Recording into memory"
_ASK_NS = 60_000_000_000
MEMORY_HOURS = 2
"""A store in memory keeps so many hours, whatever a file keeps."""
KEEP_FREE_BYTES = 256 * 1024 * 1024
"""With less room on the store's disk (or a tenth of a small disk) gpuwatch stops writing, so that what it watches never runs out
of disk because of it."""


def disk_room(path: Path) -> tuple[int, int]:
    """(free for an ordinary user, total) bytes of the disk of ``path``."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def kept_free(total: int) -> int:
    """How many bytes of a disk of that size are left to others."""
    return min(KEEP_FREE_BYTES, total // 10)


def scalar(db: sqlite3.Connection, sql: str) -> int:
    """The one integer that a query gives; 0 for NULL."""
    return int(db.execute(sql).fetchone()[0] or 0)


def remove(path: Path) -> None:
    """Delete a store and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class Opener:
    """Opens a store for writing and remembers how, so that it can be opened again elsewhere."""

    connection: sqlite3.Connection
    """The open store; there is none before ``open``."""

    def __init__(
        self, path: Path | str, clock: Clock, simulated: bool, scenario: str, tmpfs_fallback: bool, mode: int, max_mb: int = 0
    ) -> None:
        self.path = path
        self.clock = clock
        self.hot_only = False
        self.notices: list[str] = []
        self.disk_room: Callable[[Path], tuple[int, int]] = disk_room
        self._simulated = simulated
        self._scenario = scenario
        self._fallback = tmpfs_fallback and not self._in_memory
        self._mode = mode
        self._max_mb = max_mb
        self._home: Path | None = None
        """The file that was left for memory in the middle of recording."""
        self._asked_ns = 0

    @property
    def _in_memory(self) -> bool:
        return str(self.path) == ":memory:"

    def no_room(self) -> str:
        """Why nothing may be written now though SQLite could, in one line, or empty."""
        if self.hot_only or self._in_memory:
            return ""
        free, kept = self._room(Path(self.path))
        if free >= kept:
            return ""
        return f"{free >> 20} MiB are free on the disk of {self.path}; gpuwatch leaves the last {kept >> 20} MiB to others"

    def lay_ballast(self) -> None:
        """See ``ballast``; none for a simulated store, which nobody would miss, nor in memory."""
        from gpuwatch.store import ballast

        if not (self._simulated or self.hot_only or self._in_memory):
            ballast.lay(Path(self.path), *self._room(Path(self.path)))

    def _room(self, path: Path) -> tuple[int, int]:
        """Bytes that are free on the disk of ``path``, and how many of them are left to others; nothing where that is not known."""
        try:
            free, total = self.disk_room(path)
        except OSError:
            return 0, 0
        return free, kept_free(total)

    def wal_size(self) -> int:
        """Bytes of the write-ahead log; 0 where there is none."""
        try:
            return 0 if self._in_memory else os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    def explain(self, error: sqlite3.Error) -> StoreError:
        """What a failed statement means; "full" may mean the store's own size cap."""
        explained = connection.explain(error, self.path)
        if connection.code_of(error) == connection.FULL and self._max_mb and not self.hot_only:
            from gpuwatch.store.capacity import at_wall

            if at_wall(self.connection):
                return StoreError(
                    f"{self.path} has reached its size cap ([store] max_mb = {self._max_mb})", "raise max_mb, or gpuwatch db prune"
                )
        return explained

    def open(self) -> None:
        """Open the file, or what stands in for it. Raises :class:`StoreError`."""
        try:
            self._open_here()
        except StoreError as error:
            if isinstance(error, MixedStore) or not self.move_to_memory(str(error)):
                raise
        no_room = self.no_room()
        if no_room:
            self.move_to_memory(no_room)
        if not self.hot_only and not self._in_memory:
            self._remove_stand_in(fallback_path(os.getuid(), Path(self.path)))

    def _remove_stand_in(self, path: Path) -> None:
        """Take over what an earlier recorder left in memory; it is of no use once its rows are older than it keeps them."""
        if path.exists() and not is_held(path) and self._bring_home(self.connection, path):
            remove(path)
        try:
            if self.clock.time() - path.stat().st_mtime > MEMORY_HOURS * 3600 and not is_held(path):
                remove(path)
        except OSError:
            pass

    def move_to_memory(self, reason: str, *, afresh: bool = False) -> bool:
        """Go on in a store in memory that keeps the last two hours; False if that is not wanted, not possible or already so.

        ``afresh`` removes what an earlier recorder left there.
        """
        if not self._fallback or self.hot_only:
            return False
        before, old = self.path, getattr(self, "connection", None)
        try:
            continues = homecoming.newest_tick(old) if old is not None and afresh else None
            forgotten = connection.forgets(old) if old is not None else ""
        except sqlite3.Error:
            continues, forgotten = None, ""
        try:
            self.path = fallback_store(os.getuid(), Path(before))
            if afresh:
                remove(self.path)
            self._open_here()
            homecoming.say_continues(self.connection, continues, forgotten)
        except (StoreError, sqlite3.Error):
            self.path = before
            if old is not None:
                self.connection = old
            return False
        if old is not None:
            old.close()
        self.hot_only = True
        self._home = Path(before) if continues is not None else None
        self._asked_ns = self.clock.monotonic_ns()
        self.notices.append(f"{_MEMORY_NOTICE} ({self.path}), the last {MEMORY_HOURS} h only: {reason}")
        return True

    def return_home(self) -> bool:
        """Go back to the file that was left for memory, with all rows, if that has room again; looked at once a minute."""
        now_ns = self.clock.monotonic_ns()
        if self._home is None or now_ns - self._asked_ns < _ASK_NS:
            return False
        self._asked_ns = now_ns
        free, kept = self._room(self._home)
        if free < 2 * kept:
            return False
        memory = Path(self.path)
        try:
            file = connection.open_write(self._home, wal=not network_filesystem(self._home), mode=self._mode)
        except StoreError:
            return False
        if self._walled(file) or not self._bring_home(file, memory):
            file.close()
            return False
        self.connection.close()
        remove(memory)
        self.connection, self.path, self.hot_only, self._home = file, self._home, False, None
        self.notices[:] = [notice for notice in self.notices if not notice.startswith(_MEMORY_NOTICE)]
        self._claim()
        return True

    def _bring_home(self, file: sqlite3.Connection, memory: Path) -> bool:
        """Whether the file has the rows of the store in memory now; they stay there otherwise."""
        try:
            return homecoming.bring_home(file, memory) is not None
        except sqlite3.Error as error:
            logger.warning("what was recorded into memory stays there for now: %s", connection.explain(error, memory))
            return False

    def replace_damaged(self) -> bool:
        """Move the damaged file aside and begin a new one; False for a store that has no file, or if that fails as well."""
        if self._in_memory:
            return False
        self.connection.close()
        try:
            self._fresh(Path(self.path))
            self._claim()
        except StoreError:
            return False
        return True

    def _open_here(self) -> None:
        if self._in_memory:
            self.connection = connection.open_write(self.path, wal=False)
        else:
            self._open_file(Path(self.path))
        self._claim()

    def _open_file(self, path: Path) -> None:
        try:
            self._connect(path)
        except NewerStore as error:
            side = path.with_name(f"{path.stem}.schema-{columns.SCHEMA_VERSION}{path.suffix}")
            self._connect(side)
            self.notices.append(f"Recording into {side}: {error}")
        except DamagedStore:
            self._fresh(path)
        if scalar(self.connection, "PRAGMA user_version") < columns.SCHEMA_VERSION:
            self.connection.close()
            from gpuwatch.store.upgrade import upgrade  # SQLAlchemy and Alembic, only when a file is older

            upgrade(Path(self.path))
            self._connect(Path(self.path))

    def _connect(self, path: Path) -> None:
        self.connection = connection.open_write(path, wal=not network_filesystem(path), mode=self._mode)
        self.path = path

    def _fresh(self, path: Path) -> None:
        stamp = datetime.fromtimestamp(self.clock.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            aside = connection.move_aside(path, stamp)
        except OSError as error:
            raise StoreError(f"{path} is damaged and cannot be moved aside: {error.strerror}", f"move {path} away") from error
        self._connect(path)
        self.notices.append(f"{path} was damaged; it is kept as {aside.name} and a new store was begun.")

    def _walled(self, db: sqlite3.Connection) -> bool:
        """Let the file never become much larger than its cap; True if it is so large already."""
        if not self._max_mb:
            return False
        from gpuwatch.store.capacity import at_wall, set_wall

        set_wall(db, self._max_mb)
        return at_wall(db)

    def _claim(self) -> None:
        """A store is born simulated or real and never mixes. What is written into is ours, so its size is."""
        if not self._in_memory:
            self._walled(self.connection)
        db, kind = self.connection, "1" if self._simulated else "0"
        try:
            born = db.execute("SELECT value FROM meta WHERE key='simulated'").fetchone()
            if born is None:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", [("simulated", kind), ("scenario", self._scenario)])
                db.execute("COMMIT")
        except sqlite3.Error as error:
            db.close()
            raise connection.explain(error, self.path) from error
        if born is not None and born[0] != kind:
            db.close()
            what = "simulated" if born[0] == "1" else "real"
            raise MixedStore(
                f"{self.path} holds {what} data, which never mixes with the other kind", "name another file with --store"
            )


class MixedStore(StoreError):
    """Simulated rows were to be written into a real store, or real ones into a simulated one."""
