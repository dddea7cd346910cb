"""The one writer of samples: ticks are buffered as plain tuples and go into one short transaction, every second or every ten.

A failed commit loses nothing: the rows stay in a bounded ring in memory, ``problem`` says why in one line, and the next commit
tries again. A damaged file is moved aside; without room or permission recording goes on in a store in memory, and comes back.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from gpuwatch.clock import Clock
from gpuwatch.dataclass import dataclass
from gpuwatch.store import connection
from gpuwatch.store.buffer import TickBuffer
from gpuwatch.store.connection import DamagedStore
from gpuwatch.store.opening import Opener
from gpuwatch.store.rows import Tick

_LASTING = (connection.FULL, connection.READ_ONLY, connection.CANNOT_OPEN, connection.IO_ERROR)
"""Trouble with the disk, which no short wait ends: viewers need rows meanwhile."""
_PATIENCE_NS = 3_000_000_000
WAL_LARGE_BYTES = 256 * 1024 * 1024
_SESSION = (
    "INSERT INTO session(session_id,host_id,started_ms,last_ms,version,period_ms,boot_id,pid) VALUES(?,?,?,?,?,?,?,?)"
    " ON CONFLICT(session_id) DO UPDATE SET host_id=excluded.host_id,last_ms=excluded.last_ms"
)
_PREVIOUS = "SELECT session_id, last_ms, clean, boot_id FROM session ORDER BY session_id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The new session, and how the one before it ended (``None``: there was none). ``previous_end_ms`` is its last row."""

    session_id: int
    previous_end_ms: int | None
    previous_clean: bool | None
    previous_boot_id: str = ""


@dataclass(frozen=True, slots=True)
class _Session:
    session_id: int
    started_ms: int
    period_ms: int
    boot_id: str


def _nobody() -> None:
    """Nobody wants to know."""


def _nobody_hears(_sentence: str) -> None:
    """Nobody wants to know."""


class StoreWriter:
    """One open store with its buffer. Not thread-safe: one thread adds and commits."""

    def __init__(self, opener: Opener, version: str) -> None:
        self._opener = opener
        self.connection = opener.connection
        self.problem = ""
        """Why the last commit failed, in one line, or empty."""
        self.moved: Callable[[], None] = _nobody
        """Called when another file is written from now on: ``path`` and ``notices`` say which and why."""
        self.noticed: Callable[[str], None] = _nobody_hears
        """Called when ``notices`` have changed otherwise, with the new sentence or empty text."""
        self.backed_off = False
        """True while the WAL is so large that rows should be written seldom: some program holds an old state of the store."""
        self._version = version
        self._wal_notice = ""
        self._failing_ns: int | None = None
        self._buffer = TickBuffer(self.connection)
        self._session: _Session | None = None

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        clock: Clock,
        simulated: bool = False,
        scenario: str = "",
        version: str = "",
        tmpfs_fallback: bool = True,
        mode: int = 0o600,
        max_mb: int = 0,
    ) -> StoreWriter:
        """Open or create the store; ``":memory:"`` for one tick that nobody keeps. The caller holds the lease.

        A damaged file is moved aside, a newer one is left alone for a side file, and one that cannot be written is replaced by
        a store in memory (``hot_only``); each says so in ``notices``. The file never grows far beyond ``max_mb`` (0: no limit).
        Raises :class:`StoreError` if nothing can be opened, or if the file's kind (simulated or real) differs.
        """
        opener = Opener(path, clock, simulated, scenario, tmpfs_fallback, mode, max_mb)
        opener.open()
        try:
            return cls(opener, version)
        except sqlite3.Error as error:
            opener.connection.close()
            raise connection.explain(error, opener.path) from error

    @property
    def path(self) -> Path | str:
        """The file that is written now; it may differ from the one asked for."""
        return self._opener.path

    @property
    def hot_only(self) -> bool:
        """True in the store in memory: only the last two hours are kept there, no rollups."""
        return self._opener.hot_only

    @property
    def notices(self) -> list[str]:
        """Sentences for the user about where the store lies and what happened to the old one."""
        return self._opener.notices

    def lay_ballast(self) -> None:
        """Hold a little room beside the store, which care of the store can use when the disk is full."""
        self._opener.lay_ballast()

    def begin_session(self, now_ms: int, period_ms: int, boot_id: str) -> SessionInfo:
        """Start one life of a recorder; reasons and sources of the one before are closed. Call again after a clock step."""
        if self._session is None:
            previous = self._previous()
        else:
            self.end_session(clean=True)
            previous = (self._session.session_id, self._buffer.last_ms, 1, self._session.boot_id)
        self._session = _Session(previous[0] + 1 if previous else 1, now_ms, period_ms, boot_id)
        self._buffer.begin_session(self._session.session_id, now_ms, previous[1] if previous else now_ms)
        self.commit()
        if previous is None:
            return SessionInfo(self._session.session_id, None, None)
        return SessionInfo(self._session.session_id, previous[1], bool(previous[2]), previous[3])

    def _previous(self) -> tuple[int, int, int, str] | None:
        try:
            found: tuple[int, int, int, str] | None = self.connection.execute(_PREVIOUS).fetchone()
        except sqlite3.Error as error:
            self._failed(error)
            return None
        return found

    def add(self, tick: Tick) -> None:
        """Take one tick into the buffer. Ticks of the same ``ts_ms`` share one tick row, in whatever order they come."""
        try:
            self._buffer.add(tick)
        except sqlite3.Error as error:  # an identity could not be looked up; a second try finds the fresh file or raises
            self._failed(error)
            self._buffer.add(tick)

    def later(self, sql: str, *values: object) -> None:
        """One more statement for the next transaction, after the rows and entities in it."""
        self._buffer.do(sql, *values)

    def take_id(self, table: str) -> int:
        """A fresh id for a row that :meth:`later` inserts."""
        return self._buffer.ids.take_id(table)

    @property
    def host_id(self) -> int:
        """The host that is recorded; 0 before it was described."""
        return self._buffer.ids.host_id

    def commit(self) -> bool:
        """Write the buffer in one transaction. False if it failed: ``problem`` says why and the rows are kept for later."""
        before = self.connection
        return self._commit() or (self.connection is not before and self._commit())  # in another file at once

    def _commit(self) -> bool:
        no_room = self._opener.no_room()
        if no_room:
            self._keep(no_room, lasting=True)
            return False
        db = self.connection
        try:
            db.execute("BEGIN IMMEDIATE")
            self._write_session(db)
            self._buffer.write(db, self.problem)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._failed(error)
            return False
        self._buffer.written()
        self.problem, self._failing_ns = "", None
        self._watch_wal()
        if self.hot_only and self._opener.return_home():
            self._move_in(told=False)
            self.noticed(f"recording into {self.path} again, with what was recorded into memory meanwhile")
        return True

    def _watch_wal(self) -> None:
        """A WAL that cannot be emptied grows with each page that is written again: fewer commits write fewer."""
        size = self._opener.wal_size()
        if (size > WAL_LARGE_BYTES) == self.backed_off:
            return
        self.backed_off = not self.backed_off
        self._opener.notices[:] = [notice for notice in self._opener.notices if notice != self._wal_notice]
        if self.backed_off:
            self._wal_notice = (
                f"{self.path}-wal has grown to {size >> 20} MiB, since a program holds an old state of the store:"
                f" rows are written every 60 s until it ends (fuser {self.path})"
            )
            self._opener.notices.append(self._wal_notice)
        self.noticed(self._wal_notice if self.backed_off else "")

    def _write_session(self, db: sqlite3.Connection) -> None:
        s = self._session
        if s is not None:
            host = self._buffer.ids.host_id or None
            values = (s.session_id, host, s.started_ms, self._buffer.last_ms, self._version, s.period_ms, s.boot_id, os.getpid())
            db.execute(_SESSION, values)

    def stumbled(self, error: sqlite3.Error) -> None:
        """Work on old rows failed. A damaged file takes new rows for long, but it is replaced at once, as after a failed commit."""
        if isinstance(self._opener.explain(error), DamagedStore):
            self._failed(error)

    def _failed(self, error: sqlite3.Error) -> None:
        """Roll back and keep the rows; a damaged file is replaced by a fresh one, into which the kept rows go."""
        try:
            connection.roll_back(self.connection)
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself, or the file is gone
        explained = self._opener.explain(error)
        if isinstance(explained, DamagedStore) and self._opener.replace_damaged():
            self.problem = str(explained)
            self._move_in()
            self._buffer.trim()
        else:
            self._keep(str(explained), lasting=connection.code_of(error) in _LASTING)

    def _keep(self, problem: str, *, lasting: bool) -> None:
        """The rows wait in the ring; when that is full, or the trouble is one that lasts, recording moves to memory."""
        self.problem = problem
        now_ns = self._opener.clock.monotonic_ns()
        if self._failing_ns is None:
            self._failing_ns = now_ns
        patient = not lasting or now_ns - self._failing_ns < _PATIENCE_NS
        if (self._buffer.trim() or not patient) and self._opener.move_to_memory(problem, afresh=True):
            self._move_in()

    def _move_in(self, *, told: bool = True) -> None:
        self.connection = self._opener.connection
        self._buffer.move_in(self.connection)
        if told:
            self.moved()

    def end_session(self, clean: bool = True) -> bool:
        """Commit what is left and mark the session's end; False if that failed."""
        if self._session is not None:
            now_ms = round(self._opener.clock.time() * 1000)
            end = "UPDATE session SET ended_ms=?, clean=? WHERE session_id=?"
            self._buffer.do(end, now_ms, int(clean), self._session.session_id)
        return self.commit()

    def close(self) -> None:
        """Close the file; on a clean exit it leaves WAL mode, so that it can be read from anywhere."""
        connection.close_cleanly(self.connection)
