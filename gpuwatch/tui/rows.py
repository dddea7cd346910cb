"""Rows of the process tables: one a process and GPU, flat or as a tree, filtered and sorted. Data only; formatting is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpuwatch.record import dataclass, replace
from gpuwatch.view.types import GpuHold, ProcessView, View

Key = tuple[int, int]
"""pid and start time: a pid alone may come again."""
RowKey = tuple[int, int, str]
"""pid, start time and the GPU's UUID (empty without one)."""

FOLD_FROM = 9
"""Equal children from this number on are shown as one row."""


@dataclass(frozen=True, slots=True)
class Totals:
    """A process with everything below it in its tree; ``None`` when nothing of it could be read."""

    cpu_ratio: float | None
    rss_bytes: float | None
    disk_bytes_per_second: float | None
    busy_workers: bool
    """It has workers and they are at more than 85 % of a core in the mean: the loader is the limit."""


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


def key_of(process: ProcessView) -> Key:
    """The identity of a process."""
    return (process.pid, process.start_ms)


class Family:
    """The processes of a View with their children and totals."""

    def __init__(self, processes: Iterable[ProcessView]) -> None:
        self.by_key = {key_of(p): p for p in processes}
        by_pid = {p.pid: key_of(p) for p in self.by_key.values()}
        self.children: dict[Key, list[ProcessView]] = {}
        self.roots: list[ProcessView] = []
        for process in self.by_key.values():
            # The parent's start time may differ by the rounding of two readings; the pid decides among what lives now.
            parent = by_pid.get(process.parent_pid) if process.parent_pid else None
            if parent is None or parent == key_of(process):
                self.roots.append(process)
            else:
                self.children.setdefault(parent, []).append(process)
        self._totals: dict[Key, Totals] = {}

    def totals(self, process: ProcessView) -> Totals:
        """The process and all below it."""
        key = key_of(process)
        found = self._totals.get(key)
        if found is None:
            self._totals[key] = _own(process)  # also ends a circle of parents, which a damaged recording could hold
            found = self._totals[key] = self._sum(process, self.children.get(key, ()))
        return found

    def parent(self, process: ProcessView) -> ProcessView | None:
        """Its parent, if that is in the View."""
        return next((p for p in self.by_key.values() if p.pid == process.parent_pid), None)

    def _sum(self, process: ProcessView, children: Iterable[ProcessView]) -> Totals:
        out = _own(process)
        workers = [child.cpu_ratio for child in children if child.role == "worker" and child.cpu_ratio is not None]
        for below in [self.totals(child) for child in children]:
            out = Totals(
                _plus(out.cpu_ratio, below.cpu_ratio),
                _plus(out.rss_bytes, below.rss_bytes),
                _plus(out.disk_bytes_per_second, below.disk_bytes_per_second),
                False,
            )
        return replace(out, busy_workers=bool(workers) and sum(workers) / len(workers) > 0.85)


def _own(process: ProcessView) -> Totals:
    disk = _plus(process.read_bytes_per_second, process.write_bytes_per_second)
    return Totals(process.cpu_ratio, process.rss_bytes, disk, False)


def _plus(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else a + b


# ------------------------------------------------------------------------------------------------------ sort and filter

SORTS: dict[str, tuple[str, Callable[[ProcessRow], float | str | None], bool]] = {
    "waste": ("waste", lambda row: row.hold.waste_gpus if row.hold else None, True),
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
        return _tree(family, choice)
    rows: list[ProcessRow] = []
    for process in family.by_key.values():
        if (choice.show_all or _works(process)) and (not choice.words or matches(process, choice.words)):
            rows += _rows_of(process, family)
    out = sort_rows([row for row in rows if row.first], choice.sort, choice.reverse)
    if choice.sort in ("gpu", "sm", "memory"):
        return sort_rows([replace(row, first=True) for row in rows], choice.sort, choice.reverse)
    return _with_further_gpus(out, rows)


def _works(process: ProcessView) -> bool:
    return bool(process.holds) or process.role in ("gpu", "ml", "server", "train")


def _rows_of(process: ProcessView, family: Family, prefix: str = "") -> list[ProcessRow]:
    totals = family.totals(process)
    first = ProcessRow(process, process.holds[0] if process.holds else None, totals, prefix=prefix)
    return [first, *(ProcessRow(process, hold, totals, first=False, prefix=prefix) for hold in process.holds[1:])]


def _with_further_gpus(firsts: list[ProcessRow], rows: list[ProcessRow]) -> list[ProcessRow]:
    further: dict[Key, list[ProcessRow]] = {}
    for row in rows:
        if not row.first:
            further.setdefault(key_of(row.process), []).append(row)
    return [row for first in firsts for row in (first, *further.get(key_of(first.process), ()))]


def _tree(family: Family, choice: Selection) -> list[ProcessRow]:
    keep: set[Key] = set()
    hit: set[Key] = set()

    def mark(process: ProcessView, inside: bool) -> bool:
        key = key_of(process)
        if key in keep:
            return key in hit
        wanted = choice.show_all or _works(process) or inside
        own = wanted and (inside or not choice.words or matches(process, choice.words))
        if own:
            hit.add(key)
        keep.add(key)
        below = [mark(child, own) for child in family.children.get(key, ())]
        if not own and not any(below):
            keep.discard(key)
            return False
        return True

    for root in family.roots:
        mark(root, False)
    rows: list[ProcessRow] = []
    for top in _ordered([root for root in family.roots if key_of(root) in keep], family, choice):
        _branch(top, "", "", family, choice, keep, hit, rows)
    return rows


def _ordered(processes: list[ProcessView], family: Family, choice: Selection) -> list[ProcessView]:
    """Siblings in the chosen order, each judged by the best row of its branch."""

    def best(process: ProcessView) -> ProcessRow:
        rows = [replace(row, first=True) for member in _branch_members(process, family) for row in _rows_of(member, family)]
        return sort_rows(rows, choice.sort, choice.reverse)[0]

    if len(processes) < 2:
        return processes
    judged = {id(row.process): process for process in processes for row in (best(process),)}
    return [judged[id(row.process)] for row in sort_rows([best(p) for p in processes], choice.sort, choice.reverse)]


def _branch_members(process: ProcessView, family: Family) -> Iterable[ProcessView]:
    seen: set[Key] = set()
    stack = [process]
    while stack:
        member = stack.pop()
        if key_of(member) not in seen:
            seen.add(key_of(member))
            yield member
            stack += family.children.get(key_of(member), ())


def _branch(
    process: ProcessView,
    own: str,
    below: str,
    family: Family,
    choice: Selection,
    keep: set[Key],
    hit: set[Key],
    rows: list[ProcessRow],
) -> None:
    """Append ``process`` and what is kept under it; ``own`` and ``below`` are the branches before it and before its children."""
    for row in _rows_of(process, family, own):
        rows.append(replace(row, parent_only=key_of(process) not in hit))
    groups = _folded([c for c in family.children.get(key_of(process), ()) if key_of(c) in keep], family, choice)
    for i, (child, count) in enumerate(groups):
        last = i == len(groups) - 1
        own_next, below_next = (below + "└ ", below + "  ") if last else (below + "├ ", below + "│ ")
        if count > 1:
            cpu, ram, disk = None, None, None
            for member in family.children.get(key_of(process), ()):
                if _fold_name(member) == _fold_name(child):
                    own_totals = family.totals(member)
                    cpu = _plus(cpu, own_totals.cpu_ratio)
                    ram = _plus(ram, own_totals.rss_bytes)
                    disk = _plus(disk, own_totals.disk_bytes_per_second)
            rows.append(ProcessRow(child, None, Totals(cpu, ram, disk, False), prefix=own_next, folded=count))
        else:
            _branch(child, own_next, below_next, family, choice, keep, hit, rows)


def _fold_name(process: ProcessView) -> str:
    return process.name.rstrip("0123456789 ")


def _folded(children: list[ProcessView], family: Family, choice: Selection) -> list[tuple[ProcessView, int]]:
    """Children in order; more than eight childless equal ones without a GPU become one entry with their number."""
    names: dict[str, int] = {}
    for child in children:
        if not child.holds and key_of(child) not in family.children:
            names[_fold_name(child)] = names.get(_fold_name(child), 0) + 1
    out: list[tuple[ProcessView, int]] = []
    done: set[str] = set()
    for child in _ordered(children, family, choice):
        name = _fold_name(child)
        count = 1 if choice.unfolded or child.holds or key_of(child) in family.children else names.get(name, 1)
        if count < FOLD_FROM:
            out.append((child, 1))
        elif name not in done:
            done.add(name)
            out.append((child, count))
    return out
