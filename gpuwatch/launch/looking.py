"""Look now and then whether the agent has come into the Python processes below a command, and say in the end where it could not.

A process with a hook file is attached. One that has PyTorch loaded, no hook file, and a reason for that is not. One that has neither is
waited for: a launcher imports PyTorch and never trains.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from gpuwatch import hookdir, procfs
from gpuwatch.dataclass import dataclass, field
from gpuwatch.launch.blockers import Blocker, Ours, another_users, argv_of, blocker, inner_pid, is_python, owner, torch_maps

_SHORTEST_SECONDS, _LONGEST_SECONDS = 2.0, 10.0
_SHARE = 500
"""A look is followed by a pause of at least this many times what it took: 0.2 % of one core, however many processes there are."""

_OLD_ENOUGH_SECONDS = 3.0
"""What is younger may be a short helper (``python -c "import torch; …"``)."""

_WORKED_TICKS = 5 * procfs.CLOCK_TICKS
"""CPU time from which a Python process that may not be looked into counts as work."""

_COMMAND_LENGTH = 80

WAITING, ATTACHED, BLOCKED, OFF, NONE = "waiting", "attached", "blocked", "off", "none"
"""States of the note's ``attach``; ``none``: nothing to attach to was seen until the end."""


@dataclass(slots=True)
class _Seen:
    """A process with PyTorch, or one (not ``certain``) of which that cannot be seen. ``blocker``: why the agent is not in it."""

    command: str
    blocker: Blocker | None = None
    certain: bool = True


@dataclass(slots=True)
class Looking:
    """What is known of the processes below the command ``pid``. ``shown``: what of a command line may be said."""

    pid: int
    ours: Ours
    directory: str
    shown: Callable[[list[str]], str]
    boottime_ns: Callable[[], int]
    attached: dict[tuple[int, int], str] = field(default_factory=dict)
    """(pid, start in ticks): its hook file."""
    seen: dict[tuple[int, int], _Seen] = field(default_factory=dict)
    off: dict[tuple[int, int], str] = field(default_factory=dict)
    ended: bool = False
    _known: set[tuple[int, int]] = field(default_factory=set)
    _strangers: set[int] = field(default_factory=set)

    def look(self) -> None:
        """One look. Never raises ``OSError``: what cannot be read is not known."""
        training = {pid for pid, _ in self.attached}
        for stat in self._below():
            key = stat.pid, stat.start_ticks
            self._known.add(key)
            if hook := self._hook(key):
                self.attached[key] = hook
                self.seen.pop(key, None)
            elif stat.state not in ("Z", "X") and stat.ppid not in training:  # its workers load data
                self._examine(stat)
        self._ask_agents()

    def finish(self) -> None:
        """The command has ended: what its processes have left since the last look."""
        self.ended = True
        for key in self._known - self.attached.keys():
            path = hook_path(self.directory, *key)
            if os.path.exists(path):
                self.attached[key] = path
                self.seen.pop(key, None)
        self._ask_agents()

    @staticmethod
    def pause(took_seconds: float, elapsed_seconds: float) -> float:
        """Seconds until the next look, after one that took that long: a quarter of the time since the start of the command, 2 to 10 s."""
        return max(_SHORTEST_SECONDS, min(_LONGEST_SECONDS, elapsed_seconds / 4), took_seconds * _SHARE)

    def attach(self) -> dict[str, str]:
        """What the note says of it."""
        state, detail = self._state()
        return {"state": state, "detail": detail}

    def _state(self) -> tuple[str, str]:
        if line := self.complaint():
            return (OFF if self.off and not self._blocked() else BLOCKED), line
        if self.attached:
            count = len(self.attached)
            return ATTACHED, f"{count} process{'' if count == 1 else 'es'}"
        if self.ended:
            return NONE, "no Python process was seen to train"
        for (pid, _), seen in self.seen.items():
            return WAITING, f"pid {pid} ({seen.command}) has PyTorch loaded and has not trained yet"
        return WAITING, "no Python process with PyTorch has been seen yet"

    def complaint(self) -> str:
        """One line for the user: who could not be attached, why, and what to do. Empty if there is nothing to say."""
        blocked = self._blocked()
        if blocked:
            pid, command, found = blocked[0]
            more = f" (and {len(blocked) - 1} more)" if len(blocked) > 1 else ""
            return f"not attached to pid {pid}{more}, {command}: {found.reason}; {found.hint}"
        for (pid, _), reason in self.off.items():
            return f"the agent in pid {pid} turned itself off: {reason}; the training was not touched"
        return ""

    def _named(self, argv: list[str]) -> str:
        command = self.shown(argv) or "a Python process"
        return command if len(command) <= _COMMAND_LENGTH else f"{command[: _COMMAND_LENGTH - 1]}…"

    def _blocked(self) -> list[tuple[int, str, Blocker]]:
        """(pid, command, why) of each process with PyTorch that the agent cannot be in.

        A process that may not be looked into is named only where nothing was attached: it may be anything.
        """
        found = ((pid, seen) for (pid, _), seen in self.seen.items() if seen.certain or not self.attached)
        return [(pid, seen.command, seen.blocker) for pid, seen in found if seen.blocker]

    def _below(self) -> list[procfs.Stat]:
        """The command and what descends from it. A process that does not never will, so it is read once."""
        root = self.ours.root
        pids = set(procfs.pids(root))
        self._strangers &= pids
        stats: dict[int, procfs.Stat] = {}
        for pid in pids - self._strangers:
            try:
                stats[pid] = procfs.read_stat(root, pid)
            except (OSError, ValueError):
                pass
        below = {self.pid}
        grown = True
        while grown:
            found = {pid for pid, stat in stats.items() if stat.ppid in below} - below
            below |= found
            grown = bool(found)
        self._strangers |= stats.keys() - below
        return [stats[pid] for pid in sorted(below) if pid in stats]

    def _hook(self, key: tuple[int, int]) -> str:
        """The hook file of a process, by its number here or, in a container, by its number there; empty if it has none."""
        pid, start_ticks = key
        if known := self.attached.get(key):
            return known
        uid = owner(self.ours.root, pid)
        directories = {self.directory} if uid in (None, self.ours.uid) else {self.directory, hookdir.standard(uid or 0)}
        for number in {pid, inner_pid(self.ours.root, pid)}:
            for directory in directories:
                path = hook_path(directory, number, start_ticks)
                if os.path.exists(path):
                    return path
        return ""

    def _ask_agents(self) -> None:
        for key, hook in self.attached.items():
            if reason := _turned_off(hook):
                self.off[key] = reason

    def _examine(self, stat: procfs.Stat) -> None:
        pid, key, root = stat.pid, (stat.pid, stat.start_ticks), self.ours.root
        age = self.boottime_ns() / 1e9 - stat.start_ticks / procfs.CLOCK_TICKS
        if age < _OLD_ENOUGH_SECONDS or key in self.seen:  # what it was started with does not change
            return
        argv, maps = argv_of(root, pid), torch_maps(root, pid)
        if maps:
            self.seen[key] = _Seen(self._named(argv), blocker(self.ours, pid, argv, maps))
            return
        uid = owner(root, pid) if maps is None else None
        if uid not in (None, self.ours.uid) and is_python(argv) and stat.cpu_ticks >= _WORKED_TICKS:
            self.seen[key] = _Seen(self._named(argv), another_users(uid or 0), certain=False)


def hook_path(directory: str, pid: int, start_ticks: int) -> str:
    """The hook file of a process."""
    return f"{directory}/{pid}-{start_ticks}.gw"


def _turned_off(hook: str) -> str:
    """Why the agent that wrote this file has turned itself off; empty if it has not, or if the file cannot be read."""
    import struct

    from gpuwatch.collectors.training import layout

    try:
        raw = procfs.read(hook, layout.IDENTITY.size)
        fields = layout.IDENTITY.unpack(raw)
    except (OSError, ValueError, struct.error):
        return ""
    if fields[0] != layout.MAGIC or fields[1] != layout.VERSION or not fields[3] & layout.FLAG_OFF:
        return ""
    from gpuwatch.text import clean_bytes

    return clean_bytes(fields[-2].split(b"\0", 1)[0]) or "no reason was given"
