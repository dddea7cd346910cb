"""The standard streams made dependable: one that is closed, that lacks characters, or whose reader has left, is no crash.

What an encoding lacks is written as its nearest ASCII. A dash stays a dash: ``?`` means "no permission" here.
"""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from typing import Any

_ASCII = str.maketrans("–—−×·…•│─└├°", "---x.~*|-`+o")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_ASCII)
    return text if text.isascii() else text.encode("ascii", "backslashreplace").decode(), error.end


def prepare() -> None:
    """Once, before anything is opened: a file that gets the number of a closed stream would receive what is printed."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    codecs.register_error("nearest", _nearest)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it lives as long as the program
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="nearest")


def is_unicode() -> bool:
    """Whether stdout takes every character; data must not be written otherwise."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def as_data() -> None:
    """What is printed from here on is for programs: UTF-8 in every locale, unless a terminal shows it."""
    stream: Any = sys.stdout
    if not is_unicode() and hasattr(stream, "reconfigure") and not stream.isatty():
        stream.reconfigure(encoding="utf-8", errors=stream.errors)


def abandon() -> None:
    """Nobody takes stdout any more; what is left in it goes nowhere, or Python would complain about it at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
