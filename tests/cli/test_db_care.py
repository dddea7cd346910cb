"""``db prune`` and ``db forget`` as they are typed, on a store of a simulated lab."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import kept

from gpuwatch.store.connection import open_read
from gpuwatch.store.lease import Lease
from gpuwatch.store.upgrade import upgrade

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Forty minutes of a lab in which alice has processes."""
    path = kept.unpack(kept.FOLDER / "schema-1.db.xz", tmp_path / "gpuwatch.db")
    upgrade(path)
    return path


def _answer(path: Path, sql: str) -> list[tuple[object, ...]]:
    db = open_read(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def _on_a_terminal(path: Path, typed: str, *arguments: str) -> str:
    """What the program prints on a terminal at which somebody types one line."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "gpuwatch", "--store", str(path), *arguments]
    child = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env={**os.environ, "TERM": "dumb"})
    os.close(terminal)
    os.write(controller, typed.encode() + b"\n")
    shown = b""
    while select.select([controller], [], [], 60)[0]:
        try:
            shown += os.read(controller, 65536)
        except OSError:  # the program has ended
            break
    child.wait()
    os.close(controller)
    return shown.decode().replace("\r\n", "\n")


def test_prune_says_what_went_and_how_much_smaller_the_file_is(store: Path, gpuwatch: Run) -> None:
    minutes = _answer(store, "SELECT count(*) FROM gpu_minute")
    _close_hours(store)
    options = ("db", "prune", "--keep-minutes", "1m", "--store", str(store))
    would = gpuwatch(*options, "--dry-run")
    assert would.returncode == 0, would.stderr
    assert re.search(r"^  minutes of GPUs +before \d{4}-\d\d-\d\d \d\d:\d\d +\d+ rows +[\d. ]+ [kM]B$", would.stdout, re.MULTILINE)
    assert would.stdout.splitlines()[-1].endswith("nothing was deleted.")
    assert _answer(store, "SELECT count(*) FROM gpu_minute") == minutes
    size = store.stat().st_size
    done = gpuwatch(*options)
    assert done.returncode == 0, done.stderr
    said = re.search(
        r": ([\d ]+) rows deleted; the file shrank by ([\d. ]+) (kB|MB) to ([\d. ]+) (kB|MB)\.$", done.stdout, re.MULTILINE
    )
    assert said is not None
    shrank = float(said[2].replace(" ", "")) * (1000 if said[3] == "kB" else 1_000_000)
    assert shrank == pytest.approx(size - store.stat().st_size, rel=0.05) and shrank > 0
    assert _answer(store, "SELECT count(*) FROM gpu_minute") < minutes
    assert gpuwatch(*options).stdout.endswith("nothing is older than it is kept.\n")


def _close_hours(path: Path) -> None:
    """As a recorder would that went on for three hours."""
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.hours import close_hours, close_ledger_hours

    with open_beside(path) as db:
        later = db.execute("SELECT max(ts_ms) FROM tick").fetchone()[0] + 3 * 3_600_000
        close_hours(db, later)
        close_ledger_hours(db, later)


def test_forget_beside_a_recorder(store: Path, gpuwatch: Run) -> None:
    lease = Lease.acquire(store, {"path": str(store)})
    assert lease is not None
    before = _answer(store, "SELECT sum(ms), sum(energy_mj) FROM v_ledger_minute")
    done = gpuwatch("db", "forget", "--user", "alice", "--yes", "--store", str(store))
    lease.release()
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert re.fullmatch(
        rf"{re.escape(str(store))}: alice is forgotten-1 from now on \(\d accounts?, 2 processes, \d workloads?, \d jobs?\). All sums are unchanged\.",
        first,
    )
    assert last.startswith("Not touched: backups, exports")
    assert b"alice" not in store.read_bytes()
    assert _answer(store, "SELECT sum(ms), sum(energy_mj) FROM v_ledger_minute") == before
    again = gpuwatch("db", "forget", "--user", "alice", "--yes", "--store", str(store))
    assert again.returncode == 2 and again.stderr.startswith("gpuwatch: the store knows no user 'alice'\n")


def test_forget_asks_before_it_does_it(store: Path, gpuwatch: Run) -> None:
    unasked = gpuwatch("db", "forget", "--user", "alice", "--store", str(store))
    assert unasked.returncode == 2
    assert unasked.stderr.splitlines() == [
        "gpuwatch: forgetting cannot be undone and nobody can be asked here",
        "  try: gpuwatch db forget --user alice --yes",
    ]
    shown = _on_a_terminal(store, "no", "db", "forget", "--user", "alice")
    assert "2 processes" in shown and "Forget alice? It cannot be undone. Type yes: " in shown and "nothing was changed" in shown
    assert _answer(store, "SELECT count(*) FROM v_process WHERE user='alice'") == [(2,)]
    shown = _on_a_terminal(store, "yes", "db", "forget", "--user", "alice")
    assert "alice is forgotten-1 from now on" in shown
    assert _answer(store, "SELECT count(*) FROM v_process WHERE user='alice'") == [(0,)]


def test_forget_reaches_the_stand_in_in_memory(store: Path, gpuwatch: Run, tmp_path: Path) -> None:
    """While the disk is full a recorder writes into memory: both files know people."""
    stand_in = tmp_path / "memory.db"
    stand_in.write_bytes(store.read_bytes())
    lease = Lease.acquire(store, {"path": str(stand_in)})
    assert lease is not None
    done = gpuwatch("db", "forget", "--user", "alice", "--yes", "--store", str(store))
    lease.release()
    assert done.stdout.count("alice is forgotten-1 from now on") == 2
    for path in (store, stand_in):
        assert b"alice" not in path.read_bytes()
