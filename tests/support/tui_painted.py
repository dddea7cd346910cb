"""The App over a driver that feeds a pyte terminal: what stands there beside what a full repaint would put there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pyte
from rich.color import ColorSystem
from support.terminal import PRIVATE
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.options import TuiOptions
from gpuwatch.tui.palette import ColorTier
from gpuwatch.view.types import View

SYSTEMS: dict[str, ColorSystem] = {
    "truecolor": ColorSystem.TRUECOLOR,
    "256": ColorSystem.EIGHT_BIT,
    "16": ColorSystem.STANDARD,
    "none": ColorSystem.TRUECOLOR,
}
Cell = tuple[str, str, str, bool, bool]


class Page:
    """A pyte terminal; ``cells()`` is what can be seen of it."""

    def __init__(self, width: int, height: int) -> None:
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)

    def feed(self, text: str) -> None:
        self._stream.feed(PRIVATE.sub(b"", text.encode()))

    def cells(self) -> list[list[Cell]]:
        rows = []
        for y in range(self.screen.lines):
            row = [self.screen.buffer[y][x] for x in range(self.screen.columns)]
            rows.append([(c.data, c.fg if c.data.strip() or c.reverse else "", c.bg, c.bold and bool(c.data.strip()), c.reverse) for c in row])  # fmt: skip
        return rows


class PyteDriver(HeadlessDriver):
    """Looks like a driver of a real terminal to everything above it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._writer_thread = SimpleNamespace(_queue=Queue())
        self.writes: list[str] = []
        self.page = Page(*self._get_terminal_size())

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.writes.append(data)
        self.page.feed(data)

    def flush(self) -> None: ...


class Watched:
    """An App in its terminal."""

    def __init__(self, app: GpuwatchApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def driver(self) -> PyteDriver:
        driver = self.app._driver
        assert isinstance(driver, PyteDriver)
        return driver

    def sent(self) -> str:
        """What was written since the last call."""
        out = "".join(self.driver.writes)
        self.driver.writes.clear()
        return out

    async def resize(self, width: int, height: int) -> None:
        """Another size, and the terminal with it."""
        self.driver.page.screen.resize(height, width)
        await self.pilot.resize_terminal(width, height)
        await self.pilot.pause()

    def stands(self) -> list[list[Cell]]:
        """What stands on the terminal."""
        return self.driver.page.cells()

    def repainted(self) -> list[list[Cell]]:
        """What a fresh terminal shows after Textual has painted everything."""
        width, height = self.app.size
        page = Page(width, height)
        for y, strip in enumerate(self.app.screen._compositor.render_strips()):
            page.feed(f"\x1b[{y + 1};1H" + strip.render(self.app.console))
        return page.cells()

    async def same(self) -> bool:
        """Whether both agree once Textual has nothing left to do."""
        await self.pilot.pause()
        return self.stands() == self.repainted()


@asynccontextmanager
async def watched(
    view: View | None, size: tuple[int, int] = (120, 40), tier: ColorTier = "truecolor", **options: Any
) -> AsyncIterator[Watched]:
    """The App with ``view`` in a pyte terminal of that many colours."""
    app = GpuwatchApp(TuiOptions(**options), tier)
    app.driver_class = PyteDriver
    app.console._color_system = SYSTEMS[tier]
    async with app.run_test(headless=False, size=size, notifications=True, tooltips=True) as pilot:
        shown = Watched(app, pilot)
        if view is not None:
            app.show(view)
        for _ in range(3):
            await pilot.pause(0.02)
        yield shown
