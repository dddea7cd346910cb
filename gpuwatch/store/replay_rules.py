"""Rules over history: the looks of a span go through an engine with other limits, and nothing is written.

What comes out is what a recorder with these limits would have told: it reads the same rows through the same reader, and knows of
nobody more than was known at each look.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping

from gpuwatch.dataclass import dataclass, field, replace
from gpuwatch.model import Gpu
from gpuwatch.rules.catalogue import LIMITS, RULES
from gpuwatch.rules.engine import Engine
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import LOOK_MS
from gpuwatch.rules.rule import Rule
from gpuwatch.rules.types import Change, OpenFinding
from gpuwatch.store import mutes
from gpuwatch.store.look_facts import FactsReader
from gpuwatch.store.looks import looks

WARM_MS = 65 * 60_000
"""So much time before the first judgement is only looked at: most windows are an hour at most."""


def _every(_rule: str, on: bool) -> bool:
    return on


def _nobody(_gpu: Gpu) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Terms:
    """What judges, and by what: ``limits`` as ``{"rule.limit": value}``; ``judges`` (rule, on by default); whether a GPU is kept free on purpose; the patience with young processes in seconds."""

    limits: Mapping[str, float] = field(default_factory=dict)
    judges: Callable[[str, bool], bool] = _every
    reserved: Callable[[Gpu], bool] = _nobody
    patience_seconds: float = 300.0

    def rules(self) -> dict[str, Rule]:
        """The rules that judge."""
        return {rule.id: replace(rule, on=True) for rule in RULES.values() if self.judges(rule.id, rule.on)}

    def engine(self, known: list[OpenFinding] | None = None) -> Engine:
        """A new engine. Raises :class:`UsageError` for a limit that no rule has."""
        return Engine(Limits(LIMITS, self.limits), self.rules(), known=known or (), patience_seconds=self.patience_seconds)

    def facts(self, db: sqlite3.Connection, host_id: int) -> FactsReader:
        """Who is there."""
        return FactsReader(db, host_id, reserved=self.reserved)


def changes(
    db: sqlite3.Connection, host_id: int, t0_ms: int, t1_ms: int, terms: Terms = Terms(), *, muted: bool = True
) -> Iterator[tuple[int, list[Change]]]:
    """What the rules would have told at each look that ends in ``(t0_ms, t1_ms]`` and in which something changed.

    ``muted``: by the mutes that were in force then.
    """
    engine, facts = terms.engine(), terms.facts(db, host_id)
    for look in looks(db, host_id, t0_ms - WARM_MS, t1_ms):
        judge = look.t_ms > t0_ms
        if judge and muted:
            engine.mutes = tuple(kept.mute for kept in mutes.in_force(db, host_id, look.t_ms))
        found = engine.add(look, facts.facts(look), judge=judge)
        if found:
            yield look.t_ms, found


def findings(
    db: sqlite3.Connection, host_id: int, t0_ms: int, t1_ms: int, terms: Terms = Terms(), *, muted: bool = True
) -> list[OpenFinding]:
    """The findings that would have been told in a span, in the order in which they were opened; ``ended_ms`` None: still open."""
    out: dict[int, OpenFinding] = {}
    for _, found in changes(db, host_id, t0_ms, t1_ms, terms, muted=muted):
        for change in found:
            out.setdefault(id(change.finding), change.finding)
    return list(out.values())


__all__ = ["LOOK_MS", "Terms", "changes", "findings"]
