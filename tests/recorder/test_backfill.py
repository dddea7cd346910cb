"""A demo's past: complete, consistent, and followed by the live recorder without a hole."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder import Closer, Recorder, load_collectors
from gpuwatch.recorder import backfill as past
from gpuwatch.recorder.backfill import backfill
from gpuwatch.store.writer import StoreWriter

HOURS = 3.0


def filled(path: Path | str, clock: FakeClock, scenario: str = "lab") -> tuple[StoreWriter, CollectorContext]:
    writer = StoreWriter.open(path, clock=clock, simulated=True, scenario=scenario)
    context = CollectorContext(clock=clock, options={"scenario": scenario, "seed": 7, "epoch": int(clock.time())})
    backfill(writer, context, now=int(clock.time()), hours=HOURS)
    return writer, context


def test_the_past_is_complete_and_adds_up() -> None:
    clock = FakeClock()
    writer, _ = filled(":memory:", clock)
    db = writer.connection
    now = int(clock.time())
    assert db.execute("SELECT count(*) FROM gpu").fetchone() == (8,)
    minutes = db.execute("SELECT t, gpu_id, sum(ms) FROM ledger_minute GROUP BY 1, 2").fetchall()
    assert {ms for _, _, ms in minutes} == {60_000}
    assert {t for t, _, _ in minutes} == set(range((now - round(HOURS * 3600)) // 60 * 60, now // 60 * 60, 60))
    assert db.execute("SELECT count(*), count(DISTINCT gpu_id) FROM gpu_minute").fetchone() == (len(minutes), 8)
    assert db.execute("SELECT count(*) FROM process_minute").fetchone()[0] > len(minutes)
    assert db.execute("SELECT max(ts_ms) FROM tick").fetchone() == (now * 1000,)
    assert db.execute("SELECT min(ts_ms) FROM tick").fetchone()[0] >= (now - 7200) * 1000
    assert db.execute("SELECT count(*) FROM gap").fetchone() == (0,)
    final = db.execute("SELECT max(t) FROM ledger_minute WHERE final=1").fetchone()[0]
    assert now - 18 * 60 < final <= now - 16 * 60


def test_the_live_recorder_goes_on_without_a_hole() -> None:
    clock = FakeClock()
    writer, context = filled(":memory:", clock)
    before = writer.connection.execute("SELECT s.gpu_id, s.quiet_ms FROM gpu_sample s WHERE tick_id=(SELECT max(tick_id) FROM tick)").fetchall()  # fmt: skip
    clock.advance(1)
    recorder = Recorder(load_collectors(["simulated"], {"simulated": context}), writer, clock, closer=Closer(writer))
    recorder.run_once(clock.time())
    writer.commit()
    rows = writer.connection.execute("SELECT gpu_id, dt_ms, quiet_ms FROM gpu_sample WHERE tick_id=(SELECT max(tick_id) FROM tick)").fetchall()  # fmt: skip
    assert {dt for _, dt, _ in rows} == {1000}
    held = dict(before)
    assert any(quiet_ms > 300_000 for quiet_ms in held.values())
    assert all(quiet_ms == held[gpu] + 1000 for gpu, _, quiet_ms in rows if quiet_ms > 1000)
    assert writer.connection.execute("SELECT count(*) FROM gap").fetchone() == (0,)


def test_what_summing_up_the_past_takes_is_recorded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    sums = past._history

    def slow(writer: StoreWriter, now_ms: int) -> None:
        sums(writer, now_ms)
        clock.advance(9)

    monkeypatch.setattr(past, "_history", slow)
    writer, _ = filled(":memory:", clock)
    newest = "SELECT max(k.ts_ms), max(s.dt_ms) FROM tick k JOIN gpu_sample s USING(tick_id) WHERE k.ts_ms>?"
    now_ms = int(clock.time()) * 1000
    assert writer.connection.execute(newest, (now_ms - 9000,)).fetchone() == (now_ms, 1000)


@pytest.mark.parametrize("scenario", ["train", "mig"])
def test_the_same_seed_and_span_give_the_same_rows(scenario: str) -> None:
    dumps = []
    for _ in range(2):
        writer, _ = filled(":memory:", FakeClock(), scenario)
        dumps.append([line for line in writer.connection.iterdump() if not line.startswith('INSERT INTO "session"')])
    assert dumps[0] == dumps[1]
