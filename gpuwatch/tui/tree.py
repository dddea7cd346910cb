"""Rows of the process tables as a tree: parents above their children, equal children folded, siblings in the chosen order."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.tui.family import Family, Key, key_of, sum_of
from gpuwatch.tui.rows import ProcessRow, Selection, matches, rows_of, sort_rows, works
from gpuwatch.view.types import ProcessView

FOLD_FROM = 9
"""Equal children from this number on are shown as one row."""
DEEPEST = 40
"""Levels that are indented; what is deeper stands under the last one."""


def tree_rows(family: Family, choice: Selection) -> list[ProcessRow]:
    """The rows for ``choice``: what it selects, what is below that, and grey the parents of it."""
    return _Tree(family, choice).rows()


class _Tree:
    def __init__(self, family: Family, choice: Selection) -> None:
        self._family = family
        self._choice = choice
        self._hit: set[Key] = set()
        self._keep: set[Key] = set()
        self._best: dict[Key, ProcessRow] = {}
        self._parents: dict[Key, Key] = {}
        order = family.order()
        self._select(order)
        self._judge(order)

    def _select(self, order: Sequence[ProcessView]) -> None:
        """What matches, or stands below a match, is hit; what is above a hit is kept too."""
        choice, parents = self._choice, self._parents
        for process in order:
            inside = parents.get(key_of(process), (0, 0)) in self._hit
            wanted = choice.show_all or inside or works(process)
            if wanted and (inside or not choice.words or matches(process, choice.words)):
                self._hit.add(key_of(process))
            for child in self._family.children.get(key_of(process), ()):
                parents[key_of(child)] = key_of(process)
        for process in reversed(order):
            key = key_of(process)
            if key in self._hit or any(key_of(child) in self._keep for child in self._family.children.get(key, ())):
                self._keep.add(key)

    def _judge(self, order: Sequence[ProcessView]) -> None:
        """The best row of each branch in the chosen order: siblings are sorted by it."""
        for process in reversed(order):
            children = self._family.children.get(key_of(process), ())
            rows = [*rows_of(process, self._family)]
            rows += [self._best[key_of(child)] for child in children if key_of(child) in self._best]
            self._best[key_of(process)] = rows[0] if len(rows) == 1 else self._sorted(rows)[0]

    def _sorted(self, rows: list[ProcessRow]) -> list[ProcessRow]:
        return sort_rows(rows, self._choice.sort, self._choice.reverse)

    def _ordered(self, processes: Sequence[ProcessView]) -> list[ProcessView]:
        kept = [process for process in processes if key_of(process) in self._keep]
        owners: dict[int, list[ProcessView]] = {}
        for process in kept:
            owners.setdefault(id(self._best[key_of(process)]), []).append(process)
        return [owners[id(row)].pop(0) for row in self._sorted([self._best[key_of(process)] for process in kept])]

    def rows(self) -> list[ProcessRow]:
        """From the roots down; a stack of what is still to be written, the next on top."""
        out: list[ProcessRow] = []
        stack: list[tuple[ProcessView, int, str, str]] = [(root, 1, "", "") for root in reversed(self._ordered(self._family.roots))]
        while stack:
            process, count, own, below = stack.pop()
            if count > 1:
                out.append(self._folded_row(process, count, own))
                continue
            out += rows_of(process, self._family, own, parent_only=key_of(process) not in self._hit)
            stack += reversed(self._under(process, below))
        return out

    def _under(self, process: ProcessView, below: str) -> list[tuple[ProcessView, int, str, str]]:
        groups = self._groups(self._ordered(self._family.children.get(key_of(process), ())))
        if len(below) >= 2 * DEEPEST:
            return [(child, count, below, below) for child, count in groups]
        last = len(groups) - 1
        return [
            (child, count, below + ("└ " if i == last else "├ "), below + ("  " if i == last else "│ "))
            for i, (child, count) in enumerate(groups)
        ]

    def _groups(self, children: Sequence[ProcessView]) -> list[tuple[ProcessView, int]]:
        """More than eight childless equal ones without a GPU become one entry with their number."""
        names: dict[str, int] = {}
        for child in children:
            if self._foldable(child):
                names[fold_name(child)] = names.get(fold_name(child), 0) + 1
        out: list[tuple[ProcessView, int]] = []
        done: set[str] = set()
        for child in children:
            name = fold_name(child)
            count = names.get(name, 1) if self._foldable(child) else 1
            if count < FOLD_FROM:
                out.append((child, 1))
            elif name not in done:
                done.add(name)
                out.append((child, count))
        return out

    def _foldable(self, process: ProcessView) -> bool:
        return not (self._choice.unfolded or process.holds or key_of(process) in self._family.children)

    def _folded_row(self, process: ProcessView, count: int, prefix: str) -> ProcessRow:
        """``process`` for all its equal siblings."""
        siblings = self._family.children.get(self._parents.get(key_of(process), (0, 0)), [process])
        equal = [p for p in siblings if self._foldable(p) and fold_name(p) == fold_name(process) and key_of(p) in self._keep]
        return ProcessRow(process, None, sum_of(self._family.totals(p) for p in equal), prefix=prefix, folded=count)


def fold_name(process: ProcessView) -> str:
    """The name that equal workers share: ``pt_data_worker 3`` and ``pt_data_worker 4`` are of one kind."""
    return process.name.rstrip("0123456789 ")
