"""Hot rows of an hour, read once and in time order, a slice of a few milliseconds at a time, as columns of each entity.

Most of the time of sealing is SQLite handing over values, and most columns hardly ever change: a column that stood still in one
slice is compared by SQLite in the next ones and handed over only if it has moved.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.archive.shapes import EXTRA, Shape
from gpuwatch.store.hours import HOUR_S
from gpuwatch.store.ledger_rows import ONCE

HOUR_MS = HOUR_S * 1000
OF_HOST = "NOT EXISTS (SELECT 1 FROM session x WHERE x.session_id=k.session_id AND x.host_id<>:host)"
"""Where hosts have recorded into the file one after the other, the ticks of one of them."""
_CELLS = 10_000
"""A slice has about so many values (2 ms)."""
_FIRST_TICKS, _MOST_TICKS = 16, 120
"""So many ticks are read first, and so many at most, where nobody knows how many rows each has."""
_ENOUGH_ROWS = 16
"""In fewer rows nothing is seen to stand still."""
_NTH_TICK = "SELECT ts_ms FROM tick WHERE ts_ms>? AND ts_ms<=? ORDER BY ts_ms LIMIT 1 OFFSET ?"
_SAME = itemgetter(1)
Columns = Sequence[Sequence[Any]]
"""One for each of a shape's columns; empty where there is no row."""


class Slice(NamedTuple):
    """The rows of ``(start_ms, end_ms]`` by entity."""

    start_ms: int
    end_ms: int
    columns: dict[int, Columns]


class HotRows:
    """The rows of the hour from ``t0_ms`` on: of one entity, or of all of them in one pass (``None``)."""

    def __init__(self, db: sqlite3.Connection, shape: Shape, host_id: int, entity_id: int | None, t0_ms: int) -> None:
        self._db, self._shape, self._t0, self._entity = db, shape, t0_ms, entity_id
        self._values = {"entity": entity_id, "host": host_id}
        self._still: dict[str, Any] = {}
        """Columns that have had this value in all rows of late."""
        self._restless = {"ts_ms", *shape.key, *(shape.columns if shape.kind == EXTRA else ())}
        """Columns that are not expected to stand still; of floats SQLite cannot tell 0.0 from -0.0."""

    def __iter__(self) -> Iterator[Slice]:
        start, end, many = self._t0, self._t0 + HOUR_MS, bool(self._shape.key)
        ticks, most = (_FIRST_TICKS, _MOST_TICKS) if many else (_CELLS // len(self._shape.columns), _CELLS)
        while start < end:
            found = self._db.execute(_NTH_TICK, (start, end, ticks - 1)).fetchone()
            stop = found[0] if found else end
            columns = self._read(start, stop)
            yield Slice(start, stop, columns)
            width = len(self._shape.columns) - len(self._still) // 2
            wanted = ticks * _CELLS // width // max(sum(len(some[0]) for some in columns.values()), 1)
            start, ticks = stop, max(1, min(wanted, ticks * 4, most))

    def _read(self, start_ms: int, end_ms: int) -> dict[int, Columns]:
        still = self._still
        places = {f"still{n}": value for n, value in enumerate(still.values())}
        rows = self._db.execute(self._sql(), {"t0": start_ms, "t1": end_ms, **self._values, **places}).fetchall()
        if not rows:
            return {}
        if still and not all(map(_SAME, rows)):
            before, self._still = still, {}
            found = self._read(start_ms, end_ms)
            moved = before.items() - self._still.items()
            self._restless |= {name for name, _ in moved}
            return found
        by_entity: dict[int, list[tuple[Any, ...]]] = {}
        if self._entity is None:
            for row in rows:
                if row[0] in by_entity:
                    by_entity[row[0]].append(row)
                else:
                    by_entity[row[0]] = [row]
        else:
            by_entity[self._entity] = rows
        out = {entity: self._columns(some) for entity, some in by_entity.items()}
        if len(rows) >= _ENOUGH_ROWS:
            self._watch(list(out.values()))
        return out

    def _columns(self, rows: list[tuple[Any, ...]]) -> Columns:
        moving, still, count = iter(list(zip(*rows, strict=True))[2:]), self._still, len(rows)
        return [[still[name]] * count if name in still else next(moving) for name in self._shape.columns]

    def _watch(self, found: Sequence[Columns]) -> None:
        """See which columns stand still that were not known to."""
        for place, name in enumerate(self._shape.columns):
            value = found[0][place][0]
            if name not in self._restless and all(some[place].count(value) == len(some[place]) for some in found):
                self._still[name] = value

    def _sql(self) -> str:
        shape = self._shape
        entity = f"s.{shape.entity}" if shape.entity and self._entity is None else "0"
        same = " AND ".join([f"s.{name} IS :still{n}" for n, name in enumerate(self._still)]) or "1"
        cells = ["k.ts_ms" if name == "ts_ms" else f"s.{name}" for name in shape.columns if name not in self._still]
        own = f" AND s.{shape.entity}=:entity" if shape.entity and self._entity is not None else ""
        own = " AND s.host_id=:host" if shape.has_host else own
        return (
            f"SELECT {entity},{same},{','.join(cells)} FROM tick k CROSS JOIN {shape.table} s"
            f" WHERE k.ts_ms>:t0 AND k.ts_ms<=:t1 AND {OF_HOST} AND {ONCE} AND s.tick_id=k.tick_id{own} ORDER BY k.ts_ms"
        )
