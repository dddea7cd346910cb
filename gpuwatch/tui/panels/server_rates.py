"""Tokens a second of an inference server: the values of now and the last hour of decode and prefill."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.format import NOTHING, clock_minute, percent_sign, rate
from gpuwatch.names import Quality
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panels.gpu_question import NOTHING_YET
from gpuwatch.tui.panels.hour import mean_of
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.server_words import per_second, requests, value_style, whole
from gpuwatch.tui.panels.workload_question import Places
from gpuwatch.tui.state import Context
from gpuwatch.view.inference_types import InferenceHistory, InferenceView
from gpuwatch.view.types import DetailView, Lane

VALUE, NAME = 7, 9
"""Columns where values end and names begin."""
_STEPS = (1.0, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
COUNTED = {
    "output_tokens_total": "decode",
    "prefill_tokens_total": "prefill",
    "prompt_tokens_total": "prompt",
    "requests_total": "requests",
}
Row = tuple[str, str]
"""A value and its name."""


def nice(peak: float) -> float:
    """The top of a scale: the next round number that is not below ``peak``."""
    unit = 10.0 ** (len(f"{max(1.0, peak):.0f}") - 1)
    return next((unit * step for step in _STEPS if unit * step >= peak), unit * 10)


def scale_text(top: float) -> str:
    """``1.6k``: a rate without the zeros behind its point."""
    text = rate(top)
    digits, suffix = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + suffix


def rows_of(server: InferenceView) -> list[Row]:
    """Decode, prefill, prompt, requests and mean lengths."""
    return [
        (per_second(server, server.output_tokens_per_second, "output_tokens_total"), "decode"),
        (per_second(server, server.prefill_tokens_per_second, "prefill_tokens_total"), "prefill"),
        (per_second(server, server.prompt_tokens_per_second, "prompt_tokens_total"), "prompt"),
        (requests(server, server.requests_per_second), "requests/s"),
        (whole(server.prompt_tokens_mean), "prompt mean"),
        (whole(server.output_tokens_mean), "output mean"),
    ]


def note_of(server: InferenceView) -> str:
    """What is estimated, and what is only counted when a request ends."""
    estimated = any(quality is Quality.ESTIMATED for quality in server.quality.values())
    ended = [word for field, word in COUNTED.items() if server.quality.get(field) is Quality.AT_END]
    parts = ["~ estimated"] if estimated else []
    if ended:
        parts.append(f"{', '.join(ended)} counted at the end of requests")
    return " · ".join(parts)


def draw_rates(sheet: Sheet, context: Context, server: InferenceView, detail: DetailView | None, top: int, rows: int, places: Places) -> None:  # fmt: skip
    """The boxed panel in columns 0 to ``places.split``."""
    look, bottom = context.look, top + rows - 1
    note = note_of(server)
    if len(note) + 8 > places.split:
        note = note.replace(" counted", "")
    box(
        sheet,
        top,
        bottom,
        "Tokens/s",
        right=places.split,
        note=[(span_text(places), look.dim)],
        foot=[(note, look.dim)] if note else (),
    )
    shown = rows_of(server)
    spaced = rows >= 11
    y = top + 1
    for number_of, (text, name) in enumerate(shown):
        if y >= bottom:
            break
        first = number_of == 0 and text != NOTHING
        sheet.right(y, VALUE, text, value_style(look, server, text, look.style("busy", "bg", True) if first else look.white))
        sheet.put(y, NAME, name, look.fg if first else look.dim)
        y += 1 + (spaced and number_of == 2)
    if spaced:
        for line in _prefill_words(server):
            if y < bottom:
                sheet.put(y, 2, line, look.dim)
                y += 1
    prefill = max(1, (rows - 5) // 3)
    draw_charts(sheet, context, detail, places, top + 1, rows - 5 - prefill, prefill, captions=True)


def span_text(places: Places) -> str:
    """``last 60 min · 90 s a cell``."""
    seconds = places.cell_seconds
    return f"last 60 min · {f'{seconds // 60} min' if seconds % 60 == 0 else f'{seconds} s'} a cell"


def _prefill_words(server: InferenceView) -> tuple[str, ...]:
    """Why less is computed than was sent."""
    cached, sent = server.cached_tokens_per_second, server.prompt_tokens_per_second
    if cached is None or not sent or server.prefill_tokens_per_second is None:
        return ()
    return "prefill = prompt", f"less {percent_sign(min(1.0, cached / sent))} cached"


def draw_charts(
    sheet: Sheet,
    context: Context,
    detail: DetailView | None,
    places: Places,
    top: int,
    decode: int,
    prefill: int,
    *,
    captions: bool,
) -> tuple[str, str]:
    """Both charts and their axis from row ``top`` on, each with its caption below if ``captions``; returns the captions."""
    look = context.look
    history = detail.inference if detail is not None else None
    if history is None:
        sheet.put(top, places.chart, NOTHING_YET if detail is None else "nothing recorded in the last 60 min", look.dim)
        return "", ""
    texts, y = [], top
    for name, cells, rows, ink in (
        ("decode", history.output_tokens_per_second, decode, "busy"),
        ("prefill", history.prefill_tokens_per_second, prefill, "memory"),
    ):
        texts.append(_curve(sheet, places, name, cells, y, rows, ink))
        y += rows
        if captions:
            sheet.put(y, places.chart, texts[-1], look.dim)
            y += 1
    draw_axis(sheet, context, history, places, y)
    return texts[0], texts[1]


def _curve(sheet: Sheet, places: Places, name: str, cells: Sequence[float | None], y: int, rows: int, ink: str) -> str:
    shown = mean_of(cells, places.columns)
    peak = max((cell for cell in shown if cell is not None), default=None)
    if peak is None:
        return f"{name} {NOTHING}"
    top = nice(peak) if peak > 0 else None
    chart(sheet, y, places.chart, Lane(name, shown, None, None), top, rows, sheet.look.style(ink))
    return f"{name}, 0 to {scale_text(top)}" if top else f"{name}, 0"


def draw_axis(sheet: Sheet, context: Context, history: InferenceHistory, places: Places, y: int) -> None:
    """The local time of the first and the middle cell, and ``now``."""
    look, count = context.look, places.columns
    sheet.put(y, places.chart, clock_minute(history.start_ms, context.tz), look.dim)
    if count >= 24:
        middle_ms = history.start_ms + len(history.output_tokens_per_second) * history.cell_seconds * 500
        sheet.put(y, places.chart + count // 2, clock_minute(middle_ms, context.tz), look.dim)
    sheet.right(y, places.chart + count - 1, look.now, look.dim)
