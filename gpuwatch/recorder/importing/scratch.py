"""A temporary store in which a past log becomes minutes, hours, days and chunks before the real store sees any of it.

SQLite keeps it in memory and moves what does not fit there into a file without a name. Its row ids are those that the rows will
have in the real store: what past logs bring counts downwards from -1, the recorder counts upwards from 1, so they never meet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gpuwatch.dataclass import dataclass, field
from gpuwatch.ledger.facts import idle_floor
from gpuwatch.model import Gpu, Host, Process
from gpuwatch.store import columns, connection
from gpuwatch.store.deleting import Keep
from gpuwatch.store.retention import DAY_S, RULES
from gpuwatch.zone import hour_offset_s

IDS = {"host": "host_id", "gpu": "gpu_id", "user_account": "user_id", "process": "proc_id", "owner": "owner_id"}
_HOST = ("host_id", *columns.HOST, "hour_offset_seconds", "first_ms", "last_ms")
_GPU = ("gpu_id", "host_id", *columns.GPU, "first_ms", "last_ms")
_PROCESS = ("proc_id", "host_id", *columns.PROCESS, "first_ms", "last_ms")
_FINE = ("chunk", "gpu_minute", "process_minute", "ledger_minute", "ledger_span")
_FREE = (
    "SELECT power_mw_ms*1.0/power_obs_ms FROM gpu_minute WHERE gpu_id=? AND power_obs_ms>0 AND power_mw_ms>0"
    " AND context_known_ms=obs_ms AND context_ms=0 AND quiet_ms=quiet_known_ms AND unavailable_ms=0"
)
_OWNER = ("owner_id", "host_id", "user_id", "job", "workload_id", "proc_id")


@cache
def _tables() -> str:
    script = Path(connection.__file__).with_name("ddl.sql").read_text(encoding="utf-8")
    return script.partition(connection.VIEWS_MARK)[0]


def open_scratch() -> sqlite3.Connection:
    """An empty store with this version's tables and no views; it is gone when it is closed."""
    db = connection.connect("")
    for setting in ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-65536"):
        db.execute(f"PRAGMA {setting}")
    db.executescript(f"BEGIN;{_tables()}COMMIT;")
    return db


def forget_old(db: sqlite3.Connection, newest_ms: int, keep: Keep) -> None:
    """Delete what the real store would not keep beside rows of ``newest_ms``: a log of a year need not go through it as minutes."""
    for rule in RULES:
        if rule.table in _FINE:
            cut_s = newest_ms // 1000 - round(getattr(keep, rule.kept) * DAY_S)
            db.execute(f"DELETE FROM {rule.table} WHERE {rule.column}<?", (cut_s * rule.unit,))


@dataclass(slots=True)
class Ground:
    """What the real store knew when the import began: the lowest ids, and what is known of the host that is imported into."""

    lowest: dict[str, int]
    files: frozenset[str] = frozenset()
    """Hashes of the files that the host has come from so far."""
    host_id: int = 0
    timezone: str = ""
    utc_offset_seconds: int = 0
    hour_offset_seconds: int = 0
    gpus: dict[str, int] = field(default_factory=dict)
    idle_mw: dict[str, int] = field(default_factory=dict)
    """What GPUs draw when nobody holds them, by UUID, where that is known."""
    users: dict[tuple[int | None, str], int] = field(default_factory=dict)
    processes: dict[tuple[int, int], int] = field(default_factory=dict)
    owners: dict[tuple[int, str, int, int], int] = field(default_factory=dict)


def lowest_ids(db: sqlite3.Connection, schema: str = "") -> dict[str, int]:
    """Per table the lowest id in use, 0 if none is below it. ``schema`` (``store.``) names an attached store."""
    return {table: min(0, db.execute(f"SELECT min({key}) FROM {schema}{table}").fetchone()[0] or 0) for table, key in IDS.items()}


def files_of(db: sqlite3.Connection, machine_id: str, schema: str = "") -> frozenset[str]:
    """Hashes of the files of a host. ``schema`` (``store.``) names an attached store."""
    sql = f"SELECT f.sha256 FROM {schema}import_file f JOIN {schema}host h ON h.host_id=f.host_id WHERE h.machine_id=?"
    return frozenset(row[0] for row in db.execute(sql, (machine_id,)))


def ground(db: sqlite3.Connection, machine_id: str) -> Ground:
    """Read it from the real store."""
    found = Ground(lowest_ids(db), files_of(db, machine_id))
    sql = "SELECT host_id, timezone, utc_offset_seconds, hour_offset_seconds FROM host WHERE machine_id=?"
    row = db.execute(sql, (machine_id,)).fetchone()
    if row is None:
        return found
    found.host_id, found.timezone, found.utc_offset_seconds, found.hour_offset_seconds = row
    host = (found.host_id,)
    found.gpus.update(db.execute("SELECT uuid, gpu_id FROM gpu WHERE host_id=?", host))
    found.idle_mw.update(db.execute("SELECT uuid, idle_power_mw FROM gpu WHERE host_id=? AND idle_power_mw IS NOT NULL", host))
    for user_id, uid, name in db.execute("SELECT user_id, uid, name FROM user_account WHERE host_id=?", host):
        found.users[uid, name] = user_id
    for proc_id, pid, start_ms in db.execute("SELECT proc_id, pid, start_ms FROM process WHERE host_id=?", host):
        found.processes[pid, start_ms] = proc_id
    for owner_id, *key in db.execute("SELECT owner_id, user_id, job, workload_id, proc_id FROM owner WHERE host_id=?", host):
        found.owners[key[0], key[1], key[2], key[3]] = owner_id
    return found


class Who:
    """The entities of a log under the ids that they have in the store."""

    def __init__(self, db: sqlite3.Connection, known: Ground, host: Host) -> None:
        self._db, self._known = db, known
        self._next = dict(known.lowest)
        self.host_id = known.host_id or self._take("host")
        self._gpus: dict[str, int] = {}
        self._processes: dict[tuple[int, int], int] = {}
        values = [_plain(getattr(host, name)) for name in columns.HOST]
        self.offset_s = known.hour_offset_seconds if known.host_id else hour_offset_s(host.utc_offset_seconds)
        """Seconds after a whole hour at which the hours of the host begin."""
        row = (self.host_id, *values, self.offset_s, 0, 0)
        db.execute(columns.insert_sql("host", _HOST), row)
        db.execute("INSERT INTO session(session_id,host_id,started_ms,last_ms,period_ms) VALUES(1,?,0,0,1000)", (self.host_id,))

    def _take(self, table: str) -> int:
        self._next[table] -= 1
        return self._next[table]

    def reach(self, interval_ms: int) -> None:
        """Rows are so far apart: what a process row says holds for three times as long."""
        self._db.execute("UPDATE session SET period_ms=?", (interval_ms,))

    def gpu(self, gpu: Gpu) -> int:
        """The id of a GPU of the log."""
        found = self._gpus.get(gpu.uuid)
        if found is None:
            found = self._gpus[gpu.uuid] = self._known.gpus.get(gpu.uuid) or self._take("gpu")
            self._describe(gpu)
        return found

    def idle_watts(self, gpu: Gpu) -> float | None:
        """What the GPU draws when nobody holds it, as the store knows it."""
        found = self._known.idle_mw.get(gpu.uuid)
        return None if found is None else found / 1000

    def learn_idle(self) -> None:
        """Note what GPUs drew in minutes in which nobody held them, where that was not known: it holds for what comes after."""
        for uuid, gpu_id in self._gpus.items():
            powers = [] if uuid in self._known.idle_mw else [row[0] for row in self._db.execute(_FREE, (gpu_id,))]
            floor = idle_floor(powers)
            if floor is not None:
                self._db.execute("UPDATE gpu SET idle_power_mw=? WHERE gpu_id=?", (round(floor), gpu_id))

    def describe_all(self, gpus: Iterable[Gpu]) -> None:
        """Write again what is known of the GPUs that had rows: a log may tell more of them later."""
        for gpu in gpus:
            if gpu.uuid in self._gpus:
                self._describe(gpu)

    def _describe(self, gpu: Gpu) -> None:
        values = [_plain(getattr(gpu, "index" if name == "gpu_index" else name)) for name in columns.GPU]
        row = (self._gpus[gpu.uuid], self.host_id, *values, 0, 0)
        self._db.execute(columns.insert_sql("gpu", _GPU), row)

    def process(self, process: Process) -> int:
        """The id of a process of the log, which owns its time."""
        found = self._processes.get(process.key)
        if found is None:
            found = self._processes[process.key] = self._known.processes.get(process.key) or self._take("process")
            user = self._user(process.uid, process.user)
            given: Mapping[str, Any] = {"user_id": user, "workload_id": None, "start_known": int(process.start_known)}
            values = [given[name] if name in given else getattr(process, name) for name in columns.PROCESS]
            self._db.execute(columns.insert_sql("process", _PROCESS), (found, self.host_id, *values, 0, 0))
            key = (user or 0, process.job, 0, found)
            owner = self._known.owners.get(key) or self._take("owner")
            self._db.execute(columns.insert_sql("owner", _OWNER), (owner, self.host_id, *key))
        return found

    def _user(self, uid: int | None, name: str) -> int | None:
        if uid is None and not name:
            return None
        found = self._known.users.get((uid, name))
        if found is None:
            found = self._known.users[uid, name] = self._take("user_account")
        row = (found, self.host_id, uid, name)
        self._db.execute(columns.insert_sql("user_account", ("user_id", "host_id", "uid", "name")), row)
        return found


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value
