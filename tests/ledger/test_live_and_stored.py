"""Random recordings through the real store: every bucket of wall time x GPUs is booked, and the live ledger is the stored one."""

from __future__ import annotations

import random
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from support.story import START, Hold, Story, process

from gpuwatch.names import Bucket, Context
from gpuwatch.recorder.closer import Closer
from gpuwatch.store.window import Window
from gpuwatch.view import live
from gpuwatch.view.build import build_view

GPUS, MINUTE_MS = 3, 60_000
TRUE = (0.0, 0.0, 0.0, 0.02, 0.4, 0.9, 1.0, None)
LIES = (40.0, -0.5)
"""Utilization of 4,000 % and of less than nothing."""


def signals(rng: random.Random) -> dict[str, Any]:
    """What GPM, power, trainings, servers and findings say; some of it cannot be."""
    out: dict[str, Any] = {"power_watts": rng.choice((-50.0, 0.0, 73.0, 400.0)), "energy_joules": rng.choice((None, 300.0, -7.0))}
    out |= rng.choice(({}, {"sm_active_ratio": rng.choice((0.0, 0.3, 7.0)), "tensor_active_ratio": 0.1, "dram_active_ratio": 0.2}))
    out |= rng.choice(({}, {"power_fraction_ratio": rng.choice((0.5, 3.0))}, {"mfu_ratio": 0.4}))
    out |= rng.choice(
        ({}, {"overhead_ratio": rng.choice((0.2, 1.0, 9.0)), "input_ratio": 0.5, "peers_ratio": 0.3}, {"demand_ratio": 1.0})
    )
    out |= rng.choice(({}, {"redone_ratio": 0.1, "inferred_cause": rng.choice((0, 2, 4, 77))}))
    return out | rng.choice(({}, {"sibling_active": 1}, {"sibling_active": 1}))


def recorded(path: Path, seed: int) -> Story:
    """Half an hour of stretches of any kind, with gaps, slow rows and a recorder that starts anew; at its end all work."""
    rng = random.Random(seed)
    story = Story(path, GPUS)
    story.close_minutes()
    story.holds += [Hold(process(100 + n), n % GPUS, rng.choice((None, 900, 40_000)), rng.choice((None, 0.4))) for n in range(4)]
    while story.now_ms < START * 1000 + 31 * MINUTE_MS:
        for gpu in story.gpus if rng.random() < 0.3 else (rng.choice(story.gpus),):
            gpu.util = rng.choice((*TRUE, *LIES))
            gpu.context = rng.choice((Context.PROCESS, Context.PROCESS, Context.MEMORY_ONLY, Context.NONE, None))
            gpu.kappa_pm, gpu.unavailable = rng.choice((1000, 1000, 640, 0)), rng.random() < 0.05
            gpu.sample = signals(rng)
        story.run(rng.choice((3, 20, 61, 200)))
        if rng.random() < 0.2:
            story.gap(rng.choice((1, 2, 5, 75)))
        if rng.random() < 0.1:
            story.closer = Closer(story.writer)
    for gpu in story.gpus:
        gpu.util, gpu.context, gpu.unavailable = 0.9, Context.PROCESS, False
    story.run(60)
    story.run(60 - round(story.clock.time() - START) % 60)
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    return story


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_all_of_wall_times_gpus_is_booked_and_the_live_ledger_is_the_stored_one(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FINE_MS", 10**12)  # no closed minute of the store is asked
    story = recorded(tmp_path / "store.db", seed)
    db, end_s = story.writer.connection, story.now_ms // 1000
    minutes = (end_s - round(START)) // 60
    booked = db.execute("SELECT count(DISTINCT gpu_uuid || t), sum(ms), min(ms), min(energy_mj) FROM v_ledger_minute").fetchone()
    assert booked[:2] == (GPUS * minutes, GPUS * minutes * MINUTE_MS) and min(booked[2:]) >= 0
    with Window(tmp_path / "store.db") as window:
        view = build_view(window, None, now_ms=story.now_ms, tz=UTC, holder_pid=7)
    assert view.ledger is not None and view.ledger.capacity_ms == sum(part.ms for part in view.ledger.parts)
    since_s = view.ledger.span.start_ms // 1000
    assert end_s - since_s == 15 * 60 and view.ledger.capacity_ms == GPUS * 15 * MINUTE_MS
    sums = "SELECT bucket, cause, tier, sum(ms), sum(energy_mj) FROM ledger_minute WHERE t>=? AND bucket>0 GROUP BY 1, 2, 3"
    stored = {(bucket, cause, tier): (ms, mj) for bucket, cause, tier, ms, mj in db.execute(sums, (since_s,))}
    seen = {(int(p.bucket), int(p.cause), int(p.tier)): (p.ms, p.energy_mj) for p in view.ledger.parts if p.bucket}
    calls = GPUS * (90 + 15)
    """A bucket is off by less than one a call: blocks of ten seconds there, minutes here."""
    for key in stored.keys() | seen.keys():
        (ms, mj), (live_ms, live_mj) = stored.get(key, (0, 0)), seen.get(key, (0, 0))
        assert abs(ms - live_ms) <= calls and abs(mj - live_mj) <= calls, key
    assert sum(ms for ms, _ in stored.values()) == sum(ms for ms, _ in seen.values())
    assert sum(mj for _, mj in stored.values()) == sum(mj for _, mj in seen.values())
    assert not any(key[0] == Bucket.QUIET for key in stored)
