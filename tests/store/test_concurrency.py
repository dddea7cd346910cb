"""Readers beside the writer: plain sqlite3, whole ticks only, and nobody waits for anybody."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from support.store_rows import T0, first_tick, gpu, gpu_row, process, process_row, tick

from gpuwatch.store.connection import open_read
from gpuwatch.store.retention import trim_hot
from gpuwatch.store.rollup import close_minutes, set_watermark
from gpuwatch.store.writer import StoreWriter


def test_a_long_read_sees_one_moment_and_does_not_stop_the_writer(writer: StoreWriter, path: Path) -> None:
    writer.add(first_tick())
    writer.add(tick(1, gpu_row()))
    writer.commit()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM v_gpu_raw").fetchone() == (1,)
    for second in range(2, 12):
        writer.add(tick(second, gpu_row()))
        assert writer.commit()
    assert reader.execute("SELECT count(*) FROM v_gpu_raw").fetchone() == (1,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM v_gpu_raw").fetchone() == (11,)
    reader.close()


def test_readers_see_whole_ticks_only(writer: StoreWriter, path: Path) -> None:
    gpus = [gpu(i) for i in range(4)]
    writer.add(first_tick(*gpus, people=[process(7)]))
    writer.commit()
    done = threading.Event()
    torn: list[object] = []
    seen: set[int] = set()

    def read() -> None:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
        whole = "SELECT k.tick_id, count(*) FROM v_gpu_raw s JOIN tick k USING(tick_id) GROUP BY 1 HAVING count(*)<>4"
        while True:
            ended = done.is_set()
            try:
                torn.extend(db.execute(whole).fetchall())
                seen.add(db.execute("SELECT count(*) FROM v_process_minute").fetchone()[0])
            except sqlite3.Error as error:
                torn.append(error)
            if ended:
                break
        db.close()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for second in range(1, 181):
        writer.add(tick(second, *(gpu_row(i) for i in range(4)), held=[process_row(7)]))
        if second % 3 == 0:
            assert writer.commit(), writer.problem
        if second % 60 == 0:
            close_minutes(writer.connection, T0 + second * 1000)
            for tier in ("seal", "seal_tick"):  # as if all hours were sealed
                set_watermark(writer.connection, tier, T0 // 1000 + second)
            assert trim_hot(writer.connection, T0 + second * 1000, 0.01)
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert max(seen) == 3


def test_another_short_writer_beside_the_recorder(writer: StoreWriter, path: Path) -> None:
    """A mute, an import or a prune is a short BEGIN IMMEDIATE of its own."""
    writer.add(first_tick())
    writer.commit()
    other = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO meta VALUES('note','1')")
    other.execute("COMMIT")
    writer.add(tick(1, gpu_row()))
    assert writer.commit()
    other.execute("BEGIN IMMEDIATE")
    writer.connection.execute("PRAGMA busy_timeout=1")
    writer.add(tick(2, gpu_row()))
    assert not writer.commit() and "locked by another program" in writer.problem
    other.execute("ROLLBACK")
    assert writer.commit()
    assert writer.connection.execute("SELECT count(*) FROM gpu_sample").fetchone() == (2,)
    other.close()


def test_data_version_tells_a_reader_that_there_is_something_new(writer: StoreWriter, path: Path) -> None:
    writer.add(first_tick())
    writer.commit()
    reader = open_read(path)
    before = reader.execute("PRAGMA data_version").fetchone()
    assert reader.execute("PRAGMA data_version").fetchone() == before
    writer.add(tick(1, gpu_row()))
    writer.commit()
    assert reader.execute("PRAGMA data_version").fetchone() != before
    reader.close()
