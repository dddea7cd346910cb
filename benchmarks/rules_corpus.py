"""Play the corpus of stories through all rules: the confusion of each rule with 95 % intervals, printed and kept in docs/accuracy.md.

- ``rules_corpus.py``: seeds 0 to 59, written to docs/accuracy.md
- ``rules_corpus.py --seeds 1000:1060``: seeds that were kept aside; nothing is written
- ``rules_corpus.py --pipeline --seeds 0:2``: some stories at 1 Hz through a recorder and its store, beside the looks
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import Pool
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.corpus_pipeline import TOLD_BY_DEVICES, Recorded, record
from support.corpus_run import QUIET_ONES, STORIES_ALL, Cast, Count, count, every, hosts, play, wilson
from support.corpus_world import GATED, Played

from gpuwatch.names import Severity
from gpuwatch.rules.catalogue import RULES

SEEDS = range(60)
PAGE = ROOT / "docs" / "accuracy.md"
PRECISION, RECALL, FLIPS, NEAR = 0.90, 0.80, 2, 0.90
Names = list[tuple[str, int]]


def _host(members: Names) -> list[Played]:
    """One host with these stories and seeds, in a process of its own."""
    return list(play([(name, STORIES_ALL[name][0], seed, STORIES_ALL[name][1]) for name, seed in members]))


def played(cast: Sequence[Cast], jobs: int) -> list[Played]:
    """All stories, so many hosts at once."""
    names: list[Names] = [[(name, seed) for name, _, seed, _ in host] for host in hosts(cast)]
    with Pool(jobs) as pool:
        return [one for host in pool.imap_unordered(_host, names) for one in host]


def _recorded(cast: tuple[str, int]) -> tuple[Played, Recorded]:
    """A story by its looks, and second by second through a recorder and its store."""
    name, seed = cast
    (looked,) = _host([cast])
    with TemporaryDirectory() as folder:
        return looked, record(name, seed, Path(folder))


def pipeline(seeds: range, jobs: int) -> int:
    """Compare what the two ways find; the number of stories in which they differ."""
    with Pool(jobs) as pool:
        both = pool.map(_recorded, [(name, seed) for name in TOLD_BY_DEVICES for seed in seeds], 1)
    differ = 0
    for looked, kept in both:
        may = looked.truth.may
        ways = [{rule for rule in opened if rule in GATED and rule not in may} for opened in (looked.opened, kept.opened)]
        differ += ways[0] != ways[1]
        mark = "" if ways[0] == ways[1] else "   DIFFERS"
        print(f"{looked.name:18} {looked.seed:5}  {', '.join(sorted(ways[0])) or '–':28} {', '.join(sorted(ways[1])) or '–'}{mark}")
    true = sum(bool(looked.truth.must & set(kept.opened)) for looked, kept in both)
    print(
        f"\n{len(both)} stories at 1 Hz through the recorder: {true} with the finding that is true, {differ} differ from the looks"
    )
    return differ


def passes(found: Count) -> bool:
    """Whether a rule meets the gate."""
    enough = found.hit + found.missed >= 20 and found.false + found.silent >= 40
    good = found.precision >= PRECISION and found.recall >= RECALL and found.flips <= FLIPS
    return enough and good and found.off <= (1 - NEAR) * found.compared


def table(counts: dict[str, Count]) -> Iterator[str]:
    """The confusion matrix, a rule a line."""
    yield "| rule | true, told | true, not told | not true, told | not true, not told | precision | recall | flips | estimates within 30 % |"
    yield "|---|---:|---:|---:|---:|---|---|---:|---:|"
    for rule, found in counts.items():
        near = f"{found.compared - found.off} of {found.compared}" if found.compared else "–"
        cells = [rule, found.hit, found.missed, found.false, found.silent]
        cells += [_share(found.hit, found.hit + found.false), _share(found.hit, found.hit + found.missed), found.flips, near]
        yield "| " + " | ".join(map(str, cells)) + " |"


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part / whole:.3f} ({low:.3f} to {high:.3f})" if whole else "–"


def page(counts: dict[str, Count], told: Sequence[Played], seeds: range) -> str:
    """docs/accuracy.md."""
    unit = [rule.id for rule in RULES.values() if rule.id not in GATED]
    quiet = [one for one in told if one.name in QUIET_ONES]
    loud = sorted({f"{one.name}: {rule}" for one in quiet for rule in set(one.opened) - one.truth.may})
    lines = [
        "# How often the rules are right",
        "",
        "`benchmarks/rules_corpus.py` wrote this page; do not edit it.",
        "",
        (
            f"{len(told)} stories were played, of {len(STORIES_ALL)} kinds, with seeds {seeds[0]} to {seeds[-1]}"
            f" (a third of them where nothing may be found). Seeds 1000 to 1999 are kept aside: nobody"
        ),
        "looks at them while rules are written. `python benchmarks/rules_corpus.py --seeds 1000:1060` plays them.",
        "",
        "**What this shows, and what not.** Everything here is synthetic: a story writes the looks of ten seconds that a rule reads,",
        "draws its numbers on both sides of a threshold, and says beforehand by the rule's definition what is true. So the table says",
        "that rules tell what they define, that no story is mistaken for another, and that windows, patience and hysteresis hold. It",
        "does not say how often a definition fits what people run: no rule was tried on faults injected on a real GPU. The intervals",
        "say how many stories there were; they say nothing of stories that nobody thought of.",
        "",
        "Each story is judged by all rules. A story counts as true for a rule, as not true, or as neither: too near the threshold to",
        "be one of either kind, or a second rule that is right as well. Estimates are compared with what the matched run would have",
        "saved, where a story knows it. Flips are the most that one story had of one rule.",
        "",
        *table(counts),
        "",
        f"The gate of a rule of phase 1 that warns: precision ≥ {PRECISION:.2f}, recall ≥ {RECALL:.2f}, at most {FLIPS} flips, estimates within 30 % for",
        (
            f"{NEAR:.0%} of those compared, from at least 20 stories in which it is true and 40 in which it is not."
            f" {sum(map(passes, counts.values()))} of {len(counts)} rules meet it."
        ),
        "",
        f"{len(quiet)} of the stories look like waste and are none, or have signals that are missing or lie ({', '.join(sorted(QUIET_ONES))}).",
        f"Told in them by any rule: {', '.join(loud) if loud else 'nothing'}.",
        "",
        "`tests/corpus` plays a part of these in each run of the tests, and a day of three tuned jobs (8,640 looks) in which no rule",
        "may tell more than an info.",
        "",
        "Rules that have unit tests only (`tests/rules`), because they are of a later phase or give a notice at most: "
        + ", ".join(f"{rule}{_phase(rule)}" for rule in unit)
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _phase(rule: str) -> str:
    kind = RULES[rule]
    return f" ({kind.severity.label})" if kind.severity <= Severity.NOTICE else f" (phase {kind.phase})"


def main() -> int:
    """Play, print, and write the page where the seeds are the usual ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", metavar="FIRST:END", default=f"{SEEDS.start}:{SEEDS.stop}", help="END is not played")
    parser.add_argument("--jobs", type=int, default=2, help="hosts at once")
    parser.add_argument("--pipeline", action="store_true", help="some stories at 1 Hz through a recorder and its store instead")
    options = parser.parse_args()
    first, _, end = options.seeds.partition(":")
    seeds = range(int(first), int(end))
    if options.pipeline:
        return 1 if pipeline(seeds, options.jobs) else 0
    told = sorted(played(list(every(seeds)), options.jobs), key=lambda one: (one.name, one.seed))
    counts = count(told)
    print("\n".join(table(counts)))
    times = os.times()
    print(f"\n{len(told)} stories, {times.user + times.system + times.children_user + times.children_system:.0f} s of CPU")
    for rule, found in counts.items():
        if found.wrong:
            print(f"{rule}: {', '.join(found.wrong)}")
    if seeds == SEEDS:
        PAGE.write_text(page(counts, told, seeds), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0 if all(map(passes, counts.values())) else 1


if __name__ == "__main__":
    raise SystemExit(main())
