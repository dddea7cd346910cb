"""Opening the store for writing and for reading, and turning what SQLite says into one clear line with the next step."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuwatch.errors import StoreError
from gpuwatch.store.columns import APPLICATION_ID, SCHEMA_VERSION

FULL, CORRUPT, NOT_A_DATABASE, READ_ONLY, CANNOT_OPEN, BUSY, IO_ERROR = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_IOERR,
)
MIN_READER = "min_reader"
FORGETS = "forgets"
"""In ``meta``: how many people were forgotten. A writer that remembers who is who looks at it in each transaction."""
FORGOTTEN = "forgotten-"
"""What the accounts of people who were forgotten are called, with a number."""
_statements = logging.getLogger("gpuwatch.sql")
VIEWS_MARK = "-- views\n"
"""The line of ``ddl.sql`` that stands before the first view."""


class DamagedStore(StoreError):
    """The file is not readable as a database any more."""


class NewerStore(StoreError):
    """The file was written by a newer gpuwatch; it must not be written by this one."""


class OlderStore(StoreError):
    """The file was written by an older gpuwatch and lacks what was asked for; it can be read and must not be written."""


class NoStore(StoreError):
    """There is no file yet."""


def code_of(error: sqlite3.Error) -> int:
    """The primary SQLite result code of an error (0 if it has none)."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return 0 if code is None else code & 0xFF


def _is_ours(path: Path | str) -> bool:
    """Whether a file that is no good database is a damaged store: by the mark in its header, without a header by its name.

    A damaged store is moved aside; anything else that was named by mistake must stay where it is.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(72)
    except OSError:
        return True
    if head.startswith(b"SQLite format 3\0"):
        return int.from_bytes(head[68:72]) == APPLICATION_ID
    return Path(path).suffix == ".db"


def exists(path: Path) -> bool:
    """Whether there is a file at ``path``. Raises :class:`StoreError` if it cannot be known or is something else (a pipe)."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {getattr(error, 'strerror', error)}", "name another file with --store") from error
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is not a file", "name another one with --store")
    return True


def newer(path: Path | str, version: int) -> NewerStore:
    """What to say of a store whose schema is ahead of this program's."""
    return NewerStore(
        f"{path} was written by a newer gpuwatch (schema {version}, this one knows {SCHEMA_VERSION})", "update gpuwatch"
    )


def older(path: Path | str, version: int) -> OlderStore:
    """What to say of a store whose schema is behind this program's."""
    return OlderStore(
        f"{path} has schema {version}, written by an older gpuwatch; this one needs schema {SCHEMA_VERSION} for that",
        "restart the recorder; where none runs: gpuwatch db upgrade",
    )


def _lacks(error: sqlite3.Error, path: Path | str) -> int:
    """The schema of an older file that has not got the table or column that the error names; 0 if that is not what is wrong."""
    if not str(error).startswith(("no such table", "no such column")):
        return 0
    version = file_schema(path)
    return version if version < SCHEMA_VERSION else 0


def file_schema(path: Path | str) -> int:
    """The ordinal of a file's schema as its header says (a change that is still in the WAL is not seen); 0: not a store of ours."""
    try:
        with open(path, "rb") as file:
            head = file.read(72)
    except OSError:
        return 0
    return int.from_bytes(head[60:64]) if int.from_bytes(head[68:72]) == APPLICATION_ID else 0


def explain(error: sqlite3.Error, path: Path | str) -> StoreError:
    """What went wrong with which file, why that happens, and what to try."""
    code = code_of(error)
    if lacking := _lacks(error, path):
        return older(path, lacking)
    if code in (CORRUPT, NOT_A_DATABASE) and not _is_ours(path):
        return StoreError(f"{path} is not a store of gpuwatch", "name another file with --store")
    if code in (CORRUPT, NOT_A_DATABASE):
        return DamagedStore(
            f"{path} is damaged ({error})", f"gpuwatch db check --store {path}; a recorder moves it aside by itself"
        )
    if code == FULL:
        return StoreError(f"no room to write {path}: the disk or a quota is full", f"free some space on the disk of {path}")
    if code == READ_ONLY:
        return StoreError(f"{path} cannot be written: the file, its directory or its file system is read-only", "name another file with --store")  # fmt: skip
    if code == CANNOT_OPEN:
        return StoreError(f"{path} cannot be opened: no permission, or its directory cannot be written", f"ls -l {path}*")
    if code in (BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{path} is locked by another program for more than 5 s", f"fuser {path}")
    if code == IO_ERROR:
        return StoreError(f"{path} cannot be read or written: the disk reports an error ({error})", "dmesg | tail")
    return StoreError(f"{path}: {error}", f"gpuwatch db check --store {path}")


def connect(target: str, *, uri: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode that any one thread at a time may use; transactions are begun by hand."""
    db = sqlite3.connect(target, timeout=5.0, isolation_level=None, check_same_thread=False, uri=uri)
    if _statements.isEnabledFor(logging.DEBUG):
        db.set_trace_callback(_statements.debug)
    return db


def open_write(path: Path | str, *, wal: bool = True, mode: int = 0o600) -> sqlite3.Connection:
    """Open the store for the recorder, creating it (mode ``mode``, owner only) when it is not there. ``:memory:`` is allowed.

    Raises :class:`DamagedStore`, :class:`NewerStore` or :class:`StoreError`. A file of an older schema is opened as it is: see
    ``upgrade``.
    """
    try:
        if str(path) != ":memory:":
            if not exists(Path(path)):
                _create_file(Path(path), mode)
            elif (version := file_schema(path)) > SCHEMA_VERSION:
                raise newer(path, version)  # before it is open: closing would bring its WAL into the file
        connection = connect(str(path))
        try:
            _prepare(connection, path, wal)
        except BaseException:
            connection.close()
            raise
        return connection
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", "name another file with --store") from error


def _create_file(path: Path, mode: int) -> None:
    """SQLite would make it readable for everybody, also where a link leads to nothing yet."""
    path = Path(os.path.realpath(path))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, mode))
    except FileExistsError:
        pass


def _prepare(connection: sqlite3.Connection, path: Path | str, wal: bool) -> None:
    version = schema_version(connection, path)
    if version > SCHEMA_VERSION:
        raise newer(path, version)
    if version == 0:
        _create_schema(connection, with_views=str(path) != ":memory:")
    connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'TRUNCATE'}")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA journal_size_limit=16777216")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA cache_size=-1024")  # half of the default: a commit needs 400 KiB, and the system caches the file


def schema_version(connection: sqlite3.Connection, path: Path | str) -> int:
    """The ordinal of the file's schema; 0 for an empty file. Raises :class:`StoreError` for another program's database."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if mark == APPLICATION_ID:
        return version
    if mark or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{path} is a database of another program", "name another file with --store")
    return 0


def _create_schema(connection: sqlite3.Connection, *, with_views: bool = True) -> None:
    """Everything in one transaction; another process that did it at the same time is no error. One tick needs no views."""
    connection.execute("PRAGMA page_size=4096")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    script = Path(__file__).with_name("ddl.sql").read_text(encoding="utf-8")
    if not with_views:
        script = script.partition(VIEWS_MARK)[0]
    marks = f"PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={SCHEMA_VERSION};"
    meta = f"INSERT INTO meta VALUES('{MIN_READER}','1');"
    try:
        connection.executescript(f"BEGIN IMMEDIATE;{script}{meta}{marks}COMMIT;")
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            raise


def open_read(path: Path | str) -> sqlite3.Connection:
    """Open the store for reading: beside a recorder, without one, or from read-only media. The connection cannot write.

    Raises :class:`NoStore`, :class:`DamagedStore`, :class:`NewerStore` or :class:`StoreError`.
    """
    path = Path(path)
    if not exists(path):
        raise NoStore(f"there is no store at {path}", "start a recorder with: gpuwatch record")
    error: sqlite3.Error | None = None
    for target in _read_targets(path):
        try:
            return _open_readable(target, path)
        except sqlite3.Error as problem:
            error = error or problem
            if code_of(problem) not in (READ_ONLY, CANNOT_OPEN, IO_ERROR):
                break
    assert error is not None  # every target either returned or failed
    raise explain(error, path) from error


def _open_readable(target: str, path: Path) -> sqlite3.Connection:
    db = connect(target, uri=True)
    try:
        db.execute("PRAGMA query_only=ON")
        _check_readable(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _read_targets(path: Path) -> list[str]:
    """A writable open can rebuild the shared index of a WAL file that nobody has open; ``immutable`` needs a file without WAL.

    A newer file is never opened so: its last user would bring the WAL into the file.
    """
    base = path.absolute().as_uri()
    targets = [f"{base}?mode=ro"]
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) and file_schema(path) <= SCHEMA_VERSION:
        targets.insert(0, f"{base}?mode=rw")
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() or not wal.stat().st_size:
        targets.append(f"{base}?mode=ro&immutable=1")
    return targets


def _check_readable(connection: sqlite3.Connection, path: Path) -> None:
    version = schema_version(connection, path)
    if version == 0:
        raise NoStore(f"{path} is empty", "start a recorder with: gpuwatch record")
    if version <= SCHEMA_VERSION:
        return
    row = connection.execute("SELECT value FROM meta WHERE key=?", (MIN_READER,)).fetchone()
    if row is None or int(row[0]) > SCHEMA_VERSION:
        raise newer(path, version)


def forgets(db: sqlite3.Connection, schema: str = "main") -> str:
    """How often people were forgotten in a store; empty: never."""
    row = db.execute(f"SELECT value FROM {schema}.meta WHERE key=?", (FORGETS,)).fetchone()
    return str(row[0]) if row else ""


def roll_back(db: sqlite3.Connection) -> None:
    """End a transaction that failed; SQLite may have ended it by itself."""
    if db.in_transaction:
        db.execute("ROLLBACK")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """``BEGIN IMMEDIATE`` … ``COMMIT``, or part of the transaction that is already open."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        roll_back(db)
        raise
    db.execute("COMMIT")


def close_cleanly(connection: sqlite3.Connection) -> None:
    """Close; a file with no other user leaves WAL mode, so that it can be read from read-only places and by other users."""
    try:
        connection.execute("PRAGMA busy_timeout=0")
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error:
        pass  # a reader is open, or the disk is full: the next recorder tidies up
    connection.close()


def move_aside(path: Path, stamp: str) -> Path:
    """Rename a damaged file and its WAL to ``.corrupt-<stamp>`` and return the new name. Raises ``OSError``."""
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return aside
