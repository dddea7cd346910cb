"""The rows of text about one process: its command, when and by whom it was started, what it holds, its host and job."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import NOTHING, clock, duration, gib, megabytes_per_second, number, percent_sign, since
from gpuwatch.names import Missing
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.family import Family
from gpuwatch.tui.panels import training_words
from gpuwatch.tui.panels.gpus import label_among
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import rank_of
from gpuwatch.view.types import GpuHold, ProcessView, View

Words = list[tuple[str, Style]]


@dataclass(frozen=True, slots=True)
class Place:
    """Labels from ``label``, text from ``text`` to ``right``, strips of ``cells`` from ``text``."""

    label: int
    text: int
    right: int
    cells: int


def hold_label(view: View, hold: GpuHold) -> str:
    """The GPU of a hold as the tables name it; its index where the View does not have it any more."""
    label = label_among(view, hold.gpu_uuid)
    return str(hold.gpu_index) if label == NOTHING else label


def draw_facts(
    sheet: Sheet, context: Context, view: View, process: ProcessView, place: Place, top: int, bottom: int, most: int
) -> int:
    """Command, start, holds, host and job rows; returns the row after the last."""
    look, width = context.look, place.right + 1 - place.text
    y = top
    sheet.put(y, place.label, "Command", look.dim)
    reason = process.missing.get("command")
    lines = wrap(process.command or process.name, width, most) if process.command or process.name else []
    for line in lines or [_nothing(reason)]:
        sheet.put(y, place.text, line, look.fg)
        y += 1
    for label, groups in (
        ("Started", _started(context, view, process)),
        ("Holds", _holds(context, view, process)),
        ("Host", _host(context, view, process)),
        ("Job", _job(context, view, process)),
        ("Step", rank_words(context, view, process)),
    ):
        if y <= bottom and groups:
            sheet.put(y, place.label, label, look.dim)
            _groups(sheet, y, place.text, place.right, groups)
            y += 1
    return y


def wrap(text: str, width: int, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` cells, at blanks where that leaves a line half full; ``…`` if more is left."""
    out: list[str] = []
    while text and len(out) < most:
        if width_of(text) <= width or len(out) == most - 1:
            out.append(cut(text, width))
            break
        taken, used = 0, 0
        while taken < len(text) and used + width_of(text[taken]) <= width:
            used += width_of(text[taken])
            taken += 1
        blank = text.rfind(" ", 0, taken + 1)
        taken = blank if blank > taken // 2 else max(1, taken)
        out.append(text[:taken].rstrip(" "))
        text = text[taken:].lstrip(" ")
    return out


def _nothing(reason: Missing | None) -> str:
    return "? (another user's process: no permission)" if reason is Missing.NO_PERMISSION else "–"


def _groups(sheet: Sheet, y: int, x: int, right: int, groups: Sequence[Words]) -> None:
    """Groups side by side, as many as fit whole; the first is cut if it alone does not."""
    start = x
    for group in groups:
        need = sum(width_of(text) for text, _ in group) + (3 if x > start else 0)
        if x + need <= right + 1:
            x = sheet.words(y, x + (3 if x > start else 0), group)
        elif x == start:
            sheet.put(y, x, cut("".join(text for text, _ in group), right + 1 - x), group[-1][1])
            return


def started(context: Context, start_ms: int, at_ms: int) -> str:
    """``08:19:27``, with its day if that is not today."""
    return since(start_ms, at_ms, context.tz) + clock(start_ms, context.tz)[-3:]


def _started(context: Context, view: View, process: ProcessView) -> list[Words]:
    look = context.look
    if not process.start_known:
        return [[("unknown", look.fg), (" (seen since ", look.dim), (since(process.start_ms, view.at_ms, context.tz), look.fg), (")", look.dim)]]  # fmt: skip
    out: list[Words] = [
        [(started(context, process.start_ms, view.at_ms), look.fg), (f", {duration(process.age_seconds)} ago", look.dim)]
    ]
    parent = next((other for other in view.processes if other.pid == process.parent_pid), None)
    if parent is not None:
        out.append([("by ", look.dim), (cut(parent.command or parent.name, 36), look.fg), (f" (pid {parent.pid})", look.dim)])
    elif process.parent_pid > 1:
        out.append([("by ", look.dim), (f"pid {process.parent_pid}", look.fg)])
    return out


def _holds(context: Context, view: View, process: ProcessView) -> list[Words]:
    look = context.look
    if not process.holds:
        return [[("no GPU", look.dim)]]
    out: list[Words] = []
    for hold in process.holds:
        gpu = next((gpu for gpu in view.gpus if gpu.gpu_uuid == hold.gpu_uuid), None)
        size = gib(hold.gpu_memory_bytes, 1, process.missing.get("gpu_memory_bytes"))
        words: Words = [
            (f"{size} GiB" if hold.gpu_memory_bytes is not None else size, look.fg),
            (f" of GPU {hold_label(view, hold)}", look.fg),
        ]
        if gpu is not None and gpu.memory_total_bytes is not None:
            words.append((f" ({gib(gpu.memory_total_bytes, 0)})", look.dim))
        if hold.waste_gpus is not None and len(process.holds) < 4:
            words += [("  waste ", look.dim), (number(hold.waste_gpus, 2), look.fg), (" GPU", look.dim)]
        out.append(words)
    return out


def _host(context: Context, view: View, process: ProcessView) -> list[Words]:
    look, totals = context.look, Family(Family(view.processes).below(process)).totals(process)
    memory: Words = [("memory ", look.dim), (_gib(totals.rss_bytes, process), look.fg)]
    if totals.rss_bytes is not None and process.rss_bytes is not None and totals.rss_bytes > process.rss_bytes:
        memory += [(" with its workers, ", look.dim), (_gib(process.rss_bytes, process), look.fg), (" alone", look.dim)]
    reason = process.missing.get("cpu_ratio")
    cores: Words = [("CPU ", look.dim), (percent_sign(totals.cpu_ratio, 0, reason), look.fg), (" of a core", look.dim)]
    rates: list[Words] = []
    for word, rate in (("read", process.read_bytes_per_second), ("written", process.write_bytes_per_second)):
        if rate is not None:
            rates.append([(f"{word} ", look.dim), (f"{megabytes_per_second(rate)} MB/s", look.fg)])
    return [cores, memory, *rates]


def _gib(size: float | None, process: ProcessView) -> str:
    text = gib(size, 1, process.missing.get("rss_bytes"))
    return text if size is None else f"{text} GiB"


def _job(context: Context, view: View, process: ProcessView) -> list[Words]:
    look = context.look
    out: list[Words] = [[(cut(process.job, 60), look.fg)] if process.job else [("none", look.dim)]]
    if process.container:
        out.append([("container ", look.dim), (cut(process.container, 40), look.fg)])
    work = next((w for w in view.workloads if (w.root_pid, w.root_start_ms) == (process.pid, process.start_ms)), None)
    if work is not None:
        out.append([(f"{work.kind} ", look.dim), (cut(work.name or work.engine, 30), look.fg)])
    if process.role and process.role != "gpu":
        out.append([("seen as ", look.dim), (process.role, look.fg)])
    return out


def rank_words(context: Context, view: View, process: ProcessView) -> list[Words]:
    """``rank 1 of 2 · in backward for 0 s · step 1.79 s, data 0.05 s``: what a process of a training does; nothing for others."""
    look, found = context.look, rank_of(view, process.pid, process.start_ms)
    if found is None:
        return []
    training, rank = found
    scale = training_words.scale_of(training)
    of = f" of {len(training.ranks)}" if rank.rank is not None and len(training.ranks) > 1 else ""
    out: list[Words] = [[(f"{training_words.rank_name(rank)}{of}", look.fg)]]
    end = training_words.rank_end(context, view, rank)
    if end is not None:
        out.append([(end[0], look.style(end[1], "bg", True))])
    elif rank.phase is not None:
        doing = training_words.lasting(rank.phase, rank.phase_age_seconds)
        out.append([(doing, look.amber if training.stalled else look.fg)])
    for word, value in (("step ", rank.step_seconds), ("data wait ", rank.data_wait_seconds)):
        if value is not None:
            out.append([(word, look.dim), (scale.length(value), look.fg)])
    if rank.tokens_per_second is not None:
        out.append([(training_words.small_rate(rank.tokens_per_second), look.fg), (" tok/s", look.dim)])
    return out
