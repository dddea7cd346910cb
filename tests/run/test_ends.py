"""A command's end is that of ``gpuwatch run``, and what it writes is all that is written."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.launched import WITHOUT, gpuwatch_run, run

Note = Callable[[], dict[str, Any]]


@pytest.mark.parametrize(
    ("script", "end", "noted"),
    [
        ("echo out; echo err >&2; exit 0", 0, {"exit_code": 0}),
        ("exit 7", 7, {"exit_code": 7}),
        ("exit 255", 255, {"exit_code": 255}),
        ("kill -TERM $$", -signal.SIGTERM, {"signal": signal.SIGTERM}),
        ("kill -INT $$", -signal.SIGINT, {"signal": signal.SIGINT}),
        ("kill -KILL $$", -signal.SIGKILL, {"signal": signal.SIGKILL}),
        ("ulimit -c unlimited; kill -ABRT $$", -signal.SIGABRT, {"signal": signal.SIGABRT}),
        ("kill -PIPE $$", -signal.SIGPIPE, {"signal": signal.SIGPIPE}),
    ],
)
def test_an_end_is_passed_on_and_noted(script: str, end: int, noted: dict[str, int], note: Note, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    done = run("sh", "-c", script, cwd=tmp_path / "work")
    assert done.returncode == end
    assert (done.stdout, done.stderr) == ((b"out\n", b"err\n") if "echo" in script else (b"", b""))
    found = note()
    assert {name: found[name] for name in ("exit_code", "signal") if name in found} == noted
    assert found["started_ms"] <= found["ended_ms"] and found["cwd"] == str(tmp_path / "work")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("no-such-command-here", 127, "no-such-command-here: command not found"),
        ("./nothing/here", 127, "./nothing/here: No such file or directory"),
        ("/", 126, "/: Permission denied"),
        ("", 127, "'': command not found"),
    ],
)
def test_what_cannot_be_started_says_so_as_a_shell_does(command: str, code: int, said: str, hooks: Path) -> None:
    done = run(command)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (code, b"", f"gpuwatch run: {said}\n")
    assert list(hooks.glob("*")) == []


def test_a_script_without_a_first_line_is_given_to_sh_as_shells_do(tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text('echo "$1"; exit 4\n', encoding="utf-8")
    script.chmod(0o755)
    done = run(str(script), "a b")
    assert (done.returncode, done.stdout, done.stderr) == (4, b"a b\n", b"")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "run needs a command"), (("--no-record",), "run needs a command"), (("--demo", "--", "true"), "it has no demo")],
)
def test_a_mistake_is_told_before_anything_starts(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments, prefix=[sys.executable, "-m", "gpuwatch", "run"])
    assert done.returncode == 2 and said in done.stderr.decode() and b"try: gpuwatch" in done.stderr


def test_a_mistake_in_the_settings_stops_no_training(tmp_path: Path, note: Note) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[store]\nmax_mb = 1\n", encoding="utf-8")
    done = run("echo", "secret words", prefix=gpuwatch_run("--config", str(config)))
    assert (done.returncode, done.stdout) == (0, b"secret words\n")
    assert done.stderr.decode() == f"gpuwatch run: settings not read: {config}: store.max_mb = 1 is outside 64 to 1000000\n"
    assert note()["command"] == ""  # how much of it may be kept is not known


def test_a_folder_that_others_can_write_to_leaves_the_command_unattached(hooks: Path) -> None:
    hooks.mkdir()
    hooks.chmod(0o777)
    done = run("sh", "-c", "echo $GPUWATCH_ATTACH$PYTHONPATH; exit 3")
    assert (done.returncode, done.stdout) == (3, b"\n")
    said = f"gpuwatch run: not attached: no folder for what it measures: {hooks} is open to others (mode 0777): chmod 700 it\n"
    assert done.stderr.decode() == said and list(hooks.iterdir()) == []
    assert run("true", prefix=gpuwatch_run("--quiet")).stderr == b""


def test_a_note_has_the_command_and_no_secrets(note: Note) -> None:
    run("true", "--api-key", "hunter2hunter2", "HF_TOKEN=hf_abcdefghijkl", "--lr", "3e-4")
    found = note()
    assert found["command"] == "true --api-key •••••••• HF_TOKEN=•••••••• --lr 3e-4"
    assert set(found) == {
        "version", "pid", "wrapper_pid", "starttime", "started_ms", "cwd", "command", "attach", "ended_ms", "exit_code",
    }  # fmt: skip


def test_a_reader_that_leaves_ends_the_command_as_without_gpuwatch() -> None:
    for prefix in (WITHOUT, gpuwatch_run()):
        with subprocess.Popen([*prefix, "sh", "-c", "while :; do echo y; done"], stdout=subprocess.PIPE) as process:
            assert process.stdout and process.stdout.read(2) == b"y\n"
            process.stdout.close()
            assert process.wait(20) == -signal.SIGPIPE
