"""The process screen's table: all columns, matches of the filter in bold, workers with the GPU that they feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.style import Style

from gpuwatch.dataclass import dataclass, replace
from gpuwatch.format import megabytes_per_second
from gpuwatch.names import State
from gpuwatch.tui.draw.bars import tick
from gpuwatch.tui.draw.columns import Column, put_value
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.family import BUSY_WORKER, feeds
from gpuwatch.tui.panels.process_facts import hold_label
from gpuwatch.tui.panels.processes import value
from gpuwatch.tui.rows import SORTS, Key, ProcessRow, Selection, build_rows, key_of, matches
from gpuwatch.tui.state import Context
from gpuwatch.view.types import ProcessView, View

_Base = tuple[tuple[str, str, int], ...]
_WIDE: _Base = (("gpu", "GPU", 6), ("sm", "SM %", 12), ("memory", "GPU GiB", 21), ("cpu", "CPU %", 28), ("ram", "RAM GiB", 37), ("disk", "Disk MB/s", 48), ("waste", "Waste", 57), ("age", "Age", 68), ("pid", "PID", 76))  # fmt: skip
_MIDDLE: _Base = (("gpu", "GPU", 6), ("sm", "SM %", 12), ("memory", "GPU GiB", 21), ("cpu", "CPU %", 28), ("ram", "RAM GiB", 37), ("waste", "Waste", 46), ("age", "Age", 57), ("pid", "PID", 65))  # fmt: skip
_NARROW: _Base = (("gpu", "GPU", 4), ("sm", "SM %", 9), ("memory", "GiB", 15), ("cpu", "CPU %", 21), ("waste", "Waste", 29), ("age", "Age", 37))  # fmt: skip


def columns_for(width: int) -> tuple[Column, ...]:
    """The columns of each width, in their order from left to right."""
    if width >= 160:
        base, names = _WIDE, [("user", "User", 78, 87), ("job", "Job", 89, 108), ("command", "Command", 110, width - 3)]
    elif width >= 120:
        base, names = _WIDE, [("user", "User", 78, 83), ("command", "Command", 85, width - 3)]
    elif width >= 100:
        base, names = _MIDDLE, [("user", "User", 67, 72), ("command", "Command", 74, width - 3)]
    else:
        base, names = _NARROW, [("user", "User", 39, 46), ("command", "Command", 48, width - 1)]
    return (
        *(Column(name, title, right=right) for name, title, right in base),
        *(Column(name, title, left=left, limit=limit) for name, title, left, limit in names),
    )


def sortable(width: int) -> list[str]:
    """The columns that can be sorted by at this width, from left to right."""
    return [column.name for column in columns_for(width) if column.name in SORTS]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows for one View and one set of choices."""

    rows: list[ProcessRow]
    matching: int
    """Processes that match the filter themselves, without their parents and workers (0 without a filter)."""
    feeds: Mapping[Key, ProcessView]
    """Worker -> the process with a GPU that it works for."""


def choice_of(context: Context) -> Selection:
    """The user's choices as the rows need them."""
    ui = context.ui
    return Selection(tuple(ui.filter.lower().split()), ui.sort, ui.reverse, ui.show_all, not ui.flat, ui.unfolded)


def table_of(view: View, choice: Selection, user: str) -> Table:
    """Build the rows; with a ``user`` those of that user's processes alone."""
    if user:
        view = replace(view, processes=tuple(process for process in view.processes if process.user == user))
    rows = build_rows(view, choice)
    shown = {row.process.pid: row.process for row in rows if not row.parent_only} if choice.words else {}
    return Table(rows, sum(matches(process, choice.words) for process in shown.values()), feeds(view.processes))


def draw_row(
    sheet: Sheet, y: int, row: ProcessRow, columns: Sequence[Column], context: Context, table: Table, tick_at: int
) -> None:
    """One row of the table."""
    look, process = context.look, row.process
    grey = row.parent_only
    served = table.feeds.get(key_of(process))
    state = process.state if row.hold is not None else served.state if served is not None else State.NO_DATA
    if not grey and state is not State.NO_DATA:
        tick(sheet, y, tick_at, state)
    words = () if grey else choice_of(context).words
    for column in columns:
        text, style = _value(row, column, context, served)
        if grey and column.right >= 0 and column.name not in ("age", "pid"):
            continue
        if grey:
            style = look.style("free_text")
        if text and words and column.name in ("pid", "user", "command", "job"):
            _with_matches(sheet, y, column, text, style, words)
        elif text:
            put_value(sheet, y, column, text, style)


def _value(row: ProcessRow, column: Column, context: Context, served: ProcessView | None) -> tuple[str, Style]:
    look, process = context.look, row.process
    if column.name == "disk":
        rate = row.totals.disk_bytes_per_second
        reason = process.missing.get("read_bytes")
        return ("" if not row.first else megabytes_per_second(rate, reason)), look.dim if rate is None else look.fg
    if column.name == "job":
        return (process.job or process.container) if row.first else "", look.dim
    if column.name == "waste" and served is not None:
        return "", look.dim  # it stands on the process that holds the GPU
    if column.name == "gpu" and served is not None:
        return hold_label(context.view, served.holds[0]) if context.view else "", look.white
    if column.name == "cpu" and process.role == "worker" and (process.cpu_ratio or 0.0) > BUSY_WORKER:
        return value(row, column, context)[0], look.style("waiting")
    if column.name == "age" and column.right < 40 and len(value(row, column, context)[0]) > 7:
        return value(row, column, context)[0].split(" ")[0], look.fg
    return value(row, column, context)


def _with_matches(sheet: Sheet, y: int, column: Column, text: str, style: Style, words: Sequence[str]) -> None:
    """The text with each match of a word in accent bold."""
    shown = cut(text, column.limit + 1 - column.left) if column.right < 0 else text
    x = column.left if column.right < 0 else column.right + 1 - width_of(shown)
    for piece, hit in pieces(shown, words):
        x = sheet.put(y, x, piece, sheet.look.title if hit else style)


def pieces(text: str, words: Sequence[str]) -> list[tuple[str, bool]]:
    """``text`` in runs that are part of a match (lower-case ``words``) or not."""
    lowered = text.lower()
    if len(lowered) != len(text):  # some letters change their length; then places would be wrong
        return [(text, False)]
    marked = [False] * len(text)
    for word in words:
        at = lowered.find(word)
        while word and at >= 0:
            marked[at : at + len(word)] = [True] * len(word)
            at = lowered.find(word, at + len(word))
    out: list[tuple[str, bool]] = []
    for character, hit in zip(text, marked):
        if out and out[-1][1] == hit:
            out[-1] = (out[-1][0] + character, hit)
        else:
            out.append((character, hit))
    return out


def draw_rows(sheet: Sheet, context: Context, table: Table, columns: Sequence[Column], top: int, bottom: int) -> int:
    """The visible rows from ``top`` to ``bottom`` (exclusive); returns how many."""
    boxed = context.width >= 100
    state = context.ui.table("processes")
    visible = state.settle([row.key for row in table.rows], bottom - top)
    for y, i in enumerate(visible, top):
        draw_row(sheet, y, table.rows[i], columns, context, table, 2 if boxed else 0)
        sheet.hits[y] = ("processes", i)
        if i == state.index:
            sheet.ground(y, 1 if boxed else 0, context.width - (2 if boxed else 1), "sel")
    return len(visible)
