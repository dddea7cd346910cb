"""Real logs, imported, against a reading of their lines that shares nothing with the package."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from zoneinfo import ZoneInfo

import pytest
from support.inprocess import run_program
from support.past_logs import ask

Reading = dict[str, list[tuple[int, int, int]]]
"""GPU -> (time in ms, utilization in per mille, power in mW)."""


def nanogpt(path: Path) -> Reading:
    out: Reading = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            ts = round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000)
            out[row["gpu_index"]].append((ts, int(row["utilization_gpu_percent"]) * 10, round(float(row["power_W"]) * 1000)))
    return out


def qwen(path: Path) -> Reading:
    out: Reading = {"0": []}
    with path.open() as file:
        next(file)
        for line in file:
            cells = [cell.strip().split(" ")[0] for cell in line.split(",")]
            if len(cells) < 7:
                continue
            at = datetime.strptime(line[:23], "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=ZoneInfo("Asia/Seoul"))
            out["0"].append((round(at.timestamp() * 1000), int(cells[2]) * 10, round(float(cells[1]) * 1000)))
    return out


def rpf(path: Path) -> Reading:
    with path.open() as file:
        next(file)
        rows = [line.split(",") for line in file if line.strip()]
    return {"0": [(int(row[0]) * 1000, int(row[3]) * 10, -1) for row in rows]}


LOGS = {
    "nanogpt-8gpu-baseline.csv": nanogpt,
    "nanogpt-8gpu-run25.csv": nanogpt,
    "nanogpt-8gpu-compile.csv": nanogpt,
    "nanogpt-8gpu-steady.csv": nanogpt,
    "nanogpt-8gpu-phases-head20000.csv": nanogpt,
    "qwen3-asr-gpu-log.csv": qwen,
    "qwen3-asr-gpu-log-150.csv": qwen,
    "qwen3-asr-0331-100.csv": qwen,
    "rpf-24gb-60s.csv": rpf,
}


def lengths(reading: Reading) -> dict[str, list[int]]:
    """The time that each row speaks for: since the one before, if that is at most three median steps ago."""
    steps = [b[0] - a[0] for rows in reading.values() for a, b in pairwise(rows) if b[0] > a[0]]
    reach = 3 * median_low(steps)
    out = {}
    for gpu, rows in reading.items():
        gone = [0, *(b[0] - a[0] for a, b in pairwise(rows))]
        out[gpu] = [step if step <= reach else 0 for step in gone]
    return out


@pytest.mark.parametrize("name", LOGS)
def test_a_real_log_is_what_its_lines_say(shared: Path, tmp_path: Path, name: str) -> None:
    path = shared / "fixtures" / "gpu-logs" / name
    reading = {gpu: sorted({row[0]: row for row in reversed(rows)}.values()) for gpu, rows in LOGS[name](path).items()}
    times = lengths(reading)
    store = tmp_path / "gpuwatch.db"
    done = run_program("import", "--store", str(store), "--tz", "Asia/Seoul", str(path))
    assert done.returncode == 0, done.stderr
    count = sum(map(len, reading.values()))
    every = [(utilization, dt) for gpu, rows in reading.items() for (_, utilization, _), dt in zip(rows, times[gpu], strict=True)]
    observed = sum(dt for _, dt in every)
    mean, over_time = sum(u for u, _ in every) / count / 10, sum(u * dt for u, dt in every) / observed / 10
    assert f"mean of samples {mean:.1f} %, over time {over_time:.1f} %" in done.stdout
    first, last = min(rows[0][0] for rows in reading.values()), max(rows[-1][0] for rows in reading.values())
    assert ask(store, "SELECT rows_used, first_ms, last_ms FROM import_file") == [(count, first, last)]
    assert ask(store, "SELECT sum(n) FROM chunk") == [(count,)]
    for gpu, rows in reading.items():
        own = f"FROM gpu g JOIN gpu_{{}} m ON m.gpu_id=g.gpu_id WHERE g.gpu_index={gpu}"
        expected = (sum(times[gpu]), sum(row[1] * dt for row, dt in zip(rows, times[gpu], strict=True)))
        energy = sum(row[2] * dt // 1000 for row, dt in zip(rows, times[gpu], strict=True)) if rows[0][2] >= 0 else 0
        for tier in ("minute", "hour", "day"):
            assert ask(store, f"SELECT sum(obs_ms), sum(utilization_pm_ms), sum(energy_used_mj) {own.format(tier)}") == [
                (*expected, energy)
            ]
            ledger = (
                f"SELECT sum(ms), sum(energy_mj) FROM ledger_{tier} WHERE gpu_id=(SELECT gpu_id FROM gpu WHERE gpu_index={gpu})"
            )
            assert ask(store, ledger) == [(expected[0], energy)]
    minutes, hours = (
        ask(store, f"SELECT count(DISTINCT gpu_uuid || t), sum(ms) FROM v_ledger_{tier}")[0] for tier in ("minute", "hour")
    )
    assert minutes[1] == minutes[0] * 60_000 and hours[1] == hours[0] * 3_600_000


def test_a_log_with_neither_memory_nor_processes_cannot_say_who_holds_an_idle_gpu(shared: Path, tmp_path: Path) -> None:
    store = tmp_path / "gpuwatch.db"
    run_program("import", "--store", str(store), str(shared / "fixtures" / "gpu-logs" / "nanogpt-8gpu-baseline.csv"))
    found = {word for (word,) in ask(store, "SELECT DISTINCT bucket FROM v_ledger_minute WHERE ms>0")}
    assert {"idle_unattributed", "busy_unknown"} <= found and "held_idle" not in found and "unallocated" not in found


def test_true_idle_is_free_and_its_power_is_kept(shared: Path, tmp_path: Path) -> None:
    store = tmp_path / "gpuwatch.db"
    run_program("import", "--store", str(store), str(shared / "fixtures" / "gpu-logs" / "gpu-glasses-8xh100-idle.csv"))
    assert ask(store, "SELECT count(*), sum(rows_used) FROM v_gpu, v_import") == [(8, 8 * 43)]
    watts = ask(store, "SELECT min(power_watts), max(power_watts) FROM v_gpu_minute")[0]
    assert 60 < watts[0] <= watts[1] < 80


def test_overlapping_logs_of_one_host_are_one_history(shared: Path, tmp_path: Path) -> None:
    logs = [shared / "fixtures" / "gpu-logs" / f"nanogpt-8gpu-{name}.csv" for name in ("phases-head20000", "steady")]
    both, alone = tmp_path / "both.db", tmp_path / "alone.db"
    run_program("import", "--store", str(both), "--host", "box", *map(str, logs))
    run_program("import", "--store", str(alone), "--host", "box", str(logs[1]))
    sql = "SELECT gpu_id, t, obs_ms, n, utilization_pm_ms, energy_used_mj FROM gpu_minute ORDER BY 1, 2"
    assert ask(both, sql) == ask(alone, sql)
    assert ask(both, "SELECT rows_used, rows_left_out FROM import_file ORDER BY import_id") == [(20_000, 0), (1392, 20_000)]
