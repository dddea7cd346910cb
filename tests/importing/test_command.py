"""``gpuwatch import`` as people use it: names, refusals, exit codes, both forms of its answer."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.inprocess import Done, run_program
from support.json_schema import faults
from support.past_logs import ask, content

from gpuwatch.clock import FakeClock
from gpuwatch.imports import label_of
from gpuwatch.store.columns import SCHEMA_VERSION
from gpuwatch.store.writer import StoreWriter
from gpuwatch.view.schema import imports

HEADER = "timestamp, index, name, utilization.gpu [%], memory.used [MiB], power.draw [W]"


def log(path: Path, *, day: str = "2026/03/28", hour: int = 10, count: int = 120, zone: str = "", extra: str = "") -> Path:
    """Two GPUs at 1 Hz; the first is busy at 50 %, the second idle."""
    lines = [HEADER]
    for second in range(count):
        at = f"{day} {hour + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.250{zone}"
        lines += [f"{at}, 0, NVIDIA A40, 50 %, 3000 MiB, 200.00 W", f"{at}, 1, NVIDIA A40, 0 %, 4 MiB, 40.00 W"]
    path.write_text("\n".join(lines) + "\n" + extra, encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "gpuwatch.db"


def run(store: Path, *arguments: object) -> Done:
    return run_program("import", "--store", str(store), *map(str, arguments), clock=FakeClock(1_780_000_000.0))


def test_a_file_becomes_a_host_and_says_what_it_holds(tmp_path: Path, store: Path) -> None:
    done = run(store, log(tmp_path / "night run.csv"), "--tz", "Europe/Berlin")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith("night run.csv is now host night-run")
    assert "240 samples of 241 lines, 2 GPUs" in done.stdout and "a row every 1 s" in done.stdout
    assert "Sat 2026-03-28 10:00:00 to 10:01:59 CET (1 min)" in done.stdout
    assert "mean of samples 25.0 %, over time 25.0 %" in done.stdout
    assert lines[-1].strip().startswith("next: gpuwatch report --host night-run --since 2026-03-28T10:00+01:00 --until")
    assert ask(store, "SELECT host, rows_used, format FROM v_import") == [("night-run", 240, "nvidia-smi --query-gpu CSV")]
    assert ask(store, "SELECT DISTINCT machine_id, timezone FROM v_host") == [("import:night-run", "Europe/Berlin")]
    assert ask(store, "SELECT gpu_uuid, gpu_index, name FROM v_gpu ORDER BY gpu_index")[1] == (
        "import:night-run:1",
        1,
        "NVIDIA A40",
    )
    assert ask(store, "SELECT count(*) FROM tick") == [(0,)]


def test_json_says_the_same_and_fits_its_schema(tmp_path: Path, store: Path) -> None:
    done = run(store, log(tmp_path / "a.csv"), tmp_path / "no.csv", "--tz", "UTC", "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert faults(document, imports()) == []
    good, bad = document["files"]
    assert (good["state"], good["host"], good["rows_used"], good["start"]) == ("imported", "a", 240, 1774692000.25)
    assert good["columns"] == ["memory_used_bytes", "power_watts", "utilization_ratio"]
    assert (bad["state"], bad["rows_used"], bad["start"]) == ("failed", 0, None) and bad["message"]


def test_the_same_content_is_refused_by_any_name_packed_or_not(tmp_path: Path, store: Path) -> None:
    first = log(tmp_path / "a.csv")
    copy = tmp_path / "b.csv.gz"
    copy.write_bytes(gzip.compress(first.read_bytes()))
    run(store, first, "--tz", "UTC")
    before = content(store)
    done = run(store, first, copy, "--tz", "UTC", "--host", "other")
    assert done.returncode == 0
    assert [re.sub(r"on \S+ \S+", "on DATE", line.rpartition("/")[2]) for line in done.stdout.splitlines()] == [
        "a.csv: already imported on DATE as host a",
        "b.csv.gz: already imported on DATE as host a",
    ]
    assert content(store) == before


def test_two_files_of_one_name_are_two_hosts(tmp_path: Path, store: Path) -> None:
    (tmp_path / "x").mkdir()
    run(store, log(tmp_path / "a.csv"), log(tmp_path / "x" / "a.csv", hour=15), "--tz", "UTC")
    assert ask(store, "SELECT host FROM v_import ORDER BY 1") == [("a",), ("a-2",)]


def test_one_host_for_several_files(tmp_path: Path, store: Path) -> None:
    done = run(store, log(tmp_path / "a.csv"), log(tmp_path / "b.csv", count=180), "--tz", "UTC", "--host", "box")
    assert "240 left out: the GPU has a row at that time" in done.stdout
    assert ask(store, "SELECT count(*) FROM v_gpu") == [(2,)]
    assert ask(store, "SELECT sum(observed_seconds) FROM v_gpu_minute") == [(358.0,)]


def test_a_recorded_host_is_never_mixed_with_past_logs(tmp_path: Path, store: Path) -> None:
    from support.store_rows import first_tick, gpu_row, tick

    writer = StoreWriter.open(store, clock=FakeClock(1_780_000_000.0))
    writer.begin_session(1_763_130_720_000, 1000, "")
    writer.add(first_tick())
    writer.add(tick(1, gpu_row()))
    writer.commit()
    done = run(store, log(tmp_path / "lab.csv"), "--tz", "UTC", "--host", "lab")
    assert done.returncode == 2 and "lab is recorded in this store" in done.stderr
    assert run(store, tmp_path / "lab.csv", "--tz", "UTC").returncode == 0
    assert ask(store, "SELECT hostname, machine_id FROM host ORDER BY host_id") == [("lab-2", "import:lab-2"), ("lab", "m-1")]
    writer.add(tick(2, gpu_row()))
    assert writer.commit() and not writer.problem
    writer.close()
    status = run_program("status", "--store", str(store), clock=FakeClock(1_763_130_723.0))
    assert status.stdout.startswith("lab ") and "lab-2" not in status.stdout


def test_nothing_is_guessed(tmp_path: Path, store: Path) -> None:
    done = run(store, log(tmp_path / "a.csv"))
    assert done.returncode == 2 and "have no zone" in done.stderr and "--tz Europe/Berlin" in done.stderr
    assert ask(store, "SELECT count(*) FROM host") == [(0,)]
    done = run(store, log(tmp_path / "b.csv", zone="+05:30"))
    assert done.returncode == 0 and "10:00:00 to 10:01:59 UTC+05:30" in done.stdout
    assert ask(store, "SELECT utc_offset_seconds, hour_offset_seconds, timezone FROM host") == [(19800, 1800, "")]


def test_a_fixed_offset_is_a_zone_too(tmp_path: Path, store: Path) -> None:
    done = run(store, log(tmp_path / "a.csv"), "--tz=-03:30")
    assert done.returncode == 0 and "10:00:00 to 10:01:59 UTC-03:30" in done.stdout
    assert ask(store, "SELECT utc_offset_seconds, hour_offset_seconds, timezone FROM host") == [(-12600, 1800, "")]


def test_a_start_needs_a_zone_unless_it_has_one(tmp_path: Path, store: Path) -> None:
    (tmp_path / "a.csv").write_text("index, utilization.gpu [%]\n" + "0, 50 %\n" * 20)
    done = run(store, tmp_path / "a.csv", "--interval", "1s", "--start", "2026-03-28 10:00")
    assert done.returncode == 2 and "has no zone" in done.stderr
    done = run(store, tmp_path / "a.csv", "--interval", "1s", "--start", "2026-03-28T10:00:00-05:00")
    assert done.returncode == 0, done.stderr
    assert ask(store, "SELECT start_ms, end_ms, rows_used FROM v_import") == [(1774710000000, 1774710019000, 20)]


def test_the_store_is_left_readable_from_anywhere(tmp_path: Path, store: Path) -> None:
    run(store, log(tmp_path / "a.csv"), "--tz", "UTC")
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "gpuwatch.db"}
    assert ask(store, "PRAGMA journal_mode") == [("delete",)]


def test_standard_input_is_a_log_too(tmp_path: Path, store: Path) -> None:
    command = [sys.executable, "-m", "gpuwatch", "import", "--store", str(store), "--tz", "UTC", "-"]
    text = log(tmp_path / "a.csv").read_bytes()
    outputs = [subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode() for _ in range(2)]
    assert outputs[0].startswith("standard input is now host stdin\n")
    assert outputs[1].startswith("standard input: already imported on ")


def test_what_could_not_be_used_is_named_by_line(tmp_path: Path, store: Path) -> None:
    bad = "2026/03/28 10:03:00.250, 0, NVIDIA A40, [N/A], oops, 200.00 W\nnonsense, 1\n2026/03/28 10:04:00.2"
    done = run(store, log(tmp_path / "a.csv", extra=bad), "--tz", "UTC")
    assert done.returncode == 0 and "could not be used:" in done.stdout
    assert "line 242: " in done.stdout and "line 243: " in done.stdout


def test_nothing_usable_is_nothing_imported(tmp_path: Path, store: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "\n")
    done = run(store, tmp_path / "a.csv", "--tz", "UTC")
    assert done.returncode != 0 and "a.csv" in done.stderr and "Traceback" not in done.stderr
    assert ask(store, "SELECT count(*) FROM import_file") == [(0,)]


def test_a_dry_run_writes_nothing(tmp_path: Path, store: Path) -> None:
    done = run(store, log(tmp_path / "a.csv"), "--tz", "UTC", "--dry-run")
    assert done.returncode == 0 and "would be host a" in done.stdout and "240 samples" in done.stdout
    assert not store.exists()
    run(store, log(tmp_path / "b.csv", hour=11), "--tz", "UTC")
    before = store.read_bytes()
    assert run(store, tmp_path / "a.csv", "--tz", "UTC", "--dry-run", "--host", "b").returncode == 0
    assert store.read_bytes() == before


def test_a_simulated_store_takes_no_real_logs(tmp_path: Path, store: Path) -> None:
    StoreWriter.open(store, clock=FakeClock(1_780_000_000.0), simulated=True, scenario="lab").close()
    done = run(store, log(tmp_path / "a.csv"), "--tz", "UTC")
    assert done.returncode == 3 and "simulated" in done.stderr
    done = run_program("import", "--demo", "--store", str(store), str(tmp_path / "a.csv"))
    assert done.returncode == 2 and "demo" in done.stderr


def test_a_store_that_imports_began_is_real(tmp_path: Path, store: Path) -> None:
    run(store, log(tmp_path / "a.csv"), "--tz", "UTC")
    assert ask(store, "SELECT value FROM meta WHERE key='simulated'") == [("0",)]
    StoreWriter.open(store, clock=FakeClock(1_780_000_000.0)).close()


def test_a_newer_store_is_not_touched(tmp_path: Path, store: Path) -> None:
    run(store, log(tmp_path / "a.csv"), "--tz", "UTC")
    with closing(sqlite3.connect(store)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    before = store.read_bytes()
    done = run(store, log(tmp_path / "b.csv", hour=12), "--tz", "UTC")
    assert done.returncode == 3 and "newer gpuwatch" in done.stderr
    assert store.read_bytes() == before


def test_days_are_local_days_of_23_and_24_hours(tmp_path: Path, store: Path) -> None:
    """The clocks of Berlin went forward on 2026-03-29 at 2 o'clock."""
    lines = [HEADER]
    start = 1_774_738_800  # 2026-03-29 00:00 in Berlin
    for t in range(start - 7200, start + 48 * 3600, 30):
        lines.append(f"{t}, 0, NVIDIA A40, 40 %, 3000 MiB, 100.00 W")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert run(store, tmp_path / "a.csv", "--tz", "Europe/Berlin").returncode == 0
    days = ask(store, "SELECT t, observed_seconds FROM v_gpu_day ORDER BY t")
    assert days == [
        (start - 86400, 7200.0),
        (start, 23 * 3600.0),
        (start + 23 * 3600, 24 * 3600.0),
        (start + 47 * 3600, 3570.0),
    ]
    assert ask(store, "SELECT DISTINCT (SELECT sum(ms) FROM v_ledger_hour) - 50 * 3600000") == [(0,)]


def test_half_hour_zones_begin_their_hours_at_the_half(tmp_path: Path, store: Path) -> None:
    run(store, log(tmp_path / "a.csv", day="2026/03/28", hour=10, count=4000), "--tz", "Asia/Kolkata")
    assert [t % 3600 for (t,) in ask(store, "SELECT DISTINCT t FROM gpu_hour")] == [1800, 1800]
    assert ask(store, "SELECT DISTINCT t FROM gpu_day") == [(1_774_636_200,)]  # midnight in Kolkata


def test_a_store_with_imports_alone_says_so(tmp_path: Path, store: Path) -> None:
    run(store, log(tmp_path / "a.csv"), "--tz", "UTC")
    status = run_program("status", "--store", str(store), clock=FakeClock(1_780_000_000.0))
    assert status.returncode == 0
    assert "imported history only" in status.stdout and "gpuwatch report --host a" in " ".join(status.stdout.split())


def test_a_log_that_joins_tells_its_own_gaps(tmp_path: Path, store: Path) -> None:
    first = run(store, log(tmp_path / "a.csv"), "--tz", "UTC", "--host", "box")
    second = run(store, log(tmp_path / "b.csv", hour=12), "--tz", "UTC", "--host", "box")
    assert "is now host box" in first.stdout and "has joined host box" in second.stdout
    assert "gap" not in first.stdout + second.stdout
    assert ask(store, "SELECT gpu_uuid, duration_seconds, reason FROM v_gap") == [(None, 7081.0, "off")]


@pytest.mark.parametrize(("name", "label"), [("a/b.csv", "b"), ("gpu log.CSV.gz", "gpu-log"), ("x.2026-03.log", "x.2026-03"), ("..csv", "log"), ("日.txt", "日")])  # fmt: skip
def test_labels(name: str, label: str) -> None:
    assert label_of(name) == label
