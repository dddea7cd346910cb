"""Each signal reaches the command exactly once, from whom and to whomever it was sent; stops and ends are those of the command."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable
from typing import Any

import pytest
from support.launched import PROBE, PYTHON, WITHOUT, Listening, gpuwatch_run, until
from support.terminal import Terminal

SENT = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGWINCH", "SIGALRM", "SIGRTMIN", "SIGCONT")
Note = Callable[[], dict[str, Any]]


def send(name: str, to: Callable[[int, int], None], target: int) -> None:
    to(target, getattr(signal, name))


@pytest.mark.parametrize("group", [False, True], ids=["to gpuwatch alone", "to the group"])
def test_a_signal_comes_once(group: bool) -> None:
    with Listening(start_new_session=True) as run:
        for name in SENT:
            send(name, os.killpg if group else os.kill, run.pid)
            assert run.heard() == name
        assert run.end() == (0, "")


def test_a_signal_to_every_process_one_by_one_comes_once() -> None:
    """As a scheduler or an init system ends a job."""
    with Listening(start_new_session=True) as run:
        for name in ("SIGTERM", "SIGTERM", "SIGUSR1"):
            for pid in sorted(group_of(run.pid), key=lambda pid: pid == run.pid):  # a slow machine must not look like a slow sender
                send(name, os.kill, pid)
            assert run.heard() == name
            settle(run.pid)
        assert run.end() == (0, "")


def test_signals_to_the_group_and_to_gpuwatch_alone_are_told_apart_again_and_again() -> None:
    with Listening(start_new_session=True) as run:
        for _ in range(3):
            for to in (os.killpg, os.kill, os.kill, os.killpg):
                send("SIGTERM", to, run.pid)
                assert run.heard() == "SIGTERM"
                settle(run.pid)
        assert run.end() == (0, "")


def test_without_its_witness_gpuwatch_passes_on_what_it_is_sent() -> None:
    with Listening(start_new_session=True) as run:
        (witness,) = group_of(run.pid) - {run.pid, run.command}
        os.kill(witness, signal.SIGKILL)
        until(lambda: witness not in group_of(run.pid))
        send("SIGTERM", os.kill, run.pid)
        assert run.heard() == "SIGTERM"


def test_a_kill_of_gpuwatch_leaves_the_command_alone() -> None:
    with Listening(start_new_session=True) as run:
        os.kill(run.pid, signal.SIGKILL)
        os.waitpid(run.pid, 0)
        until(lambda: group_of(run.command) == {run.command})  # the witness leaves with gpuwatch
        os.kill(run.command, signal.SIGTERM)
        assert run.heard() == "SIGTERM"


def test_a_command_that_is_stopped_alone_does_not_stop_gpuwatch() -> None:
    """Whoever continues it would not think of continuing gpuwatch as well."""
    with Listening(start_new_session=True) as run:
        os.kill(run.command, signal.SIGSTOP)
        until(lambda: state(run.command) == "T")
        os.kill(run.command, signal.SIGCONT)
        assert run.heard() == "SIGCONT" and state(run.pid) in ("R", "S")
        assert run.end() == (0, "")


def settle(pid: int) -> None:
    """Wait until every process of the group has taken its signals: two of one number that wait together are one."""
    until(lambda: not any(pending(one) for one in group_of(pid)))


def pending(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("ShdPnd:"))


def group_of(pid: int) -> set[int]:
    """The living processes of a process' group."""
    group, found = os.getpgid(pid), set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getpgid(int(name)) == group and state(int(name)) != "Z":
                found.add(int(name))
        except (ProcessLookupError, FileNotFoundError):
            pass
    return found


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


SHELL = ["bash", "--norc", "--noprofile", "-i"]


def in_a_shell(environ: dict[str, str] | None = None) -> Terminal:
    return Terminal(SHELL, (100, 30), {**os.environ, "PS1": "$ ", "TERM": "xterm", "HISTFILE": "", **(environ or {})})


def line(*words: str) -> str:
    return " ".join([*words, *PYTHON, PROBE, "listen"]) + "\r"


@pytest.mark.parametrize("prefix", [WITHOUT, gpuwatch_run()], ids=["plain", "gpuwatch run"])
def test_keys_of_a_terminal(prefix: list[str]) -> None:
    """ctrl-c and ctrl-backslash come once, ctrl-z stops the job for the shell, fg goes on with it: with gpuwatch as without."""
    with in_a_shell() as terminal:
        terminal.send(line(*prefix))
        terminal.until("ready")
        for keys, name in (("\x03", "SIGINT"), ("\x1c", "SIGQUIT"), ("\x03", "SIGINT")):
            before = terminal.text().count(name)
            terminal.send(keys)
            terminal.until(lambda text, name=name, before=before: text.count(name) == before + 1)
        terminal.send("\x1a")
        terminal.until("Stopped")
        terminal.send("fg\r")
        terminal.until("SIGCONT")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 90, 0, 0))
        terminal.until("SIGWINCH 90 20")
        terminal.send("\x1a")
        terminal.until(lambda text: text.count("Stopped") == 2)
        terminal.send("bg\r")
        terminal.until(lambda text: text.count("SIGCONT") == 2)
        terminal.send("kill -USR2 %1; wait %1; echo code=$?\r")
        terminal.until("code=5")
        text = terminal.text()
        assert [text.count(name) for name in ("SIGINT", "SIGQUIT", "SIGCONT", "SIGUSR2")] == [2, 1, 2, 1]


def test_a_ctrl_c_that_ends_the_command_ends_gpuwatch_and_the_script_around_it() -> None:
    with in_a_shell() as terminal:
        words = " ".join([*gpuwatch_run(), "sleep", "60"])
        terminal.send(f"bash -c '{words}; echo went on'\r")
        (sleeping,) = until_found(terminal, "sleep")
        terminal.send("\x03")
        terminal.until(lambda text: "^C" in text and text.rstrip().endswith("$"))
        terminal.send("echo code=$?\r")
        terminal.until("code=130")
        assert "went on" not in terminal.text().split("^C", 1)[1]
        assert not os.path.exists(f"/proc/{sleeping}")


def until_found(terminal: Terminal, name: str) -> list[int]:
    """The processes of that name in the terminal's session."""
    found: list[int] = []

    def look() -> list[int]:
        terminal.pump(0.02)
        found[:] = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if named(pid, terminal.pid) == name]
        return found

    until(look)
    return found


def named(pid: int, session: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip() if os.getsid(pid) == session else ""
    except (OSError, UnicodeDecodeError):
        return ""


def test_a_terminal_that_hangs_up_ends_the_command(note: Note) -> None:
    """gpuwatch run as the terminal's own program, as ``tmux new-window`` starts one: the kernel tells it alone."""
    with Terminal([*gpuwatch_run(), "sh", "-c", "echo ready; sleep 60"], (80, 24), dict(os.environ)) as terminal:
        terminal.until("ready")
        terminal.hang_up()
        assert terminal.wait(20) == -signal.SIGHUP
        assert note()["signal"] == signal.SIGHUP
