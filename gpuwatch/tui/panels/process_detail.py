"""One process: its command, when and by whom it was started, what it holds, its last half hour and where its GPU time went."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.format import NOTHING, clock, duration, gib, megabytes_per_second, number, percent_sign, since, state_word
from gpuwatch.names import Missing, State
from gpuwatch.record import dataclass
from gpuwatch.tui.draw.bars import state_at, strip
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.gpu_ledger import bar_parts
from gpuwatch.tui.panels.gpus import label_among
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.rows import Family
from gpuwatch.tui.state import Context
from gpuwatch.view.types import Cell, GpuHold, GpuView, Lane, ProcessHistory, ProcessView, View

Words = list[tuple[str, Style]]
SPAN_SECONDS = 1_800
FULL_ROWS = 16
"""Rows of the pane with borders in which everything has room."""


@dataclass(frozen=True, slots=True)
class Place:
    """Labels from ``label``, text from ``text`` to ``right``, strips of ``cells`` from ``text``."""

    label: int
    text: int
    right: int
    cells: int


def place_for(width: int) -> Place:
    """Where things stand on a screen of that width."""
    if width < 100:
        return Place(0, 11, width - 1, cells_for(width - 20))
    return Place(2, 15, width - 3, cells_for(width - 30))


def cells_for(room: int) -> int:
    """The most cells in ``room`` that divide the half hour into whole seconds, none shorter than five."""
    return next(n for n in range(min(room, 360), 0, -1) if SPAN_SECONDS % n == 0)


def title_of(process: ProcessView, view: View) -> str:
    """``pid 51877 · carol · GPU 2, 3``."""
    gpus = [hold_label(view, hold) for hold in sorted(process.holds, key=lambda hold: hold.gpu_index)]
    shown = ", ".join(gpus[:6]) + (f" +{len(gpus) - 6}" if len(gpus) > 6 else "")
    return f"pid {process.pid} · {cut(process.user or '?', 16)}{f' · GPU {shown}' if gpus else ''}"


def hold_label(view: View, hold: GpuHold) -> str:
    """The GPU of a hold as the tables name it; its index where the View does not have it any more."""
    label = label_among(view, hold.gpu_uuid)
    return str(hold.gpu_index) if label == NOTHING else label


def gpu_of(process: ProcessView, view: View) -> GpuView | None:
    """The GPU that its largest hold is on."""
    uuid = process.holds[0].gpu_uuid if process.holds else ""
    return next((gpu for gpu in view.gpus if gpu.gpu_uuid == uuid), None) if uuid else None


def draw_detail(
    sheet: Sheet, context: Context, view: View, process: ProcessView, history: ProcessHistory | None, top: int, bottom: int
) -> None:
    """The pane in rows ``top`` to ``bottom`` (inclusive): boxed from 100 columns on, on a band below."""
    look, place = context.look, place_for(context.width)
    gpu = gpu_of(process, view)
    if context.width >= 100:
        note: Words = []
        if gpu is not None and process.state is not State.NO_DATA:
            word = f" since {since(gpu.state_since_ms, view.at_ms, context.tz)}" if gpu.state_since_ms is not None else ""
            note = [(state_word(process.state), look.state(process.state)), (word, look.dim)]
        box(sheet, top, bottom, title_of(process, view), note=[part for part in note if part[0]])
        top, bottom = top + 1, bottom - 1
    else:
        sheet.ground(top, 0, context.width - 1, "bar")
        at = sheet.put(top, 0, title_of(process, view), look.title)
        if process.state is not State.NO_DATA and at + 16 < context.width:
            state_at(sheet, top, at + 2, process.state, state_word(process.state))
        top += 1
    room = bottom + 1 - top
    y = _facts(sheet, context, view, process, place, top, bottom, 2 if room < 18 else 4)
    rest = bottom + 1 - y
    spaced = rest >= 10
    if rest >= 4:
        y = _strips(sheet, context, process, history, place, y + (rest >= 6), gpu)
    if bottom + 1 - y >= 1 + spaced and process.holds:
        _ledger(sheet, context, history, place, y + spaced)
        y += 1 + spaced
    if bottom + 1 - y >= 2 + spaced:
        _finding(sheet, context, view, process, place, y + spaced)


# ------------------------------------------------------------------------------------------------------------- the facts


def _facts(sheet: Sheet, context: Context, view: View, process: ProcessView, place: Place, top: int, bottom: int, most: int) -> int:
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
    look, totals = context.look, Family(_tree_of(process, view)).totals(process)
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


def _tree_of(process: ProcessView, view: View) -> list[ProcessView]:
    """The process and everything below it."""
    children: dict[int, list[ProcessView]] = {}
    for other in view.processes:
        children.setdefault(other.parent_pid, []).append(other)
    out, seen, stack = [], {process.pid}, [process]
    while stack:
        member = stack.pop()
        out.append(member)
        for child in children.get(member.pid, ()):
            if child.pid not in seen:
                seen.add(child.pid)
                stack.append(child)
    return out


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


# ------------------------------------------------------------------------------------------------------------ the strips


def _strips(
    sheet: Sheet,
    context: Context,
    process: ProcessView,
    history: ProcessHistory | None,
    place: Place,
    y: int,
    gpu: GpuView | None,
) -> int:
    """SM, GPU memory and CPU of the last half hour and their axis; returns the row after."""
    look, cells = context.look, place.cells
    lanes = {lane.name: lane for lane in history.lanes} if history else {}
    rows: list[tuple[str, Lane | None, str]] = []
    if process.holds:
        hold = process.holds[0]
        rows += [
            ("SM %", lanes.get("sm_utilization_ratio"), percent_sign(hold.sm_utilization_ratio, 0, process.missing.get("sm_utilization_ratio"))),
            ("GPU GiB", lanes.get("gpu_memory_bytes"), gib(hold.gpu_memory_bytes, 1, process.missing.get("gpu_memory_bytes"))),
        ]  # fmt: skip
    rows.append(("CPU %", lanes.get("cpu_ratio"), percent_sign(process.cpu_ratio, 0, process.missing.get("cpu_ratio"))))
    for label, lane, now in rows:
        sheet.put(y, place.label, label, look.dim)
        roomy = width_of(now) + 4 <= place.right - place.text - cells
        sheet.words_right(y, place.right, [(now, look.dim if now in "–?" else look.fg), (" now" if roomy else "", look.dim)])
        if history is None:
            sheet.put(y, place.text, "reading …", look.dim)
        elif lane is None or all(cell is None for cell in lane.cells):
            sheet.put(y, place.text, _why_empty(process, label), look.dim)
        elif label == "SM %":
            states = [State.NO_DATA if state is None else state for state in history.states]
            strip(sheet, y, place.text, [Cell(height, state) for height, state in zip(lane.cells, states)][-cells:])
        else:
            # A core is the smallest scale for CPU: a sleeping process is not drawn as a busy one.
            top = lane.scale_max or max((1.0, *(cell for cell in lane.cells if cell is not None)))
            chart(sheet, y, place.text, lane, top, 1, look.style("memory" if label == "GPU GiB" else "neutral"))
        y += 1
    if history is not None:
        start, half = history.span.start_ms, (history.span.start_ms + history.span.end_ms) // 2
        sheet.put(y, place.text, since(start, start, context.tz), look.dim)
        sheet.put(y, place.text + cells // 2, since(half, half, context.tz), look.dim)
        sheet.right(y, place.text + cells - 1, "now", look.dim)
    return y + 1


def _why_empty(process: ProcessView, label: str) -> str:
    if label == "SM %" and process.missing.get("sm_utilization_ratio") is Missing.NOT_SUPPORTED:
        return "not supported on this GPU"
    return "nothing recorded in the last 30 min"


def _ledger(sheet: Sheet, context: Context, history: ProcessHistory | None, place: Place, y: int) -> None:
    look = context.look
    sheet.put(y, place.label, "Its time", look.dim)
    ledger = history.ledger if history else None
    if ledger is None:
        sheet.put(y, place.text, "reading …" if history is None else "no GPU time yet", look.dim)
        return
    ledger_bar(sheet, y, place.text, place.cells, bar_parts(ledger))
    # Its own share of its GPUs' time: less than the span where others had the GPU or where it is younger.
    span_ms = ledger.span.end_ms - ledger.span.start_ms
    sheet.right(y, place.right, duration(min(span_ms, ledger.capacity_ms) / 1000), look.dim)


def _finding(sheet: Sheet, context: Context, view: View, process: ProcessView, place: Place, y: int) -> None:
    look = context.look
    gpus = {hold.gpu_index for hold in process.holds}
    found = next(((i, f) for i, f in enumerate(view.findings, 1) if gpus & set(f.gpu_indices)), None)
    if found is None:
        return
    rank, finding = found
    at = sheet.put(y, place.label, f"Finding {rank} ", look.amber)
    sheet.put(y, at, cut(finding.title, place.right + 1 - at), look.white)
    sheet.put(y + 1, place.label, cut(f"{finding.evidence} · {finding.advice}", place.right + 1 - place.label), look.dim)
