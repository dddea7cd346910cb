"""The engine: looks in, changes of findings out. Windows, patience, hysteresis, mutes and caps live here, not in the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gpuwatch.rules.catalogue import LIMITS, RULES
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import Facts, Look
from gpuwatch.rules.rule import Rule
from gpuwatch.rules.scene import Scene
from gpuwatch.rules.types import Change, Mute, OpenFinding, Standing


class Engine:
    """Judges every rule on every subject after each look. The same looks give the same changes, whoever feeds them.

    ``known`` are findings that were open when another engine stopped; ``mutes`` can be replaced at any time.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        rules: Mapping[str, Rule] = RULES,
        *,
        known: Iterable[OpenFinding] = (),
        mutes: Iterable[Mute] = (),
    ) -> None:
        self.scene = Scene(limits or Limits(LIMITS))
        self.rules = {rule.id: rule for rule in rules.values() if rule.on}
        self.mutes: tuple[Mute, ...] = tuple(mutes)
        self.open: dict[tuple[str, str], OpenFinding] = {(f.rule, f.subject): f for f in known}

    def add(self, look: Look, facts: Facts, *, judge: bool = True) -> list[Change]:
        """Take a look and judge it at once. ``judge`` False: only remember it (what was before the engine starts)."""
        return [change for changes in self.steps(look, facts, judge=judge) for change in changes]

    def steps(self, look: Look, facts: Facts, *, judge: bool = True) -> Iterator[list[Change]]:
        """The same in pieces of a few hundred microseconds each, so that no tick of the recorder has it all."""
        raise NotImplementedError

    @property
    def standings(self) -> list[Standing]:
        """What each rule said last of each subject."""
        raise NotImplementedError
