"""The screen in a real terminal: what is sent, how it ends, what is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.terminal import Terminal, python

PROGRAM = str(Path(__file__).resolve().parent.parent / "support" / "tui_program.py")
RESTORED = b"\x1b[?1049l"


def terminal(mode: str, *more: str, size: tuple[int, int] = (120, 40), **env: str) -> Terminal:
    base = {
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
    }
    return Terminal(python(PROGRAM, mode, *more), size, base | env)


def test_the_first_picture_is_whole_and_a_still_view_sends_nothing() -> None:
    with terminal("still") as term:
        text = term.until("? help  q quit".replace("  ", " "))
        assert text.count("HELD IDLE") == 2 and "● LIVE" in text
        term.until(lambda _: b"\x1b[?2026l" in term.raw.partition(b"\x1b[?1000h")[2])  # Textual has come and drawn
        term.pump(1.0)
        assert term.pump(2.5) == b""
        assert len(term.raw) <= 65_000
        term.send("q")
        assert term.wait(5) == 0
        assert RESTORED in term.raw


def test_a_moving_clock_costs_150_bytes_and_a_busy_host_three_kilobytes() -> None:
    for mode, limit in (("clock", 150), ("busy", 3000)):
        with terminal(mode) as term:
            term.until("t tree")
            term.pump(1.2)
            sent = b""
            while sent.count(b"\x1b[H") < 5:
                sent += term.pump(0.3)
                assert term.wait(0) is None
            frames = [len(frame) for frame in re.split(rb"\x1b\[H", sent)[1:-1]]
            assert sorted(frames)[len(frames) // 2] <= limit, (mode, frames)


def test_the_terminal_tells_its_size_not_the_environment() -> None:
    with terminal("still", COLUMNS="80", LINES="24") as term:
        term.until("? help q quit")
        term.send("3")
        rows = term.until("Disk").splitlines()  # a column that a narrow screen has no room for
        assert rows[39].startswith(" 1 Overview  2 GPUs") and len(rows[0].rstrip()) > 100
        term.send("q")
        assert term.wait(5) == 0


def test_q_leaves_while_the_source_hangs() -> None:
    for mode, seen in (("hung", "HELD IDLE"), ("never", "Waiting for the first sample")):
        with terminal(mode) as term:
            term.until(seen)
            term.send("q")
            assert term.wait(5) == 0
            assert RESTORED in term.raw


def test_sigterm_restores_the_terminal() -> None:
    with terminal("clock") as term:
        term.until("HELD IDLE")
        os.kill(term.pid, signal.SIGTERM)
        assert term.wait(5) == 128 + signal.SIGTERM
        assert RESTORED in term.raw


def test_a_lost_terminal_ends_the_program_after_its_flush(tmp_path: Path) -> None:
    flushed = tmp_path / "flushed"
    with terminal("clock", str(flushed)) as term:
        term.until("HELD IDLE")
        term.hang_up()
        assert term.wait(5) == 128 + signal.SIGHUP
    assert flushed.read_text() == "flushed"


def test_an_ignored_hangup_still_ends_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminal("clock") as term:
            term.until("HELD IDLE")
            term.hang_up()
            assert term.wait(5) == 128 + signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_color_sends_no_colour() -> None:
    with terminal("still", NO_COLOR="1") as term:
        text = term.until("? help q quit")
        assert "###" in text.splitlines()[2] or "effective 30%" in text
        codes = {part for sgr in re.findall(rb"\x1b\[([0-9;]*)m", term.raw) for part in sgr.split(b";")}
        assert codes <= {b"", b"0", b"1", b"2", b"7", b"22", b"27", b"39", b"49"}


def test_a_terminal_without_utf8_gets_ascii() -> None:
    with terminal("still", LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii") as term:
        text = term.until("? help q quit")
        assert text.isascii()
        assert "+- GPUs -" in text
        assert term.raw.isascii()


@pytest.mark.parametrize(
    ("env", "wanted"), [({"TERM": "xterm", "COLORTERM": ""}, rb"\x1b\[(1;)?9?[0-9;]*m"), ({"COLORTERM": ""}, rb"38;5;\d+")]
)
def test_lesser_terminals_get_their_own_colours(env: dict[str, str], wanted: bytes) -> None:
    with terminal("still", **env) as term:
        term.until("? help q quit")
        assert re.search(wanted, term.raw)
        assert b";2;" not in term.raw.replace(b"?2;", b"")


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (59, 20), (250, 70)])
def test_odd_sizes_start_and_leave(size: tuple[int, int]) -> None:
    with terminal("clock", size=size) as term:
        term.pump(1.5)
        term.send("q")
        assert term.wait(5) == 0


def test_importing_the_package_does_not_import_textual() -> None:
    code = "import sys, gpuwatch.tui; print(sorted(m for m in sys.modules if m.split('.')[0] in ('textual', 'rich', 'asyncio')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_stop_and_a_continue_paint_the_whole_screen_again() -> None:
    with terminal("clock") as term:
        term.until("t tree")  # the first picture, which stands before keys are read, does not name it
        term.send("\x1a")
        while not os.WIFSTOPPED(os.waitpid(term.pid, os.WUNTRACED | os.WNOHANG)[1]):
            term.pump(0.05)
        term.pump(0.3)
        assert term.raw.rindex(RESTORED) > term.raw.rindex(b"\x1b[?1049h")
        term.screen.reset()
        os.kill(term.pid, signal.SIGCONT)
        text = term.until("? help q quit")
        assert text.count("HELD IDLE") == 2 and "Where the GPU time went" in text
