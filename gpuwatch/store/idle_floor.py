"""What each GPU draws while nobody holds it: learned from its minutes, and the floor from which the power of its work is counted.

The 5th percentile of the mean power of minutes in which it was seen free and quiet all the time, over seven days. It is learned anew
from time to time and never forgotten: a GPU that somebody holds for weeks keeps the floor that it had.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator

from gpuwatch.ledger.facts import IDLE_PERCENTILE
from gpuwatch.store.connection import transaction

DAYS, LEAST_MINUTES = 7, 5
_SLICE_S, _DAY_S = 2 * 3600, 86_400
_STEP_MW = 100
"""Power is counted in steps of so many milliwatts."""
_FREE = (
    f"SELECT gpu_id,power_mw_ms/power_obs_ms/{_STEP_MW} AS step,count(*) FROM gpu_minute WHERE t>=? AND t<? AND obs_ms>=54000"
    " AND quiet_ms=obs_ms AND context_ms=0 AND context_known_ms=obs_ms AND unavailable_ms=0 AND power_obs_ms>0 GROUP BY gpu_id,step"
)
_KEEP = "UPDATE gpu SET idle_power_mw=? WHERE gpu_id=? AND idle_power_mw IS NOT ?"


def learn(db: sqlite3.Connection, now_s: int) -> Iterator[None]:
    """Learn the floors from the minutes of the seven days before ``now_s``, a few hours a step."""
    seen: dict[int, Counter[int]] = {}
    for start_s in range(now_s - DAYS * _DAY_S, now_s, _SLICE_S):
        for gpu_id, step, minutes in db.execute(_FREE, (start_s, min(start_s + _SLICE_S, now_s))):
            seen.setdefault(gpu_id, Counter())[step] += minutes
        yield None
    known = [(_percentile(steps) * _STEP_MW, gpu_id) for gpu_id, steps in seen.items() if steps.total() >= LEAST_MINUTES]
    if known:
        with transaction(db):
            db.executemany(_KEEP, [(floor_mw, gpu_id, floor_mw) for floor_mw, gpu_id in known])


def floors(db: sqlite3.Connection) -> dict[str, float]:
    """Watts by the GPU's UUID, of those whose floor is known."""
    rows = db.execute("SELECT uuid,idle_power_mw FROM gpu WHERE idle_power_mw IS NOT NULL")
    return {uuid: floor_mw / 1000 for uuid, floor_mw in rows}


def _percentile(steps: Counter[int]) -> int:
    """The smallest step below or at which so many percent of the minutes are."""
    wanted, below = steps.total() * IDLE_PERCENTILE / 100, 0
    for step in sorted(steps):
        below += steps[step]
        if below >= wanted:
            return step
    raise ValueError("no minutes")
