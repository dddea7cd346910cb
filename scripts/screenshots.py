"""Pictures of the screen from simulated scenarios: fixed clock, fixed seed, so that the same program draws the same bytes.

``screenshots.py [--check] [--png] [NAME...]``: writes ``screenshots/NAME.svg``; ``--check`` only says which would change.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

for _name in ("NO_COLOR", "COLORTERM", "TERM", *[name for name in os.environ if name.startswith("TEXTUAL_")]):
    os.environ.pop(_name, None)  # read by Textual when it is imported

from gpuwatch.clock import FakeClock
from gpuwatch.parser import build_parser
from gpuwatch.runtime import Runtime
from gpuwatch.tui import TuiOptions

if TYPE_CHECKING:
    from gpuwatch.store.window import Window
    from gpuwatch.tui.draw.line import Sheet
    from gpuwatch.tui.palette import ColorTier
    from gpuwatch.view.types import View

FOLDER = Path(__file__).resolve().parent.parent / "screenshots"
NOW = 1_763_130_727.0
"""Fri 14 Nov 2025 14:32:07 UTC."""
JUDGED_MS = 3_600_000
SAID = "INSERT INTO meta(key,value) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value"
GROUND = {"truecolor": (14, 19, 24), "256": (18, 18, 18), "16": (0, 0, 0), "none": (0, 0, 0)}
XTERM = [
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 170), (205, 0, 205), (0, 205, 205), (204, 204, 204),
    (127, 127, 127), (255, 80, 80), (0, 255, 0), (255, 255, 0), (92, 150, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: a scenario, a size, a tier, and the keys that lead to it."""

    scenario: str = "lab"
    size: tuple[int, int] = (120, 40)
    tier: ColorTier = "truecolor"
    ascii_only: bool = False
    keys: tuple[str, ...] = ()


SHOTS = {
    "overview-120x40": Shot(),
    "overview-80x24": Shot(size=(80, 24)),
    "overview-200x60": Shot(size=(200, 60)),
    "overview-16color-120x40": Shot(tier="16"),
    "overview-nocolor-ascii-120x40": Shot(tier="none", ascii_only=True),
    "overview-mig-120x40": Shot(scenario="mig"),
    "overview-nccl-hang-80x24": Shot(scenario="nccl-hang", size=(80, 24)),
    "overview-serve-120x40": Shot(scenario="serve"),
    "gpu-120x40": Shot(keys=("2",)),
    "processes-120x40": Shot(keys=("3",)),
    "workload-inference-80x24": Shot(size=(80, 24), keys=(*["down"] * 6, "enter")),
    "workload-llama-cpp-120x40": Shot(scenario="serve", keys=("tab", "tab", *["down"] * 5, "enter")),
    "workload-metrics-off-120x40": Shot(scenario="serve", keys=("tab", "tab", *["down"] * 4, "enter")),
    "workload-inference-120x40": Shot(scenario="serve", keys=("tab", "tab", "down", "down", "enter")),
    "workload-training-120x40": Shot(keys=("tab", "tab", "down", "down", "enter")),
    "workload-training-80x24": Shot(scenario="train", size=(80, 24), keys=("enter",)),
    "workload-training-hang-120x40": Shot(scenario="nccl-hang", keys=("tab", "tab", "enter")),
    "workload-not-attached-120x40": Shot(keys=(*["down"] * 4, "enter")),
    "waste-120x40": Shot(keys=("4", "down", "down")),
    "waste-200x60": Shot(size=(200, 60), keys=("4", "down", "down")),
    "waste-80x24": Shot(size=(80, 24), keys=("4",)),
    "waste-finding-80x24": Shot(size=(80, 24), keys=("4", "down", "down", "enter")),
    "waste-serve-120x40": Shot(scenario="serve", keys=("4",)),
    "help-120x40": Shot(keys=("question_mark",)),
}


@lru_cache
def window_of(scenario: str) -> Window:
    """A window on the store of a day of ``scenario``."""
    from gpuwatch.store.window import Window

    args = build_parser().parse_args([f"--demo={scenario}", "--tz", "UTC"])
    runtime = Runtime.from_args(args, {"HOME": "/nonexistent"}, FakeClock(NOW))
    judge(runtime)
    window = Window(runtime.store_path())
    atexit.register(runtime.close)
    atexit.register(window.close)
    return window


def judge(runtime: Runtime) -> None:
    """Keep in the demo's store what a recorder's rules would have told in its last hour, after half an hour of looking only."""
    from gpuwatch.rules.document import said_key, said_text
    from gpuwatch.store.finding_rows import FindingRows
    from gpuwatch.store.looks import looks
    from gpuwatch.store.replay_rules import Terms

    writer, terms, now_ms = runtime.open_writer(runtime.store_path()), Terms(), round(NOW * 1000)
    (host_id,) = writer.connection.execute("SELECT host_id FROM host").fetchone()
    engine, facts, rows = terms.engine(), terms.facts(writer.connection, host_id), FindingRows(writer, host_id)
    for look in looks(writer.connection, host_id, now_ms - JUDGED_MS, now_ms):
        rows.take(engine.add(look, facts.facts(look), judge=look.t_ms > now_ms - JUDGED_MS // 2), look.t_ms)
    writer.later(SAID, said_key(host_id), said_text(now_ms, engine.rules, engine.standings))
    writer.commit()
    writer.close()


def view_of(scenario: str, cells: int) -> View:
    """What a viewer beside a live recorder would get."""
    from gpuwatch.view.build import build_view

    return build_view(window_of(scenario), now_ms=round(NOW * 1000), cells=cells, holder_pid=1)


async def draw(shot: Shot) -> str:
    """The picture as SVG: what the App has drawn after the keys of ``shot``."""
    from gpuwatch.tui.app import GpuwatchApp
    from gpuwatch.tui.screens.base import PanelScreen
    from gpuwatch.view.detail import build_detail

    app = GpuwatchApp(TuiOptions(ascii_only=shot.ascii_only), shot.tier)
    async with app.run_test(size=shot.size) as pilot:
        app.show(view_of(shot.scenario, 75 if shot.size[0] >= 200 else 45))
        await pilot.pause()
        for key in shot.keys:
            await pilot.press(key)
            await pilot.pause()
        assert isinstance(app.screen, PanelScreen) and app.view is not None
        request = app.screen.request()
        if request is not None:
            app.detail = build_detail(window_of(shot.scenario), request, app.view)
            app.repaint()
        assert app.screen.sheet is not None
        return svg_of(app.screen.sheet)


def svg_of(sheet: Sheet) -> str:
    """A sheet as SVG, without references to fonts on the web and without ligatures; ANSI colours are xterm's."""
    from rich.console import Console
    from rich.segment import Segment, Segments
    from rich.terminal_theme import TerminalTheme

    console = Console(
        width=sheet.width, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False
    )
    lines = [[*sheet.segments(y), Segment.line()] for y in range(sheet.height)]
    console.print(Segments([segment for line in lines for segment in line]), end="")
    svg = console.export_svg(title="gpuwatch", theme=TerminalTheme(GROUND[sheet.look.tier], (204, 204, 204), XTERM[:8], XTERM[8:]))
    svg = re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.DOTALL)
    return svg.replace("font-family: Fira Code, monospace", "font-variant-ligatures: none; font-family: Fira Code, monospace")


def rasterise(svg: Path) -> None:
    """A PNG beside ``svg``, the window as large as its view box."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text(encoding="utf-8"))
    chromium = shutil.which("chromium")
    if found is None or chromium is None:
        return
    width, height = (int(float(number)) + 1 for number in found.groups())
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    subprocess.run([chromium, *options, f"--screenshot={svg.with_suffix('.png')}", str(svg)], check=True, capture_output=True)


def main() -> int:
    """Draw or compare; exit code 1 when a compared picture differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SHOTS], default=[])
    parser.add_argument("--check", action="store_true", help="write nothing, say what would change")
    parser.add_argument("--png", action="store_true", help="make PNGs too, where chromium is installed")
    args = parser.parse_args()
    differ = []
    for name in args.names or SHOTS:
        path = FOLDER / f"{name}.svg"
        svg = asyncio.run(draw(SHOTS[name]))
        if not path.exists() or path.read_text(encoding="utf-8") != svg:
            differ.append(name)
            if not args.check:
                path.write_text(svg, encoding="utf-8")
        if args.png and not args.check:
            rasterise(path)
    print("\n".join(f"{'differs' if args.check else 'drawn'}: {name}" for name in differ) or "all pictures are as they were")
    return 1 if differ and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
