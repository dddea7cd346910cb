"""Forgetting a person: every sum stays, the name is in no byte of the file, and a live recorder neither writes it again nor mixes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import T0, first_tick, gpu_row, process, process_row, tick

from gpuwatch.errors import StoreError, UsageError
from gpuwatch.ledger.types import BucketRow
from gpuwatch.measure import quantise
from gpuwatch.model import Event, Workload
from gpuwatch.names import Bucket, Cause, Missing, RunOutcome, Tier, TrainingSource
from gpuwatch.store import check
from gpuwatch.store.beside import open_beside
from gpuwatch.store.forget import Forgotten, find, forget, wipe
from gpuwatch.store.ledger_rows import process_owners, write_ledger
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import TrainingRow
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter
from gpuwatch.training import Run, Trainer, TrainingSample

NAME = "alicia"
SECRETS = (b"alicia", b"fluxmodel", b"fluxnet", b"train_flux", b"slurm 77", b"c0ffee", b"1234567")
HERS = {
    "uid": 1234567,
    "user": NAME,
    "command": "python3 train_flux.py",
    "job": "slurm 77",
    "container": "c0ffee",
    "workload_pid": 41,
    "workload_start_ms": T0 - 5000,
}
OTHER = {"uid": 7, "user": "bob", "command": f"cp /home/{NAME}/x .", "job": "slurm 78"}
STEP = quantise(TrainingSample(41, steps_total=1))
WORKLOAD = Workload(41, T0 - 5000, 0, "training", "fluxmodel", "fluxnet", "torch", "2", NAME, "slurm 77")
TRAINER = Trainer(42, T0 - 5000, 41, T0 - 5000, TrainingSource.HOOK, T0, detail=f"reads /home/{NAME}/log", model="fluxnet", rank=1)
RUN = Run(
    41, T0 - 5000, T0 - 5000, steps=90, detail="rank 1 of fluxmodel failed", git_commit="c0ffee", command="python3 train_flux.py"
)


def people(*pids: int) -> list[Any]:
    return [process(pid, **(HERS if pid < 50 else OTHER)) for pid in pids]


def owned(writer: StoreWriter, *pids: int) -> None:
    """A ledger minute in which each process has its own milliseconds."""
    db = writer.connection
    ids = dict(db.execute("SELECT pid, proc_id FROM process").fetchall())
    owners = process_owners(db, ids.values())
    rows = [BucketRow(owners[ids[pid]], Bucket.WAIT, Cause.NONE, Tier.N, pid * 100, pid) for pid in pids]
    write_ledger(db, 1, T0 // 1000, rows, True)


def recorded(writer: StoreWriter, seconds: int = 90) -> None:
    """Alicia's processes 41 and 42 and Bob's 90 on one GPU, with everything that may name her."""
    missing = {("process", f"41:{T0 - 5000}", "sm_utilization_ratio"): Missing.NOT_SUPPORTED}
    told = [Event(T0 + 1000, "kill", f"{NAME} ended train_flux", pid=41), Event(T0 + 1000, "note", f"quota of {NAME} is used up")]
    writer.add(
        first_tick(people=people(41, 42, 90), workloads=[WORKLOAD], missing=missing, events=told, trainers=[TRAINER], runs=[RUN])
    )
    for second in range(1, seconds + 1):
        held = [process_row(pid, sm_utilization_ratio=0.5, gpu_memory_bytes=2**30) for pid in (41, 42, 90)]
        row = TrainingRow(42, T0 - 5000, 41, T0 - 5000, 1000, STEP)
        writer.add(tick(second, gpu_row(utilization_ratio=0.5), held=held, training_rows=[row]))
    assert writer.commit(), writer.problem
    close_minutes(writer.connection, T0 + seconds * 1000)
    owned(writer, 41, 42, 90)


def forgotten(path: Path, user: str = NAME) -> Forgotten:
    with open_beside(path) as db:
        done = forget(db, user)
        assert wipe(db)
        return done


def sums(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """All that must not change by a person's going: time, energy, rows, in total and person by person."""
    out = []
    for sql in (
        "SELECT count(*), sum(observed_seconds), sum(sm_utilization_ratio), sum(gpu_memory_bytes) FROM v_process_minute",
        "SELECT sum(observed_seconds) FROM v_process_minute GROUP BY coalesce(user,''), pid ORDER BY 1",
        "SELECT sum(ms), sum(energy_mj) FROM v_ledger_minute",
        "SELECT sum(ms), count(DISTINCT job) FROM v_ledger_minute GROUP BY user ORDER BY 1",
        "SELECT count(*), sum(steps_total), sum(observed_seconds) FROM v_workload_minute",
        "SELECT count(*) FROM v_process",
        "SELECT count(*), sum(ts_ms) FROM v_event",
        "SELECT count(*), count(w.root_pid) FROM process p LEFT JOIN workload w ON w.workload_id=p.workload_id AND w.root_start_ms=p.workload_start_ms",
    ):
        out += db.execute(sql).fetchall()
    return out


def bytes_of(path: Path) -> bytes:
    return b"".join(p.read_bytes() for p in path.parent.glob(path.name + "*"))


def test_all_sums_stay_and_no_byte_names_her(writer: StoreWriter, path: Path) -> None:
    recorded(writer)
    before = sums(writer.connection)
    assert all(secret in bytes_of(path) for secret in SECRETS[:-1])
    with open_beside(path) as db:
        found = find(db, NAME)
        assert (found.processes, found.workloads, found.jobs) == (2, 1, 1)
        assert forget(db, NAME) == Forgotten("forgotten-1", found, ())
        assert wipe(db)
    assert sums(writer.connection) == before
    assert not [secret for secret in SECRETS if secret in bytes_of(path)]
    assert b"bob" in bytes_of(path) and b"cp /home/forgotten-1/x ." in bytes_of(path)
    db = writer.connection
    assert db.execute("SELECT DISTINCT user, uid, name, command, container, job FROM v_process WHERE pid<50").fetchall() == [
        ("forgotten-1", None, "", "", "", "forgotten-1.1")
    ]
    assert db.execute("SELECT name, model, engine, user, job FROM v_workload").fetchall() == [
        ("", "", "torch", "forgotten-1", "forgotten-1.1")
    ]
    assert db.execute("SELECT detail FROM v_event ORDER BY kind").fetchall() == [("",), ("quota of forgotten-1 is used up",)]
    assert db.execute("SELECT count(*) FROM missing").fetchone() == (0,)
    pids = db.execute("SELECT pid, parent_pid, workload_pid FROM process ORDER BY pid").fetchall()
    assert pids == [(-2, 0, -1), (-1, 0, -1), (90, 0, 0)]
    assert db.execute("SELECT root_pid FROM workload").fetchall() == [(-1,)]
    assert check.check(path) == []


def test_what_once_was_on_a_page_goes_too(writer: StoreWriter, path: Path) -> None:
    """A recorder's SQLite may leave deleted text on its pages; here it does for certain."""
    writer.connection.execute("PRAGMA secure_delete=OFF")
    recorded(writer)
    for number in range(200):
        writer.connection.execute("INSERT INTO event VALUES(?,1,1,NULL,NULL,NULL,'note',0,?)", (1000 + number, f"{NAME} " * 90))
    writer.connection.execute("DELETE FROM event WHERE event_id>=1000")
    writer.connection.execute("UPDATE process SET command='' WHERE pid=42")
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert writer.connection.execute("PRAGMA freelist_count").fetchone()[0] > 0
    assert bytes_of(path).count(NAME.encode()) > 200
    forgotten(path)
    assert NAME.encode() not in bytes_of(path)
    assert writer.connection.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_the_live_recorder_begins_a_new_account_and_never_writes_the_old_again(writer: StoreWriter, path: Path) -> None:
    recorded(writer, 30)
    writer.add(
        tick(31, gpu_row(), held=[process_row(41)], processes=[process(41, **{**HERS, "command": "python3 train_flux.py -v"})])
    )
    waiting = Event(T0 + 31_000, "kill", "train_flux stopped", pid=42)
    writer.add(tick(31, events=[waiting]))  # described, told and not written yet
    forgotten(path)
    writer.add(tick(32, gpu_row(), held=[process_row(41)]))
    assert writer.commit(), writer.problem
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not [secret for secret in SECRETS if secret in bytes_of(path)]
    rows = [process_row(41), process_row(42)]
    row = TrainingRow(42, T0 - 5000, 41, T0 - 5000, 1000, STEP)
    writer.add(tick(33, gpu_row(), held=rows, training_rows=[row]))
    writer.add(tick(34, gpu_row(), held=rows, processes=[process(43, **HERS)]))
    assert writer.commit(), writer.problem
    db = writer.connection
    users = "SELECT DISTINCT k.ts_ms/1000-?, coalesce(u.name,'?') FROM process_sample s JOIN tick k USING(tick_id) JOIN process p USING(proc_id) LEFT JOIN user_account u USING(user_id) WHERE p.pid<50 ORDER BY 1"
    seen = dict(db.execute(users, (T0 // 1000,)).fetchall())
    assert {seen[second] for second in range(1, 33)} == {"forgotten-1"}
    assert (seen[33], seen[34]) == (NAME, NAME)
    again = db.execute("SELECT pid, start_ms, name, command, job, workload_id IS NOT NULL FROM process WHERE user_id=(SELECT user_id FROM user_account WHERE name=?) ORDER BY pid", (NAME,)).fetchall()  # fmt: skip
    assert again == [
        (41, T0 - 5000, "python3", "python3 train_flux.py -v", "slurm 77", 1),
        (42, T0 - 5000, "python3", "python3 train_flux.py", "slurm 77", 1),
        (43, T0 - 5000, "python3", "python3 train_flux.py", "slurm 77", 1),
    ]
    assert db.execute("SELECT name, model FROM workload ORDER BY workload_id").fetchall() == [("", ""), ("fluxmodel", "fluxnet")]
    ranks = "SELECT p.pid>0, t.rank, t.model, t.detail, w.name FROM trainer t JOIN process p USING(proc_id) JOIN workload w ON w.workload_id=t.workload_id"
    assert db.execute(f"{ranks} ORDER BY 1").fetchall() == [(0, 1, "", "", ""), (1, 1, "fluxnet", TRAINER.detail, "fluxmodel")]
    runs = (
        "SELECT r.steps, r.command, r.git_commit, r.outcome, w.name FROM run r JOIN workload w USING(workload_id) ORDER BY run_id"
    )
    assert db.execute(runs).fetchall() == [(90, "", "", 0, ""), (90, RUN.command, "c0ffee", int(RunOutcome.RUNNING), "fluxmodel")]
    assert set(db.execute("SELECT uid FROM user_account WHERE name=?", (NAME,))) == {(1234567,), (None,)}  # a workload names no uid
    assert check.check(path) == []
    assert forgotten(path).alias == "forgotten-2"
    assert not [secret for secret in SECRETS if secret in bytes_of(path)]


def test_a_process_that_was_not_written_yet_is_new_activity(writer: StoreWriter, path: Path) -> None:
    recorded(writer, 5)
    writer.add(tick(6, gpu_row(), held=[process_row(44)], processes=[process(44, **HERS)]))
    forgotten(path)
    assert writer.commit(), writer.problem
    found = writer.connection.execute("SELECT user FROM v_process WHERE pid=44").fetchall()
    assert found == [(NAME,)] and check.check(path) == []


def test_a_recorder_that_starts_afterwards_finds_nothing_to_go_on_with(writer: StoreWriter, path: Path, open_writer: Any) -> None:
    recorded(writer, 5)
    writer.end_session()
    writer.close()
    forgotten(path)
    again = open_writer()
    again.add(tick(20, gpu_row(), held=[process_row(41)], processes=people(41)))
    assert again.commit()
    assert again.connection.execute("SELECT user FROM v_process WHERE pid<50 ORDER BY pid DESC").fetchall() == [
        (NAME,),
        ("forgotten-1",),
        ("forgotten-1",),
    ]


def test_an_open_screen_forgets_too(writer: StoreWriter, path: Path) -> None:
    recorded(writer, 5)
    with Window(path) as window:
        assert {who.user for who in window.identities([1, 2, 3]).values()} == {NAME, "bob"}
        forgotten(path)
        assert {who.user for who in window.identities([1, 2, 3]).values()} == {"forgotten-1", "bob"}


def test_a_reader_that_holds_an_old_state_is_said(writer: StoreWriter, path: Path) -> None:
    recorded(writer, 5)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM process").fetchone()
    with open_beside(path) as db:
        db.execute("PRAGMA busy_timeout=1")
        forget(db, NAME)
        assert not wipe(db)
    reader.execute("COMMIT")
    reader.close()
    assert writer.connection.execute("SELECT 1 FROM v_process WHERE user=?", (NAME,)).fetchall() == []


def test_it_either_happens_or_not(writer: StoreWriter, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(writer, 5)
    before = sorted(writer.connection.iterdump())
    monkeypatch.setattr("gpuwatch.store.forget._TEXTS", {"process": ("name",), "nowhere": ("name",)})
    with pytest.raises(StoreError, match="no such table"):
        forgotten(path)
    assert sorted(writer.connection.iterdump()) == before


@pytest.mark.parametrize("user", ["nobody-here", "", "alice", "forgotten-1", "99"])
def test_nobody_of_that_name(user: str, writer: StoreWriter, path: Path) -> None:
    recorded(writer, 2)
    with pytest.raises(UsageError), open_beside(path) as db:
        forget(db, user)


def test_a_uid_does_where_no_name_is_known(writer: StoreWriter, path: Path) -> None:
    writer.add(first_tick(people=[process(41, uid=1234567, user="")]))
    assert writer.commit()
    assert forgotten(path, "1234567").alias == "forgotten-1"
    assert writer.connection.execute("SELECT user, uid FROM v_process").fetchall() == [("forgotten-1", None)]


def test_the_same_person_under_two_accounts_is_one(writer: StoreWriter, path: Path) -> None:
    writer.add(first_tick(people=[process(41, **HERS), process(42, uid=1234567, user=""), process(43, uid=8, user=NAME)]))
    assert writer.commit()
    done = forgotten(path)
    assert done.found.accounts == 3
    assert writer.connection.execute("SELECT DISTINCT user, uid FROM v_process").fetchall() == [("forgotten-1", None)]


def test_a_name_inside_another_word_is_said_and_stays(writer: StoreWriter, path: Path) -> None:
    writer.add(first_tick(people=[process(41, **{**HERS, "user": "lab"}), process(90, **{**OTHER, "command": "collab lab lab-x"})]))
    assert writer.commit()
    done = forgotten(path, "lab")
    assert done.remains == ("host.hostname", "process.command")
    assert writer.connection.execute("SELECT command FROM v_process WHERE pid=90").fetchone() == ("collab forgotten-1 lab-x",)
