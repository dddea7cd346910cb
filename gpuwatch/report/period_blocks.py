"""The two charts of a report that are made of bars: where the capacity went, step by step, and what each owner made of it."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.format import NOTHING, cells, cut, left, right, shares
from gpuwatch.names import Bucket, Cause
from gpuwatch.report.ink import MARK, MARKS, Look
from gpuwatch.report.lines import Block, Line, head, line, wrapped
from gpuwatch.report.period_figures import ALL, Figures, band
from gpuwatch.report.period_tables import owner_efficiency, owner_name
from gpuwatch.view.period.types import Ledger, Report

MIN_BAR, MAX_NAME = 14, 16
_AFTER = {
    Bucket.UNOBSERVED: "Observed",
    Bucket.UNALLOCATED: "Allocated",
    Bucket.REDONE: "First-time work",
}
"""The subtotal that stands after a bucket: what is left of the capacity."""
_CAUSES = {
    Cause.INPUT: "for input",
    Cause.PEERS: "for peers",
    Cause.HOST: "for the host",
    Cause.TRANSFER: "for transfers",
    Cause.DEMAND: "for demand",
    Cause.UNEXPLAINED: "unexplained",
}


@dataclass(slots=True)
class Step:
    """A row of the waterfall: ``at`` and ``ms`` are its place in the capacity; ``bucket`` ``None``: a subtotal."""

    word: str
    bucket: Bucket | None
    at: int
    ms: int
    hours: str
    share: str
    cause: bool = False


def waterfall(report: Report, figures: Figures, width: int, look: Look) -> Block:
    """From the capacity down to what was effective; each subtotal is what the rows before it leave."""
    rows = steps(report, figures)
    title = f"Where {figures.hours(*ALL)} GPU-hours went"
    note = "share of observed" if report.total.observed_gpu_ms else ""
    numbers = max(cells(step.hours) for step in rows) + 6
    words = max(cells(step.word) for step in rows)
    bar = width - 2 - words - 1 - 1 - numbers
    out = [head(title, width, note)]
    for step in rows:
        drawn = _bar(step, report.total.capacity_gpu_ms, bar, look) if bar >= MIN_BAR else line(" " * max(0, bar))
        mark = (look.mark(step.bucket), step.bucket.label) if step.bucket is not None and not step.cause else (" ", "")
        style = "dim" if step.cause else "" if step.bucket is not None else "bold"
        out.append(
            [
                mark,
                (" " + left(step.word, words) + " ", style),
                *drawn,
                (" " + right(step.hours, numbers - 6), style),
                (right(step.share, 6), style or "dim"),
            ]
        )
    return out


_BY_HOLDER = (Bucket.HELD_IDLE, Bucket.UNALLOCATED)
"""Idle time that has its name from whether somebody held the GPU."""


def steps(report: Report, figures: Figures) -> list[Step]:
    """The rows of the waterfall, in order. What no GPU could say has a dash and no zero: throttling, or who held it."""
    total = report.total
    told = report.use.throttled_seconds is not None
    held = total.buckets_gpu_ms
    blind = bool(held.get(Bucket.IDLE_UNATTRIBUTED)) and not any(held.get(bucket) for bucket in _BY_HOLDER)
    out = [Step("Capacity", None, 0, total.capacity_gpu_ms, figures.hours(*ALL), "")]
    at, rest = 0, list(ALL)
    for mark in MARKS:
        ms = total.buckets_gpu_ms.get(mark.bucket, 0)
        rest.remove(mark.bucket)
        if ms or mark.always:
            hours, share = figures.hours(mark.bucket), "" if mark.bucket is Bucket.UNOBSERVED else figures.share(mark.bucket)
            if (mark.bucket is Bucket.THROTTLED and not (ms or told)) or (mark.bucket in _BY_HOLDER and blind):
                hours = share = NOTHING
            out.append(Step(mark.word, mark.bucket, at, ms, hours, share))
        if mark.bucket is Bucket.WAIT:
            out += _causes(total, figures, at)
        at += ms
        if mark.bucket in _AFTER:
            left_ms = total.capacity_gpu_ms - at
            out.append(Step(_AFTER[mark.bucket], None, at, left_ms, figures.hours(*rest), figures.share(*rest)))
    return out


def _causes(total: Ledger, figures: Figures, at: int) -> list[Step]:
    """Why time was waited away; where nothing is known but that, the row of waiting says it all."""
    known = [cause for cause in _CAUSES if total.wait_gpu_ms.get(cause)]
    if known == [Cause.UNEXPLAINED]:
        return []
    out = []
    for cause in known:
        ms = total.wait_gpu_ms[cause]
        out.append(Step("  " + _CAUSES[cause], Bucket.WAIT, at, ms, figures.cause_hours(cause), figures.cause_share(cause), True))
        at += ms
    return out


def _bar(step: Step, capacity: int, width: int, look: Look) -> Line:
    """At least one cell for what is there, at its place in the capacity."""
    if not step.ms or not capacity:
        return line(" " * width)
    first, last = round(step.at * width / capacity), round((step.at + step.ms) * width / capacity)
    if last == first:
        first, last = (first, first + 1) if first < width else (width - 1, width)
    fill, style = (look.whole, "neutral") if step.bucket is None else (look.fill(step.bucket), step.bucket.label)
    return line(" " * first, (fill * (last - first), style), " " * (width - last))


# ---------------------------------------------------------------------------------------------------------------- owners


def owners(report: Report, figures: Figures, width: int, look: Look, most: int = 12) -> Block:
    """Who held the GPUs, nobody included: one stacked bar each, and a sum row that is the capacity."""
    out = [head("Who used it", width, "GPU-hours")]
    rows = report.owners
    if not rows:
        return out
    ledgers = [row.ledger for row in rows]
    users = [row.kind != "nobody" for row in rows]
    efficiency = [owner_efficiency(row) for row in rows]
    columns = [
        ("GPU-h", figures.column(ledgers, *ALL), figures.hours(*ALL)),
        ("eff", efficiency, band(report.total.efficiency_ratio)),
        ("wait", figures.column(ledgers, Bucket.WAIT), figures.hours(Bucket.WAIT)),
        ("held idle", figures.column(ledgers, Bucket.HELD_IDLE), figures.hours(Bucket.HELD_IDLE)),
    ]
    kept = range(len(rows)) if len(rows) <= most else [*range(most - 1), len(rows) - 1]
    names = [cut(owner_name(row), MAX_NAME) for row in rows]
    widths = [max(cells(text) for text in (title, *found, total)) for title, found, total in columns]
    name_width = max(cells(name) for name in (*(names[number] for number in kept), "sum"))
    bar = width - name_width - 1 - sum(2 + each for each in widths)
    if bar < MIN_BAR:
        bar = 0
    heads = "".join("  " + right(title, each) for (title, _, _), each in zip(columns, widths, strict=True))
    out.append(line((" " * (name_width + 1 + bar) + heads, "dim")))
    longest = max(made.capacity_gpu_ms for made in ledgers)
    for number in kept:
        texts = "".join("  " + right(found[number], each) for (_, found, _), each in zip(columns, widths, strict=True))
        style = "" if users[number] else "dim"
        out.append([(left(names[number], name_width) + " ", style), *stacked(ledgers[number], bar, longest, look), (texts, style)])
    total = "".join("  " + right(whole, each) for (_, _, whole), each in zip(columns, widths, strict=True))
    out.append(line((left("sum", name_width) + " " * (1 + bar) + total, "bold")))
    if len(kept) < len(rows):
        out += wrapped(f"… {len(rows) - len(kept)} more with --by user, counted in the sum", width, style="dim")
    return out


def stacked(of: Ledger, width: int, longest: int, look: Look) -> Line:
    """A bar of all buckets, effective first, as long as the row's part of the longest; a cell at least for what is there."""
    order = [mark for mark in reversed(MARKS) if of.buckets_gpu_ms.get(mark.bucket)]
    if not width or not order or not longest:
        return line(" " * width)
    room = min(width, max(len(order), round(width * of.capacity_gpu_ms / longest)))
    counts = at_least_one([of.buckets_gpu_ms[mark.bucket] for mark in order], room)
    bars = [(look.fill(mark.bucket) * count, mark.style) for mark, count in zip(order, counts, strict=True)]
    return [*bars, (" " * (width - room), "")]


def at_least_one(values: Sequence[int], room: int) -> list[int]:
    """Cells by largest remainder, one at least for each value (taken from the widest) while there is room."""
    out = shares(values, room)
    for number, value in enumerate(values):
        if value and not out[number] and max(out) > 1:
            out[out.index(max(out))] -= 1
            out[number] = 1
    return out


def legend(buckets: Sequence[Bucket], look: Look) -> list[tuple[str, str, str]]:
    """(mark, word, style) of buckets that are drawn."""
    return [(look.mark(bucket), MARK[bucket].word.lower(), bucket.label) for bucket in buckets]
