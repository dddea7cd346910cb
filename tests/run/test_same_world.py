"""A command cannot tell by what it is given that gpuwatch started it, but for the variables that attach the agent."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.launched import WITHOUT, environment, gpuwatch_run, probe

from gpuwatch.launch.attach import INJECT


def seen(prefix: list[str] | None = None, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(probe("world", prefix=prefix, **options).stdout)
    return found


@pytest.mark.parametrize(
    "argv",
    [
        (b"--d", b"--store", b"--demo", b"--", b"-x", b"--", b"run", b"-h"),
        (b"", b" ", b"a\nb", b"\xff\xfe\x80", "ü".encode(), b"--no-record", b"-"),
        (),
    ],
)
def test_arguments_arrive_as_they_are(argv: tuple[bytes, ...]) -> None:
    assert probe("argv", *argv).stdout == b"\0".join(argv)


def test_arguments_arrive_as_they_are_in_an_old_locale_and_without_dashes() -> None:
    argv = (b"\xff\xfe\x80", "ü".encode(), b"--demo", b"--", b"x")
    environ = environment({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    assert probe("argv", *argv, prefix=gpuwatch_run()[:-1], env=environ).stdout == b"\0".join(argv)


def test_everything_else_is_inherited(tmp_path: Path) -> None:
    """Signals, limits, nice, umask, open files: those of a command that was started plainly, whatever they are."""

    def odd() -> None:
        os.umask(0o027)
        os.nice(3)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.close(2)

    with open(tmp_path / "open", "wb") as file:
        options = {"preexec_fn": odd, "pass_fds": (file.fileno(),), "cwd": tmp_path, "stderr": None, "capture_output": False}
        options["stdout"] = subprocess.PIPE
        plain, below = seen(WITHOUT, **options), seen(**options)
    assert {name for name in plain if plain[name] != below[name]} == {"environment"}
    assert plain["nice"] == 3 and str(tmp_path / "open") in " ".join(plain["descriptors"])


@pytest.mark.parametrize("path", [None, "", "/a:/b", ":/a"])
def test_the_environment_has_three_variables_more_and_none_less(hooks: Path, path: str | None) -> None:
    environ = environment({"PYTHONPATH": path, "LANG": None, "LC_ALL": None, "LC_CTYPE": None})
    plain, below = seen(WITHOUT, env=environ)["environment"], seen(env=environ)["environment"]
    assert below == plain | {
        "GPUWATCH_ATTACH": "1",
        "GPUWATCH_DIR": str(hooks),
        "PYTHONPATH": f"{INJECT}:{path}" if path else INJECT,
    }


def test_a_run_inside_a_run_adds_nothing() -> None:
    inner = gpuwatch_run()
    once, twice = seen()["environment"], seen([*inner, *inner])["environment"]
    assert once == twice
