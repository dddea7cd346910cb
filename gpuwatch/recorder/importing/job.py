"""One past log from its reader into a store: what is known of the host, the scratch store, and the one transaction at the end."""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, tzinfo
from itertools import chain
from pathlib import Path

from gpuwatch.collectors.importers.types import LogProcessRow, LogRow, PastLog
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.errors import GpuwatchError, StoreError
from gpuwatch.model import Host
from gpuwatch.recorder.importing.copy import Collision, Imported, copy
from gpuwatch.recorder.importing.gaps import Gap
from gpuwatch.recorder.importing.hours import Disordered
from gpuwatch.recorder.importing.past import Past
from gpuwatch.recorder.importing.pipeline import Held, Pipeline, Sums
from gpuwatch.recorder.importing.scratch import Who, ground, open_scratch
from gpuwatch.store import connection
from gpuwatch.store.deleting import Keep

MACHINE = "import:"
"""Before a label: the ``machine_id`` of a host that past logs are about."""
_ATTEMPTS = 5


class NothingToImport(GpuwatchError):
    """No row of a file could be used."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read: ``open`` makes a reader of it anew, ``sha256`` is the hash of its content."""

    name: str
    sha256: str
    open: Callable[[], PastLog]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user said: the host's label, the zone of its days (``None``: that of the log), the interval, how long what is kept."""

    label: str
    zone: tzinfo | None = None
    interval_ms: int | None = None
    keep: Keep = Keep()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file. ``host_id`` 0: it was only tried."""

    log: PastLog
    sums: Sums
    gaps: Sequence[Gap]
    timezone: str
    utc_offset_seconds: int
    joined: bool = False
    """Whether the host was there before."""
    host_id: int = 0


def import_log(target: Path, source: Source, settings: Settings, *, now_ms: int, dry_run: bool = False) -> Outcome:
    """Import one file into the store at ``target``, which exists; with ``dry_run`` only find out what would become of it.

    Raises :class:`NothingToImport`, :class:`gpuwatch.errors.UsageError` and :class:`StoreError`; nothing is written then.
    """
    in_order = alone = True
    for _ in range(_ATTEMPTS):
        try:
            return _attempt(target, source, settings, now_ms, dry_run, in_order, alone)
        except Disordered:
            in_order = False
        except Held:
            alone = False
        except Collision:
            pass
    raise StoreError(f"other imports into {target} came in between again and again", "run this one again when they are done")


def _attempt(target: Path, source: Source, settings: Settings, now_ms: int, dry_run: bool, in_order: bool, alone: bool) -> Outcome:
    log = source.open()
    first, rows = _peek(log, source.name)
    log.rows = rows if in_order else _sorted(rows)
    host = host_of(log, settings, first)
    with closing(open_scratch()) as db, closing(_reader(target)) as store:
        known = ground(store, host.machine_id)
        past = Past(store, known.host_id, log) if known.host_id else None
        if past is not None:  # its hours and days are cut as they are
            host = replace(host, timezone=known.timezone, utc_offset_seconds=known.utc_offset_seconds)
        who = Who(db, known, host)
        pipeline = Pipeline(db, who, log, who.offset_s, alone=alone, past=past, keep=settings.keep)
        pipeline.run(settings.interval_ms)
        sums = pipeline.sums
        if sums.first_ms is None:
            raise NothingToImport(f"nothing in {source.name} could be used")
        if dry_run:
            return Outcome(log, sums, _inside(pipeline.gaps, sums), host.timezone, host.utc_offset_seconds, past is not None)
        pipeline.finish(now_ms)
        file = Imported(
            source.sha256,
            source.name,
            log.format,
            host.timezone or log.zone,
            pipeline.host_id,
            log.lines_read,
            sums.rows_used,
            sums.rows_left_out,
            sums.first_ms,
            sums.last_ms,
            now_ms,
        )
        copy(db, target, known, pipeline.hours if past else (), file)
        gaps = _inside(pipeline.gaps, sums)
        return Outcome(log, sums, gaps, host.timezone, host.utc_offset_seconds, past is not None, pipeline.host_id)


def _peek(log: PastLog, name: str) -> tuple[int, Iterator[LogRow | LogProcessRow]]:
    """The time of the first row, and all rows."""
    following = log.rows
    first = next(following, None)
    if first is None:
        why = f": line {log.problems[0].line}: {log.problems[0].text}" if log.problems else ""
        raise NothingToImport(f"nothing in {name} could be used{why}")
    return first.ts_ms, chain([first], following)


def _inside(gaps: Sequence[Gap], sums: Sums) -> list[Gap]:
    """The gaps of the log itself, without those between it and others of its host."""
    first, last = sums.first_ms or 0, sums.last_ms
    return [gap for gap in gaps if gap.t0_ms >= first and gap.t1_ms <= last]


def _reader(target: Path) -> sqlite3.Connection:
    """The store, or an empty one where there is none yet (which only a dry run meets)."""
    return connection.open_read(target) if connection.exists(target) else connection.open_write(":memory:", wal=False)


def host_of(log: PastLog, settings: Settings, first_ms: int) -> Host:
    """The host that a log is about. Its days are those of the named zone, else of the offset in the log, else of UTC."""
    name, offset = "", log.utc_offset_seconds or 0
    if settings.zone is not None:
        name = getattr(settings.zone, "key", "")  # a fixed offset has no name
        at = datetime.fromtimestamp(first_ms / 1000, settings.zone).utcoffset()
        offset = round(at.total_seconds()) if at else 0
    return Host(f"{MACHINE}{settings.label}", settings.label, utc_offset_seconds=offset, timezone=name)


def _sorted(rows: Iterator[LogRow | LogProcessRow]) -> Iterator[LogRow | LogProcessRow]:
    """The rows by time, those of one instant in the order of the log; they wait in a file without a name."""
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        db.execute("CREATE TABLE waiting(ts INTEGER, number INTEGER PRIMARY KEY, row BLOB)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO waiting VALUES(?,?,?)", ((row[0], number, _packed(row)) for number, row in enumerate(rows)))
        db.execute("CREATE INDEX by_time ON waiting(ts, number)")
        for (packed,) in db.execute("SELECT row FROM waiting ORDER BY ts, number"):
            yield _unpacked(packed)


def _packed(row: LogRow | LogProcessRow) -> bytes:
    return marshal.dumps((isinstance(row, LogRow), *row))


def _unpacked(packed: bytes) -> LogRow | LogProcessRow:
    is_gpu, *cells = marshal.loads(packed)
    return LogRow(*cells) if is_gpu else LogProcessRow(*cells)
