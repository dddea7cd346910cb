"""Every key of the help on every screen, in tmux: what it did, and that no row wraps or is cut. Prints a log; exits 1 on a fault.

``python benchmarks/keys.py [SCENARIO...]`` plays the scenarios (``lab``, ``nccl-hang`` and ``serve``) at 80x24, 120x40 and 200x60.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

from textual.binding import Binding

from gpuwatch.format import cells
from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.screens.registry import INNER, SCREENS

SIZES = ((80, 24), (120, 40), (200, 60))
SCENARIOS = ("lab", "nccl-hang", "serve")
TO_A_SERVER = (*["escape"] * 5, "3", "slash", *"vllm", "enter", "enter", "enter")
"""From anywhere to the screen of a workload: the first process that the filter leaves, alone, and the server that it belongs to."""
NAMES = {"ctrl+p": "C-p", "escape": "Escape", "enter": "Enter", "space": "Space", "pageup": "PageUp", "pagedown": "PageDown", "home": "Home", "end": "End"}  # fmt: skip
NAMES |= {
    "equals_sign": "=",
    "underscore": "_",
    "shift+tab": "BTab",
    "up": "Up",
    "down": "Down",
    "tab": "Tab",
    "left": "Left",
    "right": "Right",
    "backspace": "BSpace",
    "shift+left": "S-Left",
    "shift+right": "S-Right",
}
NAMES |= {"slash": "/", "plus": "+", "minus": "-", "comma": ",", "full_stop": ".", "less_than_sign": "<", "greater_than_sign": ">", "question_mark": "?"}  # fmt: skip
OTHER_WORKLOAD = re.compile(r", \. other$")
LEAVING = {"q", "ctrl+z", "ctrl+c", "ctrl+q"}


class Tmux:
    """One program in a terminal of its own."""

    def __init__(self, scenario: str, size: tuple[int, int]) -> None:
        self.size = size
        self._socket = f"gpuwatch-keys-{os.getpid()}-{scenario}-{size[0]}"
        program = f"{sys.executable} -m gpuwatch --demo={scenario}; echo left with $?; sleep 60"
        self._call("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), program)

    def _call(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self._socket, *words], capture_output=True, text=True, check=False)
        return done.stdout

    def press(self, key: str) -> None:
        """Send one key as Textual names it."""
        self._call("send-keys", "--", NAMES.get(key, key))

    def rows(self) -> list[str]:
        """The screen as text."""
        return self._call("capture-pane", "-p").rstrip("\n").split("\n")

    def until(self, text: str | re.Pattern[str], seconds: float = 30) -> bool:
        """Wait for a text to stand on the screen."""
        end = time.monotonic() + seconds
        pattern = re.compile(re.escape(text)) if isinstance(text, str) else text
        while time.monotonic() < end:
            if any(pattern.search(row.rstrip()) for row in self.rows()):
                return True
            time.sleep(0.1)
        return False

    def close(self) -> None:
        """End the server of this terminal."""
        self._call("kill-server")


def faults(rows: list[str], size: tuple[int, int]) -> list[str]:
    """What is wrong with a screen: too many or too wide rows, a border that does not close."""
    found = []
    if len(rows) > size[1]:
        found.append(f"{len(rows)} rows")
    for number, row in enumerate(rows):
        if cells(row) > size[0]:
            found.append(f"row {number} is {cells(row)} wide")
        if row[:1] in "│╭╰" and row[:1] and (cells(row) != size[0] or row[-1] not in "│╮╯"):
            found.append(f"row {number} does not close: {row[-20:]!r}")
    if any("Traceback" in row or "left with" in row for row in rows):
        found.append("the program left")
    return found


def keys_of(screen: type[PanelScreen]) -> list[tuple[str, str]]:
    """(key, description) of all bindings on a screen, but those that leave."""
    out = {}
    for binding in (*GpuwatchApp.BINDINGS, *screen.BINDINGS):
        entry = binding if isinstance(binding, Binding) else Binding(*binding)
        for key in entry.key.split(","):
            if key.strip() not in LEAVING and not key.strip().isdigit():
                out[key.strip()] = entry.tooltip or entry.description
    return list(out.items())


def play(scenario: str, size: tuple[int, int]) -> int:
    """All screens and keys of one terminal; returns how many faults were seen."""
    tmux, bad = Tmux(scenario, size), 0
    try:
        if not tmux.until("LIVE"):
            print(f"{scenario} {size}: nothing live after 30 s: {tmux.rows()[:3]}")
            return 1
        for number, name in enumerate(SCREENS, 1):
            tmux.press(str(number))
            time.sleep(0.6)
            bad += tell(scenario, size, name, str(number), "the screen itself", [], tmux)
            bad += press_all(scenario, size, name, SCREENS[name], ("escape", str(number)), None, tmux)
        for name, screen in INNER.items():
            to(tmux, TO_A_SERVER)
            if tmux.until(OTHER_WORKLOAD, 3):
                bad += tell(scenario, size, name, "enter", "the screen itself", [], tmux)
                bad += press_all(scenario, size, name, screen, TO_A_SERVER, OTHER_WORKLOAD, tmux)
            else:
                print(f"{scenario}\t{size[0]}x{size[1]}\t{name}\t-\tno server there\t0 rows changed\tok")
        to(tmux, ("escape",) * 5)
        tmux.press("q")
        left = tmux.until("left with 0", 3)
        print(f"{scenario}\t{size[0]}x{size[1]}\tall\tq\tquit\t{'left with 0' if left else 'DID NOT LEAVE'}")
        return bad + (not left)
    finally:
        tmux.close()


def press_all(
    scenario: str,
    size: tuple[int, int],
    name: str,
    screen: type[PanelScreen],
    back: tuple[str, ...],
    mark: re.Pattern[str] | None,
    tmux: Tmux,
) -> int:
    """Every key of a screen, and after each the keys ``back`` to it, unless its ``mark`` still stands there; returns the faults."""
    bad = 0
    for key, what in keys_of(screen):
        before = tmux.rows()
        tmux.press(key)
        time.sleep(0.4)
        bad += tell(scenario, size, name, key, what, before, tmux)
        if key == "ctrl+p":  # the palette lies over the lower half: the mark above it still stands there
            to(tmux, ("escape",))
        if mark is None or not any(mark.search(row.rstrip()) for row in tmux.rows()):
            to(tmux, back)
            if mark is not None and not tmux.until(mark, 5):
                print(f"{scenario}\t{size[0]}x{size[1]}\t{name}\t{key}\t{what}\t-\tno way back")
                bad += 1
    return bad


def to(tmux: Tmux, keys: tuple[str, ...]) -> None:
    """Press ``keys`` and wait for what they show."""
    for key in keys:
        tmux.press(key)
        time.sleep(0.25 if key == "escape" else 0.1)  # a key right behind it would belong to a sequence that begins with ESC
    time.sleep(0.1)


def tell(scenario: str, size: tuple[int, int], screen: str, key: str, what: str, before: list[str], tmux: Tmux) -> int:
    """Print one line of the log."""
    rows = tmux.rows()
    wrong = faults(rows, size)
    changed = sum(a != b for a, b in zip(before, rows, strict=False)) if before else len(rows)
    print(f"{scenario}\t{size[0]}x{size[1]}\t{screen}\t{key}\t{what}\t{changed} rows changed\t{'; '.join(wrong) or 'ok'}")
    return len(wrong)


def main() -> int:
    """Play all."""
    bad = sum(play(scenario, size) for scenario in sys.argv[1:] or SCENARIOS for size in SIZES)
    print(f"{bad} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
