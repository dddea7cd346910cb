"""Builds the two stores that ``history.py`` asks: 30 days of 8 GPUs with 96 processes, and 90 days of 64 GPUs in hour and day rows.

Two days (or fewer hours) go second by second through the recorder's own pipeline (rows, minutes, ledger, hours, archive). The rest
repeats them into the past: chunks are shifted in time, those of GPUs decoded and encoded again with fresh noise on their power;
rollups are copied with fresh noise on their integrals; ledger and distributions are repeated as they are, since their sums must stay
exact. Processes and owners live for two days, minutes are kept as long as a recorder keeps them, and days are closed at the end as a
recorder closes them.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import archive_scene
from archive_size import record

from gpuwatch.store.archive import codec
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.archive.shapes import GPU
from gpuwatch.store.columns import GPU_ROLLUP, LEDGER, PROCESS_ROLLUP
from gpuwatch.store.days import close_days, close_hist_days, close_ledger_days
from gpuwatch.store.hours import close_hours, close_ledger_hours

HOUR_S, DAY_S = 3600, 86_400
REAL_HOURS = 48
BOARDS = archive_scene.STATES * 2
FAR = 1_000_000
"""Ids of one generation of processes are so far from those of the next."""
LIVES_H = 48
"""Hours that processes live."""
MINUTE_DAYS = {"gpu": 35, "process": 7, "ledger": 35}
"""As a recorder keeps them."""
_NOISY = {"gpu": GPU_ROLLUP, "process": PROCESS_ROLLUP}
_KEYS = ("t", "gpu_id", "proc_id", "obs_ms", "n")
Say = Callable[[str], None]


def real_days(path: Path, hours: int = REAL_HOURS) -> int:
    """Record ``hours`` of 8 GPUs through the pipeline; unix second of their end."""
    writer = record(path, archive_scene.ticks(hours, states=BOARDS))
    end_s = archive_scene.START_S + hours * HOUR_S
    close_all(writer.connection, end_s)
    writer.end_session()
    writer.close()
    return end_s


def close_all(db: sqlite3.Connection, end_s: int) -> None:
    """Close the hours that ended by ``end_s``; the ledger of the last one as if its look-ahead were over."""
    for close in (close_hours, close_ledger_hours):
        close(db, (end_s + 2 * HOUR_S) * 1000)
    seal_all(db, end_s * 1000)


def close_the_days(db: sqlite3.Connection, say: Say) -> None:
    """Close the days of all hosts."""
    for (host,) in db.execute("SELECT host_id FROM host").fetchall():
        db.execute("BEGIN")
        for close in (close_days, close_ledger_days, close_hist_days):
            close(db, (archive_scene.START_S + 400 * DAY_S) * 1000, host_id=host)
        db.execute("COMMIT")
        say(f"  days of host {host}")


# ----------------------------------------------------------------------------------------------- 30 days of one host


def a_month(path: Path, days: int, hours: int, say: Say, *, archive: bool = True) -> None:
    """Repeat the recorded hours of ``path`` into the past until there are ``days``; without ``archive`` rollups only."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    rng, repeats = random.Random(11), days * 24 // hours - 1
    chunks = (
        db.execute("SELECT kind, host_id, entity_id, t0_ms, t1_ms, n, codec, cols, body FROM chunk").fetchall() if archive else []
    )
    if not archive:
        db.execute("DELETE FROM chunk")
    for number in range(1, repeats + 1):
        back_s = number * hours * HOUR_S
        db.execute("BEGIN")
        lives = number * hours // LIVES_H
        if lives != (number - 1) * hours // LIVES_H:
            _people_of(db, 0, lives, back_s)
        for tier in ("minute", "hour"):
            _rollups(db, tier, lives, back_s)
        _distributions(db, back_s)
        db.executemany(
            "INSERT INTO chunk VALUES(?,?,?,?,?,?,?,?,?)", [_earlier(chunk, back_s * 1000, lives, rng) for chunk in chunks]
        )
        db.execute("COMMIT")
        say(f"  {number} of {repeats} repetitions")
    back_ms = repeats * hours * HOUR_S * 1000
    db.execute("UPDATE host SET first_ms=first_ms-?", (back_ms,))
    db.execute("UPDATE gpu SET first_ms=first_ms-?", (back_ms,))
    db.execute("UPDATE ledger_span SET t0=t0-?", (min(back_ms // 1000, MINUTE_DAYS["ledger"] * DAY_S),))
    close_the_days(db, say)
    db.execute("ANALYZE")
    db.close()


def _rollups(db: sqlite3.Connection, tier: str, number: int, back_s: int, gpu: int = 0) -> None:
    """One repetition of what was really recorded, in one tier; ``gpu`` is added to the ids of GPUs."""
    recorded = f"t>={archive_scene.START_S} AND gpu_id<={len(BOARDS)}"
    for what, columns in _NOISY.items():
        if tier == "minute" and back_s > MINUTE_DAYS[what] * DAY_S:
            continue
        cells = [_cell(name, number, back_s, gpu) for name in columns]
        own = f"{recorded} AND proc_id<{FAR}" if what == "process" else recorded
        db.execute(f"INSERT INTO {what}_{tier}({','.join(columns)}) SELECT {','.join(cells)} FROM {what}_{tier} WHERE {own}")
    cells = [f"t-{back_s}", f"gpu_id+{gpu}", f"CASE owner_id WHEN 0 THEN 0 ELSE owner_id+{number * FAR} END", *LEDGER[3:]]
    columns = LEDGER
    if tier == "minute" and back_s > MINUTE_DAYS["ledger"] * DAY_S:
        return
    if tier == "minute":
        cells, columns = [*cells, "1"], (*LEDGER, "final")
    own = f"{recorded} AND owner_id<{FAR}"
    db.execute(f"INSERT INTO ledger_{tier}({','.join(columns)}) SELECT {','.join(cells)} FROM ledger_{tier} WHERE {own}")


def _cell(name: str, number: int, back_s: int, gpu: int) -> str:
    if name == "t":
        return f"t-{back_s}"
    if name == "gpu_id":
        return f"gpu_id+{gpu}"
    if name == "proc_id":
        return f"proc_id+{number * FAR}"
    if name.endswith(("_pm_ms", "_mib_ms", "_mw_ms")) or name == "energy_used_mj":
        return f"{name}+{name}/1000*(abs(random())%21-10)/1000"
    return name


def _distributions(db: sqlite3.Connection, back_s: int, gpu: int = 0) -> None:
    db.execute(
        f"INSERT INTO hist_hour SELECT t-{back_s}, entity, entity_id+{gpu}, metric, bin, weight FROM hist_hour "
        f"WHERE t>={archive_scene.START_S} AND entity_id<={len(BOARDS)}"
    )


def _earlier(chunk: Sequence[object], back_ms: int, number: int, rng: random.Random) -> tuple[object, ...]:
    """A chunk at another time, its processes others, the power of a GPU with fresh noise."""
    kind, host, entity, t0_ms, t1_ms, n, form, cols, body = chunk
    assert isinstance(kind, int) and isinstance(t0_ms, int) and isinstance(t1_ms, int) and isinstance(cols, str)
    contents = codec.contents(cols)
    encoder = codec.Encoder(contents.columns, t0_ms - back_ms)
    for block in range(len(contents.blocks)):
        columns = codec.decode(cols, body, first=block, last=block + 1)  # type: ignore[arg-type]
        columns["ts_ms"] = [ts - back_ms for ts in columns["ts_ms"]]
        if kind == GPU:
            columns["power_mw"] = [None if v is None else v + rng.randrange(-300, 301) for v in columns["power_mw"]]
        if "proc_id" in columns:
            columns["proc_id"] = [proc + number * FAR for proc in columns["proc_id"]]
        for _ in encoder.add([columns[name] for name in contents.columns]):
            pass
    cols, body = encoder.finish()
    return kind, host, entity, t0_ms - back_ms, t1_ms - back_ms, n, form, cols, body


# -------------------------------------------------------------------------------------- 90 days of eight hosts, hours


def a_quarter(source: Path, path: Path, days: int, hours: int, hosts: int, say: Say) -> None:
    """Hours and days of ``hosts`` hosts like the recorded one, without minutes and archive."""
    path.write_bytes(b"")
    with sqlite3.connect(source) as old, sqlite3.connect(path) as new:
        old.backup(new)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("BEGIN")
    for table in (
        "chunk",
        "gpu_minute",
        "process_minute",
        "ledger_minute",
        "ledger_span",
        "tick",
        "gpu_sample",
        "process_sample",
        "host_sample",
    ):
        db.execute(f"DELETE FROM {table}")
    db.execute("COMMIT")
    repeats = days * 24 // hours
    for host in range(hosts):
        db.execute("BEGIN")
        if host:
            _host(db, host)
        for number in range(0 if host else 1, repeats):
            back_s, lives = number * hours * HOUR_S, host * 1000 + number * hours // LIVES_H
            if not number or lives != host * 1000 + (number - 1) * hours // LIVES_H:
                _people_of(db, host, lives, back_s)
            _rollups(db, "hour", lives, back_s, gpu=host * len(BOARDS))
            _distributions(db, back_s, gpu=host * len(BOARDS))
        db.execute("COMMIT")
        say(f"  host {host + 1} of {hosts}")
    back_ms = (repeats - 1) * hours * HOUR_S * 1000
    for table in ("host", "gpu"):
        db.execute(f"UPDATE {table} SET first_ms=first_ms-?", (back_ms,))
    close_the_days(db, say)
    db.execute("VACUUM")
    db.execute("ANALYZE")
    db.close()


def _host(db: sqlite3.Connection, number: int) -> None:
    """One more host with its GPUs; what is closed of it is what is closed of the first."""
    for table, key, texts in (("host", "host_id", ("machine_id", "hostname")), ("gpu", "gpu_id", ("uuid",))):
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        moved = {name: f"{name}||'-{number}'" for name in texts}
        moved |= {"host_id": f"host_id+{number}", **({key: f"{key}+{number * len(BOARDS)}"} if key != "host_id" else {})}
        where = "host_id=1" if table == "host" else f"gpu_id<={len(BOARDS)}"
        db.execute(f"INSERT INTO {table} SELECT {','.join(moved.get(n, n) for n in names)} FROM {table} WHERE {where}")
    db.execute(
        f"INSERT INTO user_account SELECT user_id+{number * FAR}, host_id+{number}, uid, name FROM user_account WHERE host_id=1"
    )
    db.execute(f"INSERT INTO rollup_state SELECT host_id+{number}, tier, done_s FROM rollup_state WHERE host_id=1")


def _people_of(db: sqlite3.Connection, host: int, number: int, back_s: int) -> None:
    """Processes and owners of one generation on one host."""
    if not number:
        return
    names = [row[1] for row in db.execute("PRAGMA table_info(process)")]
    user = f"user_id+{host * FAR}"
    moved = {"proc_id": f"proc_id+{number * FAR}", "host_id": f"host_id+{host}", "user_id": user}
    moved |= {name: f"{name}-{back_s * 1000}" for name in ("start_ms", "first_ms", "last_ms")}
    db.execute(f"INSERT INTO process SELECT {','.join(moved.get(n, n) for n in names)} FROM process WHERE proc_id<{FAR}")
    db.execute(
        f"INSERT INTO owner SELECT owner_id+{number * FAR}, host_id+{host}, CASE user_id WHEN 0 THEN 0 ELSE {user} END, job, workload_id, "
        f"CASE proc_id WHEN 0 THEN 0 ELSE proc_id+{number * FAR} END FROM owner WHERE owner_id<{FAR}"
    )
