"""The contract of the command line: exit codes, one clear line for what goes wrong, data on stdout and talk on stderr."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.program import Run

DEMO = ("--demo=lab",)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("frobnicate",), 2, "invalid choice"),
        (("status", "--sotre", "x"), 2, "unrecognized arguments"),
        (("--demo=labb", "status"), 2, "did you mean 'lab'"),
        (("--speed", "fast", "status"), 2, "is not a speed"),
        (("--tz", "Mars/Base", "status"), 2, "unknown time zone"),
        (("--debug=everything", "status"), 2, "unknown topic"),
        (("record", "--interval", "soon"), 2, "is not a duration"),
        (("record", "--interval", "0.1s", "--for", "1s"), 2, "outside 1 to 60"),
        (("query", "select 1"), 3, "there is no store"),
        (("db", "check"), 3, "there is no store"),
    ],
)
def test_what_goes_wrong_is_one_clear_line(gpuwatch: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = gpuwatch(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2 and done.stdout == ""


def test_an_unknown_key_in_the_config_names_the_nearest(gpuwatch: Run, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[record]\ncommit_second = 3\n")
    done = gpuwatch("--config", str(config), "status")
    assert done.returncode == 2 and "did you mean 'record.commit_seconds'?" in done.stderr


def test_without_a_terminal_the_screen_is_status_once(gpuwatch: Run) -> None:
    done = gpuwatch("--demo")
    assert done.returncode == 0
    assert "8 × H100" in done.stdout and "HELD IDLE" in done.stdout and "\x1b" not in done.stdout


def test_a_dumb_terminal_is_no_terminal(gpuwatch: Run) -> None:
    assert gpuwatch("--demo=gb10", env={"TERM": "dumb"}).returncode == 0


def test_demo_stands_before_and_after_the_command(gpuwatch: Run) -> None:
    before, after = gpuwatch("--demo=gb10", "status", "--json"), gpuwatch("status", "--demo=gb10", "--json")
    for done in (before, after):
        document = json.loads(done.stdout)
        assert document["simulated"] is True and len(document["gpus"]) == 1


def test_a_host_without_gpu_is_an_answer_not_a_failure(gpuwatch: Run) -> None:
    done = gpuwatch("status", env={"LD_LIBRARY_PATH": ""})
    if "No GPU" not in done.stdout:
        pytest.skip("this host has a GPU")
    assert done.returncode == 0 and "Try:" in done.stdout


def test_same_seed_and_span_give_the_same_bytes(gpuwatch: Run) -> None:
    now = int(time.time())
    sql = f"SELECT t, gpu_index, utilization_ratio, energy_joules FROM v_gpu_minute WHERE t BETWEEN {now - 7200} AND {now - 3600} ORDER BY t, gpu_index"
    first, again, other = (
        gpuwatch("--demo=gb10", "--seed", seed, "query", "--format", "csv", sql).stdout for seed in ("3", "3", "4")
    )
    assert first == again != other and first.count("\n") > 50


def test_doctor_names_every_check_and_the_source_of_every_setting(gpuwatch: Run) -> None:
    done = gpuwatch("doctor", "--json", env={"GPUWATCH_RECORD__COMMIT_SECONDS": "20"})
    document = json.loads(done.stdout)
    ids = [check["id"] for check in document["checks"]]
    assert done.returncode == 0 and len(ids) == len(set(ids))
    assert {"program", "who.user", "store.path", "store.writable", "recorder", "source.nvml", "source.procs"} <= set(ids)
    settings = {row["key"]: row for row in document["settings"]}
    assert settings["record.commit_seconds"]["value"] == 20
    assert settings["record.commit_seconds"]["source"] == "variable GPUWATCH_RECORD__COMMIT_SECONDS"
    assert "HELD" not in gpuwatch("doctor").stdout


def test_doctor_lists_a_store_that_cannot_be_read_as_one_more_check(gpuwatch: Run, tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("not a database, and longer than a header of one hundred bytes " * 4)
    done = gpuwatch("doctor", "--json", "--store", str(text))
    checks = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert (
        done.returncode == 0 and checks["store.readable"]["state"] == "missing" and "notes.db" in checks["store.readable"]["result"]
    )


@pytest.fixture
def store(gpuwatch: Run, tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    done = gpuwatch("record", "--store", str(path), "--for", "1s")
    assert done.returncode == 0, done.stderr
    return path


def test_record_for_a_while_then_db_and_query(gpuwatch: Run, store: Path, tmp_path: Path) -> None:
    assert gpuwatch("db", "path", "--store", str(store)).stdout.strip() == str(store)
    assert "no damage" in gpuwatch("db", "check", "--store", str(store)).stdout
    assert "already current" in gpuwatch("db", "upgrade", "--store", str(store)).stdout
    copy = tmp_path / "copy.db"
    assert gpuwatch("db", "backup", str(copy), "--store", str(store)).returncode == 0
    assert gpuwatch("db", "backup", str(copy), "--store", str(store)).returncode != 0
    rows = json.loads(gpuwatch("query", "--format", "json", "SELECT host FROM v_host", "--store", str(copy)).stdout)
    assert len(rows["rows"]) == 1
    assert store.stat().st_mode & 0o777 == 0o600


def test_query_cannot_write_and_sees_only_views(gpuwatch: Run, store: Path) -> None:
    for sql in ("DELETE FROM v_event", "DROP VIEW v_event", "SELECT * FROM process", "nonsense", "ATTACH '/etc/passwd' AS x"):
        done = gpuwatch("query", sql, "--store", str(store))
        assert done.returncode == 2 and "Traceback" not in done.stderr, sql


def test_a_real_store_never_takes_simulated_rows(gpuwatch: Run, store: Path) -> None:
    done = gpuwatch("--demo", "record", "--for", "1s", "--store", str(store))
    assert done.returncode == 3 and "holds real data" in done.stderr


def test_a_terminated_recorder_ends_clean_and_a_second_one_takes_over(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    command = [sys.executable, "-m", "gpuwatch", "record", "--store", str(path)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert first.stderr and "recording to" in first.stderr.readline()
    second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert second.stderr and f"(pid {first.pid}) holds" in second.stderr.readline()
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    assert "recording to" in second.stderr.readline()
    second.send_signal(signal.SIGTERM)
    assert second.wait(10) == 0
    with sqlite3.connect(path) as db:
        assert [row[0] for row in db.execute("SELECT clean FROM session ORDER BY session_id")] == [1, 1]
    first.stderr.close()
    second.stderr.close()
    db.close()


@pytest.mark.parametrize("kind", ["system", "user"])
def test_the_systemd_unit_is_valid(gpuwatch: Run, tmp_path: Path, kind: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "gpuwatch.service"
    unit.write_text(gpuwatch("record", "--print-unit", kind).stdout)
    flag = [] if kind == "system" else ["--user"]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", *flag, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0 and "gpuwatch.service" not in done.stderr, done.stderr


def test_an_internal_error_is_one_line_and_a_private_log(gpuwatch: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import gpuwatch.commands.doctor as d\ndef boom(*a): raise RuntimeError('boom')\nd.run = boom\n"
    )
    done = gpuwatch("doctor", env={"PYTHONPATH": str(broken)})
    assert done.returncode == 3 and "Traceback" not in done.stderr and "internal error: RuntimeError: boom" in done.stderr
    log = Path(os.environ["XDG_STATE_HOME"]) / "gpuwatch" / "gpuwatch.log"
    assert "Traceback" in log.read_text() and log.stat().st_mode & 0o777 == 0o600
