"""The same rows, recorded live and imported afterwards, are the same history to the last integer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.past_logs import NOW, T0, content, imported, log_of, new_store, row

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.importers.types import LogProcessRow, LogRow
from gpuwatch.measure import quantise
from gpuwatch.model import Batch, Gpu, GpuSample, Host, Process, ProcessSample
from gpuwatch.recorder import Closer
from gpuwatch.recorder.importing import Settings, Source, import_log
from gpuwatch.recorder.merge import Merger
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.archive.shapes import GPU
from gpuwatch.store.writer import StoreWriter

GIB = 1024**3
GPUS = [Gpu(f"GPU-{n}", n, "H100", memory_total_bytes=80 * GIB, sm_clock_max_hertz=1_980_000_000) for n in range(2)]
PEOPLE = [Process(pid, 5000, f"p{pid}", uid=1000 + pid % 2, user=f"u{pid % 2}", job="j1") for pid in (100, 101)]
KIND = {"busy": (0.4, 1.0), "quiet": (0.0, 0.04), "mixed": (0.0, 1.0)}


def samples(seed: int, seconds: int, *, held: bool) -> Iterator[tuple[int, list[GpuSample], list[ProcessSample]]]:
    """Stretches of every kind, with gaps, throttling, energy from a counter or from power, and holders."""
    rnd = random.Random(seed)
    second, left, kind = 0, 0, "busy"
    known: dict[str, Any] = {}
    while second < seconds:
        second += 1 if rnd.random() > 0.004 else rnd.choice([2, 3, 5, 70])
        if left <= 0:
            left, kind = rnd.choice([3, 40, 200, 400]), rnd.choice(list(KIND))
            known = {
                "memory_used_bytes": rnd.choice([None, 0.0, 4 * 1024**2, 30.0 * GIB]),
                "process_count": rnd.choice([None, None, 0, 2]),
                "clock_event_reasons": rnd.choice([None, 0, 0x4, 0x8, 0x20]),
            }
        left -= 1
        low, high = KIND[kind]
        gpus = [
            GpuSample(
                gpu.uuid,
                utilization_ratio=None if rnd.random() < 0.02 else rnd.randint(int(low * 1000), int(high * 1000)) / 1000,
                sm_active_ratio=rnd.choice([None, None, 0.01, 0.5]) if kind == "mixed" else None,
                power_watts=rnd.randint(60_000, 700_000) / 1000,
                energy_joules=rnd.choice([None, 0.25, 333.0]),
                sm_clock_hertz=rnd.choice([None, 1_980e6, 1_200e6]),
                temperature_celsius=float(rnd.randint(30, 80)),
                unavailable=rnd.random() < 0.002,
                **known,
            )
            for gpu in GPUS
        ]
        people = [
            ProcessSample(p.pid, p.start_ms, gpu_uuid="GPU-0", gpu_memory_bytes=float(GIB), sm_utilization_ratio=rnd.choice([None, 0.3, 0.5]))
            for p in PEOPLE
        ]  # fmt: skip
        yield T0 + second * 1000, gpus, people if held and kind != "mixed" else []


def recorded(path: Path, history: list[tuple[int, list[GpuSample], list[ProcessSample]]]) -> None:
    clock = FakeClock(history[0][0] / 1000)
    writer = StoreWriter.open(path, clock=clock)
    writer.begin_session(history[0][0] - 1000, 1000, "")
    merger, closer = Merger({"nvml": 1.0, "host": 1.0}), Closer(writer)
    writer.add(merger.merge(history[0][0], {"host": Batch("host", 0, host=Host("import:box", "box"))}))
    for ts, gpus, people in history:
        batch = Batch("nvml", ts // 1000, gpus=GPUS, processes=PEOPLE, gpu_samples=gpus, process_samples=people)
        writer.add(merger.merge(ts, {"nvml": batch}))
        if closer.due(ts):
            writer.commit()
        closer.work(ts)
    writer.commit()
    closer.finish(history[-1][0] // 60_000 * 60_000 + 40 * 60_000)
    seal_all(writer.connection, T0 + 7_200_000)
    writer.close()


@pytest.mark.parametrize(("seed", "held"), [(1, False), (2, True)])
def test_minutes_and_ledger_are_those_of_the_recorder(tmp_path: Path, seed: int, held: bool) -> None:
    history = list(samples(seed, 2700, held=held))
    live = tmp_path / "live.db"
    recorded(live, history)
    rows: list[LogRow | LogProcessRow] = []
    for ts, gpus, people in history:
        for sample in gpus:
            rows.append(LogRow(ts, sample.gpu_uuid[-1], quantise(sample), None, sample.unavailable))
        rows += [LogProcessRow(ts, (p.pid, p.start_ms), "0", quantise(p)) for p in people]
    store = new_store(tmp_path / "past.db")
    past = Source("x", "h", lambda: log_of(rows, gpus=GPUS, processes=PEOPLE))
    import_log(store, past, Settings("box", interval_ms=1000), now_ms=NOW)
    expected, found = content(live), content(store)
    assert found["gpu_minute"] == expected["gpu_minute"] and len(found["gpu_minute"]) > 80
    on_gpus = [minute for minute in expected["process_minute"] if dict(minute)["gpu_id"][0]]
    assert found["process_minute"] == on_gpus and bool(on_gpus) == held
    assert gpu_rows(found) == gpu_rows(expected) != []
    assert found["hist_hour"] == expected["hist_hour"] and len(found["hist_hour"]) > 50
    assert buckets(found) == buckets(expected)
    by_owner, recorded_by_owner = buckets(found, "owner_id"), buckets(expected, "owner_id")
    assert by_owner.keys() == recorded_by_owner.keys()
    for key, (ms, energy) in by_owner.items():  # which of two owners gets the odd unit goes by their ids
        assert abs(ms - recorded_by_owner[key][0]) <= 1 and abs(energy - recorded_by_owner[key][1]) <= 1


def gpu_rows(found: dict[str, list[Any]]) -> list[Any]:
    """The rows of GPUs, without what the recorder has from beside them: whether another GPU of the job works."""
    out = []
    for kind, who, t0, t1, n, names, rows in found["rows"]:
        if kind == GPU:
            kept = [at for at, name in enumerate(names) if name != "sibling"]
            out.append((who, t0, t1, n, sorted((tuple(row[at] for at in kept) for row in rows), key=repr)))
    return out


def buckets(found: dict[str, list[Any]], *more: str) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Milliseconds and millijoules of each GPU, minute and bucket."""
    out: dict[tuple[Any, ...], tuple[int, int]] = {}
    for minute in map(dict, found["ledger_minute"]):
        key = tuple(minute[name] for name in ("t", "gpu_id", "bucket", "cause", "tier", "final", *more))
        ms, energy = out.get(key, (0, 0))
        out[key] = ms + minute["ms"], energy + minute["energy_mj"]
    return out


def test_what_a_log_does_not_have_is_null_everywhere(tmp_path: Path) -> None:
    store = new_store(tmp_path / "past.db")
    imported(store, [row(T0 + n * 1000, temperature_celsius=40.0) for n in range(1, 90)])
    minute = dict(content(store)["gpu_minute"][0])
    assert minute["temperature_c_max"] == 40 and minute["energy_src"] == 0
    known = {name for name, value in minute.items() if value is not None and name.endswith(("_obs_ms", "_max", "_min"))}
    assert known == {"temperature_obs_ms", "temperature_c_max"}
