"""A day of history for a demo, through the same merger, store and ledger as live rows: minutes for the day, seconds for its end.

The bulk is one row a minute; the last half hour has a row every five seconds, the last minute one a second, so that strips and
the live ledger are full and the recorder that follows goes on without a hole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

from gpuwatch import plugin
from gpuwatch.dataclass import replace
from gpuwatch.ledger.types import HOLD_MS, LedgerRow
from gpuwatch.model import Batch
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder.closer import Closer
from gpuwatch.recorder.merge import Merger
from gpuwatch.recorder.minute import MINUTE_MS, MINUTE_S, WHOLE, split_minute, weights
from gpuwatch.store import retention, rollup
from gpuwatch.store.connection import transaction
from gpuwatch.store.hours import FINAL_AFTER_S
from gpuwatch.store.rows import SourceState
from gpuwatch.store.watermarks import LEDGER_TIER
from gpuwatch.store.writer import StoreWriter

DAY_S = 86_400
FINE_S, FINE_STEP_S = 1800, 5
LAST_S = 60
_COMMIT_TICKS = 240
_LOOK_AHEAD = HOLD_MS // MINUTE_MS + 1


class Past(Protocol):
    """A collector that can tell what it would have read."""

    name: str

    def open(self) -> None: ...

    def backfill(self, start: int, end: int, step: int) -> Iterator[Batch]: ...

    def close(self) -> None: ...


def backfill(writer: StoreWriter, context: CollectorContext, *, now: int, hours: float = 24.0) -> None:
    """Fill an empty store with the simulated past up to unix second ``now`` and on to the present of the context's clock.

    Scenario time 0 is ``options["epoch"]``, else ``now``; the recorder that follows must be given the same.
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
    _add(writer, merger, collector, first - MINUTE_S, fine, MINUTE_S)  # the very first row speaks for no time
    writer.commit()
    rollup.close_minutes(writer.connection, fine * 1000)
    _ledger(writer, first, fine, now)
    _add(writer, merger, collector, fine, last, FINE_STEP_S)
    _add(writer, merger, collector, last, now, 1)
    while now < (present := int(context.clock.time())):
        _add(writer, merger, collector, now, present, 1)
        now = present
    writer.commit()
    Closer(writer).finish(now * 1000)
    while retention.trim_hot(writer.connection, now * 1000):
        pass
    writer.end_session(clean=True)


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
    """The ledger of the coarse part, in one pass: each minute is one row, and the rows after it are its look-ahead."""
    db = writer.connection
    owns = weights(db, end - MINUTE_S)
    with transaction(db):
        for gpu_id, rows in rollup.ledger_inputs(db, first * 1000, end * 1000).items():
            for number, row in enumerate(rows):
                minute = row.ts_ms // MINUTE_MS * MINUTE_S - MINUTE_S
                ahead: list[LedgerRow] = rows[number + 1 : number + 1 + _LOOK_AHEAD] if row.quiet else []
                buckets = split_minute([row], owns.get(gpu_id, WHOLE), minute, look_ahead=ahead)
                rollup.write_ledger(db, gpu_id, minute, buckets, minute + MINUTE_S + FINAL_AFTER_S <= now)
        rollup.set_watermark(db, LEDGER_TIER, end)
