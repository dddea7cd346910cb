"""Helpers for the tests of the screen: draw a screen without Textual, mount the App with a View, read it as text."""

from __future__ import annotations

from contextlib import asynccontextmanager

from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.draw.check import faults
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.options import TuiOptions
from gpuwatch.tui.palette import Look
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context, UiState
from gpuwatch.view.types import View

SIZES = ((60, 15), (80, 24), (99, 30), (100, 30), (109, 34), (119, 40), (120, 40), (160, 45), (180, 50), (200, 60))
__all__ = ["SIZES", "context_of", "faults", "mounted", "sheet_of", "text_of"]


def context_of(screen: type[PanelScreen], view: View | None, size: tuple[int, int], look: Look | None = None, ui: UiState | None = None, problem: str = "") -> Context:  # fmt: skip
    """What a screen of that class would be given."""
    keys = screen().footer_keys()
    return Context(view, *size, look or Look(), ui or UiState(), None, screen.DIGIT, keys, problem)


def sheet_of(screen: type[PanelScreen], view: View | None, size: tuple[int, int], look: Look | None = None, ui: UiState | None = None, problem: str = "") -> Sheet:  # fmt: skip
    """The sheet of a screen, drawn without an App."""
    return screen().draw(context_of(screen, view, size, look, ui, problem))


@asynccontextmanager
async def mounted(view: View | None, size: tuple[int, int] = (120, 40), **options: object):
    """The running App with ``view`` on its first screen, and its pilot."""
    app = GpuwatchApp(TuiOptions(**options), "truecolor")
    async with app.run_test(size=size) as pilot:
        if view is not None:
            app.show(view)
        await pilot.pause()
        yield app, pilot


def text_of(app: GpuwatchApp) -> str:
    """What stands on the shown screen, as plain text, read back from Textual's own compositor."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines[:height])[: (width + 1) * height]
