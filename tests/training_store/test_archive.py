"""Sealed hours of ranks: exact, read back by workload, merged, unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.store_rows import gpu_row
from support.training_rows import RANKS, ROOT, START_MS, T0, described, run, stepping, trainer

from gpuwatch.clock import FakeClock
from gpuwatch.store import check, export
from gpuwatch.store.archive.codec import contents
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.archive.shapes import TRAINING
from gpuwatch.store.archive.unpack import unpack
from gpuwatch.store.columns import TRAINING_SAMPLE
from gpuwatch.store.retention import trim_hot
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import Tick
from gpuwatch.store.training_window import runs, trainers
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter

HOUR_MS = 3_600_000
OTHER = (600, START_MS)
ROWS = f"SELECT k.ts_ms, p.pid, w.root_pid, {','.join('s.' + name for name in TRAINING_SAMPLE[3:])} FROM tick k JOIN training_sample s USING(tick_id) JOIN process p USING(proc_id) JOIN workload w ON w.workload_id=s.workload_id ORDER BY 1, 2"  # fmt: skip


def recorded(path: Path, hours: int = 3, every: int = 20) -> StoreWriter:
    """Two ranks of one job, and one of another that goes on as a part of the first after an hour (a launcher that starts anew)."""
    writer = StoreWriter.open(path, clock=FakeClock(T0 / 1000), tmpfs_fallback=False)
    writer.begin_session(T0, every * 1000, "boot")
    writer.add(described(trainers=[trainer(pid) for pid in RANKS], runs=[run(), run(OTHER)]))
    for second in range(every, hours * 3600 + 1, every):
        values: dict[str, Any] = {"phase": second // 60 % 9, "step_number": second, "loss": 3 - second / 1e5}
        third = stepping(503, every * 1000, OTHER if second <= 3600 else ROOT)
        rows = [*(stepping(pid, every * 1000, tokens_total=float(second % 700), **values) for pid in RANKS), third]
        writer.add(Tick(T0 + second * 1000, gpu_rows=[gpu_row(dt_ms=every * 1000, utilization_ratio=0.5)], training_rows=rows))
    assert writer.commit(), writer.problem
    return writer


def sealed(writer: StoreWriter, now_ms: int = T0 + 4 * HOUR_MS) -> None:
    """All closed hours are sealed and single rows of them gone."""
    close_minutes(writer.connection, now_ms)
    seal_all(writer.connection, now_ms)
    while trim_hot(writer.connection, now_ms, 1):
        pass


def rows_of(path: Path, root: tuple[int, int], after_ms: int, to_ms: int) -> list[tuple[int, int]]:
    with Window(path) as window:
        workload_id = window.workload_id(*root, 0)
        assert workload_id is not None
        past = window.over(to_ms, to_ms - after_ms, None)
        found = past.training_rows([workload_id], after_ms, to_ms)
        assert {row[2] for row in found} <= {workload_id}
        pids = dict(window.rows("SELECT proc_id, pid FROM process", ()))
        return [(ts_ms, pids[proc_id]) for ts_ms, proc_id, *_ in found]


def test_ranks_of_the_past_are_what_they_were(tmp_path: Path) -> None:
    path = tmp_path / "gpuwatch.db"
    writer = recorded(path)
    before = writer.connection.execute(ROWS).fetchall()
    sealed(writer)
    left = writer.connection.execute("SELECT count(*) FROM training_sample").fetchone()[0]
    chunks = writer.connection.execute("SELECT entity_id, cols FROM chunk WHERE kind=?", (TRAINING,)).fetchall()
    writer.close()
    assert 0 < left < len(before) and {entity for entity, _ in chunks} == {2, 3, 4}
    assert {contents(cols).columns for _, cols in chunks} == {("ts_ms", "dt_ms", "workload_id", *TRAINING_SAMPLE[4:])}
    with Window(path) as window:
        ids = [window.workload_id(*root, 0) or 0 for root in (ROOT, OTHER)]
        end_ms = T0 + 3 * HOUR_MS
        past = window.over(T0 + HOUR_MS // 2, HOUR_MS // 2, None)
        pids = dict(window.rows("SELECT proc_id, pid FROM process", ()))
        roots = dict(window.rows("SELECT workload_id, root_pid FROM workload", ()))
        rows = past.training_rows(ids, 0, end_ms)
        found = [(ts_ms, pids[proc_id], roots[workload_id], *values) for ts_ms, proc_id, workload_id, *values in rows]
        assert found == before
        assert [known["rank"] for known in trainers(past, ids)] == [0, 1] and set(runs(past, ids)) == set(ids)


def test_a_span_has_the_rows_of_the_workload_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "gpuwatch.db"
    writer = recorded(path)
    sealed(writer)
    writer.close()
    span = T0 + 3_540_000, T0 + 3_660_000
    assert rows_of(path, OTHER, *span) == [(T0 + second * 1000, 503) for second in (3560, 3580, 3600)]
    mine = rows_of(path, ROOT, *span)
    assert [ts for ts, pid in mine if pid == 503] == [T0 + second * 1000 for second in (3620, 3640, 3660)]
    assert len(mine) == 2 * 6 + 3 and mine == sorted(mine)
    assert rows_of(path, ROOT, T0 - 2 * HOUR_MS, T0 - HOUR_MS) == []


def test_unpacked_they_are_plain_rows_again(tmp_path: Path) -> None:
    path, out = tmp_path / "gpuwatch.db", tmp_path / "out.db"
    writer = recorded(path)
    before = writer.connection.execute(ROWS).fetchall()
    sealed(writer)
    writer.close()
    assert unpack(path, out, T0, T0 + 3 * HOUR_MS).rows["training_sample"] == len(before)
    copy = StoreWriter.open(out, clock=FakeClock(T0 / 1000), tmpfs_fallback=False)
    assert copy.connection.execute(ROWS).fetchall() == before
    assert copy.connection.execute("SELECT count(*) FROM v_trainer").fetchone() == (2,)
    assert copy.connection.execute("SELECT count(*) FROM v_run").fetchone() == (2,)
    copy.close()
    assert check.check(out) == []


def test_an_hour_that_was_sealed_takes_the_rows_of_a_rank_that_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "gpuwatch.db"
    writer = recorded(path, hours=2)
    sealed(writer)
    start = T0 + 600_000
    writer.begin_session(start, 20_000, "boot")  # the clock was set back
    for second in range(20, 601, 20):
        rows = [stepping(pid, 20_000, tokens_total=1e6) for pid in (501, 504)]
        writer.add(Tick(start + second * 1000, gpu_rows=[gpu_row(dt_ms=20_000)], training_rows=rows))
    assert writer.commit(), writer.problem
    seal_all(writer.connection, T0 + 4 * HOUR_MS)
    writer.close()
    found = rows_of(path, ROOT, start, start + 600_000)
    assert len(found) == 3 * 30 and {pid for _, pid in found} == {501, 502, 504}
    assert check.check(path) == []


def test_what_is_archived_is_exported_like_what_is_hot(tmp_path: Path) -> None:
    path = tmp_path / "gpuwatch.db"
    writer = recorded(path)
    of, end_s = export.source("training"), T0 // 1000 + 3 * 3600
    before = list(export.rows(writer.connection, of, 0, end_s))
    sealed(writer)
    assert writer.connection.execute("SELECT count(*) FROM training_sample").fetchone()[0] < len(before)
    assert list(export.rows(writer.connection, of, 0, end_s)) == before
    rows = [dict(zip([column.name for column in of.columns], row, strict=True)) for row in before]
    assert len(rows) == 3 * 540 and {(row["pid"], row["rank"], row["source"]) for row in rows} == {(501, 0, "hook"), (502, 1, "hook"), (503, None, None)}  # fmt: skip
    assert {row["root_pid"] for row in rows if row["pid"] == 503} == {500, 600}
    assert {row["state"] for row in rows if row["pid"] == 501} == {"starting", "data", "forward", "backward", "optimizer", "checkpoint", "eval", "compile", "other"}  # fmt: skip
    writer.close()
