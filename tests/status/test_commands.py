"""The commands ``status`` and ``query`` on a recorded store: exit codes, formats, and what they must not import."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.json_schema import faults
from support.story import Hold, Story, process

from gpuwatch.cli import main
from gpuwatch.clock import FakeClock
from gpuwatch.commands import status
from gpuwatch.commands.status import wants_color, width
from gpuwatch.model import Batch, Gpu, GpuSample, Host, HostSample
from gpuwatch.names import Context
from gpuwatch.parser import build_parser
from gpuwatch.runtime import Runtime
from gpuwatch.store.lease import Lease

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
HEAVY = {"textual", "rich", "sqlalchemy", "alembic", "pydantic", "psutil", "importlib.metadata", "asyncio"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    story = Story(tmp_path / "store.db", 2, simulated=True)
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.holds = [Hold(process(10, command="python train.py, with commas"), 0)]
    story.run(30)
    story.writer.end_session()
    story.writer.close()
    return tmp_path / "store.db"


def shown(story: Story, path: Path, option: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What ``status`` prints at the story's own time."""
    args = build_parser().parse_args(["status", "--store", str(path), option])
    runtime = Runtime.from_args(args, os.environ, clock=story.clock)
    assert status.run(args, runtime) == 0
    runtime.close()
    return capsys.readouterr().out


def test_status_reads_the_store_of_a_recorder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "real.db"
    story = Story(path, 2)
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.run(30)
    lease = Lease.acquire(path, {"path": str(path)})
    assert lease is not None
    try:
        text, document = (shown(story, path, option, capsys) for option in ("--tz=UTC", "--json"))
    finally:
        lease.release()
    assert text.startswith("node-07   2 × H100 80GB")
    document = json.loads(document)
    assert faults(document, json.loads((SCHEMAS / "status.json").read_text(encoding="utf-8"))) == []
    assert [gpu["gpu_uuid"] for gpu in document["gpus"]] == ["GPU-0", "GPU-1"]
    assert document["kind"] == "status"


def test_query_prints_a_table(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["query", "--store", str(store), "SELECT gpu_index, utilization_ratio, sm_active_ratio FROM v_gpu_now ORDER BY 1"])
        == 0
    )
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines == [["gpu_index", "utilization_ratio", "sm_active_ratio"], ["0", "0.9", "–"], ["1", "0.0", "–"]]
    assert "SIMULATED" in err


def test_query_prints_csv_that_can_be_read_back(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--store", str(store), "--format", "csv", "SELECT pid, command, container FROM v_process"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["pid", "command", "container"], ["10", "python train.py, with commas", ""]]


def test_query_prints_json(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--store", str(store), "--json", "SELECT gpu_index, sm_active_ratio FROM v_gpu_now ORDER BY 1"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["simulated"] is True
    assert document["rows"] == [{"gpu_index": 0, "sm_active_ratio": None}, {"gpu_index": 1, "sm_active_ratio": None}]


def test_doctor_fits_the_published_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--store", str(tmp_path / "none.db")]) in (0, 3)
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "doctor"
    assert faults(document, json.loads((SCHEMAS / "doctor.json").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "DELETE FROM gpu", "SELECT * FROM gpu_sample", "SELEC 1"])
def test_a_wrong_question_is_one_line_and_exit_code_2(store: Path, sql: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--store", str(store), sql]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert "Traceback" not in err


@pytest.mark.parametrize("live", [True, False])
def test_status_shows_the_store_that_was_named_or_what_its_recorder_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], live: bool
) -> None:
    written, asked = tmp_path / "elsewhere.db", tmp_path / "asked.db"
    story = Story(written if live else asked, 2)
    story.run(30)
    lease = Lease.acquire(asked, {"path": str(written)}) if live else None
    try:
        document = json.loads(shown(story, asked, "--json", capsys))
        assert main(["query", "--store", str(asked), "--json", "SELECT gpu_uuid FROM v_gpu"]) == 0
    finally:
        if lease:
            lease.release()
    assert [gpu["gpu_uuid"] for gpu in document["gpus"]] == ["GPU-0", "GPU-1"]
    assert "GPU-1" in capsys.readouterr().out


class _TwoReadings:
    """A GPU that moves 1000 bytes a millisecond and a disk that does as well."""

    name, interval_seconds = "two", 1.0

    def __init__(self, clock: FakeClock) -> None:
        self._clock, self._last_ns = clock, clock.monotonic_ns()

    def open(self) -> None: ...

    def close(self) -> None: ...

    def collect(self, now: float) -> Batch:
        at_ns = self._clock.monotonic_ns()
        moved, self._last_ns = (at_ns - self._last_ns) / 1000, at_ns
        gpu, host = Gpu("GPU-0", 0, "H100", gpm_supported=True), Host("machine", "node")
        return Batch(
            self.name,
            int(now),
            at_ns,
            0,
            host=host,
            gpus=[gpu],
            gpu_samples=[GpuSample("GPU-0", pcie_rx_bytes=moved)],
            host_sample=HostSample(disk_read_bytes=moved),
        )


def test_amounts_of_one_sample_are_rated_by_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    args = build_parser().parse_args(["status"])
    runtime = Runtime.from_args(args, os.environ, clock=FakeClock())
    monkeypatch.setattr(runtime, "collectors", lambda: [_TwoReadings(runtime.clock)])
    db = runtime.sample_once()
    for table, column in (("gpu_sample", "pcie_rx_kib"), ("host_sample", "disk_read_kib")):
        amount, dt_ms = db.execute(f"SELECT {column}, dt_ms FROM {table} WHERE dt_ms>0").fetchone()
        assert dt_ms == 120 and amount == round(120_000 / 1024)
    db.close()


def test_without_a_store_query_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--store", str(tmp_path / "none.db"), "SELECT 1"]) == 3
    assert "gpuwatch record" in capsys.readouterr().err


def test_status_and_query_import_nothing_heavy(store: Path) -> None:
    code = (
        "import sys; from gpuwatch.cli import main; rc = main(sys.argv[1:]);"
        "print(rc, *sorted(sys.modules), sep='\\n', file=sys.stderr)"
    )
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for arguments in (["status", "--store", str(store)], ["query", "--store", str(store), "SELECT 1"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, env=environ, timeout=60
        )
        modules = done.stderr.split()
        assert "0" in modules
        assert not HEAVY & set(modules)


def test_colours_need_a_terminal_and_nobody_against_them() -> None:
    assert wants_color({"TERM": "xterm"}, "auto", tty=True)
    assert not wants_color({"TERM": "xterm"}, "auto", tty=False)
    assert not wants_color({"TERM": "xterm", "NO_COLOR": "1"}, "auto", tty=True)
    assert not wants_color({"TERM": "dumb"}, "auto", tty=True)
    assert not wants_color({"TERM": "xterm"}, "none", tty=True)


def test_the_width_is_that_of_the_environment() -> None:
    assert width({"COLUMNS": "132"}) == 132
    assert width({"COLUMNS": "0"}) == width({"COLUMNS": "wide"})
