"""Standard streams that are closed, full, left by their reader or unable to show a character: one clear line or none."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpuwatch import output

GPUWATCH = f"{sys.executable} -m gpuwatch"


def shell(line: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which ``gpuwatch`` is the program."""
    line = line.replace("gpuwatch", GPUWATCH)
    return subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=60, env={**os.environ, **env})


@pytest.mark.parametrize("arguments", ["--version", "--help", "db path", "query --demo=gb10 'SELECT * FROM v_gpu_minute'"])
def test_a_reader_that_leaves_is_no_error(arguments: str) -> None:
    done = shell(f"(sleep 0.1; exec gpuwatch {arguments}) | true; echo ${{PIPESTATUS[0]}}")
    assert done.stdout == b"0\n"
    assert done.stderr.replace(b"gpuwatch: SIMULATED data, scenario gb10\n", b"") == b""


@pytest.mark.parametrize("arguments", ["--version", "db path"])
def test_no_room_for_the_output_is_said_in_one_line(arguments: str) -> None:
    done = shell(f"gpuwatch {arguments} > /dev/full")
    assert done.returncode == 3
    assert done.stderr == b"gpuwatch: the output could not be written: no space left on device\n"


def test_closed_streams_never_receive_what_is_printed(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    done = shell(f"gpuwatch record --for 1s --store {store} <&- >&- 2>&-; gpuwatch db check --store {store}")
    assert done.returncode == 0 and b"no damage" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_written_as_its_nearest(encoding: str) -> None:
    done = shell("gpuwatch --demo=gb10 status", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and not done.stderr
    text = done.stdout.decode(encoding)
    assert "1 x GB10" in text or "1 × GB10" in text
    assert json.loads(shell("gpuwatch --demo=gb10 status --json", PYTHONIOENCODING=encoding).stdout)["simulated"] is True


def test_what_is_for_programs_is_utf8_in_every_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, expected in ((False, "é·你".encode()), (True, b"\\xe9\\xb7\\u4f60")):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr(sys, "stdout", stream)
        output.as_data()
        stream.write("é·你")
        stream.flush()
        assert raw.getvalue() == expected
