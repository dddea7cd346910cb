"""Why the agent cannot be in a Python process: what its command line, environment, user, namespaces and version say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from gpuwatch import procfs
from gpuwatch.dataclass import dataclass

_OLDEST = (3, 9)
_TORCH = b"libtorch_python"
_MAPS_LIMIT, _ENVIRON_LIMIT, _CMDLINE_LIMIT = 4 << 20, 1 << 20, 16384
_PYTHON = re.compile(r"(?:python[\d.]*t?|pypy[\d.]*)$")
_VERSION = re.compile(rb"python(\d+)\.(\d+)t?/[^\n]*libtorch_python")
_ISOLATING = "IES"
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why there is no agent in a process (an end of a sentence), and what to do about it."""

    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Ours:
    """What a process must have for the agent to be in it: the agent's folder, and this user's rights."""

    inject: str
    uid: int
    root: str = "/proc"


def argv_of(root: str, pid: int) -> list[str]:
    """The command line, empty where there is none to be seen."""
    try:
        raw = procfs.read(f"{root}/{pid}/cmdline", _CMDLINE_LIMIT)
    except OSError:
        return []
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0") if raw else []


def is_python(argv: Sequence[str]) -> bool:
    """Whether a command line is that of a Python interpreter."""
    return bool(argv) and bool(_PYTHON.match(os.path.basename(argv[0])))


def torch_maps(root: str, pid: int) -> bytes | None:
    """The memory map of a process that has PyTorch for Python loaded; empty if it has not, ``None`` if it may not be read."""
    try:
        maps = procfs.read(f"{root}/{pid}/maps", _MAPS_LIMIT)
    except PermissionError:
        return None
    except OSError:
        return b""
    return maps if _TORCH in maps else b""


def owner(root: str, pid: int) -> int | None:
    """The user of a process, ``None`` if it is gone."""
    try:
        return os.stat(f"{root}/{pid}").st_uid
    except OSError:
        return None


def inner_pid(root: str, pid: int) -> int:
    """The number that a process has for itself: in a container another one than here."""
    try:
        status = procfs.read_once(f"{root}/{pid}/status")
        return int(status[status.index(b"\nNSpid:") :].split(b"\n", 2)[1].split()[-1])
    except (OSError, ValueError, IndexError):
        return pid


def blocker(ours: Ours, pid: int, argv: Sequence[str], maps: bytes) -> Blocker | None:
    """What keeps the agent out of the process ``pid``, which has PyTorch loaded; ``None`` if nothing is seen to."""
    found = _by_version(maps) or _by_command_line(argv)
    return found or _by_environment(ours, pid) or _by_container(ours, pid)


def another_users(uid: int) -> Blocker:
    """That of a process that may not be looked into."""
    return Blocker(
        f"it belongs to another user (uid {uid}), whose processes gpuwatch cannot look into",
        "start gpuwatch run inside of it: sudo gpuwatch run -- …",
    )


def _by_version(maps: bytes) -> Blocker | None:
    found = _VERSION.search(maps)
    if not found or (version := (int(found[1]), int(found[2]))) >= _OLDEST:
        return None
    return Blocker(f"it is Python {version[0]}.{version[1]}", "the agent needs Python 3.9 or newer")


def _by_command_line(argv: Sequence[str]) -> Blocker | None:
    option = isolating_option(argv) if is_python(argv) else ""
    if not option:
        return None
    return Blocker(f"Python was started with {option}, which ignores PYTHONPATH", f"start it without {option}")


def isolating_option(argv: Sequence[str]) -> str:
    """The option of a Python command line that keeps ``PYTHONPATH`` or ``sitecustomize`` out (-I, -E, -S), or nothing."""
    words = iter(argv[1:])
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word.startswith("--") and word != "--":
            continue
        elif not word.startswith("-") or word in ("-", "--"):
            return ""
        else:
            for letter in word[1:]:
                if letter in _ISOLATING:
                    return f"-{letter}"
                if letter in "cmWX":  # what follows in this word is its value
                    break
            if word[-1] in "cm" or any(letter in "cm" for letter in word[1:]):
                return ""
    return ""


def environment_of(root: str, pid: int) -> Mapping[str, str] | None:
    """The environment that a process was started with; ``None`` where it cannot be read."""
    try:
        raw = procfs.read(f"{root}/{pid}/environ", _ENVIRON_LIMIT)
    except OSError:
        return None
    pairs = (entry.partition("=") for entry in raw.decode("utf-8", "surrogateescape").split("\0"))
    return {name: value for name, sign, value in pairs if sign}


def _by_environment(ours: Ours, pid: int) -> Blocker | None:
    environ = environment_of(ours.root, pid)
    if environ is None:
        return None
    switch, path = environ.get("GPUWATCH_ATTACH"), environ.get("PYTHONPATH", "").split(":")
    if environ.get("GPUWATCH_DISABLE") == "1":
        return None  # as was wished
    if not switch and ours.inject not in path:
        return Blocker(
            "its environment was cleaned (env -i, sudo, a scheduler)",
            "start gpuwatch run inside of it: env -i … gpuwatch run -- python …",
        )
    if switch != "1":
        return Blocker("GPUWATCH_ATTACH is not set in its environment", "let GPUWATCH_ATTACH=1 through")
    if ours.inject not in path:
        return Blocker("its PYTHONPATH was replaced", 'extend it instead: PYTHONPATH=…:"$PYTHONPATH"')
    for folder in path[: path.index(ours.inject)]:
        if os.path.exists(os.path.join(folder or ".", "sitecustomize.py")):
            return Blocker(f"{folder or '.'}/sitecustomize.py comes first on its PYTHONPATH", f"put {ours.inject} first")
    return None


def _by_container(ours: Ours, pid: int) -> Blocker | None:
    def namespace(of: str) -> str:
        try:
            return os.readlink(f"{ours.root}/{of}/ns/mnt")
        except OSError:
            return ""

    theirs = namespace(str(pid))
    if not theirs or theirs == namespace("self"):
        return None
    if os.path.exists(f"{ours.root}/{pid}/root{ours.inject}/sitecustomize.py"):
        return None
    return Blocker("it runs in a container without gpuwatch's folder", f"mount {ours.inject} at the same path in it")
