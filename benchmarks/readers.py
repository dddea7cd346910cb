"""What ``status``, ``query`` and the live screen showed in an acceptance run, beside what was so when it was read."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from scene import GIB
from truth import SAMPLE_MS, Recorded, Tally

if TYPE_CHECKING:
    from acceptance import Run

ROW_AGE_MS = 3_000
"""A row that is older than this at the time on the screen is called stale."""
LOOK_MS = 2_000
"""How often the recorder looks at processes."""
UNITS = {
    "status": {"utilization": 0.001, "memory": 1 << 20, "power": 0.001, "processes": 1},
    "query": {"utilization": 0.001, "memory": 1 << 20, "power": 0.001, "processes": 1},
    "screen": {"utilization": 0.01, "memory": 0.1 * GIB, "power": 1, "processes": 1},
}
LIVE_CLOCK = re.compile(r"LIVE\s+\w+ (\d\d):(\d\d):(\d\d)")
GPU_LINE = re.compile(r"│\s+(\d)\s+\D*?(\d+)%\s+\D*?([\d.]+)/80\s+(\d+)/700")


def compare(run: Run) -> dict[str, dict[str, Tally]]:
    """Every reading of every source against the truth."""
    tallies = {source: {name: Tally(unit) for name, unit in units.items()} for source, units in UNITS.items()}
    rows = run.query("SELECT * FROM v_gpu_raw ORDER BY ts_ms")
    recorded = Recorded(rows)
    for document in run.statuses:
        made_ms = datetime.fromisoformat(document["generated_at"]).timestamp() * 1000
        for gpu in document["gpus"]:
            if gpu["age_seconds"] is not None:
                _reading(run, recorded, tallies["status"], gpu, round(made_ms / 1000 - gpu["age_seconds"]) * 1000, made_ms)
    for row in rows:
        _reading(run, recorded, tallies["query"], row, row["ts_ms"])
    for at_ms, text in run.screens:
        _screen(run, recorded, tallies["screen"], text, at_ms)
    return tallies


def _true(run: Run, recorded: Recorded, gpu: int, ts_ms: int) -> dict[str, tuple[float, float]]:
    """What a recorded row may say."""
    moments = {name: run.span(gpu, name, *recorded.read(gpu, ts_ms)) for name in ("memory", "power", "processes")}
    return {"utilization": run.span(gpu, "utilization", *recorded.covered(gpu, ts_ms)), **moments}


def _sampled(run: Run, recorded: Recorded, gpu: int, ts_ms: int, made_ms: float) -> dict[str, tuple[float, float]]:
    """What ``status`` may say of its own look, which it takes while a recorder has nothing yet: two ticks a second apart in name only."""
    if not recorded.starting(gpu, made_ms):
        return {}
    return {
        name: run.span(gpu, name, ts_ms - 1000 - (name == "utilization") * (1000 + SAMPLE_MS), made_ms) for name in UNITS["status"]
    }


def _reading(
    run: Run, recorded: Recorded, tallies: dict[str, Tally], row: dict[str, Any], ts_ms: int, made_ms: float | None = None
) -> None:
    number = row["gpu_index"]
    where = f"GPU {number} at {(ts_ms - run.epoch_ms) / 1000:.1f} s"
    if recorded.times(number, ts_ms, ts_ms):
        true = _true(run, recorded, number, ts_ms)
    else:
        true = _sampled(run, recorded, number, ts_ms, made_ms or 0)
    for name, column in (
        ("utilization", "utilization_ratio"),
        ("memory", "memory_used_bytes"),
        ("power", "power_watts"),
        ("processes", "process_count"),
    ):
        tallies[name].add(row[column] if true else None, true.get(name, (0, 0)), where)


def _screen(run: Run, recorded: Recorded, tallies: dict[str, Tally], text: str, at_ms: float) -> None:
    clock = clock_ms(text, at_ms)
    if clock is None:
        return  # it says itself that this is not now
    for found in GPU_LINE.finditer(text):
        if "stale" in text[found.end() :].split("\n", 1)[0]:
            continue  # so does a row: a recorder that starts again has its first tick before the driver's first answer
        number = int(found[1])
        shown = {"utilization": int(found[2]) / 100, "memory": float(found[3]) * GIB, "power": float(found[4])}
        shown["processes"] = float(len(re.findall(rf"^│ .{{1,4}}\s{number}\s+(?:\d+|–)\s+[\d.]+\s", text, re.MULTILINE)))
        rows = [_true(run, recorded, number, ts) for ts in recorded.times(number, clock - ROW_AGE_MS, clock)]
        for name, value in shown.items():
            spans = [row[name] for row in rows]
            if name == "processes":  # they are looked at less often
                spans = [run.span(number, name, clock - ROW_AGE_MS - LOOK_MS, clock + 1000)]
            where = f"GPU {number} at {(at_ms - run.epoch_ms) / 1000:.1f} s"
            tallies[name].add(value if spans else None, *(spans[:1] or [(0, 0)]), where, *spans[1:])


def clock_ms(text: str, at_ms: float) -> int | None:
    """Unix ms of the time of day on a live screen that was captured at ``at_ms``."""
    shown = LIVE_CLOCK.search(text)
    if not shown:
        return None
    at = datetime.fromtimestamp(at_ms / 1000).astimezone()
    moment = at.replace(hour=int(shown[1]), minute=int(shown[2]), second=int(shown[3]), microsecond=0)
    return round((moment - timedelta(days=moment > at)).timestamp()) * 1000


def screen_lag(run: Run) -> float:
    """Seconds that the time on a live screen with rows of now was behind at most when it was captured."""
    pictures = [(at_ms, clock_ms(text, at_ms)) for at_ms, text in run.screens if "stale" not in text and GPU_LINE.search(text)]
    return max([at_ms - clock for at_ms, clock in pictures if clock is not None], default=0.0) / 1000
