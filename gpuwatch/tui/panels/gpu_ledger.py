"""Where one GPU's time went, in all its buckets: a bar, their names, the shares of the span and the hours of today."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import clock_minute, duration, gpu_hours, number, shares
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.tui import findings
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.ledgerbar import ink_of, ledger_bar
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.ledger import efficiency_of, fit
from gpuwatch.tui.parts import BUCKETS, BUSY, EFFECTIVE, EMPTY, HELD, IDLE, QUIET, STALLED, UNAVAILABLE, Part, amounts, split
from gpuwatch.tui.state import Context
from gpuwatch.view.types import GpuView, LedgerView, View

Words = list[tuple[str, Style]]

_READABLE = {"empty": "stalled", "overhead": "redone"}
"""Fills that are too dark for text, and the one beside them that is not."""
_FILL = (EFFECTIVE, STALLED, EMPTY)
_RARE = (QUIET, IDLE)
_CAUSES = {
    Cause.PEERS: "peers",
    Cause.INPUT: "input",
    Cause.HOST: "host",
    Cause.TRANSFER: "transfer",
    Cause.DEMAND: "demand",
    Cause.UNEXPLAINED: "unexplained",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A bucket's name from ``left``, its numbers to ``right``."""

    part: Part
    left: int
    right: int


def columns(present: Sequence[LedgerView | None], left: int, limit: int) -> list[Column]:
    """The buckets to name between two columns: all that are not zero in one of the spans, and the others while they fit."""
    there = {part for ledger in present if ledger is not None for part, ms in amounts(ledger, BUCKETS).items() if ms > 0}
    without_fill = not there & set(_FILL)
    named = [part for part in BUCKETS if part in there or not (part in _RARE or (part in _FILL if without_fill else part == BUSY))]
    for part in reversed(BUCKETS):
        if _width(named) <= limit + 1 - left:
            break
        if part in named and part not in there:
            named.remove(part)
    out = []
    for part in named:
        width = max(5, len(part.name))
        if left + width > limit + 1:
            break
        out.append(Column(part, left + width - len(part.name), left + width - 1))
        left += width + 1
    return out


def _width(named: Sequence[Part]) -> int:
    return sum(max(5, len(part.name)) + 1 for part in named) - 1


def note_of(context: Context, ledger: LedgerView | None) -> Words:
    """``60 min: efficiency 47% = allocated 100% × running 91% × fill 51%``."""
    return efficiency_of(context, ledger, f"{span_text(ledger)}: ") if ledger is not None else []


def span_text(ledger: LedgerView) -> str:
    """The length of its span; an hour is ``60 min``, so that it fits in front of the bar."""
    seconds = round((ledger.span.end_ms - ledger.span.start_ms) / 1000)
    # The span's cells lie on a grid: the running one makes it a little shorter than its name.
    for whole, text in ((900, "15 min"), (3_600, "60 min"), (86_400, "24 h"), (604_800, "7 d")):
        if whole * 0.985 <= seconds <= whole:
            return text
    return f"{seconds // 60} min" if 60 <= seconds < 7_200 else duration(seconds)


def draw_numbers(sheet: Sheet, y: int, ledger: LedgerView, today: LedgerView | None, left: int, limit: int) -> None:
    """Three rows: the names in their colours, the shares of the span with one decimal (they sum to 100.0), the hours of today."""
    look = sheet.look
    found, whole = amounts(ledger, BUCKETS), amounts(today, BUCKETS) if today is not None else {}
    tenths = dict(zip(found, shares(list(found.values()), 1000)))
    sheet.put(y + 1, 2, "share %", look.dim)
    sheet.put(y + 2, 2, "today h", look.dim)
    for column in columns((ledger, today), left, limit):
        part = column.part
        there = found[part] > 0 or whole.get(part, 0) > 0
        ink = "free_text" if part == UNAVAILABLE and not there else _READABLE.get(part.fill, ink_of(part))
        sheet.put(y, column.left, part.name, look.white if look.plain and there else look.style(ink, "bg", part == HELD and there))
        for row, value, text in (
            (y + 1, found[part], number(tenths[part] / 10, 1)),
            (y + 2, whole.get(part, 0), gpu_hours(whole.get(part, 0))),
        ):
            if row == y + 2 and today is None:
                continue
            text = "0" if value == 0 else "<0.1" if text == "0.0" else text
            sheet.right(row, column.right, text, look.style("free_text") if value == 0 else look.fg)


def causes(ledger: LedgerView) -> list[tuple[Cause, bool, int]]:
    """What the GPU waited for, whether that is only inferred from outside, and its time; the largest first."""
    out: dict[tuple[Cause, bool], int] = {}
    for row in ledger.parts:
        if row.bucket is Bucket.WAIT:
            key = (row.cause, row.tier is Tier.N and row.cause is not Cause.UNEXPLAINED)
            out[key] = out.get(key, 0) + row.ms
    return sorted(((cause, inferred, ms) for (cause, inferred), ms in out.items()), key=lambda each: -each[2])


def wait_words(context: Context, ledger: LedgerView, room: int) -> Words:
    """``wait: host 1.4% inferred · unexplained 7.3%``, and what can only be told from inside a program."""
    look = context.look
    found = causes(ledger)
    if not found:
        return [("wait: none", look.dim)]
    total = sum(row.ms for row in ledger.parts)
    groups: list[Words] = []
    for cause, inferred, ms in found:
        group: Words = [(f"{_CAUSES.get(cause, cause.label)} {number(ms * 100 / total, 1)}%", look.fg)]
        groups.append(group + ([(" inferred", look.dim)] if inferred else []))
    words = [("wait: ", look.dim), *fit(groups, room - 6, " · ")]
    tail: Words = [("   input, peers and checkpoints cannot be told from outside", look.dim)]
    told = any(not inferred and cause is not Cause.UNEXPLAINED for cause, inferred, _ in found)
    unexplained = not told and any(cause is Cause.UNEXPLAINED for cause, _, _ in found)
    return words + tail if unexplained and words_width(words + tail) <= room else words


def sum_words(context: Context, view: View, gpu: GpuView, ledger: LedgerView, today: LedgerView | None, room: int) -> Words:
    """The sums, computed from the parts, and the finding that explains them."""
    look = context.look
    total = sum(row.ms for row in ledger.parts)
    share = number(total * 100 / ledger.capacity_ms, 1) if ledger.capacity_ms else "–"
    groups: list[Words] = [[(f"sum: {span_text(ledger)} {share}%", look.dim)]]
    if today is not None:
        whole = sum(row.ms for row in today.parts)
        start = clock_minute(today.span.start_ms, context.tz)
        groups.append([(f"today {gpu_hours(whole)} of {gpu_hours(today.capacity_ms)} GPU·h since {start}", look.dim)])
    words = fit(groups, room, " · ")
    rest = room - words_width(words) - 3
    found = findings.of_gpu(view, gpu.gpu_index)
    if found is not None and rest > 20:
        words += [(" · ", look.dim), *findings.one_line(look, view, *found, rest)]
    return words


def draw_gpu_ledger(sheet: Sheet, context: Context, view: View, gpu: GpuView, ledger: LedgerView, today: LedgerView | None, top: int, rows: int) -> None:  # fmt: skip
    """The panel's inside in up to ``rows`` rows from ``top``: bar, names, shares, today, reasons of waiting, sums."""
    look, right = context.look, context.width - 3
    sheet.put(top, 2, cut(span_text(ledger), 7), look.white)
    ledger_bar(sheet, top, 10, right - 9, split(ledger, BUCKETS))
    if rows >= 4:
        draw_numbers(sheet, top + 1, ledger, today, 10, right)
    if rows >= 5:
        sheet.words(top + 4, 10, wait_words(context, ledger, right - 9))
    if rows >= 6:
        sheet.words(top + 5, 10, sum_words(context, view, gpu, ledger, today, right - 9))
