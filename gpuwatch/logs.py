"""The log file: where everything goes that a user should not have to read. 1 MB, one older file kept, mode 0600.

``--debug`` (or ``--debug=collectors,sql``) adds detail for the topics named; without it only warnings are written. The
terminal is never written to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gpuwatch.paths import base_directory


class _Later(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def _import_logging() -> ModuleType:
    """``logging`` without ``traceback``, which it needs only to write one: with its tokenizer that is as much as ``logging`` itself."""
    if "logging" in sys.modules or "traceback" in sys.modules:
        return import_module("logging")
    sys.modules["traceback"] = _Later("traceback")
    try:
        return import_module("logging")
    finally:
        del sys.modules["traceback"]


if TYPE_CHECKING:
    import logging
else:
    logging = _import_logging()

ROOT = "gpuwatch"
_MAX_BYTES = 1_000_000


def log_path(environ: Mapping[str, str]) -> Path:
    """``$XDG_STATE_HOME/gpuwatch/gpuwatch.log``."""
    return base_directory("STATE", environ) / "gpuwatch" / "gpuwatch.log"


def _create(path: str | Path) -> None:
    """Make the file, readable for its owner only; a link that somebody laid there is refused."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600))


def _rotate(source: str, target: str) -> None:
    """Keep the full file under its second name; the handler would open the new one for everybody to read."""
    os.replace(source, target)
    _create(source)


class _PrivateFile(logging.Handler):
    """Opens its file at the first line, 0600, and drops a line that cannot be written: a full disk must not stop watching.

    Most runs write nothing, so the rotating handler (with sockets and pickle behind it) is imported only then.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            self._file.handle(record)
        except OSError:
            self.handleError(record)

    def _open(self) -> logging.Handler:
        from logging.handlers import RotatingFileHandler

        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(self._path)
        handler = RotatingFileHandler(self._path, maxBytes=_MAX_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace")
        handler.handleError = self.handleError  # type: ignore[method-assign]
        handler.setFormatter(self.formatter)
        handler.rotator = _rotate
        return handler

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """A log line that cannot be written is dropped."""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def configure(debug: str | None, environ: Mapping[str, str]) -> None:
    """Send the package's log to its file. ``debug``: None, ``""`` (all topics) or topics separated by commas."""
    logger = logging.getLogger(ROOT)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handler = _PrivateFile(log_path(environ))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(process)d] %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug == "" else logging.WARNING)
    for topic in (debug or "").split(","):
        if topic.strip():
            logging.getLogger(f"{ROOT}.{topic.strip()}").setLevel(logging.DEBUG)


def note_crash(error: BaseException) -> None:
    """Write the traceback of an internal error to the log file."""
    if not logging.getLogger(ROOT).handlers:  # it went wrong before the log was set up; a traceback is not for the terminal
        configure(None, os.environ)
    logging.getLogger(ROOT).critical("internal error", exc_info=error)
