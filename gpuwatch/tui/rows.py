"""Rows of the process tables: one a process and GPU, flat or as a tree, filtered and sorted. Data only; formatting is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpuwatch.dataclass import dataclass, replace
from gpuwatch.tui.family import Family, Key, Totals, key_of
from gpuwatch.view.types import GpuHold, ProcessView, View

__all__ = ["SORTS", "Family", "Key", "ProcessRow", "RowKey", "Selection", "Totals", "build_rows", "key_of", "matches", "sort_rows"]

RowKey = tuple[int, int, str]
"""pid, start time and the GPU's UUID (empty without one)."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One line of a process table."""

    process: ProcessView
    hold: GpuHold | None
    totals: Totals
    first: bool = True
    """False on the second and further GPUs of one process: what was said above is not repeated."""
    prefix: str = ""
    """Tree branches before the command."""
    parent_only: bool = False
    """Shown because something below matches; grey and without numbers."""
    folded: int = 0
    """This row stands for so many equal processes."""

    @property
    def key(self) -> RowKey:
        """What the selection remembers."""
        return (self.process.pid, self.process.start_ms, self.hold.gpu_uuid if self.hold else "")


# ------------------------------------------------------------------------------------------------------ sort and filter


def _shown_waste(hold: GpuHold | None) -> float | None:
    """As it is shown: rows that read the same keep their places."""
    return None if hold is None or hold.waste_gpus is None else round(hold.waste_gpus, 2)


SORTS: dict[str, tuple[str, Callable[[ProcessRow], float | str | None], bool]] = {
    "waste": ("waste", lambda row: _shown_waste(row.hold), True),
    "gpu": ("GPU", lambda row: row.hold.gpu_index if row.hold else None, False),
    "sm": ("SM %", lambda row: row.hold.sm_utilization_ratio if row.hold else None, True),
    "memory": ("GPU GiB", lambda row: row.hold.gpu_memory_bytes if row.hold else None, True),
    "cpu": ("CPU %", lambda row: row.totals.cpu_ratio, True),
    "ram": ("RAM GiB", lambda row: row.totals.rss_bytes, True),
    "disk": ("disk", lambda row: row.totals.disk_bytes_per_second, True),
    "age": ("age", lambda row: row.process.age_seconds, True),
    "pid": ("PID", lambda row: row.process.pid, False),
    "user": ("user", lambda row: row.process.user.lower(), False),
    "command": ("command", lambda row: row.process.command.lower(), False),
}
"""Name -> word, value, whether the largest comes first. A missing value always comes last."""


def matches(process: ProcessView, words: Iterable[str]) -> bool:
    """Whether every word (lower case) stands in the pid, user, name, command, job, container or a GPU (``gpu2``)."""
    text = f"{process.pid} {process.user} {process.name} {process.command} {process.job} {process.container}".lower()
    text += "".join(f" gpu{hold.gpu_index} " for hold in process.holds)
    return all(word in text for word in words)


def sort_rows(rows: list[ProcessRow], sort: str, reverse: bool) -> list[ProcessRow]:
    """A new list in the order of ``SORTS[sort]``; equal rows by GPU memory, then GPU, then pid."""
    _, value, largest_first = SORTS.get(sort, SORTS["waste"])
    rows = sorted(rows, key=_tie)
    known = [row for row in rows if value(row) is not None]
    known.sort(key=lambda row: value(row), reverse=largest_first != reverse)  # type: ignore[arg-type,return-value]
    return known + [row for row in rows if value(row) is None]


def _tie(row: ProcessRow) -> tuple[float, int, int]:
    hold = row.hold
    return (-(hold.gpu_memory_bytes or 0.0), hold.gpu_index, row.process.pid) if hold else (0.0, 1 << 20, row.process.pid)


# ------------------------------------------------------------------------------------------------------------- building


@dataclass(frozen=True, slots=True)
class Selection:
    """What to show: the words of the filter, the order, whether all processes or those that work with a GPU."""

    words: tuple[str, ...] = ()
    sort: str = "waste"
    reverse: bool = False
    show_all: bool = False
    tree: bool = False
    unfolded: bool = False


def build_rows(view: View, choice: Selection) -> list[ProcessRow]:
    """The rows of ``view``'s processes for ``choice``."""
    family = Family(view.processes)
    if choice.tree:
        from gpuwatch.tui.tree import tree_rows  # the tree is built on the rows of this module

        return tree_rows(family, choice)
    rows: list[ProcessRow] = []
    for process in family.by_key.values():
        if (choice.show_all or works(process)) and (not choice.words or matches(process, choice.words)):
            rows += rows_of(process, family)
    out = sort_rows([row for row in rows if row.first], choice.sort, choice.reverse)
    if choice.sort in ("gpu", "sm", "memory"):
        return sort_rows([replace(row, first=True) for row in rows], choice.sort, choice.reverse)
    return _with_further_gpus(out, rows)


def works(process: ProcessView) -> bool:
    """Whether a process belongs to the short list: it uses a GPU or does ML work without one."""
    return bool(process.holds) or process.role in ("gpu", "ml", "server", "train")


def rows_of(process: ProcessView, family: Family, prefix: str = "", *, parent_only: bool = False) -> list[ProcessRow]:
    """One row for each GPU that ``process`` holds, at least one."""
    totals = family.totals(process)
    first = ProcessRow(process, process.holds[0] if process.holds else None, totals, True, prefix, parent_only)
    return [first, *(ProcessRow(process, hold, totals, False, prefix, parent_only) for hold in process.holds[1:])]


def _with_further_gpus(firsts: list[ProcessRow], rows: list[ProcessRow]) -> list[ProcessRow]:
    further: dict[Key, list[ProcessRow]] = {}
    for row in rows:
        if not row.first:
            further.setdefault(key_of(row.process), []).append(row)
    return [row for first in firsts for row in (first, *further.get(key_of(first.process), ()))]
