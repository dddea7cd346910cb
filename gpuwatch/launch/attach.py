"""What the environment of a command needs so that the agent gets into the Python processes below it, and nothing else.

Only the folder of the agent goes on ``PYTHONPATH``, before what is there; none of gpuwatch's own packages do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import gpuwatch
from gpuwatch import hookdir
from gpuwatch.dataclass import dataclass

SWITCH = b"GPUWATCH_ATTACH"
SEARCHED = b"PYTHONPATH"
INJECT = os.path.join(os.path.dirname(os.path.abspath(gpuwatch.__file__)), "inject")
"""The agent's folder, of this installation or checkout."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """The command's environment. ``directory``: the hook folder, empty if there is none; ``problem``: why no agent is attached."""

    environment: Mapping[bytes, bytes]
    directory: str = ""
    inject: str = INJECT
    problem: str = ""


def initial_environment() -> dict[bytes, bytes]:
    """The environment that this program was started with.

    Python may have changed its own since: in the C locale it sets ``LC_CTYPE``, which the command must not see.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environb)
    found: dict[bytes, bytes] = {}
    for entry in entries:
        name, sign, value = entry.partition(b"=")
        if name and sign:
            found.setdefault(name, value)
    return found


def attach(environment: Mapping[bytes, bytes], uid: int, *, directory: str | None = None, inject: str = INJECT) -> Attachment:
    """The environment with the agent in it, and the hook folder, made and checked. ``directory``: the one that the user names."""
    changed = dict(environment)
    if directory:
        changed[hookdir.VARIABLE.encode()] = os.fsencode(os.path.abspath(directory))
    text = {os.fsdecode(name): os.fsdecode(value) for name, value in changed.items()}
    folder, why_not = hookdir.choose(text, uid)
    if not folder:
        return Attachment(environment, inject=inject, problem=f"no folder for what it measures: {why_not}")
    why_not = unusable(inject)
    if why_not:
        return Attachment(environment, folder, inject, why_not)
    if folder != hookdir.standard(uid):
        changed[hookdir.VARIABLE.encode()] = os.fsencode(folder)
    changed[SWITCH] = b"1"
    changed[SEARCHED] = first_on_path(os.fsencode(inject), changed.get(SEARCHED, b""))
    return Attachment(changed, folder, inject)


def first_on_path(folder: bytes, existing: bytes) -> bytes:
    """``existing`` with ``folder`` before it. An empty entry means the working directory, so none is made."""
    if not existing:
        return folder
    return existing if existing.split(b":", 1)[0] == folder else folder + b":" + existing


def unusable(inject: str) -> str:
    """Why the agent in this folder cannot be attached; empty if it can."""
    if ":" in inject:
        return f"{inject} has a colon in it, which PYTHONPATH cannot say"
    files = (os.path.join(inject, name) for name in ("sitecustomize.py", "gpuwatch_agent.py"))
    absent = next((file for file in files if not os.access(file, os.R_OK)), "")
    return f"the agent is not installed: {absent} cannot be read" if absent else ""
