"""Notes that ``gpuwatch run`` leaves beside the hook files: which command it started, and how that ended."""

from __future__ import annotations

import os
from typing import Any

from gpuwatch.collectors.training.folders import Folders, Place
from gpuwatch.collectors.training.processes import Processes
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.text import clean

LIMIT = 64 * 1024
KEEP_MS = 3_600_000
"""A note stays for so long after its command has ended."""
_TIDY_MS = 60_000
_MOST_MS = 2**52


@dataclass(frozen=True, slots=True)
class Note:
    """One command. ``process`` is its (pid, start in clock ticks); ``exit_code`` is negative for a signal, ``None`` while it runs.

    ``attach`` is whether the agent could get in (``attached``, ``blocked``, ``off``, ``failed``, …), ``problem`` why not.
    """

    process: tuple[int, int]
    started_ms: int
    ended_ms: int | None = None
    exit_code: int | None = None
    attach: str = ""
    problem: str = ""
    owner: int = -1
    """Whose file it is."""
    command: str = ""
    """Redacted by who wrote it, and as much of it as may be kept here."""


def parse(raw: bytes, process: tuple[int, int]) -> Note | None:
    """A note of that process; ``None`` if it is none."""
    import json

    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or (_whole(told, "pid"), _whole(told, "starttime")) != process:
        return None
    started, ended = _whole(told, "started_ms"), _whole(told, "ended_ms")
    code, signal = _whole(told, "exit_code"), _whole(told, "signal")
    attach = told.get("attach")
    attach = attach if isinstance(attach, dict) else {}
    return Note(
        process,
        started or 0,
        ended,
        None if ended is None else -signal if signal and signal < 128 else code if code is not None and code < 256 else None,
        _text(attach, "state"),
        _text(attach, "detail"),
        command=_text(told, "command"),
    )


def _whole(told: dict[str, Any], name: str) -> int | None:
    value = told.get(name)
    return value if type(value) is int and 0 <= value < _MOST_MS else None


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name)
    return clean(value, 300) if isinstance(value, str) else ""


class Notes:
    """All notes, each read once and again when it was replaced."""

    def __init__(self, folders: Folders, processes: Processes, command_lines: str) -> None:
        self._folders = folders
        self._processes = processes
        self._words = {"redacted": None, "name": 1}.get(command_lines, 0)
        """How many words of a command are kept; all where it is None."""
        self._read: dict[Place, Note | None] = {}
        self.by_process: dict[tuple[int, int], Note] = {}
        self._tidy_ms = 0
        self._over_ms: dict[Place, int] = {}

    def look(self, now_ms: int) -> None:
        """Read what is new; once a minute remove what is old."""
        if self._folders.changed:
            self._read = {place: self._read[place] if place in self._read else self._note(place) for place in self._folders.notes}
            self._over_ms = {place: at for place, at in self._over_ms.items() if place in self._read}
            self.by_process = {note.process: note for note in self._read.values() if note is not None}
        if now_ms - self._tidy_ms >= _TIDY_MS or now_ms < self._tidy_ms:
            self._tidy_ms = now_ms
            self._tidy(now_ms)

    def _note(self, place: Place) -> Note | None:
        try:
            fd = self._folders.open(place)
        except OSError:
            return None
        try:
            raw, owner = os.read(fd, LIMIT + 1), os.fstat(fd).st_uid
        except OSError:
            return None
        finally:
            os.close(fd)
        note = parse(raw, place.process) if len(raw) <= LIMIT and self._may_tell(owner, place.process) else None
        return replace(note, owner=owner, command=" ".join(note.command.split(" ")[: self._words])) if note is not None else None

    def _may_tell(self, uid: int, process: tuple[int, int]) -> bool:
        """Whether this user may have started that process: it is theirs, or that above it is (of ``sudo``); once it is gone, whose note was
        there before. A recorder of root reads everybody's notes, and nobody's may end another user's run.
        """
        above = self._processes.above(process[0])[:2]
        if not above or above[0] != process:
            before = self.by_process.get(process)
            return before is None or before.owner == uid
        return any(self._processes.owner(pid) in (None, uid) for pid, _ in above)

    def _tidy(self, now_ms: int) -> None:
        """A command that has ended is over, and one whose process is gone: who should have written its end was killed."""
        for place, note in self._read.items():
            if place in self._over_ms:
                if now_ms - self._over_ms[place] > KEEP_MS:
                    self._folders.unlink(place)
            elif not self._processes.alive(*place.process):
                ended = note.ended_ms if note is not None and note.ended_ms else now_ms
                self._over_ms[place] = min(ended, now_ms)
