"""Colours and marks of text reports: one mark and one word a bucket, three tiers of colour, and the ASCII set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Bucket

Tier = Literal["truecolor", "16", "none"]

_STYLES: Mapping[str, tuple[str, str]] = {
    "bold": ("1", "1"),
    "dim": ("38;2;125;137;150", "2"),
    "accent": ("38;2;90;176;255", "94"),
    "badge": ("1;38;2;11;15;19;48;2;90;176;255", "1;7"),
    "notice": ("38;2;232;167;53", "33"),
    "neutral": ("38;2;84;98;112", "37"),
    "effective": ("38;2;53;196;160", "36"),
    "stalled_sm": ("38;2;44;149;101", "36"),
    "empty_sm": ("38;2;23;106;84", "36"),
    "busy_unknown": ("38;2;42;156;129", "36"),
    "wait": ("38;2;232;167;53", "33"),
    "throttled": ("38;2;172;116;249", "35"),
    "redone": ("38;2;202;139;186", "35"),
    "overhead": ("38;2;64;138;200", "34"),
    "held_idle": ("38;2;240;100;60", "91"),
    "allocated_unused": ("38;2;196;105;74", "31"),
    "quiet": ("38;2;125;137;150", "37"),
    "unallocated": ("38;2;70;82;94", "90"),
    "idle_unattributed": ("38;2;125;137;150", "90"),
    "unavailable": ("38;2;126;107;124", "95"),
    "unobserved": ("38;2;93;106;119", "90"),
}
"""Style -> terminal codes in true colour and in sixteen colours; what is not listed is plain."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How one bucket is written and drawn. ``glyph`` fills bars where colour does not tell buckets apart, ``letter`` is its ASCII."""

    bucket: Bucket
    word: str
    glyph: str
    letter: str
    always: bool = True
    """Named also when it is 0; the others only where they can occur."""

    @property
    def style(self) -> str:
        """The style of its bars and its mark."""
        return self.bucket.label


MARKS = (
    Mark(Bucket.UNOBSERVED, "Unobserved", "╱", "?"),
    Mark(Bucket.UNAVAILABLE, "Unavailable", "#", "X", always=False),
    Mark(Bucket.IDLE_UNATTRIBUTED, "Idle, holder unknown", "¿", "i", always=False),
    Mark(Bucket.UNALLOCATED, "Free", "·", "."),
    Mark(Bucket.ALLOCATED_UNUSED, "Unused", "x", "u", always=False),
    Mark(Bucket.HELD_IDLE, "Held idle", "×", "x"),
    Mark(Bucket.QUIET, "Quiet, not yet named", "q", "q", always=False),
    Mark(Bucket.OVERHEAD, "Overhead", "o", "o", always=False),
    Mark(Bucket.WAIT, "Waiting", "░", ":"),
    Mark(Bucket.REDONE, "Redone", "r", "r", always=False),
    Mark(Bucket.THROTTLED, "Throttled", "!", "!"),
    Mark(Bucket.EMPTY_SM, "Empty SM", "▒", "+", always=False),
    Mark(Bucket.STALLED_SM, "Stalled SM", "▓", "=", always=False),
    Mark(Bucket.BUSY_UNKNOWN, "Busy, quality unknown", "▚", "%", always=False),
    Mark(Bucket.EFFECTIVE, "Effective", "█", "#", always=False),
)
"""In the order of the ledger: from all capacity down to what was effective."""
MARK: Mapping[Bucket, Mark] = {mark.bucket: mark for mark in MARKS}

HEIGHTS, ASCII_HEIGHTS = "▁▂▃▄▅▆▇", "_-=+*#"
"""Never a full block: lanes that stand one above the other stay apart."""
_TO_ASCII = str.maketrans({
    "─": "-", "–": "-", "−": "-", "·": "-", "×": "x", "…": "~", "¿": "i", "°": " ", "≈": "~", "→": ">", "╱": "?",
    "▌": "|", "█": "#", "▓": "=", "▒": "+", "░": ":", "▚": "%", "└": "`", "\xa0": " ",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """What the output can show."""

    tier: Tier = "none"
    ascii: bool = False

    def paint(self, text: str, style: str) -> str:
        """The text with the codes of its style."""
        if self.tier == "none" or style not in _STYLES:
            return text
        return f"\x1b[{_STYLES[style][self.tier == '16']}m{text}\x1b[0m"

    def mark(self, bucket: Bucket) -> str:
        """The one cell that stands for a bucket in words and legends."""
        return MARK[bucket].letter if self.ascii else MARK[bucket].glyph

    def fill(self, bucket: Bucket) -> str:
        """What a bucket's bar is made of: blocks where true colour tells all buckets apart."""
        return "█" if self.tier == "truecolor" and not self.ascii else self.mark(bucket)

    @property
    def whole(self) -> str:
        """What the bar of a subtotal is made of."""
        return "-" if self.ascii else "█"

    @property
    def heights(self) -> str:
        """Marks of rising height."""
        return ASCII_HEIGHTS if self.ascii else HEIGHTS

    def plain(self, text: str) -> str:
        """The text in the characters of this output, as wide as before."""
        if not self.ascii or text.isascii():
            return text.replace("\xa0", " ")
        from gpuwatch.format import cells

        return "".join(char if char.isascii() else "." * cells(char) for char in text.translate(_TO_ASCII))
