"""Foreign text made harmless: every name, command line, user or label from outside passes ``clean()`` at the collector's edge."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

MAX_LENGTH = 512
REPLACEMENT = "·"


def lazy(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """``re.compile`` at the first use: most patterns are never used in a short run, and some take a millisecond."""
    return cast("re.Pattern[AnyStr]", _Lazy(pattern, flags))


class _Lazy:
    """Stands in for a pattern; each method that is asked for becomes an attribute of its own, as quick as the pattern's."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self._source = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._source), name)
        setattr(self, name, found)
        return found


_UNSAFE = lazy(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"  # zero width, bidi, selectors
    "\ud800-\udfff"  # surrogates from undecodable bytes
    "\U000e0000-\U000e0fff]"  # tags and selectors
)


def clean(text: str, limit: int = MAX_LENGTH) -> str:
    """One harmless line: cut to ``limit`` characters, controls, bidi marks, zero-width and undecodable ones become ``·``."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(REPLACEMENT, text)


def clean_bytes(raw: bytes, limit: int = MAX_LENGTH) -> str:
    """``clean`` of bytes that should be UTF-8."""
    return clean(raw[: limit * 4].decode("utf-8", "surrogateescape"), limit)


_FORMULA = lazy("'*[=+\\-@\t\r]")
"""What a spreadsheet calculates instead of showing it, with any number of the marks that we put before such a text."""


def sheet_safe(text: str) -> str:
    """A CSV cell with ``'`` before it if a spreadsheet would take it for a formula; :func:`sheet_unsafe` takes it away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def sheet_unsafe(text: str) -> str:
    """The text that :func:`sheet_safe` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
