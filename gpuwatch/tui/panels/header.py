"""Row 0: who is watched, and whether what stands below is now."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import clock, duration, gpu_summary, since, weekday_clock
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.state import Context
from gpuwatch.view.types import View

Words = list[tuple[str, Style]]


def draw_header(sheet: Sheet, context: Context) -> None:
    """The header on its ground."""
    look, view, width = context.look, context.view, context.width
    if view is not None and view.past:
        _past(sheet, context, view)
        return
    sheet.ground(0, 0, width - 1, "bar")
    right: Words = []
    clock_at = width
    if view is not None:
        right, tail = _right(context, view)
        interval = words_width(tail)
        sheet.words_right(0, width - 2, right + tail)
        clock_at = width - 1 - interval
    used = words_width(right) + (width - clock_at)
    _left(sheet, context, width - used - 2)
    if view is None and context.problem:
        sheet.put(0, max(12, width - 20), "no data"[: max(0, width - 14)], look.amber)


def _past(sheet: Sheet, context: Context, view: View) -> None:
    """Another ground, the instant and how long ago it is."""
    look, width = context.look, context.width
    ago = f"{look.text('−')}{duration((view.now_ms - view.at_ms) / 1000)}"
    words = [f" {look.text('‖')} PAST {_instant(view, context)}  {ago} "]
    name = view.host.hostname if view.host else ""
    extra = [f"  now {clock(view.now_ms, context.tz)}", f"  {cut(name, 24)}", "  SIMULATED" if view.recording.simulated else ""]
    trouble = context.problem and "  store not readable"
    for text in (trouble, extra[2], extra[0], extra[1]):
        if text and sum(map(len, words)) + len(text) < width:
            words.append(text)
    sheet.put(0, 0, "".join(words)[:width].ljust(width), look.fill("ink", "waiting"))


def _instant(view: View, context: Context) -> str:
    """The clock, with the weekday if it is not today's, with the date if it is older than that says."""
    day = since(view.at_ms, view.now_ms, context.tz)[:-5]
    return f"{day}{clock(view.at_ms, context.tz)}"


def _right(context: Context, view: View) -> tuple[Words, Words]:
    look, narrow = context.look, context.width < 100
    words: Words = []
    recording = view.recording
    if not narrow:
        if not recording.live:
            words += [("not recording", look.amber), ("   ", look.dim)]
        elif recording.read_only_reason:  # in memory, beside the store, seldom: a notice says which
            words += [("limited recording", look.amber), ("   ", look.dim)]
        elif recording.first_ms is not None and view.now_ms - recording.first_ms >= 3_600_000:
            words += [(f"rec {duration((view.now_ms - recording.first_ms) / 1000)}", look.dim), ("   ", look.dim)]
    trouble = trouble_of(context, view)
    if trouble:
        words += [(trouble, look.amber), ("  ", look.dim)]
    else:
        words += [(f"{look.glyphs.live} LIVE", look.style("busy", "bg", True)), ("  ", look.dim)]
    words.append((clock(view.at_ms, context.tz) if narrow else weekday_clock(view.at_ms, context.tz), look.style("white")))
    return words, [(f"  {context.ui.interval:g} s", look.dim)]


def trouble_of(context: Context, view: View) -> str:
    """What replaces LIVE: the most important thing that makes the picture old or partial, or nothing."""
    if context.problem:
        return "store not readable"
    if context.ui.paused:
        return "paused"
    recording = view.recording
    if not recording.live:
        if recording.last_tick_ms is None or recording.imported:
            return "no recorder yet"
        return f"recorder gone: no data for {duration(max(0, view.now_ms - recording.last_tick_ms) / 1000)}"
    for source in view.sources:
        if source.state == "stalled":
            return f"{source.name}: no answer for {duration(source.age_seconds or 0)}"
    for source in view.sources:
        if source.state == "error" and view.gpus:
            return f"{source.name}: error"
    return "slow link" if context.ui.slow_link else ""


def _left(sheet: Sheet, context: Context, room: int) -> None:
    look, view, narrow = context.look, context.view, context.width < 100
    at = sheet.put(0, 0, " gpuwatch "[: sheet.width], look.badge)
    if view is None:
        return
    if view.recording.simulated:
        at = _if_fits(sheet, at, room, [(" SIMULATED ", look.fill("ink", "waiting"))])
    host = view.host
    name = cut(host.hostname if host else "", max(0, min(24, room - at - 1)))
    at = _if_fits(sheet, at, room, [(" ", look.dim), (name, look.white)])
    names = [gpu.name for gpu in view.gpus if not gpu.parent_uuid]
    summary = gpu_summary(names)
    if narrow and names:
        summary = " + ".join(part.replace(" × ", "×").split(" ")[0].split("-")[0] for part in summary.split(" + "))
    if host or names:  # before the first sample nothing is known, not even that there is no GPU
        at = _if_fits(sheet, at, room, [("  ", look.dim), (summary, look.fg)])
    if context.width >= 120 and host and host.driver_version:
        cuda = f" · CUDA {host.cuda_version}" if host.cuda_version else ""
        _if_fits(sheet, at, room, [("  ", look.dim), (f"driver {host.driver_version}{cuda}", look.dim)])


def _if_fits(sheet: Sheet, at: int, room: int, words: Words) -> int:
    return sheet.words(0, at, words) if at + words_width(words) <= room else at
