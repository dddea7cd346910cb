"""The one error that reaches a user: a clear line, the next thing to try, an exit code."""

from __future__ import annotations

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
