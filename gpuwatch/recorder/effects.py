"""What came of a finding that has cleared: the share of its bucket on its GPUs half an hour before and after, from final ledger minutes.

A change that is worse is told as well. Nothing is told where the GPUs were not recorded, or where the job has ended: then the
bucket is gone with it, and nothing was saved. Findings whose effect is due are found by their rows, also after a restart.
"""

from __future__ import annotations

import sqlite3

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Bucket
from gpuwatch.rules.document import finding_of
from gpuwatch.store.writer import StoreWriter

SPAN_S, _FINAL_S = 1800, 17 * 60
_MINUTE_S, _DAY_MS = 60, 86_400_000
_ENOUGH = 0.5
"""Of both half hours so much must have been recorded, and so much of the time after it must be the job's."""
_NOTICED = 0.02
"""A change of less is none."""
_IDLE = (Bucket.UNALLOCATED, Bucket.IDLE_UNATTRIBUTED, Bucket.ALLOCATED_UNUSED, Bucket.HELD_IDLE)
"""Their end is the end of who held the GPU, or a beginning: who it is does not count."""
_WITHOUT_WORK = (Bucket.ALLOCATED_UNUSED, Bucket.HELD_IDLE, Bucket.WAIT)
"""A GPU that is used a little again is no longer held idle, and still waits for most of the time: all that it did not work is compared."""
_DUE = (
    "SELECT finding_id, detail, workload_id, started_ms, last_ms, ended_ms FROM finding WHERE host_id=? AND ended_ms<=? AND effect='' "
    "ORDER BY ended_ms LIMIT 1"
)
_SUM = (
    "SELECT coalesce(sum(m.ms), 0), coalesce(sum(CASE WHEN m.bucket IN ({buckets}) THEN m.ms END), 0), "
    "coalesce(sum(CASE WHEN o.workload_id={workload} THEN m.ms END), 0) FROM ledger_minute m LEFT JOIN owner o ON o.owner_id=m.owner_id "
    "WHERE m.t>=? AND m.t<? AND m.gpu_id IN ({gpus})"
)
_WRITE = "UPDATE finding SET effect=?, before_pm=?, after_pm=?, saved_gpu_ms_day=? WHERE finding_id=?"


class Effect(NamedTuple):
    """What came of a finding: one line, and where it could be measured the shares and the GPU time a day that is saved (below 0: lost)."""

    line: str
    before_pm: int | None = None
    after_pm: int | None = None
    saved_gpu_ms_day: int | None = None


def due_ms(span_s: int = SPAN_S) -> int:
    """So long after a finding has cleared the ledger of the ``span_s`` after it is final; of a short span it is written at least."""
    return (span_s + min(_FINAL_S, span_s) + 2 * _MINUTE_S) * 1000


def keep_next(writer: StoreWriter, host_id: int, now_ms: int, span_s: int = SPAN_S) -> bool:
    """Work out the effect of the finding that has waited longest, if one is due; False if none is. ``span_s``: how much is compared."""
    row = writer.connection.execute(_DUE, (host_id, now_ms - due_ms(span_s))).fetchone()
    if row is None:
        return False
    writer.later(_WRITE, *_measured(writer.connection, row[1:], max(_MINUTE_S, span_s)), row[0])
    return True


def _measured(db: sqlite3.Connection, row: tuple[str, int, int, int, int], longest: int) -> Effect:
    text, workload_id, started_ms, last_ms, ended_ms = row
    finding = finding_of(text)
    if finding is None or finding.bucket is None or not finding.gpus:
        return Effect("not measured: it is about no part of the ledger")
    end = last_ms // 1000 // _MINUTE_S * _MINUTE_S
    span = max(_MINUTE_S, min(longest, end - started_ms // 1000 // _MINUTE_S * _MINUTE_S))
    begin = -(-ended_ms // (1000 * _MINUTE_S)) * _MINUTE_S
    buckets = _WITHOUT_WORK if finding.bucket in _WITHOUT_WORK[:2] else (finding.bucket,)
    numbers = ",".join(str(int(bucket)) for bucket in buckets)
    sql = _SUM.format(buckets=numbers, workload=int(workload_id), gpus=",".join(str(int(i)) for i in finding.gpus))
    seen, held, _ = db.execute(sql, (end - span, end)).fetchone()
    seen_after, held_after, of_job = db.execute(sql, (begin, begin + longest)).fetchone()
    whole = 1000 * _weight(db, finding.gpus)
    if seen < _ENOUGH * span * whole:
        return Effect("not measured: the GPUs were not recorded before")
    if seen_after < _ENOUGH * longest * whole:
        return Effect("not measured: the GPUs were not recorded afterwards")
    if workload_id and finding.bucket not in _IDLE and of_job < _ENOUGH * seen_after:
        return Effect("not measured: the job has ended")
    before, after = held / seen, held_after / seen_after
    saved = round((before - after) * _weight(db, finding.gpus) * _DAY_MS)
    what = "held without work" if len(buckets) > 1 else finding.bucket.label.replace("_", " ")
    line = f"{what} {100 * before:.0f} -> {100 * after:.0f} %"
    if abs(before - after) < _NOTICED:
        line = f"no effect: {line}"
    elif after > before:
        line = f"worse: {line}"
    return Effect(line, round(1000 * before), round(1000 * after), saved)


def _weight(db: sqlite3.Connection, gpu_ids: tuple[int, ...]) -> float:
    """How many whole GPUs these are."""
    sql = f"SELECT coalesce(sum(compute_fraction), 0) FROM gpu WHERE gpu_id IN ({','.join('?' * len(gpu_ids))})"
    return float(db.execute(sql, gpu_ids).fetchone()[0])
