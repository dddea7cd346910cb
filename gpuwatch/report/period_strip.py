"""The span GPU by GPU: a lane each, a cell for a length of time; mark or colour is the largest share of it, height its busy share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.format import cells, cut, left, right
from gpuwatch.names import Bucket
from gpuwatch.report import period_words as words
from gpuwatch.report.ink import MARK, MARKS, Look
from gpuwatch.report.lines import Block, Line, head, line
from gpuwatch.report.period_figures import band
from gpuwatch.view.period.types import Lane, Report, Strip
from gpuwatch.zone import midnight_s, next_midnight_s

USEFUL = (Bucket.EFFECTIVE, Bucket.STALLED_SM, Bucket.EMPTY_SM, Bucket.BUSY_UNKNOWN)
"""Counted as one when the largest share is looked for."""
DAY_MS, MONTH_MS = 86_400_000, 28 * 86_400_000
"""In more than a month a weekday and a number are no date."""
_MAX_NAME = 14
_STEPS_MS = [minutes * 60_000 for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360)]
"""Between the clock times of a short span's axis."""


@dataclass(slots=True)
class _Cell:
    """What most of a cell's time was (``None``: the GPU did not count then), and how busy it was where observed."""

    most: Bucket | None
    busy: float | None


def strip(report: Report, width: int, look: Look) -> Block:
    """The lanes under their days, the legend below; no block where there is nothing to show."""
    found = report.strip
    if found is None or not found.lanes or len(found.edges_ms) < 2:
        return []
    times = words.Times(report.span)
    known = words.gpu_names(report)
    names = [_name(lane, known, len(report.span.hosts) > 1) for lane in found.lanes]
    scores = [band(lane.ledger.efficiency_ratio) for lane in found.lanes]
    before, after = max(map(cells, names)) + 1, max(map(cells, scores)) + 2
    room = _room(found, width - before - after, times)
    out = [head("GPU by GPU", width, "height = busy share, at the right efficiency")]
    out.append(line((" " * before + _axis(found, room, times), "dim")))
    marks: set[Bucket] = set()
    grid = cells_of(found, room)
    for lane, name, score in zip(found.lanes, names, scores, strict=True):
        drawn = resampled(lane, grid)
        marks |= {cell.most for cell in drawn if cell.most is not None}
        out.append([(left(name, before), ""), *_drawn(drawn, look), (right(score, after), "dim")])
    return [*out, *_legend(marks, width, before, look)]


def _name(lane: Lane, names: Mapping[str, str], many_hosts: bool) -> str:
    if lane.folded:
        return cut(lane.host, _MAX_NAME - 6) + f" +{lane.folded}"
    index = names.get(lane.gpu_uuid) or ("?" if lane.gpu_index is None else str(lane.gpu_index))
    return f"{cut(lane.host, _MAX_NAME - 1 - len(index))}:{index}" if many_hosts else index


def _room(found: Strip, width: int, times: words.Times) -> int:
    """Cells of a lane: whole cells for each column, or as many a day as fit, so that days have the same length."""
    columns = len(found.edges_ms) - 1
    if columns <= width:
        return width // columns * columns
    days = (found.edges_ms[-1] - found.edges_ms[0]) / DAY_MS
    whole = round(days)
    return width // whole * whole if abs(days - whole) < 0.1 and 0 < whole <= width else width


Weights = Sequence[tuple[int, float]]
"""The columns that a cell touches, each with the length of time that lies in it."""


def cells_of(found: Strip, room: int) -> list[Weights]:
    """``room`` cells of equal time; a cell takes of each column the part that lies in it."""
    edges, out, column = found.edges_ms, list[Weights](), 0
    length = (edges[-1] - edges[0]) / room
    for number in range(room):
        first, last = edges[0] + length * number, edges[0] + length * (number + 1)
        while edges[column + 1] <= first and column < len(edges) - 2:
            column += 1
        weights, at = [], column
        while at < len(edges) - 1 and edges[at] < last:
            overlap = min(last, edges[at + 1]) - max(first, edges[at])
            if overlap > 0:
                weights.append((at, overlap))
            at += 1
        out.append(weights)
    return out


def resampled(lane: Lane, grid: Sequence[Weights]) -> list[_Cell]:
    """The lane in these cells."""
    order = [mark.bucket for mark in reversed(MARKS) if mark.bucket in lane.shares_pm]
    useful = [lane.shares_pm[bucket] for bucket in order if bucket in USEFUL]
    apart = [(bucket, lane.shares_pm[bucket]) for bucket in order if bucket not in USEFUL]
    return [_cell(lane.busy_pm, useful, apart, weights) for weights in grid]


def _cell(
    busy_pm: Sequence[int | None],
    useful: Sequence[Sequence[int]],
    apart: Sequence[tuple[Bucket, Sequence[int]]],
    weights: Weights,
) -> _Cell:
    """Ties go to what stands first in the order of the marks, work before everything else."""
    most, largest = None, 0.0
    for bucket, lists in ((Bucket.EFFECTIVE, useful), *((bucket, (values,)) for bucket, values in apart)):
        amount = 0.0
        for values in lists:
            for column, weight in weights:
                amount += values[column] * weight
        if amount > largest:
            most, largest = bucket, amount
    busy = known = 0.0
    for column, weight in weights:
        height = busy_pm[column]
        if height is not None:
            busy += height * weight
            known += weight
    return _Cell(most, busy / known / 1000 if known else None)


def _drawn(drawn: Sequence[_Cell], look: Look) -> Line:
    out: Line = []
    for cell in drawn:
        text, style = (" ", "") if cell.most is None else (_mark(cell, look), _style(cell.most))
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out


def _style(bucket: Bucket) -> str:
    """Free time is a row of dots, which need more light than a bar of blocks."""
    return "dim" if bucket is Bucket.UNALLOCATED else bucket.label


def _mark(cell: _Cell, look: Look) -> str:
    """A height where work was most of it, and in colour where waiting was: it waits between bits of work."""
    if cell.most is Bucket.EFFECTIVE or _has_height(cell.most, look):
        heights = look.heights
        return heights[min(len(heights) - 1, int((cell.busy or 0.0) * len(heights)))]
    assert cell.most is not None
    return look.mark(cell.most)


def _has_height(bucket: Bucket | None, look: Look) -> bool:
    """Whether colour tells a bucket from work, so that its mark is free to say how busy it was."""
    return bucket in (Bucket.WAIT, Bucket.THROTTLED) and look.tier != "none" and not look.ascii


def _axis(found: Strip, room: int, times: words.Times) -> str:
    """Days at their midnights, or clock times in a short span, as many as stand apart."""
    start, end = found.edges_ms[0], found.edges_ms[-1]
    out, used = "", 0
    for ms, text in _ticks(start, end, times):
        x = round((ms - start) * room / (end - start))
        if x >= used and x + len(text) <= room + 4:
            out += " " * (x - cells(out)) + text
            used = x + len(text) + 1
    return out


def _ticks(start: int, end: int, times: words.Times) -> list[tuple[int, str]]:
    if end - start > 2 * DAY_MS:
        at = midnight_s(start / 1000, times.tz)
        out = []
        while at * 1000 < end:
            if at * 1000 >= start:
                local = times.at(at * 1000)
                out.append(
                    (at * 1000, times.day(local) if end - start <= MONTH_MS else f"{local.day} {words.MONTHS[local.month - 1]}")
                )
            at = next_midnight_s(at, times.tz)
        return out
    step = next((step for step in _STEPS_MS if (end - start) / step <= 10), _STEPS_MS[-1])
    first = midnight_s(start / 1000, times.tz) * 1000
    first += -(-(start - first) // step) * step
    return [(ms, f"{times.at(ms):%H:%M}") for ms in range(first, end, step)]


def _legend(marks: set[Bucket], width: int, indent: int, look: Look) -> Block:
    shown = [mark.bucket for mark in reversed(MARKS) if mark.bucket in marks]
    out, now, used = [], line(" " * indent), indent
    for bucket in shown:
        busy = bucket is Bucket.EFFECTIVE
        word = "busy" if busy else MARK[bucket].word.lower()
        mark = look.heights[-2:] if busy else look.heights[1:3] if _has_height(bucket, look) else look.mark(bucket)
        size = cells(mark) + 1 + cells(word)
        if used + size > width and used > indent:
            out.append(now)
            now, used = line(" " * indent), indent
        now += [(mark, _style(bucket)), (f" {word}   ", "dim")]
        used += size + 3
    return [*out, now]
