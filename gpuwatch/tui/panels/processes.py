"""The process table of the overview: numbers left, names right; only the visible rows are formatted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rich.style import Style

from gpuwatch.format import age, age_short, counted, gib, glyph, gpus, percent, since
from gpuwatch.names import State
from gpuwatch.tui.draw.bars import strip, tick
from gpuwatch.tui.draw.columns import Column, put_value
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.family import feeds, key_of
from gpuwatch.tui.panels.gpus import has_activity
from gpuwatch.tui.panels.process_facts import hold_label
from gpuwatch.tui.rows import SORTS, ProcessRow, Selection, build_rows
from gpuwatch.tui.state import WIDE, Context
from gpuwatch.view.types import ProcessView, View

_Base = tuple[tuple[str, str, int], ...]
_WIDE: _Base = (("gpu", "GPU", 6), ("sm", "SM %", 12), ("memory", "GPU GiB", 21), ("cpu", "CPU %", 28), ("ram", "RAM GiB", 37), ("waste", "Waste", 46), ("age", "Age", 57), ("pid", "PID", 65))  # fmt: skip
_MIDDLE: _Base = (
    ("gpu", "GPU", 6),
    ("sm", "SM %", 12),
    ("memory", "GPU GiB", 21),
    ("cpu", "CPU %", 28),
    ("waste", "Waste", 37),
    ("age", "Age", 48),
)
_NARROW: _Base = (("gpu", "GPU", 4), ("sm", "SM %", 9), ("memory", "GiB", 15), ("cpu", "CPU %", 21), ("waste", "Waste", 29), ("age", "Age", 37), ("pid", "PID", 44))  # fmt: skip


@lru_cache(maxsize=8)
def columns_for(width: int) -> tuple[Column, ...]:
    """The columns of each width, in their order from left to right."""
    if width >= WIDE:
        names = (Column("user", "User", left=67, limit=72), Column("command", "Command", left=74, limit=151))
        base = _WIDE
    elif width >= 120:
        names = (Column("user", "User", left=67, limit=72), Column("command", "Command", left=74, limit=width - 3))
        base = _WIDE
    elif width >= 100:
        names = (Column("user", "User", left=50, limit=57), Column("command", "Command", left=59, limit=width - 3))
        base = _MIDDLE
    else:
        names = (Column("user", "User", left=46, limit=51), Column("command", "Command", left=53, limit=width - 1))
        base = _NARROW
    return (*(Column(name, title, right=right) for name, title, right in base), *names)


def selection_of(context: Context) -> Selection:
    """The user's choices as the rows need them."""
    ui = context.ui
    return Selection(tuple(ui.filter.lower().split()), ui.sort, ui.reverse, ui.show_all, ui.tree)


def draw_head(sheet: Sheet, y: int, columns: Sequence[Column], context: Context, *, names: bool = True) -> None:
    """The titles; the sort column's is white with an arrow. ``names``: also that of a column of text."""
    look, ui = context.look, context.ui
    largest_first = SORTS[ui.sort][2] != ui.reverse
    arrow = look.glyphs.down if largest_first else look.glyphs.up
    for column in columns:
        if column.name != ui.sort or not names and column.right < 0:
            put_value(sheet, y, column, column.title, look.dim)
        elif column.right >= 0 and _room_left(columns, column) > len(column.title) + 2:
            put_value(sheet, y, column, f"{column.title} {arrow}", look.white)
        else:
            put_value(sheet, y, column, column.title, look.white)
            if column.right < 0 and len(column.title) + 2 <= column.limit + 1 - column.left:
                sheet.put(y, column.left + len(column.title) + 1, arrow, look.white)


def _room_left(columns: Sequence[Column], column: Column) -> int:
    """Free cells from the column before up to this one's right edge."""
    before = max((other.end for other in columns if 0 <= other.right < column.right), default=0)
    return column.right + 1 - before


def draw_row(
    sheet: Sheet,
    y: int,
    row: ProcessRow,
    columns: Sequence[Column],
    context: Context,
    served: ProcessView | None,
    *,
    tick_at: int,
    selected: bool,
) -> None:
    """One row of the table; ``served``: whose GPU it works for without holding one itself."""
    look = context.look
    hold = row.hold
    grey = row.parent_only
    if not grey:
        tick(sheet, y, tick_at, row.process.state if hold is not None else served.state if served is not None else State.NO_DATA)
    for column in columns:
        text, style = value(row, column, context)
        if column.name == "gpu" and served is not None and context.view is not None:
            text = hold_label(context.view, served.holds[0])
        if grey and column.name in ("gpu", "sm", "memory", "cpu", "ram", "waste", "disk"):
            continue
        if text:
            put_value(sheet, y, column, text, look.style("free_text") if grey else style)
    if selected:
        sheet.ground(y, 0 if context.width < 100 else 1, context.width - (1 if context.width < 100 else 2), "sel")
    if context.width >= WIDE and hold is not None and context.view is not None and row.process.role != "worker":
        cells = next((gpu.strip for gpu in context.view.gpus if gpu.gpu_uuid == hold.gpu_uuid), ())
        strip(sheet, y, context.width - 47, cells[-44:])


def value(row: ProcessRow, column: Column, context: Context) -> tuple[str, Style]:
    """Text and style of one value; empty where a row repeats the process above."""
    look, name, process, hold = context.look, column.name, row.process, row.hold
    repeated = not row.first
    idle = process.state is State.HELD_IDLE and hold is not None
    narrow = context.width < 100
    match name:
        case "gpu":
            if hold is None or context.view is None:
                return glyph(), look.white
            return hold_label(context.view, hold), look.white
        case "sm":
            ratio = hold.sm_utilization_ratio if hold else None
            text = percent(ratio, 0, process.missing.get("sm_utilization_ratio") if hold else None)
            style = look.dim if ratio is None else look.state(process.state) if idle and ratio < 0.005 else look.fg
            return text, style
        case "memory":
            size = hold.gpu_memory_bytes if hold else None
            text = gib(size, 1, process.missing.get("gpu_memory_bytes") if hold else None)
            return text, look.dim if size is None else look.state(process.state, bold=False) if idle else look.fg
        case "cpu":
            ratio = row.totals.cpu_ratio
            text = "" if repeated else percent(ratio, 0, process.missing.get("cpu_ratio"))
            return text, look.dim if ratio is None else look.style("waiting") if row.totals.busy_workers else look.fg
        case "ram":
            size = row.totals.rss_bytes
            text = "" if repeated else gib(size, 1, process.missing.get("rss_bytes"))
            return text, look.dim if size is None else look.fg
        case "waste":
            return _waste(row, context)
        case "age":
            seconds = process.age_seconds if process.start_known else None
            return "" if repeated else (_short_age if narrow else age)(quantised(seconds)), look.fg
        case "pid":
            return str(process.pid), look.dim
        case "user":
            return process.user or glyph(process.missing.get("user")), look.fg
    return _command(row, column, context)


def _waste(row: ProcessRow, context: Context) -> tuple[str, Style]:
    look, hold = context.look, row.hold
    amount = hold.waste_gpus if hold else None
    if amount is None or row.process.state is State.NO_DATA:  # nothing is known of its GPU: no waste is not a fact
        return glyph(), look.dim
    state = row.process.state
    marked = amount >= 0.095 and state in (State.HELD_IDLE, State.WAITING, State.THROTTLED, State.UNUSED)
    return gpus(amount), look.state(state) if marked else look.fg


def _command(row: ProcessRow, column: Column, context: Context) -> tuple[str, Style]:
    look, process = context.look, row.process
    room = column.limit + 1 - column.left
    if not row.first:
        place = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
        number = next((i for i, hold in enumerate(process.holds) if row.hold is hold), 1)
        which = f"{place[number - 1]} GPU" if number <= len(place) else f"GPU {number + 1} of it"
        return cut(f"{row.prefix}└ same process, {which}", room), look.fg
    if row.folded:
        return cut(f"{row.prefix}{row.folded} × {process.name.rstrip('0123456789 ')} (folded)", room), look.fg
    return cut(f"{row.prefix}{process.command or process.name}", room), look.fg


def _short_age(seconds: float | None) -> str:
    """In eight cells: beyond 999 days without the hours."""
    text = age_short(seconds)
    return text if len(text) <= 8 else text.split(" ")[0]


def quantised(seconds: float | None) -> float | None:
    """Ages beyond ten minutes move once in ten seconds, so that a table at rest is hardly sent."""
    return seconds if seconds is None or seconds < 600 else seconds - seconds % 10


def draw_processes(sheet: Sheet, context: Context, view: View, top: int, rows: int) -> None:
    """The boxed table of ``rows`` rows over the whole width; the filter's line opens above the heads."""
    look = context.look
    columns = columns_for(context.width)
    found = build_rows(view, selection_of(context))
    box(
        sheet,
        top,
        top + rows - 1,
        "Processes · tree" if context.ui.tree else "Processes",
        note=filter_note(context, view, found),
        foot=_foot(context, view),
    )
    y = top + 1
    if context.ui.filter_open or context.ui.filter:
        draw_filter(sheet, y, 2, context)
        y += 1
    draw_head(sheet, y, columns, context, names=not context.ui.tree)
    if context.width >= WIDE:
        sheet.put(
            y,
            context.width - 47,
            f"{'SM active' if has_activity(view) else 'GPU util'} of its GPU, 15 min",
            look.dim,
        )
    body = draw_body(sheet, context, found, columns, y + 1, top + rows - 1, tick_at=2)
    if not body:
        sheet.put(y + 1, 2, empty_text(context, view), look.fg)


def draw_body(
    sheet: Sheet, context: Context, found: list[ProcessRow], columns: tuple[Column, ...], top: int, bottom: int, *, tick_at: int
) -> int:
    """The visible rows from ``top`` to ``bottom`` (exclusive); returns how many."""
    table = context.ui.table("processes")
    visible = table.settle([row.key for row in found], bottom - top)
    served = feeds(context.view.processes) if context.view is not None else {}
    for y, i in enumerate(visible, top):
        chosen, boss = i == table.index and context.ui.focus == "processes", served.get(key_of(found[i].process))
        draw_row(sheet, y, found[i], columns, context, boss, tick_at=tick_at, selected=chosen)
        sheet.hits[y] = ("processes", i)
    return len(visible)


def draw_filter(sheet: Sheet, y: int, x: int, context: Context) -> None:
    """The filter's line: ``/`` and the words, a cursor while it is being typed."""
    look, ui = context.look, context.ui
    room = context.width - x - 3
    at = sheet.words(y, x, [("/ ", look.title), (cut(ui.filter, room - 40), look.white)])
    if ui.filter_open:
        at = sheet.put(y, at, " ", look.fill("ink", "acc"))
    hint = "user, command or pid; all words · Enter keeps · Esc clears" if ui.filter_open else "Esc clears"
    if at + 3 + len(hint) <= context.width - 2:
        sheet.put(y, at + 3, hint, look.dim)


def filter_note(context: Context, view: View, found: list[ProcessRow]) -> list[tuple[str, Style]]:
    """``4 of 214 match`` while a filter is set."""
    if not context.ui.filter:
        return []
    hits = len({row.process.pid for row in found if not row.parent_only})
    return [(f"{hits} of {len(view.processes)} match", context.look.dim)]


def empty_text(context: Context, view: View) -> str:
    """Why the table is empty, with the next step."""
    if context.ui.filter:
        return (
            f"No process matches “{cut(context.ui.filter, 30)}”. Esc clears."
            if not context.look.ascii
            else f"No process matches '{cut(context.ui.filter, 30)}'. Esc clears."
        )
    blind = next((source for source in view.sources if source.name == "procs" and source.state != "ok"), None)
    if blind is not None:
        return "Processes are not read: gpuwatch doctor says why."
    began = [gpu.state_since_ms for gpu in view.gpus if not gpu.parent_uuid and gpu.state is State.FREE]
    if began and len(began) == sum(1 for gpu in view.gpus if not gpu.parent_uuid):
        known = [ms for ms in began if ms is not None]
        count = f"{counted(len(began), 'GPU')} free"
        return f"{count} since {since(max(known), view.now_ms, context.tz)}." if known else f"{count}."
    return "No process works with a GPU. a shows all that are watched." if view.processes else "No process works with a GPU."


def _foot(context: Context, view: View) -> list[tuple[str, Style]]:
    ui, look = context.ui, context.look
    arrow = look.glyphs.down if SORTS[ui.sort][2] != ui.reverse else look.glyphs.up
    on_gpus = sum(1 for process in view.processes if process.holds)
    whole = view.host.process_count if view.host and view.host.process_count is not None else len(view.processes)
    scope = "a GPU only" if ui.show_all else "a all"
    return [(f"sort {SORTS[ui.sort][0]} {arrow} · {on_gpus} on GPUs, {whole} in all · ⏎ detail · {scope}", look.dim)]


def draw_processes_narrow(sheet: Sheet, context: Context, view: View, top: int, rows: int) -> None:
    """Below 100 columns: heads on a band, rows to the end."""
    columns = columns_for(context.width)
    found = build_rows(view, selection_of(context))
    y = top
    if context.ui.filter_open or context.ui.filter:
        draw_filter(sheet, y, 0, context)
        y += 1
    draw_head(sheet, y, columns, context, names=not context.ui.tree)
    sheet.ground(y, 0, context.width - 1, "bar")
    if not draw_body(sheet, context, found, columns, y + 1, top + rows, tick_at=0) and y + 1 < top + rows:
        sheet.put(y + 1, 0, cut(empty_text(context, view), context.width), context.look.fg)
