"""Where the recorder before this one stopped, so that a quick restart neither leaves a hole nor ends a quiet run."""

from __future__ import annotations

import sqlite3

from gpuwatch.names import Context

Facts = tuple[int, int, bool | None, Context | None]
_TICKS = 30
_SQL = (
    "SELECT g.uuid, k.ts_ms, s.quiet_ms, s.quiet, s.context FROM tick k JOIN gpu_sample s ON s.tick_id=k.tick_id"
    " JOIN gpu g ON g.gpu_id=s.gpu_id WHERE k.tick_id>(SELECT max(tick_id) FROM tick)-? ORDER BY k.ts_ms"
)


def last_facts(db: sqlite3.Connection) -> dict[str, Facts]:
    """GPU -> (time, quiet run in ms, quiet, context) of its last row among the last ticks."""
    return {
        uuid: (ts_ms, quiet_ms, None if quiet is None else bool(quiet), None if context is None else Context(context))
        for uuid, ts_ms, quiet_ms, quiet, context in db.execute(_SQL, (_TICKS,))
    }
