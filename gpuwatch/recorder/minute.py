"""One GPU's minute of the ledger from its rows: what it counts for, whose energy it is, how a silent GPU's run ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from fractions import Fraction

from gpuwatch.dataclass import NamedTuple, replace
from gpuwatch.ledger import split
from gpuwatch.ledger.facts import weight
from gpuwatch.ledger.types import NO_WORK, UNUSED_MS, BucketRow, LedgerRow
from gpuwatch.model import Gpu
from gpuwatch.names import Context

MINUTE_S, MINUTE_MS = 60, 60_000
_SQL = (
    "SELECT g.gpu_id, g.uuid, g.parent_uuid, g.compute_fraction, m.gpu_id IS NOT NULL"
    " FROM gpu g LEFT JOIN gpu_minute m ON m.gpu_id=g.gpu_id AND m.t=?"
)


class Weight(NamedTuple):
    """What a GPU counts for; ``sliced``: instances are cut out of it."""

    fraction: Fraction = Fraction(1)
    sliced: bool = False


WHOLE = Weight()


def weights(db: sqlite3.Connection, minute: int) -> Mapping[int, Weight]:
    """The weight of each GPU in this (closed) minute, beside the others that have rows in it.

    An instance whose first row ends in the next minute only is not listed: here its board is still whole.
    """
    found = [(gpu_id, Gpu(uuid, 0, "", parent_uuid=parent, compute_fraction=part), there) for gpu_id, uuid, parent, part, there in db.execute(_SQL, (minute,))]  # fmt: skip
    present = [gpu for _, gpu, there in found if there]
    sliced = {gpu.parent_uuid for gpu in present}
    return {
        gpu_id: Weight(weight(gpu, present), gpu.uuid in sliced) for gpu_id, gpu, there in found if there or not gpu.parent_uuid
    }


def period_ms(db: sqlite3.Connection) -> int:
    """The time between two ticks of the recorder that writes now."""
    row = db.execute("SELECT period_ms FROM session ORDER BY session_id DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 1000


def split_minute(
    rows: Sequence[LedgerRow], own: Weight, minute: int, *, silent: bool = False, look_ahead: Sequence[LedgerRow] = ()
) -> list[BucketRow]:
    """The buckets of one GPU in the minute that starts at unix second ``minute``; ``silent``: no row will join the last one."""
    if own.sliced or own.fraction != 1:  # the board's energy is its instances' too and belongs to none of them alone
        rows = [replace(row, energy_mj=None) for row in rows]
    if silent:  # a row that speaks for no time says that there was a gap
        look_ahead = [*look_ahead, LedgerRow(rows[-1].ts_ms + 1, 0, None, 0, None, None)]
    return split(rows, look_ahead, start_ms=minute * 1000, end_ms=minute * 1000 + MINUTE_MS, weight=own.fraction)


def may_be_unused(rows: Sequence[LedgerRow], minute: int) -> bool:
    """Whether a quiet run that these rows leave shorter than 15 minutes has time in the minute while another GPU of the job worked."""
    start, end = minute * 1000, minute * 1000 + MINUTE_MS
    return any(
        row.work is not NO_WORK
        and row.work.sibling
        and row.quiet is True
        and row.context is not Context.NONE
        and not row.unavailable
        and row.quiet_ms < UNUSED_MS
        and row.ts_ms > start
        and row.ts_ms - row.dt_ms < end
        for row in rows
    )
