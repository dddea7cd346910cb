"""The work of a minute that has ended, in small pieces so that no tick has a burst: rollups and ledger minutes, then history.

A ledger minute is written as soon as it has ended, provisionally. What can still change is only the name of a quiet run that was
open then; its minutes are computed again when the run has a name, and once more where it reaches 15 minutes beside another GPU of
the job that works. Sixteen minutes after its end a minute is final. Everything is recomputed from hot rows, so a recorder that was
killed finds the rest of its work on its next start.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from gpuwatch.ledger.types import HOLD_MS, UNUSED_MS, BucketRow, LedgerRow
from gpuwatch.names import Bucket
from gpuwatch.recorder.historian import Historian
from gpuwatch.recorder.minute import MINUTE_MS, MINUTE_S, WHOLE, Weight, may_be_unused, period_ms, split_minute, weights
from gpuwatch.store import rollup
from gpuwatch.store.connection import transaction
from gpuwatch.store.deleting import Keep
from gpuwatch.store.hours import FINAL_AFTER_S
from gpuwatch.store.ledger_rows import Inputs
from gpuwatch.store.watermarks import LEDGER_TIER
from gpuwatch.store.writer import StoreWriter

_HOUR_S, _DAY_S = 3600, 86_400
_GRACE_MS = 7000
"""Rows of the minute may come this late: three periods of the collectors that ask every two seconds, and a second."""
_SPREAD_MS = 30_000
"""A minute's jobs are spread over so much time."""
_PIECE_MS = 20_000
"""The process rows of so much time are read at once."""
_SILENT_MS, _SILENT_PERIODS = 15_000, 3
"""A GPU without a row for so long, and for so many periods, has ended its quiet run by a gap."""
_BESIDE = (
    " AND EXISTS (SELECT 1 FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id AND s.gpu_id=m.gpu_id"
    " WHERE k.ts_ms>m.t*1000 AND k.ts_ms<=m.t*1000+60000 AND s.sibling=1 AND s.quiet=1)"
)
_REST = (
    "SELECT max(k.ts_ms) FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id AND s.gpu_id=?"
    " WHERE k.ts_ms>? AND k.ts_ms<=? AND s.quiet=1 AND k.ts_ms-s.quiet_ms=?"
)
"""The end of a quiet run, which is known by its beginning."""
Job = Callable[[], None]


class Closer:
    """Closes minutes of one writer's store, and hands them to history; ``keep`` says how long what is kept."""

    def __init__(self, writer: StoreWriter, *, keep: Keep = Keep(), logger: logging.Logger | None = None) -> None:
        self._writer = writer
        self._log = logger or logging.getLogger("gpuwatch.recorder")
        self._history = Historian(writer, keep, self._log)
        self._jobs: deque[Job] = deque()
        self._per_tick = 1
        self._minute: int | None = None
        self._silent_ms = _SILENT_MS
        self._ticks, self._period_ms = 1, 1000
        self._final_from: int | None = None
        """Minutes before this are final already."""
        self._open: set[tuple[int, int]] = set()
        """(gpu_id, minute) with a quiet run that has no name yet."""
        self._idle: set[tuple[int, int]] = set()
        """(gpu_id, minute) with a quiet run beside a working GPU of the job: it is renamed when it reaches 15 minutes."""

    @property
    def _db(self) -> sqlite3.Connection:
        return self._writer.connection

    def due(self, ts_ms: int) -> bool:
        """Whether a minute has ended whose work has not begun; what was buffered must be committed before ``work``."""
        return (ts_ms - _GRACE_MS) // MINUTE_MS != self._minute

    def work(self, ts_ms: int) -> None:
        """A tick's share of the work that is open at ``ts_ms``."""
        if self.due(ts_ms):
            self._drain()
            self._minute = (ts_ms - _GRACE_MS) // MINUTE_MS
            self._per_tick = 1
            self._attempt(lambda: self._plan(self._minute_end(), ts_ms))
        self._per_tick = max(self._per_tick, -(-len(self._jobs) // self._ticks))
        if self._ticks == 1:
            self._drain()
        for _ in range(min(self._per_tick, len(self._jobs))):
            self._attempt(self._jobs.popleft())
        if not self._jobs:
            self._history.work(self._period_ms)

    def finish(self, ts_ms: int | None = None) -> None:
        """Do all that is open, also for a minute that ended by ``ts_ms`` (without the grace for late rows)."""
        self._drain()
        if ts_ms is not None and ts_ms // MINUTE_MS != self._minute:
            self._minute = ts_ms // MINUTE_MS
            self._attempt(lambda: self._plan(self._minute_end(), ts_ms))
            self._drain()

    def _minute_end(self) -> int:
        return (self._minute or 0) * MINUTE_S

    def _drain(self) -> None:
        while self._jobs:
            self._attempt(self._jobs.popleft())

    def _attempt(self, job: Job) -> None:
        """One job; if the store fails, the rest waits for the next minute, which finds it by the watermarks."""
        try:
            job()
        except sqlite3.Error as error:
            self._jobs.clear()
            self._log.error("closing a minute failed: %s", error)
            self._writer.stumbled(error)

    # ------------------------------------------------------------------------------------------------------------ plan

    def _plan(self, end_s: int, ts_ms: int) -> None:
        """Queue the work of all minutes up to ``end_s``."""
        add = self._jobs.append
        period = self._period_ms = period_ms(self._db)
        self._ticks = max(1, _SPREAD_MS // period)
        self._silent_ms = max(_SILENT_MS, _SILENT_PERIODS * period)
        if not self._writer.hot_only:
            steps = rollup.minute_steps(self._db, end_s * 1000)
            add(lambda: self._go_on(steps))
            done = rollup.watermark(self._db, LEDGER_TIER)
            since_ms = None
            if self._final_from is None:
                since_ms = 0
                self._final_from = (done or end_s) - _DAY_S
                self._open.update(self._unfinished(self._final_from))
                self._idle.update(self._still_idle(self._final_from))
            for minute in self._minutes(done, end_s):
                add(partial(self._begin_minute, minute, ts_ms))
            if done is not None and done > end_s:
                add(lambda: self._close_again(end_s, ts_ms, since_ms))
            add(lambda: rollup.set_watermark(self._db, LEDGER_TIER, end_s))
            add(lambda: self._name_open_runs(ts_ms))
            add(lambda: self._make_final(end_s - FINAL_AFTER_S, ts_ms))
        add(lambda: self._history.plan(end_s, ts_ms))

    def _go_on(self, steps: Iterator[None]) -> None:
        """The next of some steps; the others stay in front."""
        if next(steps, self) is not self:
            self._jobs.appendleft(lambda: self._go_on(steps))

    def _close_again(self, end_s: int, ts_ms: int, since_ms: int | None) -> None:
        """The clock was set back behind the watermarks: what it has not told before is closed without them.

        At its start a recorder looks at all rows (``since_ms`` 0): another one may have been killed then, long ago.
        """
        for minute in reversed(rollup.close_again(self._db, end_s * 1000, since_ms=since_ms)):
            self._jobs.appendleft(partial(self._begin_minute, minute, ts_ms))

    def _minutes(self, done_s: int | None, end_s: int) -> list[int]:
        """Starts of the minutes that have rows and no ledger yet."""
        sql = "SELECT DISTINCT (ts_ms-1)/60000*60 FROM tick WHERE ts_ms>? AND ts_ms<=?"
        rows = self._db.execute(sql, ((done_s or 0) * 1000, end_s * 1000))
        return sorted(row[0] for row in rows)

    def _unfinished(self, since_s: int) -> set[tuple[int, int]]:
        sql = "SELECT DISTINCT gpu_id, t FROM ledger_minute WHERE t>=? AND final=0 AND bucket=?"
        return {(gpu_id, t) for gpu_id, t in self._db.execute(sql, (since_s, int(Bucket.QUIET)))}

    def _still_idle(self, since_s: int) -> set[tuple[int, int]]:
        held = "SELECT DISTINCT gpu_id, t FROM ledger_minute m WHERE t>=? AND final=0 AND bucket=?"
        return {(gpu_id, t) for gpu_id, t in self._db.execute(held + _BESIDE, (since_s, int(Bucket.HELD_IDLE)))}

    # ---------------------------------------------------------------------------------------------------------- ledger

    def _begin_minute(self, minute: int, ts_ms: int) -> None:
        """Read a minute once for all GPUs; each GPU is split in a job of its own, and all are written together."""
        start, end = minute * 1000, minute * 1000 + MINUTE_MS
        inputs = Inputs(self._db, start, end)
        owns = weights(self._db, minute)
        found: dict[int, tuple[list[BucketRow], bool]] = {}

        def compute(gpu_id: int) -> None:
            own = inputs.of(gpu_id)
            if own[0].quiet and any(row.context is None for row in own):  # whether somebody was there is told by what was before
                own = rollup.ledger_input(self._db, gpu_id, start - HOLD_MS, end)
            found[gpu_id] = self._split(gpu_id, own, owns[gpu_id], minute, ts_ms), may_be_unused(own, minute)

        def write() -> None:
            with transaction(self._db):
                for gpu_id, (buckets, idle) in found.items():
                    self._write(gpu_id, minute, buckets, idle)

        steps = inputs.read(_PIECE_MS)
        known = [partial(compute, gpu_id) for gpu_id in inputs.gpus if gpu_id in owns]
        self._jobs.extendleft(reversed([lambda: self._go_on(steps), *known, write]))

    def _split(self, gpu_id: int, rows: list[LedgerRow], own: Weight, minute: int, ts_ms: int) -> list[BucketRow]:
        return split_minute(rows, own, minute, silent=self._fell_silent(gpu_id, rows[-1].ts_ms, ts_ms))

    def _fell_silent(self, gpu_id: int, last_ms: int, ts_ms: int) -> bool:
        """Whether a gap follows the row at ``last_ms``. After a restart minutes are closed late: then the next row tells."""
        if ts_ms - last_ms <= self._silent_ms:
            return False
        sql = "SELECT 1 FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id AND s.gpu_id=? WHERE k.ts_ms>? AND k.ts_ms<=? LIMIT 1"
        return self._db.execute(sql, (gpu_id, last_ms, last_ms + self._silent_ms)).fetchone() is None

    def _write(self, gpu_id: int, minute: int, buckets: list[BucketRow], idle: bool) -> None:
        rollup.write_ledger(self._db, gpu_id, minute, buckets, False)
        is_open = any(row.bucket is Bucket.QUIET for row in buckets)
        (self._open.add if is_open else self._open.discard)((gpu_id, minute))
        (self._idle.add if idle else self._idle.discard)((gpu_id, minute))

    def _name_open_runs(self, ts_ms: int) -> None:
        """Compute minutes again whose quiet run was open, if it has ended or reached its five (or 15) minutes since."""
        jobs: list[Job] = []
        for key in sorted(self._open | self._idle, key=lambda key: key[::-1]):
            gpu_id, minute = key
            seen_ms, quiet_ms = self._latest(gpu_id) or (0, 0)
            same_run = quiet_ms >= seen_ms - minute * 1000 - MINUTE_MS
            goes_on = ts_ms - seen_ms <= self._silent_ms and quiet_ms > 0 and same_run
            told = not goes_on or quiet_ms >= UNUSED_MS
            if (key in self._open and not (goes_on and quiet_ms < HOLD_MS)) or (key in self._idle and told):
                jobs.append(partial(self._again, gpu_id, minute, ts_ms, told))
        self._jobs.extendleft(reversed(jobs))

    def _latest(self, gpu_id: int) -> tuple[int, int] | None:
        sql = (
            "SELECT k.ts_ms, s.quiet_ms FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id AND s.gpu_id=?"
            " WHERE k.tick_id>(SELECT max(tick_id) FROM tick)-30 ORDER BY k.tick_id DESC LIMIT 1"
        )
        row = self._db.execute(sql, (gpu_id,)).fetchone()
        return (row[0], row[1]) if row else None

    def _again(self, gpu_id: int, minute: int, ts_ms: int, told: bool) -> None:
        """One GPU's minute from its rows and the five minutes around it; ``told``: no later row can rename it."""
        start, end = minute * 1000, minute * 1000 + MINUTE_MS
        reach = (start - HOLD_MS, min(end + HOLD_MS + MINUTE_MS, ts_ms))
        rows = rollup.ledger_inputs(self._db, *reach, shares_ms=(start, end), gpu_id=gpu_id).get(gpu_id, [])
        if any(start < row.ts_ms <= end for row in rows):
            idle = may_be_unused(rows, minute)
            if idle:
                rows += self._rest_of_run(gpu_id, rows[-1], min(end + UNUSED_MS, ts_ms))
            buckets = self._split(gpu_id, rows, weights(self._db, minute).get(gpu_id, WHOLE), minute, ts_ms)
            self._write(gpu_id, minute, buckets, idle and not told)
        else:  # its rows are gone: the ledger keeps what it said
            self._open.discard((gpu_id, minute))
            self._idle.discard((gpu_id, minute))

    def _rest_of_run(self, gpu_id: int, last: LedgerRow, until_ms: int) -> list[LedgerRow]:
        """How the quiet run of the last row goes on, in one row."""
        if not last.quiet:
            return []
        found = self._db.execute(_REST, (gpu_id, last.ts_ms, until_ms, last.ts_ms - last.quiet_ms)).fetchone()
        if found[0] is None:
            return []
        return [LedgerRow(found[0], found[0] - last.ts_ms, True, last.quiet_ms + found[0] - last.ts_ms, last.context, None)]

    def _make_final(self, until_s: int, ts_ms: int) -> None:
        """Minutes that ended by ``until_s`` are not recomputed any more."""
        for gpu_id, minute in sorted(self._open | self._idle):
            if minute < until_s:
                self._again(gpu_id, minute, ts_ms, True)
                self._open.discard((gpu_id, minute))
        since_s = until_s - _HOUR_S if self._final_from is None else self._final_from
        with transaction(self._db):
            self._db.execute("UPDATE ledger_minute SET final=1 WHERE t<? AND t>=? AND final=0", (until_s, since_s))
        self._final_from = until_s - _HOUR_S
