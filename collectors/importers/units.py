"""What bare numbers of a column are in, where its header does not say: settled by the numbers themselves, or asked of the user."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from gpuwatch.collectors.importers.fields import Column
from gpuwatch.collectors.importers.problems import quoted
from gpuwatch.dataclass import replace
from gpuwatch.errors import UsageError

Rows = Iterable[Sequence[str]]
_BARE = re.compile(r"\d+(?:\.\d+)?").fullmatch
_WHO = {"time": "timestamp", "bus": "pci.bus_id", "gpu": "index", "host": "hostname", "clock": "time"}
WHY = "read as percent, as its numbers show"


def settled(columns: Sequence[Column], sample: Rows, every: Callable[[], Rows]) -> dict[str, str]:
    """Column text -> unit, for shares of which the header does not say whether they are percent.

    A number above 1 is no ratio, so the column is percent; where all are 0 it is the same. ``every`` gives all rows of the file and
    is asked only if ``sample`` leaves a question.
    """
    largest: dict[int, float] = {place: -1.0 for place, column in enumerate(columns) if _lacks(column, "ratio")}
    _find(largest, sample)
    largest = {place: number for place, number in largest.items() if number >= 0}
    if any(number <= 1 for number in largest.values()):
        _find(largest, every())
    return {columns[place].text: "%" for place, number in largest.items() if number > 1 or number == 0}


def _find(largest: dict[int, float], rows: Rows) -> None:
    """The largest bare number of each column, or one above 1."""
    open_places = [place for place, number in largest.items() if number <= 1]
    for row in rows:
        for place in open_places:
            text = row[place].strip().strip("\"'")
            if _BARE(text):
                largest[place] = max(largest[place], float(text))
                if largest[place] > 1:
                    open_places = [each for each in open_places if largest[each] <= 1]
        if not open_places:
            return


def with_units(columns: Sequence[Column], units: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns with the units that were found."""
    return tuple(
        [
            replace(column, field=column.field._replace(unit=units[column.text])) if column.field and _lacks(column) and column.text in units else column
            for column in columns
        ]
    )  # fmt: skip


def ask(columns: Sequence[Column], rows: Sequence[Sequence[str]], where: str) -> None:
    """:class:`UsageError` if bare numbers of a column could be in several units: what they are cannot be said after the import."""
    for place, column in enumerate(columns):
        if not _lacks(column):
            continue
        bare = next((row[place] for row in rows if _BARE(row[place].strip().strip("\"'"))), None)
        if bare is not None:
            fields = ",".join(map(_as_asked, columns))
            raise UsageError(
                f"{where}: column {quoted(column.text)} does not say in which unit {quoted(bare)} is",
                f"if its numbers are what nvidia-smi prints (%, MiB, W, MHz): --fields={fields}; - is a column that is not to be used",
            )


def _lacks(column: Column, dimension: str = "") -> bool:
    field = column.field
    return column.kind == "sample" and field is not None and not field.unit and dimension in ("", field.dimension)


def _as_asked(column: Column) -> str:
    """A column as ``--query-gpu`` calls it."""
    if column.kind in ("sample", "static"):
        return column.name.replace("_", ".")
    return _WHO.get(column.name, column.name) if column.kind == "who" else "-"
