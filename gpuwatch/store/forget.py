"""Removing what identifies a person: the account becomes ``forgotten-N``, its time and energy stay, so that no sum changes.

What goes: names of the account, of its programs, jobs, containers, workloads and models, command lines, commits, pids, addresses of
its servers and what is said of their state and of the ends of its runs, what events and findings of its processes say, the reasons of their missing values, and the account's
name as a word in any other text. What stays: GPUs, times, engines, roles, and which rows belong together. Pids become numbers below 0,
so that a program that still runs is another process from now on and its past stays nameless.

After ``wipe`` the name is in no byte of the file: tables with such text are written anew, free pages given back, the WAL emptied.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.errors import UsageError
from gpuwatch.store import connection
from gpuwatch.store.connection import FORGOTTEN

_TEXTS = {
    "process": ("name", "command", "container", "job"),
    "workload": ("name", "model", "job"),
    "owner": ("job",),
    "event": ("detail",),
    "finding": ("title", "evidence", "advice", "subject", "command", "detail", "effect", "sql"),
    "mute": ("subject", "command", "reason"),
    "source_state": ("detail", "hint"),
    "server": ("detail", "hint", "url", "served_model"),
    "server_field": ("source",),
    "trainer": ("detail", "hint", "model"),
    "run": ("detail", "git_commit", "command"),
    "import_file": ("name",),
}
"""Where a person's name may stand in the middle of other text."""
_REWRITTEN = ("user_account", "missing", "meta", *_TEXTS)
_KEPT_TEXTS = (("host", "hostname"), ("host", "machine_id"), ("gpu", "name"), ("meta", "value"))
"""Texts that are not about people; a name that is part of one is only reported."""
_FREE_PAGES = 2000
_MARKS = ("account", "process", "workload", "owner", "key", "job")
_HERS = "SELECT user_id FROM gone_account"


@dataclass(frozen=True, slots=True)
class Found:
    """What a store knows of a person: how many rows of each kind."""

    accounts: int
    processes: int
    workloads: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done: the person is ``alias`` now. ``remains``: columns whose text still holds the name as a part."""

    alias: str
    found: Found
    remains: tuple[str, ...]


def find(db: sqlite3.Connection, user: str) -> Found:
    """What there is of the person (a user name; a uid where no account has that name). Raises :class:`UsageError` for nobody."""
    _mark(db, user)
    return _found(db)


def forget(db: sqlite3.Connection, user: str) -> Forgotten:
    """Forget a person in one transaction; ``db`` comes from ``beside.open_beside``. Raises :class:`UsageError` for nobody."""
    db.execute("PRAGMA secure_delete=ON")
    with connection.transaction(db):
        _mark(db, user)
        found, alias = _found(db), _next_alias(db)
        names = {name for (name,) in db.execute(f"SELECT name FROM user_account WHERE user_id IN ({_HERS}) AND name<>''")}
        _rename_jobs(db, alias)
        _rename_pids(db)
        _blank(db)
        db.execute(f"UPDATE user_account SET uid=NULL, name=? WHERE user_id IN ({_HERS})", (alias,))
        for name in names:
            _replace_word(db, name, alias)
        tell = "INSERT INTO meta VALUES(?,'1') ON CONFLICT(key) DO UPDATE SET value=CAST(value AS INTEGER)+1"
        db.execute(tell, (connection.FORGETS,))
        for table in _MARKS:
            db.execute(f"DROP TABLE temp.gone_{table}")
    return Forgotten(alias, found, tuple(_remains(db, names)))


def wipe(db: sqlite3.Connection) -> bool:
    """Wipe what deleting has left on pages, in free pages and in the WAL; to be called after ``forget``, again if it fails.

    False while a reader holds an old state of the store: what was deleted leaves the WAL when that one ends.
    """
    db.execute("PRAGMA foreign_keys=OFF")  # whole tables are emptied and filled again
    db.execute("PRAGMA secure_delete=ON")
    for table in _REWRITTEN:
        with connection.transaction(db):  # one at a time: a recorder waits for no more than the largest table
            _write_anew(db, table)
    return _empty_free_space(db)


def _mark(db: sqlite3.Connection, user: str) -> None:
    """Temporary tables of what belongs to the person."""
    for table in _MARKS:
        db.execute(f"DROP TABLE IF EXISTS temp.gone_{table}")
    if not user or user.startswith(FORGOTTEN):
        raise UsageError(
            f"'{user}' is nobody's name" if not user else f"'{user}' is forgotten already", "give a user name: --user NAME"
        )
    db.execute("CREATE TEMP TABLE gone_account AS SELECT user_id, host_id, uid FROM user_account WHERE name=?", (user,))
    if user.isdigit() and not db.execute("SELECT 1 FROM gone_account").fetchone():
        db.execute(
            f"INSERT INTO gone_account SELECT user_id, host_id, uid FROM user_account WHERE uid=? AND name NOT GLOB '{FORGOTTEN}*'",
            (int(user),),
        )
    if not db.execute("SELECT 1 FROM gone_account").fetchone():
        raise UsageError(f"the store knows no user '{user}'", "gpuwatch query 'SELECT DISTINCT user FROM v_process'")
    db.execute(
        "INSERT INTO gone_account SELECT DISTINCT u.user_id, u.host_id, u.uid FROM user_account u JOIN gone_account g"
        " ON g.host_id=u.host_id AND g.uid=u.uid WHERE u.name=''"
    )
    db.execute(f"CREATE TEMP TABLE gone_process AS SELECT proc_id, host_id, pid, start_ms FROM process WHERE user_id IN ({_HERS})")
    db.execute("CREATE UNIQUE INDEX temp.gone_proc ON gone_process(proc_id)")
    db.execute(
        "CREATE TEMP TABLE gone_workload AS SELECT workload_id, host_id, root_pid AS pid, root_start_ms AS start_ms FROM workload"
        f" WHERE user_id IN ({_HERS}) OR (user_id IS NULL AND workload_id IN (SELECT workload_id FROM process WHERE user_id IN ({_HERS})))"
    )
    db.execute(
        f"CREATE TEMP TABLE gone_owner AS SELECT owner_id FROM owner WHERE user_id IN ({_HERS})"
        " OR proc_id IN (SELECT proc_id FROM gone_process) OR workload_id IN (SELECT workload_id FROM gone_workload)"
    )
    db.execute("CREATE TEMP TABLE gone_job(job TEXT PRIMARY KEY, alias TEXT)")
    db.execute(
        "CREATE TEMP TABLE gone_key(host_id INTEGER, pid INTEGER, start_ms INTEGER, alias INTEGER, PRIMARY KEY(host_id,pid,start_ms))"
    )


_JOBS = (
    "SELECT job FROM process WHERE proc_id IN (SELECT proc_id FROM gone_process) UNION SELECT job FROM workload WHERE workload_id IN"
    " (SELECT workload_id FROM gone_workload) UNION SELECT job FROM owner WHERE owner_id IN (SELECT owner_id FROM gone_owner)"
)


def _found(db: sqlite3.Connection) -> Found:
    accounts, processes, workloads = (
        int(db.execute(f"SELECT count(*) FROM gone_{table}").fetchone()[0]) for table in ("account", "process", "workload")
    )
    return Found(accounts, processes, workloads, db.execute(f"SELECT count(*) FROM ({_JOBS}) WHERE job<>''").fetchone()[0])


def _next_alias(db: sqlite3.Connection) -> str:
    taken = db.execute(f"SELECT name FROM user_account WHERE name GLOB '{FORGOTTEN}[0-9]*'").fetchall()
    numbers = [int(tail) for (name,) in taken if (tail := name.removeprefix(FORGOTTEN)).isdigit()]
    return f"{FORGOTTEN}{max(numbers, default=0) + 1}"


def _rename_jobs(db: sqlite3.Connection, alias: str) -> None:
    """One job stays one job, under a number: owners must not become the same, and time by job stays the same."""
    jobs = [job for (job,) in db.execute(f"{_JOBS} ORDER BY 1").fetchall() if job]
    db.executemany("INSERT INTO gone_job VALUES(?,?)", [(job, f"{alias}.{number}") for number, job in enumerate(jobs, 1)])
    for table, key in (("process", "proc_id"), ("workload", "workload_id"), ("owner", "owner_id")):
        named = f"SELECT alias FROM gone_job j WHERE j.job={table}.job"
        db.execute(f"UPDATE {table} SET job=({named}) WHERE job<>'' AND {key} IN (SELECT {key} FROM gone_{table})")


def _rename_pids(db: sqlite3.Connection) -> None:
    """Pids become numbers below 0 that no running program has, links between processes and workloads included."""
    numbers = "SELECT min(pid) AS low FROM process UNION ALL SELECT min(root_pid) FROM workload UNION ALL SELECT 0"
    lowest = db.execute(f"SELECT min(low) FROM ({numbers})").fetchone()[0]
    keys = db.execute(
        "SELECT host_id, pid, start_ms FROM gone_process UNION SELECT host_id, pid, start_ms FROM gone_workload ORDER BY 1, 3, 2"
    ).fetchall()
    db.executemany("INSERT INTO gone_key VALUES(?,?,?,?)", [(*key, lowest - number) for number, key in enumerate(keys, 1)])
    for table, pid, start, only in (
        ("process", "pid", "start_ms", " AND proc_id IN (SELECT proc_id FROM gone_process)"),
        ("process", "parent_pid", "parent_start_ms", ""),
        ("process", "workload_pid", "workload_start_ms", ""),
        ("workload", "root_pid", "root_start_ms", " AND workload_id IN (SELECT workload_id FROM gone_workload)"),
    ):
        same = (
            f"SELECT alias FROM gone_key k WHERE k.host_id={table}.host_id AND k.pid={table}.{pid} AND k.start_ms={table}.{start}"
        )
        db.execute(f"UPDATE {table} SET {pid}=({same}) WHERE EXISTS ({same}){only}")


def _blank(db: sqlite3.Connection) -> None:
    """What is said of the person's processes and workloads; mutes of them go, since without their words they would mute everybody."""
    processes, workloads = "(SELECT proc_id FROM gone_process)", "(SELECT workload_id FROM gone_workload)"
    db.execute(
        "DELETE FROM mute WHERE EXISTS (SELECT 1 FROM gone_key k WHERE k.host_id=mute.host_id AND mute.subject GLOB"
        " 'job:'||k.pid||':'||k.start_ms||':*') OR (command<>'' AND EXISTS (SELECT 1 FROM process p WHERE p.proc_id IN"
        f" {processes} AND p.host_id=mute.host_id AND instr(p.command, mute.command)>0))"
    )
    db.execute(f"UPDATE process SET name='', command='', container='' WHERE proc_id IN {processes}")
    db.execute(f"UPDATE workload SET name='', model='' WHERE workload_id IN {workloads}")
    db.execute(f"UPDATE server SET detail='', hint='', url='', served_model='' WHERE workload_id IN {workloads}")
    db.execute(f"UPDATE trainer SET detail='', hint='', model='' WHERE proc_id IN {processes} OR workload_id IN {workloads}")
    db.execute(f"UPDATE run SET detail='', git_commit='', command='' WHERE workload_id IN {workloads}")
    db.execute(f"UPDATE event SET detail='', pid=NULL WHERE proc_id IN {processes}")
    db.execute(  # of a server whose root has no row of its own
        "UPDATE event SET detail='', pid=NULL WHERE proc_id IS NULL AND pid>0 AND EXISTS (SELECT 1 FROM gone_workload g"
        " WHERE g.host_id=event.host_id AND g.pid=event.pid AND g.start_ms<=event.ts_ms)"
    )
    db.execute(  # also those about a GPU whose holder has changed: they name who holds it last
        "UPDATE finding SET title=rule, evidence='', advice='', subject='', command='', detail='', sql='' WHERE owner_id IN"
        f" (SELECT owner_id FROM gone_owner) OR workload_id IN {workloads} OR (detail<>'' AND EXISTS (SELECT 1 FROM gone_process p"
        " WHERE p.host_id=finding.host_id AND p.start_ms<=finding.last_ms AND instr(finding.detail, 'PID '||p.pid||' ')>0))"
    )
    db.execute(
        "DELETE FROM meta WHERE key GLOB 'advice:*'"
    )  # what rules said last names who holds what; it is said again in a minute
    db.execute(
        "DELETE FROM missing WHERE entity IN ('process','workload')"
        " AND (host_id, entity_key) IN (SELECT host_id, pid||':'||start_ms FROM gone_key)"
    )
    db.execute(  # with a port
        "DELETE FROM missing WHERE entity='workload' AND EXISTS (SELECT 1 FROM gone_key k WHERE k.host_id=missing.host_id"
        " AND missing.entity_key GLOB k.pid||':'||k.start_ms||':*')"
    )


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


def _replace_word(db: sqlite3.Connection, name: str, alias: str) -> None:
    """The name as a word of its own in texts about other things (a path in somebody else's command, an event)."""
    word = _word(name)
    db.create_function("forget_word", 1, lambda text: word.sub(alias, text) if isinstance(text, str) else text, deterministic=True)
    for table, columns in _TEXTS.items():
        for column in columns:
            db.execute(f"UPDATE {table} SET {column}=forget_word({column}) WHERE instr({column}, ?)>0", (name,))


def _write_anew(db: sqlite3.Connection, table: str) -> None:
    """Pages keep what was once on them; a table that is emptied (its pages are wiped) and filled again holds only its rows."""
    db.execute(f"CREATE TEMP TABLE anew AS SELECT * FROM {table}")
    db.execute(f"DELETE FROM {table}")
    db.execute(f"INSERT INTO {table} SELECT * FROM anew")
    db.execute("DROP TABLE temp.anew")


def _empty_free_space(db: sqlite3.Connection) -> bool:
    before = -1
    while (free := db.execute("PRAGMA freelist_count").fetchone()[0]) and free != before:
        db.executescript(f"PRAGMA incremental_vacuum({_FREE_PAGES})")  # execute would free one page
        before = free
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return True
    return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)


def _remains(db: sqlite3.Connection, names: Iterable[str]) -> list[str]:
    """Columns in which a name is still part of a text."""
    columns: Sequence[tuple[str, str]] = [*_KEPT_TEXTS, *((table, column) for table, listed in _TEXTS.items() for column in listed)]
    found = []
    for table, column in columns:
        if any(db.execute(f"SELECT 1 FROM {table} WHERE instr({column}, ?)>0 LIMIT 1", (name,)).fetchone() for name in names):
            found.append(f"{table}.{column}")
    return found
