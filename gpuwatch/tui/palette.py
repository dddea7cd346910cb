"""One table of colours and glyphs for every tier of terminal.

A ``Look`` is a tier plus a glyph set. The two switches are independent: NO_COLOR keeps the blocks, ASCII may keep colour. Every
style names its own ground, so that no cell depends on what a widget or a terminal would fill in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.names import State

ColorTier = Literal["truecolor", "256", "16", "none"]
TIERS: tuple[ColorTier, ...] = ("truecolor", "256", "16", "none")


@dataclass(frozen=True, slots=True)
class _Ink:
    """One named colour in each tier; ``none`` is the set of attributes that stands for it without colour."""

    rgb: str
    c256: int
    c16: str
    none: str = ""


_INKS: Mapping[str, _Ink] = {
    "bg": _Ink("#0e1318", 233, "default"),
    "bar": _Ink("#18212a", 235, "default"),
    "sel": _Ink("#1d2a38", 236, "blue", "reverse"),
    "past": _Ink("#e8a735", 214, "yellow", "reverse"),
    "fg": _Ink("#c9d1d9", 252, "white"),
    "dim": _Ink("#7d8996", 245, "bright_black", "dim"),
    "faint": _Ink("#2b343d", 237, "bright_black", "dim"),
    "white": _Ink("#f0f4f8", 255, "bright_white"),
    "acc": _Ink("#5ab0ff", 75, "bright_blue"),
    "ink": _Ink("#0b0f13", 232, "black"),
    "busy": _Ink("#35c4a0", 43, "cyan"),
    "busy_unknown": _Ink("#2a9c81", 36, "cyan"),
    "under": _Ink("#1f7a64", 29, "cyan", "dim"),
    "stalled": _Ink("#23856d", 30, "cyan", "dim"),
    "empty": _Ink("#17594a", 23, "cyan", "dim"),
    "waiting": _Ink("#e8a735", 214, "yellow"),
    "throttled": _Ink("#c48cf0", 177, "magenta"),
    "redone": _Ink("#9468c0", 97, "magenta", "dim"),
    "overhead": _Ink("#654a86", 60, "magenta", "dim"),
    "held": _Ink("#f0643c", 203, "bright_red"),
    "unused": _Ink("#9c4a31", 130, "red"),
    "unused_text": _Ink("#c4694a", 167, "red"),
    "free": _Ink("#3c4752", 239, "bright_black", "dim"),
    "free_text": _Ink("#5d6a77", 242, "bright_black", "dim"),
    "quiet": _Ink("#7d8996", 245, "white", "dim"),
    "quiet_fill": _Ink("#2b343d", 237, "bright_black", "dim"),
    "memory": _Ink("#5b8fc7", 68, "bright_blue"),
    "neutral": _Ink("#7d8fa3", 103, "white"),
    "optimizer": _Ink("#2f7f9e", 31, "blue"),
    "data_wait": _Ink("#b98a3a", 136, "yellow"),
    "tint_busy": _Ink("#10251f", 234, "default"),
    "tint_waiting": _Ink("#2a2110", 235, "default"),
    "tint_throttled": _Ink("#241a2c", 235, "default"),
    "tint_held": _Ink("#3a1c13", 52, "default"),
    "tint_unused": _Ink("#24140f", 234, "default"),
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The marks of one glyph set; every one is exactly one cell wide."""

    full: str
    half: str
    track: str
    heights: str
    corners: str
    horizontal: str
    vertical: str
    tick: str
    dot: str
    live: str
    down: str
    up: str
    branch: str
    corner: str
    stem: str
    swatch: str
    unknown: str
    enter: str
    ledger: str


UNICODE = Glyphs("━", "╸", "━", "▁▂▃▄▅▆▇", "╭╮╰╯", "─", "│", "▌", "·", "●", "▼", "▲", "├", "└", "│", "■", "░", "⏎", "█")
ASCII = Glyphs("=", "-", " ", "_.-=+*#", "++++", "-", "|", "#", ".", "*", "v", "^", "|", "`", "|", "#", "?", ">", "#")

_TO_ASCII = str.maketrans({
    "·": "-", "≈": "~", "×": "x", "−": "-", "–": "-", "—": "-", "…": ".", "°": " ", "→": ">", "←": "<", "↑": "^", "↓": "v",
    "⏎": ">", "●": "*", "▼": "v", "▲": "^", "│": "|", "├": "|", "└": "`", "─": "-", "•": "*", "≤": "<", "≥": ">", "‖": "|", "±": "~", "÷": "/", "√": "+",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class StateLook:
    """How one state is drawn: the ink of marks and of text, the tint behind its strip, its letters."""

    ink: str
    text_ink: str
    tint: str
    ascii_mark: str
    plain_mark: str
    """The strip's mark without colour but with blocks; empty: the height glyph says enough."""
    flat: bool
    """Drawn on the floor of the strip, whatever the height."""


STATES: Mapping[State, StateLook] = {
    State.BUSY: StateLook("busy", "busy", "tint_busy", "#", "", False),
    State.WAITING: StateLook("waiting", "waiting", "tint_waiting", "~", "░", False),
    State.THROTTLED: StateLook("throttled", "throttled", "tint_throttled", "!", "!", False),
    State.HELD_IDLE: StateLook("held", "held", "tint_held", "x", "×", True),
    State.UNUSED: StateLook("unused", "unused_text", "tint_unused", "u", "u", True),
    State.FREE: StateLook("free", "free_text", "bg", ".", "·", True),
    State.QUIET: StateLook("quiet", "quiet", "bg", "q", "", True),
    State.IDLE_UNATTRIBUTED: StateLook("quiet", "quiet", "bg", "?", "?", True),
    State.UNAVAILABLE: StateLook("held", "held", "tint_held", "X", "X", True),
    State.NO_DATA: StateLook("free", "free_text", "bg", " ", " ", True),
}


class Look:
    """A colour tier and a glyph set. ``look.style("dim")`` is cached; the common ones are attributes.

    ``style(ink, ground, bold)``: ``ground`` is a name of the same table (``bg``, ``bar``, ``sel``, a tint or a part's fill).
    """

    def __init__(self, tier: ColorTier = "truecolor", *, ascii_only: bool = False, past: bool = False) -> None:
        self.tier = tier
        self.ascii = ascii_only
        self.glyphs = ASCII if ascii_only else UNICODE
        self._cache: dict[tuple[str, str, bool], Style] = {}
        self._grounded: dict[tuple[int, str], tuple[Style, Style]] = {}
        self.strips: dict[tuple[int, int], tuple[tuple[object, ...], list[tuple[State, str]]]] = {}
        """By row and column: the past cells of the strip that stood there last, and their marks (``draw.bars``)."""
        self.fg = self.style("fg")
        self.dim = self.style("dim")
        self.faint = self.style("faint")
        self.white = self.style("white", bold=True)
        self.acc = self.style("acc")
        self.amber = self.style("waiting", bold=True)
        self.title = self.amber if past else self.style("acc", bold=True)
        self.now = "then" if past else "now"
        """What the end of a time axis is called."""
        self.ground = self.style("bg")
        self.badge = self.fill("ink", "acc")

    @cached_property
    def past(self) -> Look:
        """The same with amber titles, so that nobody takes the past for now."""
        return Look(self.tier, ascii_only=self.ascii, past=True)

    @property
    def plain(self) -> bool:
        """Without colour: letters have to tell the parts apart."""
        return self.tier == "none"

    def style(self, ink: str, ground: str = "bg", bold: bool = False) -> Style:
        """Text in ``ink`` on ``ground``."""
        key = (ink, ground, bold)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._make(ink, ground, bold)
        return found

    def fill(self, ink: str, ground: str) -> Style:
        """A bold label on a filled ground (badges, ledger parts); reversed where there is no colour."""
        if self.plain:
            return self._cache.setdefault(("reverse", "bg", True), Style(bold=True, reverse=True))
        # Many terminals draw bold black as grey.
        return self.style(ink, ground, not (self.tier == "16" and ink == "ink"))

    def state(self, state: State, *, bold: bool = True) -> Style:
        """The text style of a state's word or of a value in its colour."""
        return self.style(STATES[state].text_ink, "bg", bold)

    def mark(self, state: State) -> Style:
        """The style of a state's tick and of its bars."""
        return self.style(STATES[state].ink)

    def on(self, style: Style, ground: str) -> Style:
        """The same style on another ground (a selected row, the header's bar)."""
        key = (id(style), ground)
        found = self._grounded.get(key)
        if found is None:
            # The style is kept beside its answer: an id is only unique while its object lives.
            found = self._grounded[key] = (style, self._regrounded(style, ground))
        return found[1]

    def text(self, text: str) -> str:
        """``text`` in this glyph set, never wider: a mark without a width that ASCII does not have is left out."""
        if not self.ascii or text.isascii():
            return text
        plain = text.translate(_TO_ASCII)
        return "".join([c if c.isascii() else "?" for c in plain if c.isascii() or cell_len(c)])

    def _regrounded(self, style: Style, ground: str) -> Style:
        if self.plain:
            return style + Style(reverse=True, dim=False) if _INKS[ground].none == "reverse" else style
        return style + Style(bgcolor=self._color(ground))

    def _make(self, ink: str, ground: str, bold: bool) -> Style:
        if self.plain:
            attributes = _INKS[ink].none
            return Style(bold=bold, dim=attributes == "dim" and not bold, reverse=_INKS[ground].none == "reverse")
        return Style(color=self._color(ink), bgcolor=self._color(ground), bold=bold)

    def _color(self, name: str) -> Color:
        ink = _INKS[name]
        if self.tier == "truecolor":
            return Color.parse(ink.rgb)
        if self.tier == "256":
            return Color.from_ansi(ink.c256)
        return Color.parse(ink.c16)
