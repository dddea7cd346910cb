"""From public identities (uuid, pid and start, user) to the store's row ids: looked up once, remembered, written when they change.

Ids are given out here, in memory, so that a tick needs no read and no round trip; the rows follow with the next commit and stay
queued until one succeeds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from gpuwatch.dataclass import replace
from gpuwatch.model import Gpu, Host, Process, Server, Workload
from gpuwatch.store import columns
from gpuwatch.store.connection import FORGOTTEN, forgets
from gpuwatch.store.server_rows import Known, ServerRows
from gpuwatch.store.trainer_rows import TrainerRows
from gpuwatch.training import Run, Trainer
from gpuwatch.zone import hour_offset_s

_TABLES = {
    "host": "host_id",
    "gpu": "gpu_id",
    "user_account": "user_id",
    "process": "proc_id",
    "workload": "workload_id",
    "missing": "missing_id",
    "event": "event_id",
    "run": "run_id",
    "finding": "finding_id",
}
_KEEP_PROCESSES = 20_000


def _upsert(table: str, names: Sequence[str], key: str, keep: Sequence[str] = ("first_ms",)) -> str:
    changed = ",".join(f"{n}=excluded.{n}" for n in names if n != key and n not in keep)
    return f"{columns.insert_sql(table, names).replace(' OR REPLACE', '')} ON CONFLICT({key}) DO UPDATE SET {changed}"


_HOST = ("host_id", *columns.HOST, "hour_offset_seconds", "first_ms", "last_ms")
_GPU = ("gpu_id", "host_id", *columns.GPU, "first_ms", "last_ms")
_PROCESS = ("proc_id", "host_id", *columns.PROCESS, "first_ms", "last_ms")
_WORKLOAD = ("workload_id", "host_id", *columns.WORKLOAD, "first_ms", "last_ms")
_NAMELESS = "unknown"
"""Machine id of a host that was not described yet."""
_HOURS = f",hour_offset_seconds=CASE host.machine_id WHEN '{_NAMELESS}' THEN excluded.hour_offset_seconds ELSE host.hour_offset_seconds END"
"""Where a host's hours begin is told once, with its first description: hours that were closed stay as they are."""
_SQL = {
    "host": _upsert("host", _HOST, "host_id", ("hour_offset_seconds", "first_ms")) + _HOURS,
    "gpu": _upsert("gpu", _GPU, "gpu_id"),
    "process": _upsert("process", _PROCESS, "proc_id"),
    "workload": _upsert("workload", _WORKLOAD, "workload_id"),
    "user_account": columns.insert_sql("user_account", ("user_id", "host_id", "uid", "name")),
}
_LAST_HOST = (  # never one of past logs, whose ids are negative
    f"SELECT {','.join(_HOST)} FROM host WHERE host_id>0 ORDER BY host_id="
    "(SELECT host_id FROM session WHERE host_id IS NOT NULL ORDER BY session_id DESC LIMIT 1) DESC, last_ms DESC LIMIT 1"
)
_ORDER = ("host", "gpu", "user_account", "workload", "process")


_USER_AT = {"process": 2 + columns.PROCESS.index("user_id"), "workload": 2 + columns.WORKLOAD.index("user_id")}


_LINK = {name: 2 + columns.PROCESS.index(name) for name in ("workload_pid", "workload_start_ms", "workload_id")}


def _linked(row: tuple[Any, ...], workload_id: int | None) -> tuple[Any, ...]:
    """A process' row that belongs to that workload."""
    return (*row[: _LINK["workload_id"]], workload_id, *row[_LINK["workload_id"] + 1 :])


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


class Identities:
    """The row ids of one store, with the entity rows that are still to be written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._next: dict[str, int] = {}
        self._pending: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._known: dict[tuple[str, int], tuple[Any, ...]] = {}
        self.host_id = 0
        self._hosts: dict[str, int] = {}
        self._gpus: dict[str, int] = {}
        self._users: dict[tuple[int | None, str], int] = {}
        self._processes: dict[tuple[int, int], int] = {}
        self._latest: dict[int, int] = {}
        self._workloads: dict[tuple[int, int, int], int] = {}
        self._servers = ServerRows()
        self.trainings = TrainerRows(lambda: self.take_id("run"))
        self._servers_aside: dict[tuple[int, ...], Known] = {}
        self._aside: dict[tuple[int, ...], tuple[Any, ...]] = {}
        """Processes and workloads, by key, of people who were forgotten: one that goes on is described anew, under a new id."""
        self._accounts: dict[int, tuple[int | None, str]] = {}
        self._forgets = forgets(connection)
        self.attach(connection)

    def attach(self, connection: sqlite3.Connection) -> None:
        """Use this connection for look-ups; ids go on after its highest ones. Who was forgotten there meanwhile is noticed by ``forget``."""
        self._connection = connection
        for table, key in _TABLES.items():
            highest = connection.execute(f"SELECT max({key}) FROM {table}").fetchone()[0] or 0
            self._next[table] = max(self._next.get(table, 1), highest + 1)

    def requeue_all(self) -> None:
        """Write every known entity again: the file was replaced by an empty one."""
        self._pending.update(self._known)
        self._servers.requeue_all()
        self.trainings.requeue_all()

    def take_id(self, table: str) -> int:
        """A fresh row id."""
        taken = self._next[table]
        self._next[table] = taken + 1
        return taken

    def _lookup(self, table: str, where: str, values: tuple[Any, ...]) -> int:
        row = self._connection.execute(f"SELECT {_TABLES[table]} FROM {table} WHERE {where}", values).fetchone()
        return int(row[0]) if row else self.take_id(table)

    def _queue(self, table: str, row: tuple[Any, ...]) -> None:
        self._pending[table, row[0]] = self._known[table, row[0]] = row

    def host(self, host: Host, ts_ms: int) -> None:
        """The host whose rows follow."""
        found = self._hosts.get(host.machine_id)
        if found is None:
            row = self._connection.execute("SELECT host_id FROM host WHERE machine_id=?", (host.machine_id,)).fetchone()
            nameless = self._hosts.pop(_NAMELESS, None)
            found = self._hosts[host.machine_id] = int(row[0]) if row else nameless or self.take_id("host")
        if found != self.host_id:
            self.host_id = found
            for cache in (
                self._gpus,
                self._users,
                self._processes,
                self._workloads,
                self._latest,
                self._aside,
                self._servers_aside,
            ):
                cache.clear()
            self.trainings.forget_aside()
        values = [_plain(getattr(host, name)) for name in columns.HOST]
        self._queue("host", (found, *values, hour_offset_s(host.utc_offset_seconds), ts_ms, ts_ms))

    def gpu(self, gpu: Gpu, ts_ms: int) -> None:
        """A GPU that is new or has changed."""
        host = self.current_host(ts_ms)
        values = [_plain(getattr(gpu, "index" if name == "gpu_index" else name)) for name in columns.GPU]
        self._queue("gpu", (self._gpu_id(gpu.uuid), host, *values, ts_ms, ts_ms))

    def _gpu_id(self, uuid: str) -> int:
        found = self._gpus.get(uuid)
        if found is None:
            found = self._gpus[uuid] = self._lookup("gpu", "host_id=? AND uuid=?", (self.host_id, uuid))
        return found

    def gpu_id(self, uuid: str, ts_ms: int) -> int:
        """The id of a GPU; one that was never described gets a row with its uuid alone, so that its values are not lost."""
        found = self._gpus.get(uuid)
        if found is None:
            self.gpu(Gpu(uuid, -1, ""), ts_ms)
            found = self._gpus[uuid]
        return found

    def current_host(self, ts_ms: int) -> int:
        """The host's id. Before its description has come it is the one that was recorded here last, else a row without a name
        that becomes the described host.
        """
        if not self.host_id:
            found = self._connection.execute(_LAST_HOST).fetchone()
            if found is None:
                self.host(Host(_NAMELESS, ""), ts_ms)
            else:
                self.host_id = found[0]
                self._known["host", found[0]] = found
                if found[1] == _NAMELESS:
                    self._hosts[_NAMELESS] = found[0]
        return self.host_id

    def _user_id(self, uid: int | None, name: str, ts_ms: int) -> int | None:
        if uid is None and not name:
            return None
        found = self._users.get((uid, name))
        if found is None:
            host = self.current_host(ts_ms)
            found = self._lookup("user_account", "host_id=? AND uid IS ? AND name=?", (host, uid, name))
            self._users[uid, name] = found
            self._accounts[found] = (uid, name)
            self._queue("user_account", (found, host, uid, name))
        return found

    def process(self, process: Process, ts_ms: int) -> None:
        """A process that is new or has changed."""
        host = self.current_host(ts_ms)
        proc_id = self._processes.get(process.key)
        if proc_id is None:
            where = "host_id=? AND pid=? AND start_ms=?"
            proc_id = self._processes[process.key] = self._lookup("process", where, (host, *process.key))
            self._aside.pop(process.key, None)
            self.trainings.again("process", process.key, proc_id, self._workload_of(process), ts_ms)
        self._latest[process.pid] = proc_id
        user = self._user_id(process.uid, process.user, ts_ms)
        given = {"user_id": user, "workload_id": self._workload_of(process), "start_known": int(process.start_known)}
        values = [given[name] if name in given else getattr(process, name) for name in columns.PROCESS]
        self._queue("process", (proc_id, host, *values, ts_ms, ts_ms))

    def _workload_of(self, process: Process) -> int | None:
        return self._root_workload((process.workload_pid, process.workload_start_ms))

    def _root_workload(self, root: tuple[int, int]) -> int | None:
        if not root[0]:
            return None
        return min([found for key, found in self._workloads.items() if key[:2] == root], default=None)

    def process_id(self, key: tuple[int, int], ts_ms: int, root: tuple[int, int] = (0, 0)) -> int:
        """The id of a process; one that was never described gets a row with its pid alone, and its workload's root if that is known."""
        found = self._processes.get(key)
        if found is None:
            if key in self._aside:
                self._again("process", key, ts_ms)
            elif not root[0] or self._recorded("process", key, ts_ms) is None:
                told = Process(key[0], key[1], "", start_known=False, workload_pid=root[0], workload_start_ms=root[1])
                self.process(told, ts_ms)
            found = self._processes[key]
        return found

    def latest_process(self, pid: int) -> int | None:
        """The process that last had this pid."""
        return self._latest.get(pid)

    def workload(self, workload: Workload, ts_ms: int) -> None:
        """A workload that is new or has changed; processes that named its root before are linked to it."""
        host = self.current_host(ts_ms)
        key = workload.root_pid, workload.root_start_ms, workload.port
        found = self._workloads.get(key)
        if found is None:
            where = "host_id=? AND root_pid=? AND root_start_ms=? AND port=?"
            found = self._workloads[key] = self._lookup("workload", where, (host, *key))
            self._aside.pop(key, None)
            if key in self._servers_aside:
                self._servers.put_again(found, self._servers_aside.pop(key), ts_ms)
            self.trainings.again("workload", key, found, None, ts_ms)
        user = self._user_id(None, workload.user, ts_ms)
        values = [user if name == "user_id" else getattr(workload, name) for name in columns.WORKLOAD]
        self._queue("workload", (found, host, *values, ts_ms, ts_ms))
        self._link(key, found)

    def server(self, server: Server, ts_ms: int) -> None:
        """A server that is new or has changed; a workload that nobody has described gets a row by what its server says."""
        undescribed = server.key not in self._workloads and server.key not in self._aside
        if undescribed and self._recorded("workload", server.key, ts_ms) is None:
            told = replace(Workload(*server.key, kind="inference"), model=server.served_model, engine=server.engine)
            self.workload(replace(told, engine_version=server.engine_version), ts_ms)
        self._servers.put(self.workload_id(server.key, "inference", ts_ms), server, ts_ms)

    def trainer(self, trainer: Trainer, ts_ms: int) -> None:
        """A rank that is new or has changed; its process and workload get rows if nobody has described them yet."""
        root = trainer.root_pid, trainer.root_start_ms
        workload_id = self.workload_id((*root, 0), "training", ts_ms)
        self.trainings.trainer(self.process_id(trainer.key, ts_ms, root), workload_id, trainer, ts_ms)

    def run(self, run: Run, ts_ms: int) -> None:
        """A run that is new or has gone on."""
        self.trainings.run(self.workload_id((*run.key, 0), "training", ts_ms), run)

    def _link(self, key: tuple[int, ...], workload_id: int) -> None:
        """Link the known processes that name the workload's root."""
        for (table, _), row in list(self._known.items()):
            if table == "process" and (row[_LINK["workload_pid"]], row[_LINK["workload_start_ms"]]) == key[:2]:
                self._queue("process", _linked(row, workload_id))

    def workload_id(self, key: tuple[int, int, int], kind: str, ts_ms: int) -> int:
        """The id of a workload; one that was never described gets a row with its root and kind alone."""
        found = self._workloads.get(key)
        if found is None and key in self._aside:
            self._again("workload", key, ts_ms)
            found = self._workloads[key]
        if found is None:
            found = self._recorded("workload", key, ts_ms)
        if found is None:
            known = "training" if kind == "training" else "inference"
            self.workload(Workload(*key, kind="training" if known == "training" else "inference"), ts_ms)
            found = self._workloads[key]
        return found

    def _recorded(self, table: str, key: tuple[int, ...], ts_ms: int) -> int | None:
        """A process or workload that a recorder before this one has described: that stays until it is described again."""
        of = "pid=? AND start_ms=?" if table == "process" else "root_pid=? AND root_start_ms=? AND port=?"
        names = _PROCESS if table == "process" else _WORKLOAD
        sql = f"SELECT {','.join(names)} FROM {table} WHERE host_id=? AND {of}"
        row = self._connection.execute(sql, (self.current_host(ts_ms), *key)).fetchone()
        if row is None:
            return None
        self._known[table, row[0]] = row
        if table == "process":
            self._processes[key[0], key[1]] = self._latest[key[0]] = row[0]
        else:
            self._workloads[key[0], key[1], key[2]] = row[0]
            self._link(key, row[0])
        return int(row[0])

    def forget(self, db: sqlite3.Connection) -> frozenset[int]:
        """Notice, inside the transaction that is to be written, whether people were forgotten in the file, and do not write them again.

        What was known of them is set aside in memory: a program of theirs that goes on gets a new row of a new account, its past
        keeps the nameless one. Returns the ids of their processes that are remembered here.
        """
        times = forgets(db)
        if times == self._forgets:
            return frozenset()
        self._forgets = times
        gone = {row[0] for row in db.execute("SELECT user_id FROM user_account WHERE name GLOB ?", (FORGOTTEN + "*",))}
        nameless = {row[0] for row in db.execute("SELECT workload_id FROM workload WHERE root_pid<0")}
        for account, user in [(account, user) for user, account in self._users.items() if account in gone]:
            del self._users[user]
            for rows in (self._pending, self._known):
                rows.pop(("user_account", account), None)
        return frozenset(
            self._set_aside(db, table, row)
            for (table, _), row in list(self._known.items())
            if table in _USER_AT and (row[_USER_AT[table]] in gone or (table == "workload" and row[0] in nameless))
        )

    def _set_aside(self, db: sqlite3.Connection, table: str, row: tuple[Any, ...]) -> int:
        row_id, at = row[0], _USER_AT[table]
        ids: dict[Any, int] = self._processes if table == "process" else self._workloads
        if not db.execute(f"SELECT 1 FROM {table} WHERE {_TABLES[table]}=?", (row_id,)).fetchone():
            user = self._user_id(*self._accounts.get(row[at], (None, "")), row[-1])  # it was not written yet: it is new
            self._queue(table, (*row[:at], user, *row[at + 1 :]))
            return 0
        for rows in (self._pending, self._known):
            rows.pop((table, row_id), None)
        key = row[2:4] if table == "process" else row[2:5]
        if ids.get(key) == row_id:
            del ids[key]
            self._aside[key] = row
            self.trainings.set_aside(table, key, row_id)
            if table == "workload" and (known := self._servers.take_away(row_id)):
                self._servers_aside[key] = known
        if table == "process" and self._latest.get(key[0]) == row_id:
            del self._latest[key[0]]
        return row_id if table == "process" else 0

    def _again(self, table: str, key: tuple[int, ...], ts_ms: int) -> None:
        """What was set aside goes on: the same description under a new id, of a new account."""
        row, at, row_id = self._aside.pop(key), _USER_AT[table], self.take_id(table)
        user = self._user_id(*self._accounts.get(row[at], (None, "")), ts_ms)
        row = (row_id, *row[1:at], user, *row[at + 1 : -2], ts_ms, ts_ms)
        if table == "workload":
            self._workloads[key[0], key[1], key[2]] = row_id
            self._queue(table, row)
            self._link(key, row_id)
            if key in self._servers_aside:
                self._servers.put_again(row_id, self._servers_aside.pop(key), ts_ms)
            self.trainings.again(table, key, row_id, None, ts_ms)
        else:
            self._processes[key[0], key[1]] = self._latest[key[0]] = row_id
            root = self._root_workload((row[_LINK["workload_pid"]], row[_LINK["workload_start_ms"]]))
            self._queue(table, _linked(row, root))
            self.trainings.again(table, key, row_id, root, ts_ms)

    def write(self, connection: sqlite3.Connection, newest_ms: int) -> None:
        """Put the pending rows into the open transaction; ``written`` forgets them after the commit."""
        for table in _ORDER:
            rows = [row for (name, _), row in self._pending.items() if name == table]
            if rows:
                connection.executemany(_SQL[table], rows)
        self._servers.write(connection)
        self.trainings.write(connection, self.host_id, newest_ms)

    def written(self, newest_ms: int) -> None:
        """The commit succeeded; ``newest_ms`` is the time of the newest tick in it."""
        self._pending.clear()
        self._servers.written()
        self.trainings.written(newest_ms)
        if len(self._processes) > _KEEP_PROCESSES:
            self._forget_processes()

    def _forget_processes(self) -> None:
        """Drop the older half of the remembered processes; they are looked up again if they come back."""
        for key in list(self._processes)[: _KEEP_PROCESSES // 2]:
            proc_id = self._processes.pop(key)
            self._known.pop(("process", proc_id), None)
            if self._latest.get(key[0]) == proc_id:
                del self._latest[key[0]]
