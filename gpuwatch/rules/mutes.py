"""Whether a mute speaks of a finding: the same for the engine, the view and ``gpuwatch check``."""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.rules.types import Mute


def fits(mute: Mute, rule: str, subject: str, command: str) -> bool:
    """Whether a mute is of this rule, and of this subject and command line as far as it names them (a part of one is enough)."""
    return mute.rule in ("", rule) and mute.subject in ("", subject) and mute.command in command


def muted(mutes: Iterable[Mute], rule: str, subject: str, command: str, at_ms: int) -> bool:
    """Whether one of these mutes is in force at an instant (unix milliseconds) and speaks of this finding."""
    return any((mute.until_ms is None or at_ms < mute.until_ms) and fits(mute, rule, subject, command) for mute in mutes)
