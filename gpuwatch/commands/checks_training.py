"""The checks of ``doctor`` that concern trainings: where what is measured is left, and whether the agent is there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from gpuwatch import hookdir
from gpuwatch.commands.checks import Check
from gpuwatch.launch import attach

_GROUP = "training"


def checks(environ: Mapping[str, str], uid: int) -> Iterator[Check]:
    """All of them. Nothing is made."""
    yield _directory(environ, uid)
    yield _memory(environ)
    why_not = attach.unusable(attach.INJECT)
    fix = "install gpuwatch-tui again" if why_not else ""
    yield Check("training.agent", _GROUP, "agent", "missing" if why_not else "ok", why_not or attach.INJECT, fix)


def _directory(environ: Mapping[str, str], uid: int) -> Check:
    refused: list[str] = []
    parents = bool(environ.get(hookdir.VARIABLE))
    for path in hookdir.candidates(environ, uid):
        there = os.path.lexists(path)
        why_not = hookdir.trouble(path, uid) if there else "" if _can_make(path, parents) else "cannot be made"
        if not why_not:
            result = path if there else f"{path}, made by the first gpuwatch run"
            return Check("training.directory", _GROUP, "hook folder", "warn" if refused else "ok", "; ".join([result, *refused]))
        refused.append(f"{path} {why_not}")
    fix = "name a folder of your own: gpuwatch run --dir DIR"
    return Check("training.directory", _GROUP, "hook folder", "missing", "; ".join(refused), fix)


def _can_make(path: str, parents: bool) -> bool:
    above = os.path.dirname(path)
    while parents and not os.path.lexists(above):
        above = os.path.dirname(above)
    return os.access(above, os.W_OK | os.X_OK)


def _memory(environ: Mapping[str, str]) -> Check:
    if os.access(hookdir.MEMORY, os.W_OK | os.X_OK):
        return Check("training.memory", _GROUP, hookdir.MEMORY, "ok", "can be written to")
    named = environ.get(hookdir.VARIABLE, "")
    result = "cannot be written to" + (f": {hookdir.VARIABLE} names {named}" if named else ": another folder is used")
    fix = "" if named else "in a container: --shm-size 64m, or mount a tmpfs there"
    return Check("training.memory", _GROUP, hookdir.MEMORY, "info" if named else "warn", result, fix)
