"""What trainings need: who trains, how each run went, and rows of each rank instead of one row a workload.

Only a plugin could write rows of trainings before, one a workload: they become rows of the process at the root of the workload, those
in sealed hours too. Where nobody had seen that process it gets a row with its pid alone, as one does whose rows come before its
description; so nothing is lost. The table of the last two hours is made anew, since its key is another one; all else is added.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, text

from gpuwatch.migrations.frozen import run_script
from gpuwatch.store.archive.codec import Encoder, contents, decode

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TRAINING, _ASIDE = 2, -2
"""``chunk.kind`` of trainings, and what it is while they are written anew."""
_COLUMNS = (
    *("steps", "tokens", "nonpad_tokens", "eval_tokens", "samples", "data_wait_ms", "forward_ms", "backward_ms", "optimizer_ms"),
    *("checkpoint_ms", "eval_ms", "compile_ms", "other_ms", "allocated_mib", "reserved_mib", "loss_micro"),
)
_ROOT = "p.host_id=w.host_id AND p.pid=w.root_pid AND p.start_ms=w.root_start_ms"
_NAMELESS = f"""
    INSERT INTO process(proc_id, host_id, pid, start_ms, start_known, user_id, workload_pid, workload_start_ms, workload_id, first_ms, last_ms)
    SELECT (SELECT coalesce(max(proc_id),0) FROM process WHERE proc_id>0)+row_number() OVER (ORDER BY w.workload_id), w.host_id,
        w.root_pid, w.root_start_ms, 0, w.user_id, w.root_pid, w.root_start_ms, w.workload_id, w.first_ms, w.last_ms
    FROM workload w
    WHERE (w.workload_id IN (SELECT workload_id FROM training_sample_3) OR w.workload_id IN (SELECT entity_id FROM chunk WHERE kind={_TRAINING}))
        AND NOT EXISTS (SELECT 1 FROM process p WHERE {_ROOT})"""
_ROWS = f"""
    INSERT INTO training_sample(tick_id, proc_id, workload_id, dt_ms, {",".join(_COLUMNS)})
    SELECT s.tick_id, p.proc_id, s.workload_id, s.dt_ms, {",".join(f"s.{name}" for name in _COLUMNS)}
    FROM training_sample_3 s JOIN workload w ON w.workload_id=s.workload_id JOIN process p ON {_ROOT}"""
_SEALED = f"""
    SELECT c.host_id, c.entity_id, c.t0_ms, p.proc_id
    FROM chunk c JOIN workload w ON w.workload_id=c.entity_id JOIN process p ON {_ROOT}
    WHERE c.kind={_ASIDE} ORDER BY c.host_id, c.entity_id, c.t0_ms"""
_OF_HOUR = f"kind={_ASIDE} AND host_id=:host AND entity_id=:workload AND t0_ms=:t0"


def upgrade() -> None:
    """In one transaction, as all revisions: a mistake in the rows of trainings would be noticed too late, a failure leaves schema 3."""
    db = op.get_bind()
    run_script(db, "schema-4")
    db.execute(text(_NAMELESS))
    db.execute(text(_ROWS))
    op.execute("DROP TABLE training_sample_3")
    op.execute(f"UPDATE chunk SET kind={_ASIDE} WHERE kind={_TRAINING}")
    for host, workload, t0, proc in db.execute(text(_SEALED)).fetchall():
        _seal_anew(db, {"host": host, "workload": workload, "t0": t0, "proc": proc})
    op.execute(f"DELETE FROM chunk WHERE kind={_ASIDE}")


def _seal_anew(db: Connection, key: dict[str, int]) -> None:
    """One sealed hour as one of its process, with the workload as a column."""
    cols, body = db.execute(text(f"SELECT cols, body FROM chunk WHERE {_OF_HOUR}"), key).one()
    known = contents(cols)
    names = [name for name in known.columns if name not in ("ts_ms", "dt_ms")]
    encoder = Encoder(("ts_ms", "dt_ms", "workload_id", *names), key["t0"])
    for block in range(len(known.blocks)):
        rows = decode(known, bytes(body), None, block, block + 1)
        workload = [key["workload"]] * len(rows["ts_ms"])
        for _ in encoder.add([rows["ts_ms"], rows["dt_ms"], workload, *(rows[name] for name in names)]):
            pass
    made_cols, made_body = encoder.finish()
    db.execute(
        text(
            f"INSERT INTO chunk(kind, host_id, entity_id, t0_ms, t1_ms, n, codec, cols, body) SELECT {_TRAINING}, host_id, :proc, t0_ms,"
            f" t1_ms, n, codec, :cols, :body FROM chunk WHERE {_OF_HOUR}"
        ),
        {**key, "cols": made_cols, "body": made_body},
    )
