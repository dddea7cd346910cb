"""An imported host goes with all its rows and no others, in pieces that can be interrupted, and its log can be imported anew."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support.inprocess import Done, run_program
from support.past_logs import T0, ask, content, imported, new_store, row
from support.store_rows import first_tick, gpu_row, tick

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.importers.types import LogProcessRow, LogRow
from gpuwatch.measure import quantise
from gpuwatch.model import Process, ProcessSample
from gpuwatch.recorder.importing import job
from gpuwatch.store.beside import open_beside
from gpuwatch.store.forget_host import find_host, forget_host
from gpuwatch.store.writer import StoreWriter

PEOPLE = [Process(7, 1, "train", user="ann")]
HEADER = "timestamp, index, name, utilization.gpu [%], memory.used [MiB], power.draw [W]"


def rows(count: int = 400, start: int = T0, gpus: str = "01") -> list[LogRow | LogProcessRow]:
    """GPUs at a row every 20 s over days and a gap, with a process; their energy counter goes on over the gap."""
    out: list[LogRow | LogProcessRow] = []
    for n in range(1, count + 1):
        at = start + n * 20_000 + (n > count // 2) * 86_400_000
        out += [row(at, gpu, utilization_ratio=n % 7 / 10, power_watts=100.0 + n, energy_joules=n + 0.5) for gpu in gpus]
        out.append(LogProcessRow(at, (7, 1), "0", quantise(ProcessSample(7, gpu_memory_bytes=1 << 30))))
    return out


def log(path: Path, minutes: int = 90) -> Path:
    lines = [HEADER]
    for second in range(0, minutes * 60, 5):
        at = f"2026/03/28 {10 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        lines += [f"{at}, 0, NVIDIA A40, 50 %, 3000 MiB, 200.00 W", f"{at}, 1, NVIDIA A40, 0 %, 4 MiB, 40.00 W"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def everything(store: Path) -> dict[str, list[Any]]:
    """All rows of all tables, but for the borders of bins, which belong to nobody, and the lives of connections."""
    with closing(sqlite3.connect(store)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in tables if name not in ("hist_bin", "meta")}


def run(store: Path, *arguments: object) -> Done:
    command, *more = map(str, arguments)
    return run_program(*command.split(), "--store", str(store), *more, clock=FakeClock(1_780_000_000.0))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return new_store(tmp_path / "gpuwatch.db")


def test_a_wrong_zone_is_put_right_beside_a_recorder(tmp_path: Path, store: Path) -> None:
    writer = StoreWriter.open(store, clock=FakeClock(1_780_000_000.0))
    writer.begin_session(1_763_130_720_000, 1000, "")
    writer.add(first_tick())
    writer.add(tick(1, gpu_row()))
    writer.commit()
    assert run(store, "import", log(tmp_path / "other.csv", 80), "--tz", "UTC").returncode == 0
    before = everything(store)
    assert run(store, "import", log(tmp_path / "gpu.csv"), "--tz", "UTC").returncode == 0
    done = run(store, "db forget", "--host", "gpu", "--yes")
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.startswith(f"{store}: host gpu is forgotten: 1 file (2 160 samples) and ") and "; the file shrank by " in first
    assert last.startswith("It may be imported again.")
    assert everything(store) == before
    assert run(store, "import", log(tmp_path / "gpu.csv"), "--tz", "Europe/Berlin").returncode == 0
    begun, zone = ask(store, "SELECT start_ms, zone FROM v_import WHERE host='gpu'")[0]
    assert (begun, zone) == (1_774_688_400_000, "Europe/Berlin")  # 10:00 CET, 09:00 UTC
    assert ask(store, "SELECT min(t), max(t) FROM v_gpu_minute WHERE host='gpu'") == [(1_774_688_400, 1_774_693_740)]
    writer.add(tick(2, gpu_row()))
    assert writer.commit() and not writer.problem
    writer.close()


def test_only_imported_hosts_and_only_by_name(tmp_path: Path, store: Path) -> None:
    writer = StoreWriter.open(store, clock=FakeClock(1_780_000_000.0))
    writer.begin_session(1_763_130_720_000, 1000, "")
    writer.add(first_tick())
    writer.commit()
    writer.close()
    imported(store, rows(40), processes=PEOPLE)
    before = everything(store)
    recorded = run(store, "db forget", "--host", "lab", "--yes")
    assert recorded.returncode == 2
    assert (
        recorded.stderr.splitlines()[0] == "gpuwatch: lab was recorded here, not imported: only hosts of past logs can be forgotten"
    )
    unknown = run(store, "db forget", "--host", "nobody", "--yes")
    assert unknown.returncode == 2 and unknown.stderr.startswith("gpuwatch: no past log was imported as host 'nobody'\n")
    unasked = run(store, "db forget", "--host", "box")
    assert unasked.returncode == 2 and unasked.stderr.endswith("  try: gpuwatch db forget --host box --yes\n")
    assert run(store, "db forget", "--yes").returncode == 2
    assert run(store, "db forget", "--host", "box", "--user", "ann", "--yes").returncode == 2
    assert everything(store) == before


def test_the_host_leaves_nothing_and_takes_nothing_else(store: Path) -> None:
    imported(store, rows(gpus="012"), name="a", label="one", processes=PEOPLE)
    before = everything(store)
    imported(store, rows(), name="b", label="two", processes=PEOPLE)
    own = [table for table, found in everything(store).items() if found != before[table]]
    assert {"chunk", "gap", "gap_energy", "process", "user_account", "owner", "process_day", "ledger_day", "hist_day"} <= set(own)
    with open_beside(store) as db:
        deleted = sum(forget_host(db, find_host(db, "two")))
    assert everything(store) == before
    with open_beside(store) as db:
        assert sum(forget_host(db, find_host(db, "one"))) > deleted
    assert all(found == [] for found in everything(store).values())


def test_interrupted_anywhere_it_is_never_taken_for_the_whole_and_goes_on(tmp_path: Path, store: Path) -> None:
    imported(store, rows(80), name="a", label="one", processes=PEOPLE)
    before = everything(store)
    path = log(tmp_path / "box.csv", 3)
    run(store, "import", path, "--tz", "UTC")
    whole = store.read_bytes()
    with open_beside(store) as db:
        slices = len(list(forget_host(db, find_host(db, "box"))))
    assert slices > 10
    for stop in range(1, slices):
        store.write_bytes(whole)
        with open_beside(store) as db:
            list(islice(forget_host(db, find_host(db, "box")), stop))
        assert ask(store, "SELECT DISTINCT host FROM v_import WHERE host<>'one'") == [("box (being forgotten)",)]
        with open_beside(store) as db:
            host = find_host(db, "box")
            assert host.half and (host.name, host.files, host.rows) == ("box", 1, 72)
            assert find_host(db, "box (being forgotten)") == host
            list(forget_host(db, host))
        assert everything(store) == before, stop


def test_no_log_joins_a_host_that_is_half_forgotten(tmp_path: Path, store: Path) -> None:
    path, more = log(tmp_path / "box.csv", 3), log(tmp_path / "more.csv", 4)
    run(store, "import", path, "--tz", "UTC")
    with open_beside(store) as db:
        next(forget_host(db, find_host(db, "box")))
    for arguments in ((path,), (more, "--host", "box")):
        done = run(store, "import", *arguments, "--tz", "UTC")
        assert done.returncode == 2 and "host box is half forgotten" in done.stderr
        assert "gpuwatch db forget --host box --yes" in done.stderr
    assert run(store, "db forget", "--host", "box", "--yes").returncode == 0
    assert run(store, "import", more, "--tz", "UTC", "--host", "box").returncode == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from gpuwatch.store.beside import open_beside
from gpuwatch.store.forget_host import find_host, forget_host
with open_beside(Path(sys.argv[1])) as db:
    for number, _ in enumerate(forget_host(db, find_host(db, "box"))):
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_is_made_good_by_doing_it_again(store: Path) -> None:
    imported(store, rows(), processes=PEOPLE)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store)], env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert ask(store, "SELECT hostname FROM host") == [("box (being forgotten)",)]
    done = run(store, "db forget", "--host", "box", "--yes")
    assert done.returncode == 0, done.stderr
    assert all(found == [] for found in everything(store).values())


def _late(store: Path, new: list[Any], act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    """Import rows as ``box``, while something else happens to the store just before they would be written."""
    done: list[bool] = []

    def copy(*arguments: Any) -> None:
        if not done:
            done.append(True)
            act()
        real(*arguments)

    real = job.copy
    with patch.context() as patched:
        patched.setattr(job, "copy", copy)
        imported(store, new, name="late", interval_ms=20_000)


@pytest.mark.parametrize("slices", [1, 5, None])
def test_a_host_that_is_forgotten_while_a_log_joins_it_does_not_come_back(
    tmp_path: Path, store: Path, slices: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [each for each in rows() if isinstance(each, LogRow)]
    new = [row(each.ts_ms + 7000, each.gpu, power_watts=50.0) for each in old]
    imported(store, old, interval_ms=20_000)
    imported(store, old, name="b", label="other", interval_ms=20_000)  # so that no lowest id changes when the other one goes

    def forget() -> None:
        with open_beside(store) as db:
            list(islice(forget_host(db, find_host(db, "box")), slices))

    _late(store, new, forget, monkeypatch)
    half = [] if slices is None else ["box (being forgotten)"]
    assert [name for (name,) in ask(store, "SELECT hostname FROM host ORDER BY 1")] == ["box", *half, "other"]
    alone = new_store(tmp_path / "alone.db")
    imported(alone, new, interval_ms=20_000)
    assert _of_box(store) == _of_box(alone)


def test_two_logs_that_join_one_host_at_once_are_both_there(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = [row(each.ts_ms, each.gpu, power_watts=100.0) for each in rows() if isinstance(each, LogRow)]
    parts = [[each for n, each in enumerate(old) if n // 40 % 3 == part] for part in range(3)]
    imported(store, parts[0], name="a", interval_ms=20_000)
    _late(store, parts[1], lambda: imported(store, parts[2], name="c", interval_ms=20_000), monkeypatch)
    whole = new_store(tmp_path / "whole.db")
    imported(whole, old, interval_ms=20_000)
    assert _of_box(store) == _of_box(whole)


def _of_box(store: Path) -> dict[str, list[Any]]:
    """What is told of the host that is called so, but for gaps, which name a GPU without its host."""
    found = {table: [r for r in own if "'import:box'" in repr(r)] for table, own in content(store).items() if table != "gap"}
    assert found["gpu_day"] and found["rows"]
    return found
