"""A day of history for a demo, or a month, through the same merger, store and ledger as live rows.

The bulk is one row a minute; the last half hour has a row every five seconds, the last minute one a second, so that strips and
the live ledger are full and the recorder that follows goes on without a hole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

from gpuwatch import plugin
from gpuwatch.dataclass import replace
from gpuwatch.ledger.types import HOLD_MS, BucketRow, LedgerRow
from gpuwatch.model import Batch
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder.closer import Closer
from gpuwatch.recorder.merge import Merger
from gpuwatch.recorder.minute import MINUTE_MS, MINUTE_S, WHOLE, split_minute, weights
from gpuwatch.store import rollup
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.connection import transaction
from gpuwatch.store.days import close_days, close_hist_days, close_ledger_days
from gpuwatch.store.hours import FINAL_AFTER_S, close_hours, close_ledger_hours
from gpuwatch.store.ledger_rows import add_ledger
from gpuwatch.store.retention import trim_hot
from gpuwatch.store.rows import SourceState
from gpuwatch.store.watermarks import LEDGER_TIER
from gpuwatch.store.writer import StoreWriter

DAY_S = 86_400
FINE_S, FINE_STEP_S = 1800, 5
LAST_S = 60
_COMMIT_TICKS = 240
_LOOK_AHEAD = HOLD_MS // MINUTE_MS + 1
_LAG_S = _LOOK_AHEAD * MINUTE_S
"""The ledger of a piece of the past ends so much earlier, where its look-ahead is known."""
PIECE_S = 24 * 3600


class Past(Protocol):
    """A collector that can tell what it would have read."""

    name: str

    def open(self) -> None: ...

    def backfill(self, start: int, end: int, step: int) -> Iterator[Batch]: ...

    def close(self) -> None: ...


def backfill(writer: StoreWriter, context: CollectorContext, *, now: int, hours: float = 24.0) -> None:
    """Fill an empty store with the simulated past up to unix second ``now`` and on to the present of the context's clock.

    Scenario time 0 is ``options["epoch"]``, else ``now``; the recorder that follows must be given the same. ``hours`` may be many:
    the past is made, summed, sealed and trimmed piece by piece, so that a month takes no more memory than a day.
    """
    options = {"epoch": now, **{key: value for key, value in context.options.items() if value is not None}}
    collector = cast(Past, plugin.load("simulated")(replace(context, options=options)))
    collector.open()
    try:
        _fill(writer, collector, context, now, hours)
    finally:
        collector.close()


def _fill(writer: StoreWriter, collector: Past, context: CollectorContext, now: int, hours: float) -> None:
    first = (now - round(hours * 3600)) // MINUTE_S * MINUTE_S
    fine = max(first, (now - FINE_S) // MINUTE_S * MINUTE_S)
    last = max(fine, now - LAST_S - (now - LAST_S - fine) % FINE_STEP_S)
    writer.begin_session(first * 1000, 1000, "")
    merger = Merger({collector.name: MINUTE_S})
    start = first - MINUTE_S  # the very first row speaks for no time
    while start < fine:
        end = min(start + PIECE_S, fine)
        _add(writer, merger, collector, start, end, MINUTE_S)
        writer.commit()
        rollup.close_minutes(writer.connection, end * 1000)
        _ledger(writer, max(first, start - _LAG_S), end if end == fine else end - _LAG_S, now)
        if end < fine:
            _history(writer, end * 1000)
        start = end
    _add(writer, merger, collector, fine, last, FINE_STEP_S)
    _add(writer, merger, collector, last, now, 1)
    now = _catch_up(writer, merger, collector, context, now)
    Closer(writer).finish(now * 1000)
    _history(writer, now * 1000)
    _catch_up(writer, merger, collector, context, now)  # a gap before the recorder's first tick would end all quiet runs
    writer.end_session(clean=True)


def _catch_up(writer: StoreWriter, merger: Merger, collector: Past, context: CollectorContext, now: int) -> int:
    """Second by second up to the present, which it returns: what came before has taken its time."""
    while now < (present := int(context.clock.time())):
        _add(writer, merger, collector, now, present, 1)
        now = present
    writer.commit()
    return now


def _history(writer: StoreWriter, now_ms: int) -> None:
    """Hours, days and the archive of all that is closed at that instant; rows that are sealed go when they are two hours old."""
    db = writer.connection
    for close in (close_hours, close_ledger_hours, close_days, close_ledger_days):
        close(db, now_ms)
    seal_all(db, now_ms)
    close_hist_days(db, now_ms)
    while trim_hot(db, now_ms):
        pass


def _add(writer: StoreWriter, merger: Merger, collector: Past, start: int, end: int, step: int) -> None:
    """Rows of ``(start, end]`` at that step, committed in pieces."""
    merger.set_interval(collector.name, step)
    for number, batch in enumerate(collector.backfill(start, end, step), 1):
        tick = merger.merge(batch.t * 1000, {collector.name: batch})
        if number == 1:
            tick = replace(tick, sources=[SourceState(collector.name, "ok", batch.t * 1000)])
        writer.add(tick)
        if number % _COMMIT_TICKS == 0:
            writer.commit()


def _ledger(writer: StoreWriter, first: int, end: int, now: int) -> None:
    """The ledger of a coarse part, in one pass: each minute is one row, and the rows after it are its look-ahead."""
    db = writer.connection
    owns = weights(db, end - MINUTE_S)
    with transaction(db):
        for gpu_id, rows in rollup.ledger_inputs(db, first * 1000, (end + _LAG_S) * 1000).items():
            own, minutes = owns.get(gpu_id, WHOLE), list[tuple[int, list[BucketRow], bool]]()
            for number, row in enumerate(rows):
                minute = row.ts_ms // MINUTE_MS * MINUTE_S - MINUTE_S
                if first <= minute < end:
                    ahead: list[LedgerRow] = rows[number + 1 : number + 1 + _LOOK_AHEAD] if row.quiet else []
                    buckets = split_minute([row], own, minute, look_ahead=ahead)
                    minutes.append((minute, buckets, minute + MINUTE_S + FINAL_AFTER_S <= now))
            add_ledger(db, gpu_id, minutes)
        rollup.set_watermark(db, LEDGER_TIER, end)
