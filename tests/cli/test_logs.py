"""The log file: private from its first line on, also after it was full, and never written through a link."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuwatch import logs


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    logs.configure(None, environ)
    yield logs.log_path(environ)
    logs.configure(None, environ)


def test_both_files_are_private_after_the_first_was_full(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MAX_BYTES", 2000)
    for number in range(40):
        logging.getLogger("gpuwatch.store").warning("line %d %s", number, "x" * 80)
    files = sorted(log.parent.iterdir())
    assert [file.name for file in files] == ["gpuwatch.log", "gpuwatch.log.1"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "line 39" in log.read_text()


def test_a_crash_before_the_log_was_set_up_goes_there_as_well(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(log.parents[1]))
    monkeypatch.setattr(logging.getLogger("gpuwatch"), "handlers", [])
    logs.note_crash(RuntimeError("early"))
    assert "early" in log.read_text()


def test_a_link_is_not_followed(log: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    log.parent.mkdir()
    log.symlink_to(victim)
    logging.getLogger("gpuwatch.store").warning("x")
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("topic", ["collectors", "recorder", "sql"])
def test_debug_writes_about_its_topic_alone(gpuwatch: Callable[..., Any], tmp_path: Path, topic: str) -> None:
    done = gpuwatch("record", "--for", "1s", "--demo=gb10", f"--debug={topic}", env={"XDG_STATE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    lines = logs.log_path({"XDG_STATE_HOME": str(tmp_path)}).read_text(encoding="utf-8").splitlines()
    detail = [line.split(" DEBUG ")[1] for line in lines if " DEBUG " in line]
    assert detail and all(line.startswith(f"gpuwatch.{topic}") for line in detail)
