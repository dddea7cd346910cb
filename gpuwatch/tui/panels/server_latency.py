"""How long users of an inference server wait: mean, percentiles, the share within the limits, the last hour of p95."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import NOTHING, about, latency, number, percent_range, percent_sign
from gpuwatch.names import Latency
from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.gpu_question import NOTHING_YET
from gpuwatch.tui.panels.hour import worst_of
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.server_words import NOT_TOLD, latency_of, limit, mark, percentile, requests, too_slow, value_style
from gpuwatch.tui.state import Context
from gpuwatch.view.inference_types import InferenceHistory, InferenceView, LatencyView
from gpuwatch.view.types import DetailView, Lane

Words = list[tuple[str, Style]]
MEASURES = (
    (Latency.TTFT, "time to first token", "first token", "ttft", "busy"),
    (Latency.ITL, "between tokens", "between tok", "itl", "busy"),
    (Latency.QUEUE, "queue time", "queue time", "queue", "memory"),
    (Latency.E2E, "whole request", "whole request", "e2e", "memory"),
)
"""What is measured, its names, its field and the ink of its strip; in the order of the table."""
LEAST_CELLS = 16


@dataclass(frozen=True, slots=True)
class Places:
    """Right edges of the columns; -1: not there. ``strip`` is (first column, cells)."""

    name: int
    mean: int
    p50: int
    p95: int
    p99: int
    slo: int
    within: int
    strip: tuple[int, int] = (0, 0)


def places_for(width: int, *, narrow: bool) -> Places:
    """The columns of a screen of that width; ``narrow``: without boxes, strips and p50."""
    if narrow:
        return Places(0, 26, -1, 39, 52, 65, 79)
    room = min(60, width - 3 - 90)
    return Places(4, 34, 44, 54, 64, 75, 86, (90, room) if room >= LEAST_CELLS else (0, 0))


def draw_latency(sheet: Sheet, context: Context, server: InferenceView, detail: DetailView | None, top: int, rows: int) -> None:
    """The boxed panel: heads, four measures, and from six rows inside on goodput as the last row."""
    look, inside = context.look, rows - 2
    goodput = fitting(goodput_words(context, server), context.width - 10)
    note = note_of(server)
    below = goodput if inside < 6 else []
    box(sheet, top, top + rows - 1, "Latency", note=[(note, look.dim)] if note else (), foot=below)
    places = places_for(context.width, narrow=False)
    draw_table(sheet, context, server, detail, places, top + 1)
    if inside >= 6:
        sheet.words(top + rows - 2, places.name, goodput)


def note_of(server: InferenceView) -> str:
    """``1 180 requests in 5 min · from histogram buckets, ± half a bucket``."""
    whole = latency_of(server, Latency.E2E) or latency_of(server, Latency.TTFT)
    span = about(server.window_seconds) if server.window_seconds else ""
    text = f"{number(whole.count)} requests in {span}" if whole is not None and span else ""
    buckets = any(each.p95_seconds is not None or each.above_seconds is not None for each in server.latencies)
    if buckets:
        return f"{text} · from histogram buckets, ± half a bucket" if text else "from histogram buckets, ± half a bucket"
    told = any(field in server.quality for _, _, _, field, _ in MEASURES)
    return text if server.latencies or told else NOT_TOLD


def draw_table(
    sheet: Sheet, context: Context, server: InferenceView, detail: DetailView | None, places: Places, y: int, *, heads: bool = True
) -> None:
    """Heads and the four measures from row ``y`` on."""
    look, narrow = context.look, places.p50 < 0
    if heads:
        draw_heads(sheet, places, y)
    for number_of, (which, name, short, field, ink) in enumerate(MEASURES, 1):
        row = y + number_of
        sheet.put(row, places.name, short if narrow else name, look.fg)
        each = latency_of(server, which)
        if each is None:
            for at in (places.mean, places.p50, places.p95, places.p99, places.slo, places.within):
                if at >= 0:
                    sheet.right(row, at, NOTHING, look.dim)
        else:
            _measure(sheet, server, each, mark(server, field), places, row)
        if places.strip[1]:
            _strip(sheet, detail, which, places.strip, row, ink, first=number_of == 1)
    history = detail.inference if detail is not None else None
    if places.strip[1] and heads and history is not None and any(map(_told, history.p95_seconds.values())):
        sheet.put(y, places.strip[0], "p95, last 60 min", look.dim)


def _told(cells: Sequence[float | None]) -> bool:
    return any(cell is not None for cell in cells)


def draw_heads(sheet: Sheet, places: Places, y: int) -> None:
    """The titles of the columns."""
    dim = sheet.look.dim
    if places.name:
        sheet.put(y, places.name, "Measure", dim)
    for at, title in (
        (places.mean, "mean"),
        (places.p50, "p50"),
        (places.p95, "p95"),
        (places.p99, "p99"),
        (places.slo, "SLO"),
        (places.within, "in SLO"),
    ):
        if at >= 0:
            sheet.right(y, at, title, dim)


def _measure(sheet: Sheet, server: InferenceView, each: LatencyView, sign: str, places: Places, y: int) -> None:
    look = sheet.look
    mean = latency(each.mean_seconds)
    sheet.right(y, places.mean, sign + mean if mean != NOTHING else mean, value_style(look, server, mean, look.fg))
    slow = too_slow(server, each)
    texts = {50: percentile(each, 50), 95: percentile(each, 95), 99: percentile(each, 99)}
    if each.why_no_percentile and all(text == NOTHING for text in texts.values()):
        sheet.right(y, places.p99, each.why_no_percentile, look.dim)
    else:
        for which, at, style in (
            (50, places.p50, look.fg),
            (95, places.p95, look.amber if slow else look.white),
            (99, places.p99, look.fg),
        ):
            if at >= 0:
                sheet.right(y, at, texts[which], value_style(look, server, texts[which], style))
    slo = NOTHING if each.slo_seconds is None else f"≤ {limit(each.slo_seconds)}"
    sheet.right(y, places.slo, slo, look.dim if slo == NOTHING else look.fg)
    within = within_text(each)
    sheet.right(y, places.within, within, value_style(look, server, within, look.amber if slow else look.white))


def within_text(each: LatencyView) -> str:
    """``96.8%``, or ``94 to 97%`` where the limit lies inside a bucket."""
    low, high = each.in_slo_low, each.in_slo_high
    if low is None or high is None:
        return NOTHING
    if high - low < 0.0005:
        return percent_sign(low, 1) if low < 1 else "100%"
    return percent_range(low, high)


def _strip(
    sheet: Sheet, detail: DetailView | None, which: Latency, place: tuple[int, int], y: int, ink: str, *, first: bool
) -> None:
    look = sheet.look
    history: InferenceHistory | None = detail.inference if detail is not None else None
    if history is None:
        if first:
            sheet.put(y, place[0], NOTHING_YET if detail is None else "nothing recorded", look.dim)
        return
    cells = worst_of(history.p95_seconds.get(which, ()), place[1])
    peak = max((cell for cell in cells if cell is not None), default=None)
    if peak is not None:
        chart(sheet, y, place[0], Lane("p95", cells, None, None), peak, 1, look.style(ink))


def fitting(words: Words, room: int) -> Words:
    """``words`` without the last ones that do not fit."""
    while words and words_width(words) > room:
        words = words[:-1]
    return words


def goodput_words(context: Context, server: InferenceView) -> Words:
    """``goodput 3.74 to 3.81 of 3.94 requests/s   both limits met: 94.9 to 96.8%, a range: no joint figure``."""
    look = context.look
    low, high = server.goodput_low_per_second, server.goodput_high_per_second
    if low is None or high is None:
        return [("goodput ", look.dim), (NOTHING, look.dim)]
    first, last = requests(server, low, ""), requests(server, high, "")
    rate = first if first == last else f"{first} to {last}"
    if server.requests_per_second is not None:
        rate += f" of {requests(server, server.requests_per_second)}"
    words: Words = [("goodput ", look.dim), (rate, look.white), (" requests/s", look.white)]
    low, high = server.goodput_low_ratio, server.goodput_high_ratio
    if low is not None and high is not None:
        share = f"{number(low * 100, 1)} to {percent_sign(high, 1)}" if high - low >= 0.0005 else percent_sign(low, 1)
        limits = sum(1 for each in server.latencies if each.slo_seconds is not None)
        both = "both limits met" if limits == 2 else "limit met" if limits == 1 else "all limits met"
        words.append((f"   {both}: {share}", look.dim))
        if limits > 1 and high - low >= 0.0005:
            words.append((", a range: no joint figure", look.dim))
    return words
