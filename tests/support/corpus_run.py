"""The whole corpus: enough seeds of each story, packed into hosts, played and counted rule by rule."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import sqrt

from support.corpus_confusers import CONFUSERS
from support.corpus_missing import MISSING
from support.corpus_serving import SERVING
from support.corpus_stories import LONELY, STORIES
from support.corpus_world import GATED, GPUS, Host, Played, Story

POSITIVES, NEGATIVES, FEW = 20, 8, 3
"""What the tests play: of each story so many seeds in which its rule must tell, and in which none may; of confusers so many in all."""
KEPT_ASIDE = range(1000, 2000)
"""Seeds that nobody looks at while rules are written."""
QUIET_ONES = {**CONFUSERS, **MISSING}
"""Stories that have nothing to find on either side of anything."""
STORIES_ALL = {**STORIES, **SERVING, **QUIET_ONES, **LONELY}
Cast = tuple[str, Story, int, int]
"""Name, story, seed, GPUs."""


def some(positives: int = POSITIVES, negatives: int = NEGATIVES, few: int = FEW) -> Iterator[Cast]:
    """Of each story the first seeds with so many of either kind, told apart by its truth before anything is played."""
    for name, (story, gpus) in STORIES_ALL.items():
        wanted = few if name in QUIET_ONES else 400
        found, quiet = dict[str, int](), 0
        for seed in range(wanted):
            truth = Host().settle(name, story, seed, gpus)
            if any(found.get(rule, 0) < positives for rule in truth.must):
                found |= {rule: found.get(rule, 0) + 1 for rule in truth.must}
            elif not truth.must and not truth.near and quiet < negatives:
                quiet += 1
            else:
                continue
            yield name, story, seed, gpus
            if quiet == negatives and min(found.values(), default=positives) >= positives:
                break


def every(seeds: range) -> Iterator[Cast]:
    """All stories with all these seeds, those near a threshold too; a third of them where nothing may be found."""
    for name, (story, gpus) in STORIES_ALL.items():
        for seed in seeds[: -(-len(seeds) // 3)] if name in QUIET_ONES else seeds:
            yield name, story, seed, gpus


def hosts(cast: Iterable[Cast]) -> Iterator[list[Cast]]:
    """Who plays side by side: stories of all kinds mixed; those that happen to a whole host are alone on theirs."""
    deck = list(cast)
    random.Random(6).shuffle(deck)
    room, host = GPUS, list[Cast]()
    for each in sorted((each for each in deck if each[0] not in LONELY), key=lambda each: each[3] == 1):
        if each[3] > room:
            yield host
            room, host = GPUS, []
        host.append(each)
        room -= each[3]
    yield host
    yield from ([each] for each in deck if each[0] in LONELY)


def play(cast: Iterable[Cast]) -> Iterator[Played]:
    """What was told of each story."""
    for members in hosts(cast):
        host = Host()
        for name, story, seed, gpus in members:
            host.settle(name, story, seed, gpus)
        yield from host.play()


@dataclass
class Count:
    """One rule: true and false positives, false and true negatives; flips; estimates that are off, of all that can be compared."""

    hit: int = 0
    false: int = 0
    missed: int = 0
    silent: int = 0
    flips: int = 0
    compared: int = 0
    off: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """Of what was told, the share that was true."""
        return self.hit / (self.hit + self.false) if self.hit + self.false else 1.0

    @property
    def recall(self) -> float:
        """Of what was true, the share that was told."""
        return self.hit / (self.hit + self.missed) if self.hit + self.missed else 1.0


def count(played: Iterable[Played], rules: Iterable[str] = GATED) -> dict[str, Count]:
    """The confusion of each rule over all stories: each story is judged by all rules."""
    counts = {rule: Count() for rule in rules}
    for one in played:
        for rule, found in counts.items():
            told = one.opened.get(rule, 0)
            if rule in one.truth.must:
                found.hit += bool(told)
                found.missed += not told
                if not told:
                    found.wrong.append(f"missed {one.name} {one.seed}")
                wanted = one.truth.waste.get(rule)
                if told and wanted is not None and rule in one.waste:
                    found.compared += 1
                    found.off += abs(one.waste[rule] - wanted) > 0.3 * wanted
            elif rule not in one.truth.may:
                found.false += bool(told)
                found.silent += not told
                if told:
                    found.wrong.append(f"false {one.name} {one.seed}")
            found.flips = max(found.flips, told)
    return counts


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson's score interval)."""
    if not whole:
        return 0.0, 1.0
    z, p = 1.96, part / whole
    middle, spread = (p + z * z / (2 * whole)), z * sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    return max(0.0, (middle - spread) / (1 + z * z / whole)), min(1.0, (middle + spread) / (1 + z * z / whole))
