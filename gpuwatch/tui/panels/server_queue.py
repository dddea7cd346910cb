"""What an inference server has to do: requests running and waiting, its KV cache, what the caches save."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import NOTHING, latency, number, percent_sign
from gpuwatch.names import Latency
from gpuwatch.tui.draw.bars import bar
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.panels.server_words import FULL, count, is_old, latency_of, mark, percentile, tokens
from gpuwatch.tui.state import Context
from gpuwatch.view.inference_types import InferenceView

PREEMPTIONS_PER_MINUTE = 1.0
"""More than this is amber: work is done twice."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row: a name with its bar, value and note; or, without a name, a sentence (``note``). ``rank``: 0 stays longest."""

    rank: int
    name: str = ""
    ratio: float | None = None
    ink: str = "busy"
    value: str = ""
    strong: str = "white"
    note: str = ""
    note_ink: str = "dim"


@dataclass(frozen=True, slots=True)
class Place:
    """Columns: names from ``name``, ``cells`` cells from ``bar``, values to ``value``, notes from ``note`` to ``end``."""

    name: int
    bar: int
    cells: int
    value: int
    note: int
    end: int


def lines_of(server: InferenceView) -> list[Line]:
    """The rows that this server can fill, from top to bottom."""
    most = server.max_running_requests
    running, waiting = server.running_requests, server.waiting_requests
    out = [
        Line(
            0,
            "running",
            _part(running, most),
            "busy",
            count(server, running, "running_requests"),
            "busy",
            f"of {most}" if most else "",
        ),
        Line(0, "waiting", _part(waiting, most), "waiting", count(server, waiting, "waiting_requests")),
    ]
    queue = latency_of(server, Latency.QUEUE)
    if queue is not None:
        p95 = percentile(queue, 95)
        mean = "" if queue.mean_seconds is None else f"mean {latency(queue.mean_seconds)}"
        known = [text for text in (mean, f"p95 {p95}" if p95 != NOTHING else "") if text]
        out.append(Line(4, note=f"queue time {', '.join(known) or NOTHING}"))
    out += _cache(server)
    if server.prefix_hit_ratio is not None or "prefix_hit_tokens_total" in server.quality:
        out.append(Line(3, "prefix hits", server.prefix_hit_ratio, "busy", *_hits(server)))
    if server.speculative_acceptance_ratio is not None:
        length = server.speculative_accepted_length
        note = f"{number(length, 1)} a draft" if length is not None else ""
        out.append(Line(6, "drafts kept", server.speculative_acceptance_ratio, "busy", percent_sign(server.speculative_acceptance_ratio), "busy", note))  # fmt: skip
    return out


def _hits(server: InferenceView) -> tuple[str, str, str]:
    """Value, its ink and the note of the prefix cache."""
    if server.prefix_hit_ratio is None:
        return NOTHING, "busy", ""
    return mark(server, "prefix_hit_tokens_total") + percent_sign(server.prefix_hit_ratio), "busy", "of the prompt"


def _part(value: float | None, most: int | None) -> float | None:
    return None if value is None or not most else min(1.0, value / most)


def _cache(server: InferenceView) -> list[Line]:
    """The KV cache and preemptions; an engine that has no such gauge has no row."""
    out: list[Line] = []
    ratio, most = server.kv_cache_ratio, server.kv_cache_fullest_ratio
    if ratio is not None or "kv_cache_ratio" in server.quality:
        size, note = server.kv_cache_tokens, ""
        if most is not None and ratio is not None and most > ratio + 0.005:
            note = f"fullest {percent_sign(most)}"
        elif ratio is not None and size:
            note = f"{tokens(ratio * size)} of {tokens(size)} tok"
        elif size:
            note = f"of {tokens(size)} tok"
        full = (ratio or 0.0) >= FULL
        ink = "waiting" if full else "busy"
        far = "waiting" if note.startswith("fullest") and (most or 0.0) >= FULL else "dim"
        out.append(Line(1, "KV cache", ratio, ink, NOTHING if ratio is None else mark(server, "kv_cache_ratio") + percent_sign(ratio), ink if full else "white", note, far))  # fmt: skip
    if server.preemptions_per_second is not None:
        minute = server.preemptions_per_second * 60
        text = "no preemption" if minute == 0 else f"{number(minute, 1) if minute >= 0.05 else '<0.1'} preemptions a min"
        many = minute > PREEMPTIONS_PER_MINUTE
        out.append(Line(2 if many else 5, note=f"{text}: work done twice" if many else text, note_ink="waiting" if many else "dim"))
    return out


def fitting(lines: list[Line], rows: int) -> list[Line]:
    """As many as there are rows; those that matter least go first."""
    kept = list(lines)
    while len(kept) > rows:
        kept.remove(max(kept, key=lambda line: line.rank))
    return kept


def draw_line(sheet: Sheet, y: int, line: Line, place: Place, *, old: bool) -> None:
    """One row; a note that does not fit is left out."""
    look = sheet.look
    if not line.name:
        sheet.put(y, place.name, cut(line.note, place.end + 1 - place.name), look.dim if old else look.style(line.note_ink))
        return
    sheet.put(y, place.name, line.name, look.dim)
    bar(sheet, y, place.bar, place.cells, line.ratio, look.faint if old else look.style(line.ink))
    dim = old or line.value == NOTHING
    strong: Style = look.dim if dim else look.white if line.strong == "white" else look.style(line.strong, "bg", True)
    sheet.right(y, place.value, line.value, strong)
    if line.note and place.note + width_of(line.note) <= place.end + 1:
        sheet.put(y, place.note, line.note, look.dim if old else look.style(line.note_ink))


def draw_queue(sheet: Sheet, context: Context, server: InferenceView, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge; its last rows say what limits the server."""
    look, right, inside = context.look, context.width - 1, rows - 2
    box(sheet, top, top + rows - 1, "Queue and cache", left=left)
    roomy = right - left >= 53
    cells = 16 if roomy else 10
    place = Place(left + 2, left + 14, cells, left + 19 + cells, left + 21 + cells, right - 2)
    lines = lines_of(server)
    said = wrap(server.diagnosis, right - left - 3, 2 if inside >= len(lines) + 2 else 1)
    for y, line in enumerate(fitting(lines, inside - len(said)), top + 1):
        draw_line(sheet, y, line, place, old=is_old(server))
    for y, text in enumerate(said, top + 1 + inside - len(said)):
        sheet.put(y, left + 2, text, look.fg)
