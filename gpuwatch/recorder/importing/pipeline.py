"""A past log hour by hour through the recorder's own steps: hot rows, minutes, ledger, hours, chunks, and at its end days.

Memory stays flat: two hours of rows are held, one that is being closed and the next, which tells how its quiet runs go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, islice, starmap
from operator import itemgetter

from gpuwatch.collectors.importers.types import LogProcessRow, LogRow, PastLog
from gpuwatch.dataclass import dataclass, field
from gpuwatch.errors import UsageError
from gpuwatch.format import duration
from gpuwatch.ledger.facts import weight
from gpuwatch.ledger.types import LedgerRow
from gpuwatch.recorder.importing.gaps import Gap, joined
from gpuwatch.recorder.importing.hours import HOUR_MS, HourOfRows, by_gpu, by_hour
from gpuwatch.recorder.importing.minutes import AloneBook, SharedBook
from gpuwatch.recorder.importing.past import Kept, Past, Piece, State
from gpuwatch.recorder.importing.rows import COLUMNS, KEY, MADE, NAMES, HourRows
from gpuwatch.recorder.importing.scratch import Who, forget_old
from gpuwatch.recorder.importing.track import Track, usual_interval
from gpuwatch.recorder.timeline import PERIODS
from gpuwatch.store import columns
from gpuwatch.store.archive.seal import SealJob
from gpuwatch.store.archive.shapes import PROCESS
from gpuwatch.store.bulk import Inserter
from gpuwatch.store.days import close_days, close_hist_days, close_ledger_days, zone_of
from gpuwatch.store.deleting import Keep
from gpuwatch.store.hours import FINAL_AFTER_S, HOUR_S, close_hours, close_ledger_hours
from gpuwatch.store.ledger_rows import ledger_inputs
from gpuwatch.store.rollup import minute_statements
from gpuwatch.store.watermarks import HOUR_TIER, LEDGER_HOUR_TIER, LEDGER_TIER, MINUTE_TIER, SEAL_TIER, set_watermark
from gpuwatch.zone import next_midnight_s

INTERVAL_ROWS = 20_000
"""So many rows at a log's beginning tell its interval, where nothing else does."""
_MINUTE = columns.insert_sql("gpu_minute", columns.GPU_ROLLUP)
_FORGET_EVERY_MS = 86_400_000
_LEDGER = columns.insert_sql("ledger_minute", (*columns.LEDGER, "final"))
_TICK = Inserter("tick", ("tick_id", "ts_ms", "session_id"))
_PROCESS = Inserter("process_sample", columns.PROCESS_SAMPLE)


LONGEST_MS = 3_600_000
"""Rows further apart say nothing of the time between them, unless the user says that they do."""


def _told_interval(rows: Sequence[LogRow | LogProcessRow]) -> int | None:
    """The usual time between rows. :class:`UsageError` if it is too long to speak for itself."""
    interval = usual_interval(by_gpu(rows))
    if interval is not None and interval > LONGEST_MS and all(row.duration_ms is None for row in rows):
        raise UsageError(
            f"its rows are {duration(interval / 1000)} apart, which says nothing of the time between them",
            "say for how much time a row speaks with --interval, for example 1h",
        )
    return interval


class Held(Exception):
    """A process appears after its log was taken for one without any: its ledger needs the other book."""


@dataclass(slots=True)
class Sums:
    """What a log held, for people: times in unix milliseconds, utilization in per mille."""

    rows_used: int = 0
    rows_left_out: int = 0
    first_ms: int | None = None
    last_ms: int = 0
    interval_ms: int | None = None
    observed_ms: int = 0
    utilization_rows: int = 0
    utilization_sum: int = 0
    utilization_ms: int = 0
    utilization_weight_ms: int = 0
    measures: set[str] = field(default_factory=set)
    gpus: set[str] = field(default_factory=set)
    processes: set[tuple[int, int]] = field(default_factory=set)


@dataclass(slots=True)
class _Hour:
    """The rows of one hour, ``(start_ms, end_ms]``, by GPU; those of GPUs and processes are in the scratch store already."""

    start_ms: int
    end_ms: int
    last_tick: int
    gpus: dict[int, HourRows]
    absent: frozenset[str]


class Pipeline:
    """One log on its way through a scratch store. ``alone``: it is taken for one without processes and MIG instances."""

    def __init__(
        self,
        db: sqlite3.Connection,
        who: Who,
        log: PastLog,
        offset_s: int,
        *,
        alone: bool = True,
        past: Past | None = None,
        keep: Keep = Keep(),
    ) -> None:
        self.sums = Sums()
        self.hours: list[int] = []
        """Starts of the hours that were made, unix seconds."""
        self.gaps: list[Gap] = []
        self._db, self._who, self._log = db, who, log
        self._offset_ms = offset_s * 1000
        self._tracks: dict[str, Track] = {}
        self._books: dict[int, AloneBook | SharedBook] = {}
        self._ids: dict[str, int] = {}
        self._last: dict[tuple[tuple[int, int], str], int] = {}
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}
        self._reach_ms = 0
        self._tick = self._kept_tick = 0
        self._before: _Hour | None = None
        self._alone, self._past, self._keep = alone, past, keep
        self._forgotten_ms = 0
        self._gap_energy: list[tuple[int, int, int]] = []
        self._states: dict[str, State] = {}
        self._last_ms = 0

    @property
    def host_id(self) -> int:
        """The id that the host has in the store."""
        return self._who.host_id

    def run(self, interval_ms: int | None = None) -> None:
        """Read the log to its end. Raises :class:`Disordered` when it must be sorted first, :class:`Held` when it has holders."""
        rows = iter(self._log.rows)
        head = list(islice(rows, INTERVAL_ROWS))
        interval = interval_ms or self._log.interval_ms or _told_interval(head)
        self.sums.interval_ms = interval
        self._reach_ms = PERIODS * (interval or 0)
        self._who.reach(interval or 1000)
        new = self._spanned(by_hour(chain(head, rows), self._offset_ms))
        for piece in self._past.pieces(new, self._quiet_ms) if self._past else starmap(Piece, new):
            hour = self._load(piece)
            if self._before is not None:
                self._close(self._before, hour)
            self._before = hour
        if self._before is not None:
            self._close(self._before, None)
        if self._past is not None:
            self.sums.rows_left_out += self._past.left_out
            self._log.problems.extend(self._past.problems)

    # ---------------------------------------------------------------------------------------------------------- loading

    def _quiet_ms(self, key: str) -> int:
        return self._tracks[key].quiet_ms

    def _load(self, piece: Piece) -> _Hour:
        start_ms, gpus, processes, states, made = piece
        self._states.update(states or {})
        ascending = {key: self._ascending(rows) for key, rows in gpus.items()}
        timed = {key: self._resumed(key).add(rows) for key, rows in ascending.items()}
        ticks = sorted({*chain.from_iterable(one.ts_ms for one in timed.values()), *(row.ts_ms for row in processes)})
        tick_of = dict(zip(ticks, range(self._tick + 1, self._tick + 1 + len(ticks))))
        self._tick += len(ticks)
        self._last_ms = ticks[-1]
        hours: dict[int, HourRows] = {}
        for key, one in timed.items():
            fresh = self._count(key, ascending[key])
            hours[self._ids[key]] = HourRows(self._ids[key], one, sliced=self._sliced(key), fresh=fresh)
        absent = self._write_gpus(hours.values(), tick_of)
        if not self._alone:
            _TICK.insert(self._db, [(tick, ts, 1) for ts, tick in tick_of.items()])
        if processes:
            _PROCESS.insert(self._db, [self._process_row(row, tick_of[row.ts_ms]) for row in processes])
        for gpu_id, rows in hours.items():
            self._note(("gpu", gpu_id), rows.timed.ts_ms[0], rows.timed.ts_ms[-1])
        gaps = [Gap(gpu_id, *gap) for gpu_id, rows in hours.items() for gap in rows.timed.gaps]
        self._gap_energy.extend((gpu_id, *used) for gpu_id, rows in hours.items() for used in rows.timed.gap_energy)
        if made:
            self.hours.append(start_ms // 1000)
            self.gaps.extend(joined(gaps, set(self._ids.values()), self._reach_ms))
        return _Hour(start_ms, start_ms + HOUR_MS, self._tick, hours, absent)

    def _ascending(self, rows: list[LogRow]) -> list[LogRow]:
        times = [row[0] for row in rows]
        if any(map(int.__ge__, times, times[1:])):
            first: dict[int, LogRow] = {}
            for row in rows:
                first.setdefault(row[0], row)
            self.sums.rows_left_out += len(rows) - len(first)
            rows = sorted(first.values(), key=lambda row: row[0])
        return rows

    def _count(self, key: str, rows: list[LogRow]) -> list[bool] | None:
        """Which rows are of this log (``None``: all); they are counted."""
        fresh = None if self._past is None else [not isinstance(row, Kept) for row in rows]
        own = rows if fresh is None else list(compress(rows, fresh))
        if own:
            sums = self.sums
            sums.rows_used += len(own)
            sums.gpus.add(key)
        return fresh

    def _spanned(self, hours: Iterable[HourOfRows]) -> Iterator[HourOfRows]:
        """The same hours; the span of the log's own rows is noted."""
        sums = self.sums
        for hour in hours:
            every: list[Sequence[LogRow | LogProcessRow]] = [*hour[1].values(), hour[2]]
            for rows in every:
                if rows:
                    times = [row.ts_ms for row in rows]
                    sums.first_ms = min(times) if sums.first_ms is None else min(sums.first_ms, min(times))
                    sums.last_ms = max(sums.last_ms, max(times))
            yield hour

    def _resumed(self, key: str) -> Track:
        """The GPU's track, standing where the store says if that has a later row than what was read so far."""
        track, state = self._track(key), self._states.pop(key, None)
        if state is not None and state.last_ms is not None and (track.last_ms is None or track.last_ms < state.last_ms):
            track.resume(*state)
        return track

    def _track(self, key: str) -> Track:
        found = self._tracks.get(key)
        if found is None:
            gpu = self._log.gpus[key]
            self._ids[key] = self._who.gpu(gpu)
            found = self._tracks[key] = Track(
                gpu, self.sums.interval_ms or 0, sliced=self._sliced(key), idle_watts=self._who.idle_watts(gpu)
            )
            if self._alone and gpu.parent_uuid:
                raise Held
            part = weight(gpu, self._log.gpus.values())
            self._books[self._ids[key]] = AloneBook(self._ids[key]) if self._alone else SharedBook(self._ids[key], part)
        return found

    def _sliced(self, key: str) -> bool:
        uuid = self._log.gpus[key].uuid
        return any(gpu.parent_uuid == uuid for gpu in self._log.gpus.values())

    def _write_gpus(self, gpus: Collection[HourRows], tick_of: dict[int, int]) -> frozenset[str]:
        """Insert the rows by time; returns the columns that none of them has."""
        used = sorted({number for rows in gpus for number in rows.used})
        if not self._alone:  # holders are found by SQL, beside the rows that they hold
            hot = [row for rows in gpus for row in rows.hot(tick_of, used)]
            hot.sort(key=itemgetter(0, 1))
            Inserter("gpu_sample", (*KEY, *(COLUMNS[n] for n in used))).insert(self._db, hot)
        sums = self.sums
        sums.measures.update(NAMES[n] for n in used if n not in MADE)
        for rows in gpus:
            count, total, over_time, time = rows.utilization()
            sums.utilization_rows += count
            sums.utilization_sum += total
            sums.utilization_ms += over_time
            sums.utilization_weight_ms += time
            sums.observed_ms += rows.observed_ms
        return frozenset(COLUMNS).difference(COLUMNS[n] for n in used)

    def _process_row(self, row: LogProcessRow, tick: int) -> tuple[int | None, ...]:
        if self._alone:
            raise Held
        self.sums.processes.add(row.process)
        proc_id = self._who.process(self._log.processes[row.process])
        if row.gpu:
            self._track(row.gpu)
        entity = (row.process, row.gpu)
        last = self._last.get(entity)
        self._last[entity] = row.ts_ms
        self._note(("process", proc_id), row.ts_ms, row.ts_ms)
        dt = row.duration_ms
        if dt is None:
            dt = 0 if last is None or row.ts_ms - last > self._reach_ms else row.ts_ms - last
        return tick, proc_id, self._ids[row.gpu] if row.gpu else 0, dt, *row.values

    def _note(self, entity: tuple[str, int], first_ms: int, last_ms: int) -> None:
        """When an entity was there."""
        known = self._seen.get(entity)
        self._seen[entity] = (first_ms, last_ms) if known is None else (min(known[0], first_ms), max(known[1], last_ms))

    # ---------------------------------------------------------------------------------------------------------- closing

    def _close(self, hour: _Hour, following: _Hour | None) -> None:
        """All that an hour becomes. Its last ledger minute may wait for a row of the next hour that reaches into it."""
        db, host, end_s = self._db, self._who.host_id, hour.end_ms // 1000
        db.execute("BEGIN")
        if self._alone:
            for rows in hour.gpus.values():
                db.executemany(_MINUTE, rows.minutes())
        else:
            for statement in minute_statements(hour.absent):
                db.execute(statement, (hour.start_ms, hour.end_ms))
        self._close_ledger(hour, following)
        set_watermark(db, MINUTE_TIER, end_s, host)
        close_hours(db, hour.end_ms, host_id=host)
        done_ms = hour.start_ms - max(self._reach_ms, HOUR_MS)
        self._close_ledger_hours(done_ms // 1000)
        for rows in hour.gpus.values():
            rows.seal(db, host, hour.start_ms)
        db.execute("COMMIT")
        if not self._alone:
            self._seal_processes(hour)
        if hour.start_ms >= self._forgotten_ms + _FORGET_EVERY_MS:
            self._forgotten_ms = hour.start_ms
            forget_old(db, hour.start_ms, self._keep)

    def _seal_processes(self, hour: _Hour) -> None:
        """Their chunks, from the hot rows; those of the hour before are done with."""
        db = self._db
        for _ in SealJob(PROCESS, self._who.host_id, hour.start_ms).steps(db):
            pass
        db.execute("BEGIN")
        for table in ("gpu_sample", "process_sample", "tick"):
            db.execute(f"DELETE FROM {table} WHERE tick_id<=?", (self._kept_tick,))
        db.execute("COMMIT")
        self._kept_tick = hour.last_tick

    def _close_ledger(self, hour: _Hour, following: _Hour | None) -> None:
        ahead = following.gpus if following else {}
        shared: Mapping[int, Sequence[LedgerRow]] = {}
        if not self._alone:
            found = ledger_inputs(self._db, hour.start_ms, hour.end_ms)
            shared = {gpu: [row for row in rows if hour.start_ms < row.ts_ms <= hour.end_ms] for gpu, rows in found.items()}
        for gpu_id, rows in hour.gpus.items():
            book, after = self._books[gpu_id], ahead.get(gpu_id)
            if isinstance(book, AloneBook):
                book.add(rows.ledger, after.ledger if after else None)
            else:
                book.add(shared.get(gpu_id, ()), after.ledger.rows(range(len(after.timed.ts_ms))) if after else ())
        for book in self._books.values():
            if following is None:
                book.close()
            self._db.executemany(_LEDGER, book.rows)
            book.rows.clear()

    def _close_ledger_hours(self, done_s: int) -> None:
        host = self._who.host_id
        set_watermark(self._db, LEDGER_TIER, done_s, host)
        close_ledger_hours(self._db, (done_s + FINAL_AFTER_S) * 1000, host_id=host)

    def finish(self, now_ms: int) -> None:
        """The days, and how far everything is closed: to the end of the last row's local day where that is over by now."""
        db, host = self._db, self._who.host_id
        if not self.hours:
            return
        end_s = max(self.hours) + HOUR_S
        midnight = next_midnight_s((self._last_ms - 1) / 1000, zone_of(db, host))
        if midnight * 1000 <= now_ms:
            end_s = max(end_s, midnight)
        self._close_ledger_hours(end_s)
        for tier in (MINUTE_TIER, HOUR_TIER, LEDGER_HOUR_TIER, SEAL_TIER):
            set_watermark(db, tier, end_s, host)
        if self._past is not None:
            self._past.fill_days(db, self.hours, zone_of(db, host))
        close_days(db, now_ms, host_id=host)
        close_ledger_days(db, now_ms, host_id=host)
        close_hist_days(db, now_ms, host_id=host)
        spans = [(gpu_id, *span) for gpu_id, book in self._books.items() for span in book.spans]
        db.executemany("INSERT INTO ledger_span(gpu_id,t0,t1) VALUES(?,?,?)", spans)
        forget_old(db, self._last_ms, self._keep)
        lost = "INSERT OR REPLACE INTO gap_energy(host_id,gpu_id,t0_ms,energy_mj) VALUES(?,?,?,?)"
        db.executemany(lost, [(host, *used) for used in self._gap_energy])
        for gap in self.gaps:
            db.execute("INSERT OR REPLACE INTO gap(host_id,gpu_id,t0_ms,t1_ms,reason) VALUES(?,?,?,?,?)", (host, *gap, 0))
        self._who.describe_all(self._log.gpus.values())
        self._who.learn_idle()
        for (table, entity), span in self._seen.items():
            db.execute(f"UPDATE {table} SET first_ms=?, last_ms=? WHERE {_ENTITY[table]}=?", (*span, entity))
        db.execute("UPDATE host SET first_ms=?, last_ms=?", (self.sums.first_ms, self._last_ms))


_ENTITY = {"gpu": "gpu_id", "process": "proc_id"}
