"""What a GPU draws while nobody holds it: from which minutes, how much of it, and that it is not forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from support.store_rows import T0, first_tick, gpu

from gpuwatch.clock import FakeClock
from gpuwatch.store.idle_floor import DAYS, floors, learn
from gpuwatch.store.writer import StoreWriter

NOW_S = T0 // 60_000 * 60
DAY_S = 86_400
FREE = {"obs_ms": 60_000, "quiet_ms": 60_000, "context_ms": 0, "context_known_ms": 60_000, "unavailable_ms": 0}
OTHERS = ("n", "quiet_known_ms", "quiet_context_ms", "throttled_ms", "energy_used_mj", "quiet_energy_mj", "energy_src")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    writer = StoreWriter.open(":memory:", clock=FakeClock())
    writer.begin_session(T0, 1000, "")
    writer.add(first_tick(gpu(0), gpu(1)))
    assert writer.commit()
    yield writer.connection
    writer.close()


def minutes(db: sqlite3.Connection, gpu_id: int, *watts: float, ago_s: int = 3600, **more: Any) -> None:
    """Minutes one after another, each of one mean power."""
    for number, power in enumerate(watts):
        facts = {**FREE, "power_obs_ms": 60_000, "power_mw_ms": round(power * 1000) * 60_000, **dict.fromkeys(OTHERS, 0), **more}
        values = {"t": NOW_S - ago_s + 60 * number, "gpu_id": gpu_id, **facts}
        names, marks = ",".join(values), ",".join("?" * len(values))
        db.execute(f"INSERT INTO gpu_minute({names}) VALUES({marks})", tuple(values.values()))


def learned(db: sqlite3.Connection, now_s: int = NOW_S) -> list[float | None]:
    db.commit()
    for _ in learn(db, now_s):
        pass
    found = floors(db)
    return [found.get(gpu(index).uuid) for index in (0, 1)]


def test_it_is_the_fifth_percentile_of_free_minutes(db):
    minutes(db, 1, *[70.0 + number for number in range(40)])
    assert learned(db) == [71.0, None], "two of forty lie below it or at it"


@pytest.mark.parametrize(
    "other",
    [
        {"context_ms": 1},
        {"quiet_ms": 59_000},
        {"context_known_ms": 30_000},
        {"obs_ms": 30_000, "quiet_ms": 30_000, "context_known_ms": 30_000},
        {"unavailable_ms": 60_000},
        {"power_obs_ms": 0, "power_mw_ms": 0},
        {"ago_s": DAYS * DAY_S + 3600},
    ],
)
def test_other_minutes_say_nothing_of_it(db, other):
    minutes(db, 1, *[20.0] * 10, **other)
    assert learned(db) == [None, None]
    minutes(db, 2, *[80.0] * 5)
    assert learned(db) == [None, 80.0]


def test_four_minutes_are_too_few(db):
    minutes(db, 1, *[70.0] * 4)
    assert learned(db) == [None, None]


def test_a_gpu_that_is_held_for_weeks_keeps_its_floor(db):
    minutes(db, 1, *[70.0] * 9)
    assert learned(db) == [70.0, None]
    assert learned(db, NOW_S + 30 * DAY_S) == [70.0, None]


def test_it_follows_what_is_seen_now(db):
    minutes(db, 1, *[70.0] * 9)
    learned(db)
    minutes(db, 1, *[90.0] * 9, ago_s=-6 * DAY_S)
    assert learned(db, NOW_S + 7 * DAY_S) == [90.0, None]


def test_it_goes_on_in_small_steps(db):
    assert len(list(learn(db, NOW_S))) == DAYS * 12
