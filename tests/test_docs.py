"""What the documents promise is what the program does: the keys are those of the help, the files those that are written."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("textual")

from gpuwatch.choices import hide_first_steps
from gpuwatch.testing import ContractError
from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.screens.help import lines_of
from gpuwatch.tui.screens.registry import INNER, SCREENS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(title: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = README.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def test_the_table_of_keys_is_the_help_of_all_screens() -> None:
    written: dict[str, str] = {}
    for keys, where, _ in table("Keys"):
        names = " ".join(re.findall(r"`([^`]+)`", keys)).split()
        for name in "123456" if "…" in keys else names:
            written[name] = where
    shown: dict[str, str] = {}
    for digit, screen in (SCREENS | INNER).items():
        for signs, _ in lines_of(screen.BINDINGS, short=False):
            shown[signs] = f"{shown[signs]} {digit}" if signs in shown else digit
    for signs, _ in lines_of(GpuwatchApp.BINDINGS, short=False):
        shown.update(dict.fromkeys(signs.split(), "all"))
    assert written == shown


def test_the_file_of_the_dismissed_first_steps_is_in_the_table(tmp_path: Path) -> None:
    hide_first_steps({"XDG_STATE_HOME": str(tmp_path), "HOME": "/nonexistent"})
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(f"`$XDG_STATE_HOME/{file.relative_to(tmp_path)}`" in where for _, where in table("What is stored where, and how to remove every trace"))  # fmt: skip


def test_every_file_of_a_recorder_that_was_killed_is_in_the_table(tmp_path: Path) -> None:
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "gpuwatch", "record", "--debug", "--demo=gb10", "--store", str(tmp_path / "gpuwatch.db")]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as recorder:
        assert recorder.stderr is not None
        assert any("recording to" in line for line in recorder.stderr)
        recorder.kill()
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"gpuwatch.db", "gpuwatch.db-wal", "gpuwatch.db.lock", "gpuwatch.log"} <= written
    named = " ".join(where for _, where in table("What is stored where, and how to remove every trace"))
    assert {name for name in written if name not in named and name.replace("gpuwatch.db", "….db") not in named} == set()


def test_the_collector_of_the_guide_keeps_the_contract(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "writing-a-collector.md").read_text(encoding="utf-8")
    module = tmp_path / "acme_gpuwatch.py"
    module.write_text("\n".join(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)), encoding="utf-8")
    names = runpy.run_path(str(module))
    names["test_contract"]()
    names["RECORDED"][0]["busy_percent"] = 3700
    with pytest.raises(ContractError, match="too large for ratio"):
        names["test_contract"]()
