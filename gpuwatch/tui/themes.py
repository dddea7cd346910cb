"""The palette's colours as a Textual theme, for the parts that Textual draws itself (command palette, toasts)."""

from __future__ import annotations

from typing import Any

from textual.app import App
from textual.theme import Theme

from gpuwatch.tui.palette import ColorTier

_GPUWATCH = Theme(
    name="gpuwatch",
    primary="#5ab0ff",
    secondary="#7d8fa3",
    accent="#5ab0ff",
    warning="#e8a735",
    error="#f0643c",
    success="#35c4a0",
    foreground="#c9d1d9",
    background="#0e1318",
    surface="#18212a",
    panel="#1d2a38",
    dark=True,
)


def register_theme(app: App[Any], tier: ColorTier) -> None:
    """Use the terminal's own colours where there are only sixteen, the palette's elsewhere."""
    app.register_theme(_GPUWATCH)
    app.theme = "gpuwatch" if tier in ("truecolor", "256") else "ansi-dark"
