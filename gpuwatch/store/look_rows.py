"""The rows that looks are made of, as columns of each entity: from the hot tables, and of sealed hours from the archive.

Rows that speak for no time are left out, and time that was recorded twice counts once, as everywhere. A row lies in the span in
which it ends.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import compress, pairwise
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.archive.read import HOUR_MS, Archive, runs
from gpuwatch.store.archive.shapes import GPU, HOST, INFERENCE, PROCESS, TRAINING
from gpuwatch.store.archive.slices import OF_HOST
from gpuwatch.store.ledger_rows import ONCE
from gpuwatch.store.look_made import GPU_COLUMNS, HOST_COLUMNS, PROCESS_COLUMNS, SERVER_COLUMNS, TRAINING_COLUMNS
from gpuwatch.store.look_numbers import Rows, Values

Key = tuple[int, ...]
"""A GPU, a rank, a server; (process, GPU or 0); nothing for the host."""


class Table(NamedTuple):
    """One hot table: its kind in the archive, its key, the columns that looks read."""

    kind: int
    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


TABLES = {
    kind: Table(kind, name, key, columns)
    for kind, name, key, columns in (
        (GPU, "gpu_sample", ("gpu_id",), GPU_COLUMNS),
        (PROCESS, "process_sample", ("proc_id", "gpu_id"), PROCESS_COLUMNS),
        (TRAINING, "training_sample", ("proc_id",), TRAINING_COLUMNS),
        (INFERENCE, "inference_sample", ("workload_id",), SERVER_COLUMNS),
        (HOST, "host_sample", (), HOST_COLUMNS),
    )
}
_MANY = 16
"""What so many entities said is put together in a piece of its own."""


class Timed(NamedTuple):
    """Rows of one entity in the order of time: when each ended, how long it speaks for, its columns."""

    ts: Sequence[int]
    dt: Sequence[int]
    columns: Mapping[str, Values]

    def between(self, first: int, end: int) -> Rows:
        """The rows from one place to before another."""
        if first == 0 and end == len(self.ts):
            return Rows(sum(self.dt), self.dt, self.columns)
        dt = self.dt[first:end]
        return Rows(sum(dt), dt, {name: values[first:end] for name, values in self.columns.items()})


def hot(db: sqlite3.Connection, host_id: int, kind: int, from_ms: int, to_ms: int) -> dict[Key, Timed]:
    """The rows of the hot tables that end in ``(from_ms, to_ms]``."""
    *_, found = hot_steps(db, host_id, kind, [from_ms, to_ms])
    return found


def hot_steps(db: sqlite3.Connection, host_id: int, kind: int, borders_ms: Sequence[int]) -> Iterator[dict[Key, Timed]]:
    """The same between the first and the last of some instants, in pieces from each to the next; what comes last is true.

    Each piece is a query of its own: none is open while others write.
    """
    table = TABLES[kind]
    width, sql = len(table.key), _sql(table)
    by_key: dict[Key, list[tuple[Any, ...]]] = {}
    for from_ms, to_ms in pairwise(borders_ms):
        if by_key:
            yield {}
        for row in db.execute(sql, {"t0": from_ms, "t1": to_ms, "host": host_id}):
            key = row[:width]
            if key in by_key:
                by_key[key].append(row)
            else:
                by_key[key] = [row]
    if len(by_key) > _MANY:
        yield {}
    yield {key: _timed(table, some, width) for key, some in by_key.items()}


def _sql(table: Table) -> str:
    own = " AND s.host_id=:host" if table.kind == HOST else ""
    cells = ",".join((*(f"s.{name}" for name in table.key), "k.ts_ms", "s.dt_ms", *(f"s.{name}" for name in table.columns)))
    return (
        f"SELECT {cells} FROM tick k CROSS JOIN {table.name} s ON s.tick_id=k.tick_id WHERE k.ts_ms>:t0 AND k.ts_ms<=:t1 "
        f"AND s.dt_ms>0{own} AND {OF_HOST} AND {ONCE} ORDER BY k.ts_ms"
    )


def _timed(table: Table, rows: Sequence[tuple[Any, ...]], width: int) -> Timed:
    cells = list(zip(*rows, strict=True))[width:]
    return Timed(cells[0], cells[1], dict(zip(table.columns, cells[2:], strict=True)))


# ------------------------------------------------------------------------------------------------------------- the archive


class Past:
    """Rows of any time: of sealed hours, and of the hot tables what is in no chunk."""

    def __init__(self, db: sqlite3.Connection, host_id: int) -> None:
        self._db, self._host_id = db, host_id
        self._archive = Archive(self._ask, host_id)
        oldest = self._ask("SELECT ts_ms FROM tick ORDER BY tick_id LIMIT 1", ())
        self.hot_from_ms: int | None = oldest[0][0] if oldest else None

    def _ask(self, sql: str, values: Sequence[object]) -> Sequence[tuple[Any, ...]]:
        return self._db.execute(sql, values).fetchall()

    def rows(self, kind: int, from_ms: int, to_ms: int) -> dict[Key, Timed]:
        """The rows that end in ``(from_ms, to_ms]``."""
        self._archive.forget(to_ms)
        sealed: dict[Key, list[Timed]] = {}
        known: dict[int, set[int]] = {}
        for entity_id in self._sealed_entities(kind, from_ms, to_ms):
            for key, timed in self._sealed(kind, entity_id, from_ms, to_ms):
                sealed.setdefault(key, []).append(timed)
                known.setdefault(entity_id, set()).update(timed.ts)
        if self.hot_from_ms is None or self.hot_from_ms > to_ms:
            unsealed = {}
        else:
            unsealed = hot(self._db, self._host_id, kind, from_ms, to_ms)
        for key, timed in unsealed.items():
            more = _without(timed, known.get(_entity(kind, key), ()))
            if more.ts:
                sealed.setdefault(key, []).append(more)
        return {key: _joined(some) for key, some in sealed.items()}

    def nearest_ms(self, after_ms: int) -> int | None:
        """The end of the first row of a GPU or the host after an instant, about; ``None``: there is none."""
        sealed = "SELECT min(t1_ms) FROM chunk WHERE kind IN (?,?) AND host_id=? AND t1_ms>?"
        later = [self._ask(sealed, (GPU, HOST, self._host_id, after_ms))[0][0]]
        later.append(self._ask("SELECT min(ts_ms) FROM tick WHERE ts_ms>?", (after_ms,))[0][0])
        starts = [max(after_ms, ms - HOUR_MS) if at == 0 else ms for at, ms in enumerate(later) if ms is not None]
        return min(starts, default=None)

    def _sealed_entities(self, kind: int, from_ms: int, to_ms: int) -> list[int]:
        sql = "SELECT DISTINCT entity_id FROM chunk WHERE kind=? AND host_id=? AND t0_ms>? AND t0_ms<? ORDER BY entity_id"
        return [row[0] for row in self._ask(sql, (kind, self._host_id, from_ms - HOUR_MS, to_ms))]

    def _sealed(self, kind: int, entity_id: int, from_ms: int, to_ms: int) -> Iterator[tuple[Key, Timed]]:
        table = TABLES[kind]
        by_process = kind == PROCESS
        wanted = ("ts_ms", "dt_ms", *(("proc_id",) if by_process else ()), *table.columns)
        for part in self._archive.parts(kind, entity_id, from_ms, to_ms):
            columns = self._archive.block(part, wanted)
            spans = runs(columns, "proc_id", from_ms, to_ms) if by_process else [_span(columns["ts_ms"], from_ms, to_ms)]
            for span in spans:
                if span.start == span.stop:
                    continue
                key = (columns["proc_id"][span.start], entity_id) if by_process else (() if kind == HOST else (entity_id,))
                cells = {name: columns[name][span] for name in table.columns}
                timed = _spoken(Timed(columns["ts_ms"][span], columns["dt_ms"][span], cells))
                if timed.ts:
                    yield key, timed


def _entity(kind: int, key: Key) -> int:
    """The entity of the archive that rows with this key are sealed under."""
    return key[1] if kind == PROCESS else key[0] if key else 0


def _span(times: Sequence[int], from_ms: int, to_ms: int) -> slice:

    return slice(bisect_right(times, from_ms), bisect_right(times, to_ms))


def _spoken(timed: Timed) -> Timed:
    """Without the rows that speak for no time."""
    return timed if all(timed.dt) else _chosen(timed, [bool(dt) for dt in timed.dt])


def _without(timed: Timed, known: Collection[int]) -> Timed:
    """Without the rows of times that are known already."""
    return _chosen(timed, [ts not in known for ts in timed.ts]) if known else timed


def _chosen(timed: Timed, wanted: Sequence[bool]) -> Timed:

    if all(wanted):
        return timed
    columns = {name: list(compress(values, wanted)) for name, values in timed.columns.items()}
    return Timed(list(compress(timed.ts, wanted)), list(compress(timed.dt, wanted)), columns)


def _joined(some: list[Timed]) -> Timed:
    """Parts one after the other; in the order of time, also where a part lies between the rows of another."""
    if len(some) == 1:
        return some[0]
    some = sorted(some, key=lambda timed: timed.ts[0])
    ts, dt = [t for one in some for t in one.ts], [t for one in some for t in one.dt]
    columns = {name: [value for one in some for value in one.columns[name]] for name in some[0].columns}
    if all(one.ts[-1] < other.ts[0] for one, other in pairwise(some)):
        return Timed(ts, dt, columns)
    order = sorted(range(len(ts)), key=ts.__getitem__)
    return Timed(
        [ts[i] for i in order], [dt[i] for i in order], {name: [values[i] for i in order] for name, values in columns.items()}
    )
