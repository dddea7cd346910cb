"""A window on an instant whose rows are sealed: it answers what any window answers, from decoded columns.

Times of rows are taken once, whether they lie in a chunk, in the hot tables or in both. For readers that ask by SQL, temporary
tables stand before the hot ones and hold the rows of the GPUs in question.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpuwatch.store import connection as opening
from gpuwatch.store.archive import read
from gpuwatch.store.archive.past_served import PastServed
from gpuwatch.store.archive.past_trained import PastTrained
from gpuwatch.store.archive.read import Archive, Columns, Part
from gpuwatch.store.archive.shapes import GPU, HOST, INFERENCE, PROCESS, TRAINING
from gpuwatch.store.bulk import Inserter
from gpuwatch.store.columns import GPU_SAMPLE, HOST_SAMPLE, PROCESS_SAMPLE
from gpuwatch.store.facts import GpuFacts, Held, ProcessFacts
from gpuwatch.store.ledger_rows import ONCE
from gpuwatch.store.window import PAST, Window

PROCESSES_MS = 110_000
"""So long before an instant its processes are looked for."""
_HOST_MS = 120_000
_NEXT_MS = 900_000
"""A row of a slow rhythm that speaks for an instant ends at most so long after it."""
_FACTS = ("ts_ms", *GpuFacts._fields[3:])
_PROCESS = ("ts_ms", "proc_id", *ProcessFacts._fields[4:])
_SHARE = ("ts_ms", "proc_id", "sm_pm", "gpu_memory_mib")
_GPU_ROW = ("ts_ms", *GPU_SAMPLE[2:])
_HOST_ROW = ("ts_ms", *HOST_SAMPLE[2:])
_PROCESS_ROW = ("ts_ms", *(name for name in PROCESS_SAMPLE if name not in ("tick_id", "gpu_id")))
_TABLES = {GPU: ("gpu_sample", "gpu_id"), PROCESS: ("process_sample", "gpu_id"), HOST: ("host_sample", "host_id"), INFERENCE: ("inference_sample", "workload_id"), TRAINING: ("training_sample", "proc_id")}  # fmt: skip
_HOT = (
    "SELECT k.ts_ms, {columns} FROM main.tick k CROSS JOIN main.{table} s ON s.tick_id=k.tick_id "
    f"WHERE k.ts_ms>? AND k.ts_ms<=? AND s.{{key}}=? AND {ONCE} ORDER BY {{order}}k.ts_ms"
)
_ORDER = {PROCESS: "s.proc_id, "}
_SHADOWS = "PRAGMA query_only=OFF;PRAGMA temp_store=MEMORY;" + "".join(
    f"DROP TABLE IF EXISTS temp.{table};CREATE TEMP TABLE {table}({', '.join(columns)}, PRIMARY KEY({key})) WITHOUT ROWID;"
    for table, columns, key in (
        ("tick", ("tick_id", "ts_ms", "session_id"), "tick_id"),
        ("gpu_sample", GPU_SAMPLE, "tick_id, gpu_id"),
        ("process_sample", PROCESS_SAMPLE, "tick_id, proc_id, gpu_id"),
    )
)
_KEPT = (PAST, "ledger", "meta", "first_ms")
"""What a reader derived that holds for any instant."""


class PastWindow(PastServed, PastTrained, Window):
    """Stand at an instant with :meth:`stand`; then ask. One host, one file."""

    def __init__(self, source: Path | sqlite3.Connection, host_id: int) -> None:
        super().__init__(source, host_id=host_id)
        self._owned = True  # also a copy in memory
        self._archive = Archive(self._all, host_id)
        self._stands: object = None
        self.at_ms: int | None = None
        self.from_ms = 0
        self._gpus: dict[int, Columns] = {}
        self._ticks: list[int] = []
        """Times of the ticks; a tick's id is its place from 1 on."""
        self._number: dict[int, int] = {}
        self._held: list[tuple[int, Columns, Part | None]] = []
        """Process rows by GPU (0: on none): who was there, and where the rest of a sealed block is."""
        self._host: Columns | None = None
        self._newest_ms = 0
        self._oldest_hot_ms: int | None = None

    # -------------------------------------------------------------------------------------------------------- reading

    def stand(self, at_ms: int, back_ms: int, newest_ms: int, gpu_ids: Collection[int] | None) -> None:
        """Read what lies in the ``back_ms`` before ``at_ms``; ``newest_ms`` is the end of the whole recording."""
        self._newest_ms = newest_ms
        where = (at_ms, back_ms, None if gpu_ids is None else tuple(gpu_ids))
        if self._stands == where:
            return
        self._stands, self.at_ms, self.from_ms = where, at_ms, at_ms - back_ms
        self._archive.forget(at_ms)
        with self.reading():
            oldest = self._one("SELECT ts_ms FROM main.tick ORDER BY tick_id LIMIT 1")
            self._oldest_hot_ms = oldest[0] if oldest else None
            ids = [row[0] for row in self._all("SELECT gpu_id FROM gpu WHERE host_id=? ORDER BY gpu_id", (self.host_id,))]
            ids = [i for i in ids if gpu_ids is None or i in gpu_ids]
            self._gpus = {}
            for gpu_id in ids:
                found = self._gpu(gpu_id, at_ms)
                if found is not None:
                    self._gpus[gpu_id] = found
            last_ms = max((ts for columns in self._gpus.values() if (ts := _before(columns, at_ms))), default=at_ms)
            started = max(self.from_ms, last_ms - PROCESSES_MS) if gpu_ids is None else self.from_ms
            until_ms = max((_over(columns, at_ms) for columns in self._gpus.values()), default=at_ms)
            self._held = [(i, *part) for i in (0, *ids) for part in self._processes(i, started, until_ms)]
            self._host = self._columns(HOST, 0, last_ms - _HOST_MS, at_ms, _HOST_ROW)
        times = set[int]().union(*(columns["ts_ms"] for columns in self._gpus.values()))
        for _, columns, _ in self._held:
            times.update(columns["ts_ms"])
        if self._host is not None:
            times.update(self._host["ts_ms"])
        self._ticks = sorted(ts for ts in times if ts >= self.from_ms)
        self._number = {ts: number for number, ts in enumerate(self._ticks, 1)}
        self.memo = {key: self.memo[key] for key in _KEPT if key in self.memo}
        if gpu_ids is not None:
            self._shadow()

    def _gpu(self, gpu_id: int, at_ms: int) -> Columns | None:
        """A GPU's facts from ``from_ms`` on, with the first row after the instant, if there is one."""
        found = self._columns(GPU, gpu_id, self.from_ms - 1, at_ms, _FACTS)
        if found is None or found["ts_ms"][-1] <= at_ms:
            end_ms = self._archive.following(GPU, gpu_id, at_ms, at_ms + _NEXT_MS)
            if end_ms is not None or self._touches_hot(at_ms + _NEXT_MS):
                found = self._columns(GPU, gpu_id, self.from_ms - 1, end_ms or at_ms + _NEXT_MS, _FACTS)
        return found

    def _processes(self, gpu_id: int, from_ms: int, to_ms: int) -> list[tuple[Columns, Part | None]]:
        """The processes of a GPU, block by block, each in the order of processes and time."""
        parts = self._archive.parts(PROCESS, gpu_id, from_ms, to_ms)
        sealed: list[tuple[Columns, Part | None]] = [(self._archive.block(part, _SHARE), part) for part in parts]
        if not self._touches_hot(to_ms):
            return sealed
        hot = self._hot(PROCESS, gpu_id, from_ms, to_ms, _PROCESS_ROW, {ts for part, _ in sealed for ts in part["ts_ms"]})
        return sealed if hot is None else [*sealed, (hot, None)]

    def _columns(self, kind: int, entity_id: int, from_ms: int, to_ms: int, wanted: tuple[str, ...]) -> Columns | None:
        """Rows of sealed hours, and of the hot tables what is in no chunk; rows around the span may come with them."""
        sealed = self._archive.read(kind, entity_id, from_ms, to_ms, wanted)
        hot = self._hot(kind, entity_id, from_ms, to_ms, wanted, set(sealed["ts_ms"]) if sealed else set())
        if sealed is None or hot is None:
            return hot if sealed is None else sealed
        both = read.joined((sealed, hot), wanted)
        order = sorted(range(len(both["ts_ms"])), key=both["ts_ms"].__getitem__)
        return {name: [values[i] for i in order] for name, values in both.items()}

    def _hot(
        self, kind: int, entity_id: int, from_ms: int, to_ms: int, wanted: tuple[str, ...], known: Collection[int]
    ) -> Columns | None:
        """Rows of the hot tables, but for times that are known from chunks."""
        if not self._touches_hot(to_ms):
            return None
        table, key = _TABLES[kind]
        sql = _HOT.format(columns=", ".join("s." + name for name in wanted[1:]), table=table, key=key, order=_ORDER.get(kind, ""))
        rows = self._all(sql, (from_ms, to_ms, self.host_id if kind == HOST else entity_id))
        rows = [row for row in rows if row[0] not in known]
        return dict(zip(wanted, map(list, zip(*rows, strict=True)), strict=True)) if rows else None

    def _touches_hot(self, to_ms: int) -> bool:
        return self._oldest_hot_ms is not None and self._oldest_hot_ms <= to_ms

    def _shadow(self) -> None:
        """Put all rows that were read into temporary tables with the names of the hot ones, for whoever asks by SQL."""
        db, number = self.connection, self._number
        db.executescript(_SHADOWS)
        db.execute("BEGIN")
        Inserter("temp.tick", ("tick_id", "ts_ms")).insert(db, list(enumerate(self._ticks, 1)))
        gpus = Inserter("temp.gpu_sample", GPU_SAMPLE)
        for gpu_id, facts in self._gpus.items():
            columns = self._columns(GPU, gpu_id, self.from_ms - 1, facts["ts_ms"][-1], _GPU_ROW)
            rows = zip(*columns.values(), strict=True) if columns else ()
            gpus.insert(db, [(number[ts], gpu_id, *rest) for ts, *rest in rows if ts in number])
        processes = Inserter("temp.process_sample", ("tick_id", "gpu_id", *_PROCESS_ROW[1:]))
        for gpu_id, columns, part in self._held:
            full = columns if part is None else self._archive.block(part, _PROCESS_ROW)
            rows = zip(*(full[name] for name in _PROCESS_ROW), strict=True)
            processes.insert(db, [(number[ts], gpu_id, *rest) for ts, *rest in rows if ts in number])
        db.execute("COMMIT")
        db.execute("PRAGMA query_only=ON")

    # --------------------------------------------------------------------------------------------------------- asking

    def last_tick(self) -> tuple[int, int] | None:
        """The newest tick of the whole recording; its id is behind all that was read."""
        return (len(self._ticks) + 1, self._newest_ms) if self._newest_ms else None

    def newest_ms(self) -> int:
        """Time of the newest tick of the whole recording; 0: none."""
        return self._newest_ms

    def first_tick_ms(self) -> int | None:
        """Since when single rows of these GPUs are kept; what was read may begin later."""
        found = [first for gpu_id in self._gpus if (first := self._archive.first_ms(GPU, gpu_id)) is not None]
        return min([*found, *self._ticks[:1]], default=None)

    def tick_range(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """The first and last tick of ``[start_ms, end_ms]``; first > last when there is none."""
        first, last = bisect_left(self._ticks, start_ms) + 1, bisect_right(self._ticks, end_ms)
        return (first, last) if first <= last else (1, 0)

    def tick_ms(self, tick_id: int) -> int:
        """The time of a tick that is there."""
        return self._ticks[tick_id - 1]

    def tick_over(self, at_ms: int) -> int | None:
        """The tick after ``at_ms`` whose GPU rows speak for ``at_ms`` too."""
        following = bisect_right(self._ticks, at_ms)
        if following == len(self._ticks):
            return None
        ts = self._ticks[following]
        reach = max((columns["dt_ms"][i] for columns in self._gpus.values() if (i := _place(columns, ts)) is not None), default=0)
        return following + 1 if ts - reach < at_ms else None

    def superseded(self, first_tick: int, last_tick: int, at_ms: int) -> frozenset[int]:
        """None: of time that was recorded twice only the later rows were read."""
        return frozenset()

    def columns(self, first_tick: int, last_tick: int) -> Mapping[int, Columns]:
        """The GPUs' facts in these ticks, column by column."""
        span = self._ticks[first_tick - 1] - 1, self._ticks[last_tick - 1]
        return {gpu_id: read.cut(columns, *span) for gpu_id, columns in self._gpus.items()}

    def gpu_rows(self, first_tick: int, last_tick: int, gpu_id: int | None = None) -> list[GpuFacts]:
        """The facts of all GPUs (or one) in these ticks, in order."""
        return self._facts(first_tick, last_tick, self._gpus if gpu_id is None else (gpu_id,), {})

    def newer_gpu_rows(self, first_tick: int, last_tick: int, known: Mapping[int, int]) -> list[GpuFacts]:
        """The facts of all GPUs in these ticks, in order, without those up to the time that is ``known`` of a GPU."""
        return self._facts(first_tick, last_tick, self._gpus, known)

    def _facts(self, first_tick: int, last_tick: int, gpu_ids: Iterable[int], known: Mapping[int, int]) -> list[GpuFacts]:
        first, last = max(1, first_tick), min(last_tick, len(self._ticks))
        if first > last:
            return []
        start, end = self._ticks[first - 1] - 1, self._ticks[last - 1]
        out: list[GpuFacts] = []
        for gpu_id in gpu_ids:
            if gpu_id in self._gpus:
                out += _made(read.cut(self._gpus[gpu_id], max(start, known.get(gpu_id, -1)), end), gpu_id, self._number)
        return sorted(out)

    def newest_tick(self, gpu_id: int, first_tick: int, last_tick: int) -> int | None:
        """The newest of these ticks in which a GPU has a row."""
        rows = self.gpu_rows(first_tick, last_tick, gpu_id)
        return rows[-1].tick_id if rows else None

    def ahead_rows(self, gpu_ids: Collection[int], from_ms: int, to_ms: int) -> list[GpuFacts] | None:
        """Facts of some GPUs in ``(from_ms, to_ms]``; ``None`` when no GPU has any row there."""
        out: list[GpuFacts] = []
        for gpu_id in gpu_ids:
            columns = self._columns(GPU, gpu_id, from_ms, to_ms, _FACTS)
            if columns is not None:
                columns = read.cut(columns, from_ms, to_ms)
                out += _made(columns, gpu_id, {ts: number for number, ts in enumerate(columns["ts_ms"], 1)})
        if out:
            return sorted(out, key=_by_time)
        others = (self._columns(GPU, i, from_ms, to_ms, ("ts_ms",)) for i in self._gpus if i not in gpu_ids)
        return [] if any(each is not None and read.cut(each, from_ms, to_ms)["ts_ms"] for each in others) else None

    def held(self, first_tick: int, last_tick: int) -> list[Held]:
        """Who was on which GPU, for each of these ticks that has process rows, in order."""
        found: dict[int, dict[int, tuple[Any, ...]]] = {}
        span = self._span(first_tick, last_tick)
        for gpu_id, columns, _ in self._held if span else ():
            for ts, there in _together(columns, read.runs(columns, "proc_id", *span)):
                at = found.setdefault(ts, {})
                if gpu_id:
                    at[gpu_id] = there
        return [Held(self._number[ts], ts, found[ts]) for ts in sorted(found)]

    def process_rows(self, first_tick: int, last_tick: int) -> list[ProcessFacts]:
        """All process rows of these ticks, in order."""
        out: list[ProcessFacts] = []
        span = self._span(first_tick, last_tick)
        for gpu_id, columns, part in self._held if span else ():
            places = [at for run in read.runs(columns, "proc_id", *span) for at in range(run.start, run.stop)]
            if places:
                rows = (
                    {name: [columns[name][at] for at in places] for name in _PROCESS}
                    if part is None
                    else part.pick(_PROCESS, places)
                )
                facts = zip(*(rows[name] for name in _PROCESS), strict=True)
                out += [ProcessFacts(self._number[ts], ts, proc_id, gpu_id, *values) for ts, proc_id, *values in facts]
        return sorted(out, key=_place_of_process)

    def _span(self, first_tick: int, last_tick: int) -> tuple[int, int] | tuple[()]:
        """The time of these ticks, as (after, up to)."""
        first, last = max(1, first_tick), min(last_tick, len(self._ticks))
        return (self._ticks[first - 1] - 1, self._ticks[last - 1]) if first <= last else ()

    def newest_process_tick(self, first_tick: int, last_tick: int) -> int | None:
        """The newest of these ticks with process rows."""
        times = {ts for _, columns, _ in self._held for ts in columns["ts_ms"]}
        return next(
            (tick for tick in range(min(last_tick, len(self._ticks)), first_tick - 1, -1) if self._ticks[tick - 1] in times), None
        )

    def gpu_table(self, tick_id: int, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """``gpu_id`` and the named columns of all GPUs in one tick."""
        ts, out = self._ticks[tick_id - 1], []
        for gpu_id, facts in self._gpus.items():
            at = _place(facts, ts)
            if at is not None:
                out.append((gpu_id, *self._row(gpu_id, ts, names)))
        return out

    def _row(self, gpu_id: int, ts: int, wanted: Sequence[str]) -> Sequence[Any]:
        """The columns of one row of a GPU."""
        for part in self._archive.parts(GPU, gpu_id, ts - 1, ts):
            at = _place(self._archive.block(part, _FACTS), ts)
            if at is not None:
                picked = part.pick(wanted, [at])
                return [picked[name][0] for name in wanted]
        hot = self._hot(GPU, gpu_id, ts - 1, ts, ("ts_ms", *wanted), ())
        return [None] * len(wanted) if hot is None else [hot[name][0] for name in wanted]

    def host_row(self, last_tick: int, lookback: int = 20) -> Mapping[str, Any] | None:
        """The newest host row in the ``lookback`` ticks up to ``last_tick``, with its ``ts_ms``."""
        if self._host is None or not 0 < last_tick <= len(self._ticks):
            return None
        at = bisect_right(self._host["ts_ms"], self._ticks[last_tick - 1]) - 1
        if at < 0 or self._number.get(self._host["ts_ms"][at], 0) < last_tick - lookback:
            return None
        row = {name: values[at] for name, values in self._host.items()}
        return {**row, "tick_id": self._number[row["ts_ms"]], "host_id": self.host_id}


def over(window: Window, at_ms: int, back_ms: int, gpu_ids: Collection[int] | None) -> Window:
    """What :meth:`Window.over` returns."""
    if not isinstance(window, PastWindow):
        oldest_ms = None if window.imported else window.first_tick_ms()
        if (oldest_ms is not None and oldest_ms <= at_ms - back_ms) or not _has_chunks(window):
            return window
    kept: dict[object, PastWindow] = window.memo.setdefault(PAST, {})
    key = "view" if gpu_ids is None else "detail"
    past = kept.get(key)
    if past is None:
        past = kept[key] = PastWindow(window.path or _copy(window.connection), window.host_id)
    host = window.host()
    past.stand(at_ms, back_ms, max(0 if window.imported else window.newest_ms(), host["last_ms"] if host else 0), gpu_ids)
    return past


def _has_chunks(window: Window) -> bool:
    found = window.memo.get("sealed")
    if not found:  # once there are some, there always are
        found = bool(window.rows("SELECT 1 FROM chunk WHERE kind=? AND host_id=? LIMIT 1", (GPU, window.host_id)))
        window.memo["sealed"] = found
    return found


def _copy(db: sqlite3.Connection) -> sqlite3.Connection:
    """A store in memory cannot be opened twice."""
    copy: sqlite3.Connection = opening.connect(":memory:")
    db.backup(copy)
    return copy


def _made(columns: Columns, gpu_id: int, number: Mapping[int, int]) -> list[GpuFacts]:
    """Rows of facts out of columns."""
    times = columns["ts_ms"]
    values = [columns[name] for name in _FACTS[1:]]
    make = GpuFacts._make
    return [make((number[ts], ts, gpu_id, *rest)) for ts, *rest in zip(times, *values, strict=True)]


def _together(columns: Columns, runs: Sequence[slice]) -> Iterable[tuple[int, tuple[Any, ...]]]:
    """Times, and who was there at each: (process, SM share, memory) of every run that has a row then."""
    times = [columns["ts_ms"][run] for run in runs]
    procs, sm, memory = columns["proc_id"], columns["sm_pm"], columns["gpu_memory_mib"]
    held = [list(zip(procs[run], sm[run], memory[run], strict=True)) for run in runs]
    if all(each == times[0] for each in times):  # as they are while nobody comes or goes
        return zip(times[0], zip(*held, strict=True), strict=True) if times else ()
    out: dict[int, list[Any]] = {}
    for each, there in zip(times, held, strict=True):
        for ts, share in zip(each, there, strict=True):
            out.setdefault(ts, []).append(share)
    return [(ts, tuple(there)) for ts, there in out.items()]


def _before(columns: Columns, at_ms: int) -> int:
    """The time of the last row up to an instant; 0: none."""
    at = bisect_right(columns["ts_ms"], at_ms)
    return columns["ts_ms"][at - 1] if at else 0


def _over(columns: Columns, at_ms: int) -> int:
    """Where the row ends that speaks for an instant: after it, if the rhythm is slow; else the instant."""
    at = bisect_right(columns["ts_ms"], at_ms)
    speaks = at < len(columns["ts_ms"]) and columns["ts_ms"][at] - columns["dt_ms"][at] < at_ms
    return columns["ts_ms"][at] if speaks else at_ms


def _place(columns: Columns, ts: int) -> int | None:
    """Where the row of an instant stands."""
    times = columns["ts_ms"]
    at = bisect_left(times, ts)
    return at if at < len(times) and times[at] == ts else None


def _by_time(row: GpuFacts) -> tuple[int, int]:
    return row.ts_ms, row.gpu_id


def _place_of_process(row: ProcessFacts) -> tuple[int, int, int]:
    return row.tick_id, row.proc_id, row.gpu_id
