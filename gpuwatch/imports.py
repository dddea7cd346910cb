"""What ``gpuwatch import`` does with each file: who it is about, whether it is known already, and what became of it."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.collectors.importers.detect import detect
from gpuwatch.collectors.importers.source import Source as File
from gpuwatch.collectors.importers.source import size_of
from gpuwatch.collectors.importers.times import zone
from gpuwatch.collectors.importers.types import ImportOptions
from gpuwatch.errors import GpuwatchError, StoreError, UsageError
from gpuwatch.recorder.importing import MACHINE, Outcome, Settings, Source, import_log
from gpuwatch.store import connection
from gpuwatch.store.columns import SCHEMA_VERSION
from gpuwatch.store.forget_host import BEING_FORGOTTEN, half_forgotten
from gpuwatch.store.location import network_filesystem
from gpuwatch.store.opening import MixedStore, disk_room, kept_free
from gpuwatch.text import clean
from gpuwatch.view.imports import ImportView, ProblemView
from gpuwatch.when import unix_s

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime

_ENDINGS = (".gz", ".xz", ".bz2", ".csv", ".log", ".txt", ".tsv", ".out")


def label_of(path: str) -> str:
    """A host's name from that of a file: without folders and endings; what is not a letter, digit, ``.``, ``_`` or ``-`` is ``-``."""
    name = os.path.basename(path)
    while name.lower().endswith(_ENDINGS):
        name = name.rpartition(".")[0]
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in clean(name, 80)).strip("-.") or "log"


class Importer:
    """The files of one command, one after the other, into one store."""

    def __init__(self, runtime: Runtime, args: argparse.Namespace) -> None:
        if runtime.simulated:
            raise UsageError("past logs are real and never go into the store of a demo", "leave --demo out")
        if args.host is not None and (not args.host or args.host != clean(args.host, 120).strip()):
            raise UsageError(f"'{clean(args.host, 40)}' is not a name for a host")
        self._runtime, self._args = runtime, args
        self._path = runtime.place.path
        self._zone = zone(runtime.args.tz or "")
        start_ms = None if args.start is None else self._start_ms(args.start)
        self._options = ImportOptions(
            args.host or "", runtime.args.tz or "", args.power_limit, start_ms, args.interval_ms, args.date_order or "", args.fields
        )
        prepare(self._path, create=not args.dry_run)

    def _start_ms(self, text: str) -> int:
        """When a log began. Without a zone it must be the same in all of them."""
        now = self._runtime.clock.time()
        found = {unix_s(text, now=now, tz=tz) for tz in ((self._zone,) if self._zone else (UTC, timezone(timedelta(hours=11))))}
        if len(found) > 1:
            raise UsageError(f"--start {text} has no zone", "say it with --tz, for example --tz Europe/Berlin")
        return found.pop() * 1000

    def close(self) -> None:
        """Leave a store that nobody else has open readable from anywhere, as a recorder does that ends."""
        if connection.exists(self._path) and not self._args.dry_run:
            connection.close_cleanly(connection.connect(str(self._path)))

    def file(self, name: str) -> tuple[ImportView, int]:
        """Import one file; what became of it, and the exit code that this would be."""
        try:
            return self._file(name), 0
        except GpuwatchError as error:
            message = error.message.removeprefix(f"{os.path.basename(name)}: ")
            return ImportView(name, "failed", message=message, hint=error.hint), error.exit_code

    def _file(self, name: str) -> ImportView:
        if name != "-":
            return self._read(name, name)
        with tempfile.TemporaryDirectory(prefix="gpuwatch-import-") as folder:  # it is read twice: for its hash, and for its rows
            path = os.path.join(folder, "stdin")
            with open(path, "wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
            return self._read("standard input", path)

    def _read(self, name: str, path: str) -> ImportView:
        size = size_of(path)
        digest = content_hash(path, size)
        with closing(self._reader()) as db:
            known = db.execute(
                "SELECT f.imported_ms, h.hostname FROM import_file f LEFT JOIN host h ON h.host_id=f.host_id WHERE sha256=?",
                (digest,),
            ).fetchone()
            if known is not None and half_forgotten(db, known[1] or ""):
                raise _half(known[1])
            if known is not None:
                day = f"{datetime.fromtimestamp(known[0] / 1000, self._zone):%Y-%m-%d %H:%M}"
                return ImportView(name, "known", host=known[1] or "", message=f"already imported on {day} as host {known[1]}")
            label = self._label(db, path)
        settings = Settings(label, self._zone, self._args.interval_ms, self._runtime.keep())
        source = Source(clean(os.path.basename(name), 200), digest, partial(detect, path, self._options, label, size))
        outcome = import_log(self._path, source, settings, now_ms=self._runtime.now_ms(), dry_run=self._args.dry_run)
        return view_of(name, label, outcome, tried=self._args.dry_run)

    def _reader(self) -> sqlite3.Connection:
        if connection.exists(self._path):
            return connection.open_read(self._path)
        return connection.open_write(":memory:", wal=False)  # a dry run before there is a store

    def _label(self, db: sqlite3.Connection, name: str) -> str:
        """The host's name: as the user says it, else from the file's, and one that no other host has."""
        if self._args.host is not None:
            recorded = db.execute("SELECT 1 FROM host WHERE hostname=? AND host_id>0", (self._args.host,)).fetchone()
            if recorded:
                raise UsageError(
                    f"{self._args.host} is recorded in this store; past logs never mix with what is recorded",
                    f"give them another name, as in --host {self._args.host}-before",
                )
            if half_forgotten(db, self._args.host):
                raise _half(self._args.host)
            return str(self._args.host)
        base = label = label_of(name)
        number = 1
        while db.execute("SELECT 1 FROM host WHERE hostname=? OR machine_id=?", (label, MACHINE + label)).fetchone():
            number += 1
            label = f"{base}-{number}"
        return label


def _half(host: str) -> UsageError:
    name = host.removesuffix(BEING_FORGOTTEN)
    return UsageError(f"host {name} is half forgotten", f"finish it first: gpuwatch db forget --host {shlex.quote(name)} --yes")


def content_hash(name: str, size: int | None = None) -> str:
    """SHA-256 of what a file holds (unpacked, of its first ``size`` bytes), as hexadecimal text."""
    return File(name, size=size).digest()


def prepare(path: Path, *, create: bool = True) -> None:
    """Make or bring up to date the store that is written to, beside a recorder or without one.

    Raises :class:`StoreError`: for a file of a newer version, a simulated one, one that cannot be written, and a disk without room.
    """
    if connection.exists(path):
        with closing(connection.open_read(path)) as db:
            version = connection.schema_version(db, path)
            born = db.execute("SELECT value FROM meta WHERE key='simulated'").fetchone()
        if born and born[0] == "1":
            raise MixedStore(f"{path} holds simulated data, which never mixes with real logs", "name another file with --store")
        if version > SCHEMA_VERSION:
            raise connection.NewerStore(f"{path} was written by a newer gpuwatch (schema {version})", "update gpuwatch")
        if version < SCHEMA_VERSION and create:
            _upgrade(path)
    if not create:
        return
    with closing(connection.open_write(path, wal=not network_filesystem(path))) as db, connection.transaction(db):
        db.execute("INSERT OR IGNORE INTO meta VALUES('simulated','0')")
    free, total = disk_room(path)
    if free < kept_free(total):
        raise StoreError(
            f"{free >> 20} MiB are free on the disk of {path}; gpuwatch leaves the last {kept_free(total) >> 20} MiB to others",
            "free some space, or name another file with --store",
        )


def _upgrade(path: Path) -> None:
    from gpuwatch.store.lease import Lease
    from gpuwatch.store.upgrade import upgrade

    lease = Lease.acquire(path, {"work": "upgrade"})
    if lease is None:
        raise StoreError(f"a recorder of an older gpuwatch holds {path}", "restart it, then import again")
    try:
        upgrade(path)
    finally:
        lease.release()


def view_of(name: str, label: str, outcome: Outcome, *, tried: bool) -> ImportView:
    """What people see of an import."""
    log, sums = outcome.log, outcome.sums
    return ImportView(
        name,
        "tried" if tried else "imported",
        host=label,
        joined=outcome.joined,
        format=log.format,
        timezone=outcome.timezone,
        utc_offset_seconds=outcome.utc_offset_seconds,
        rows_read=log.lines_read,
        rows_used=sums.rows_used,
        rows_left_out=sums.rows_left_out,
        gpu_count=len(sums.gpus),
        process_count=len(sums.processes),
        start_ms=sums.first_ms,
        end_ms=sums.last_ms,
        interval_seconds=None if sums.interval_ms is None else sums.interval_ms / 1000,
        observed_seconds=sums.observed_ms / 1000,
        utilization_of_rows=_over(sums.utilization_sum, sums.utilization_rows),
        utilization_ratio=_over(sums.utilization_ms, sums.utilization_weight_ms),
        columns=sorted(sums.measures),
        gap_count=len(outcome.gaps),
        gap_seconds=sum(gap.t1_ms - gap.t0_ms for gap in outcome.gaps) / 1000,
        problems=[ProblemView(problem.line, problem.text, problem.count) for problem in log.problems],
    )


def _over(amount: int, weight: int) -> float | None:
    return amount / weight / 1000 if weight else None
