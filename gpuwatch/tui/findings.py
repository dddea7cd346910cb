"""Findings in words and inks: what every screen that names one writes, and which one explains a GPU, a process or a workload."""

from __future__ import annotations

from collections.abc import Iterable

from rich.style import Style

from gpuwatch.format import MINUS, NOTHING, counted, gpus_lost, number
from gpuwatch.names import Basis, Bucket, State
from gpuwatch.tui.draw.ledgerbar import ink_of
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.palette import Look
from gpuwatch.tui.parts import BUCKETS, HELD, LOST, UNUSED, WAIT, Part
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import View, WorkloadView

FindingKey = tuple[int, str, str]
"""finding_id, rule and subject: the first alone is 0 until the finding is stored."""

_BY_BUCKET: dict[Bucket, Part] = {bucket: part for part in BUCKETS for bucket in part.buckets}
_BY_STATE = {State.HELD_IDLE: HELD, State.UNUSED: UNUSED, State.WAITING: WAIT, State.THROTTLED: LOST}
_TEXT_INKS = {"under": "stalled", "empty": "stalled", "overhead": "redone", "bg": "dim"}
"""Fills that are too dark for text, and what is written instead."""
SECONDS_PER_HOUR = 3_600


def key_of(finding: FindingView) -> FindingKey:
    """What a selection remembers."""
    return (finding.finding_id, finding.rule, finding.subject)


def part_of(view: View, finding: FindingView) -> Part | None:
    """The part of the ledger that it explains; without a bucket the worst state that its GPUs are in; None: it costs nothing."""
    if finding.bucket is not None:
        return _BY_BUCKET.get(finding.bucket)
    if finding.waste_gpus is None:
        return None
    states = [gpu.state for gpu in view.gpus if gpu.gpu_index in finding.gpu_indices and gpu.state in _BY_STATE]
    return _BY_STATE[min(states)] if states else None


def ink(part: Part | None) -> str:
    """The name of the ink in which text about a part is written."""
    found = "neutral" if part is None else ink_of(part)
    return _TEXT_INKS.get(found, found)


def style_of(look: Look, view: View, finding: FindingView) -> Style:
    """The bold ink of its amount."""
    return look.white if look.plain else look.style(ink(part_of(view, finding)), "bg", True)


def amount_style(look: Look, view: View, finding: FindingView) -> Style:
    """The same, dim for one without an amount."""
    return look.dim if finding.waste_gpus is None else style_of(look, view, finding)


def put_tick(sheet: Sheet, view: View, finding: FindingView, x: int, rows: Iterable[int]) -> None:
    """A half block in the colour of its part; without colour the part's letter."""
    look, part = sheet.look, part_of(view, finding)
    if look.ascii or look.plain:
        mark, style = (part.letter if part is not None else look.glyphs.dot), look.fg
    else:
        mark, style = look.glyphs.tick, look.style(ink(part))
    for y in rows:
        sheet.put(y, x, mark, style)


def amount(finding: FindingView) -> str:
    """``−1.2 GPU``; ``≤1.2 GPU`` (up to) for an estimate; ``no cost`` for one without an amount."""
    if finding.waste_gpus is None:
        return "no cost"
    large = finding.waste_gpus >= 99.95
    text = number(-finding.waste_gpus) if large else gpus_lost(finding.waste_gpus)
    return f"{text if finding.basis is Basis.MEASURED else text.replace(MINUS, '≤')} GPU"


def gpus_text(indices: tuple[int, ...], room: int) -> str:
    """``GPU 5 6``; ``8 GPUs`` where that is too long; nothing for one of the host."""
    text = "GPU " + " ".join(str(index) for index in indices)
    return "" if not indices else text if len(text) <= room else counted(len(indices), "GPU")


def hours(seconds: float | None) -> str:
    """GPU·h with one decimal and its unit: ``2.4 GPU·h``, ``<0.1 GPU·h``."""
    if seconds is None:
        return NOTHING
    value = seconds / SECONDS_PER_HOUR
    return f"{'<0.1' if 0 < value < 0.05 else f'{value:,.1f}'.replace(',', ' ')} GPU·h"


def fix_of(finding: FindingView) -> str:
    """The first thing to try: what ``x`` copies."""
    return finding.try_first[0] if finding.try_first else finding.advice


def fact_of(finding: FindingView, room: int) -> str:
    """One line about it that fits: its sentence, else its name with its first evidence and whose it is, else its name."""
    name = finding.name or finding.rule
    if finding.title and width_of(finding.title) <= room:
        return finding.title
    texts = [name]
    if finding.facts:
        first, whose = finding.facts[0], f", {finding.user}" if finding.user else ""
        texts = [f"{name}: {first.what} {first.measured}", f"{name}: {first.measured}"]
        texts = [f"{text}{whose}" for text in texts] + [texts[1], name]
    return next((text for text in texts if width_of(text) <= room), cut(name, room))


def second_line(finding: FindingView, room: int) -> str:
    """``evidence · first thing to try``: what :func:`fact_of` did not say in the same room, and as much of it as leaves room to try."""
    fix = finding.advice or fix_of(finding)
    said = bool(finding.facts) and fact_of(finding, room) != finding.title
    facts = [f"{fact.what} {fact.measured}" for fact in finding.facts[said : said + 2]]
    texts = [finding.evidence] * (not said) + [" · ".join(facts), *facts[:1]]
    lines = [" · ".join(part for part in (text, fix) if part) for text in (*texts, "")]
    return next((line for line in lines if line and width_of(line) <= room), cut(fix or finding.evidence, room))


def of_gpu(view: View, gpu_index: int) -> tuple[int, FindingView] | None:
    """Rank and finding of the costliest one on a GPU."""
    return next(((rank, each) for rank, each in enumerate(view.findings, 1) if gpu_index in each.gpu_indices), None)


def of_pids(view: View, pids: Iterable[int], gpu_indices: Iterable[int]) -> tuple[int, FindingView] | None:
    """The costliest one that names one of these processes; else the costliest that names none and is on one of these GPUs."""
    wanted, gpus = set(pids), set(gpu_indices)
    ranked = list(enumerate(view.findings, 1))
    named = next(((rank, each) for rank, each in ranked if wanted.intersection(each.pids)), None)
    if named is not None:
        return named
    return next(((rank, each) for rank, each in ranked if not each.pids and gpus.intersection(each.gpu_indices)), None)


def of_work(view: View, work: WorkloadView, pids: Iterable[int]) -> tuple[int, FindingView] | None:
    """The one that explains a workload: it names its root or one of its processes, or its GPUs."""
    return of_pids(view, {work.root_pid, *pids} - {0}, work.gpu_indices)


def one_line(look: Look, view: View, rank: int, finding: FindingView, room: int) -> list[tuple[str, Style]]:
    """``finding 2  waits for input · try num_workers=12``: rank, name and first fix; only the fix is ever cut."""
    head = f"finding {rank} "
    name = cut(finding.name or finding.rule, max(0, room - len(head)))
    words = [(head, look.dim), (name, style_of(look, view, finding))]
    fix = finding.advice or fix_of(finding)
    rest = room - len(head) - width_of(name) - 3
    if fix and rest >= min(12, width_of(fix)):
        words += [(" · ", look.dim), (cut(fix, rest), look.acc)]
    return words
