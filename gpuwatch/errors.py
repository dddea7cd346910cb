"""The one error that reaches a user: a clear line, the next thing to try, an exit code."""

from __future__ import annotations

from collections.abc import Iterable

EXIT_OK, EXIT_CHECK, EXIT_USAGE, EXIT_NOTHING, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


class GpuwatchError(Exception):
    """Something a user can act on. ``message`` is one line; ``hint`` is the next command or step, or empty."""

    exit_code = EXIT_NOTHING

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(GpuwatchError):
    """Wrong options or configuration."""

    exit_code = EXIT_USAGE


class Unavailable(GpuwatchError):
    """A source of data cannot be opened here; raised by ``Collector.open()``."""


class StoreError(GpuwatchError):
    """The store cannot be opened, read or written; the message names the file and the likely cause."""


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean '…'?`` with the nearest known word, or the list of all; to end a message with."""
    known = list(known)
    import difflib

    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else f"; known: {', '.join(sorted(known))}"
