"""The writer: what goes in comes out, identities are kept, and nothing is lost when a commit fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.store_rows import HOST, T0, first_tick, gpu, gpu_row, process, process_row, tick

from gpuwatch.clock import FakeClock
from gpuwatch.errors import StoreError
from gpuwatch.measure import quantise
from gpuwatch.model import Event, ExtraSample, HostSample, InferenceSample, RecorderSample, Workload
from gpuwatch.names import GapReason, Missing, Severity
from gpuwatch.store import buffer
from gpuwatch.store.rows import GapRow, SourceState, Tick, WorkloadRow
from gpuwatch.store.writer import StoreWriter


def rows(writer: StoreWriter, sql: str) -> list[tuple[Any, ...]]:
    return writer.connection.execute(sql).fetchall()


def test_values_and_facts_come_out_as_they_went_in(writer: StoreWriter) -> None:
    writer.add(first_tick(people=[process(7)]))
    held = [process_row(7, gpu_memory_bytes=2**30, cpu_ratio=1.25)]
    writer.add(tick(1, gpu_row(utilization_ratio=0.37, power_watts=312.5, quiet=None, context=None, kappa_pm=900), held=held))
    assert writer.commit() and writer.problem == ""
    assert rows(
        writer, "SELECT dt_ms, quiet, context, kappa_pm, unavailable, utilization_pm, power_mw, sm_active_pm FROM gpu_sample"
    ) == [(1000, None, None, 900, 0, 370, 312500, None)]
    assert rows(writer, "SELECT gpu_memory_mib, cpu_pm, sm_pm FROM process_sample") == [(1024, 1250, None)]
    assert rows(writer, "SELECT p.pid, u.name, u.uid, p.command FROM process p JOIN user_account u USING(user_id)") == [
        (7, "alice", 1000, "python3 train.py --rank 7")
    ]


def test_ticks_of_one_instant_share_a_tick_even_when_they_come_late(writer: StoreWriter) -> None:
    writer.add(first_tick(people=[process(7)]))
    writer.add(tick(1, gpu_row()))
    writer.add(tick(2, gpu_row()))
    writer.add(tick(1, held=[process_row(7)]))
    writer.commit()
    writer.add(tick(2, held=[process_row(7)]))
    writer.commit()
    joined = "SELECT k.ts_ms FROM {} s JOIN tick k USING(tick_id) ORDER BY 1"
    assert (
        rows(writer, joined.format("process_sample")) == rows(writer, joined.format("gpu_sample")) == [(T0 + 1000,), (T0 + 2000,)]
    )
    assert rows(writer, "SELECT count(*) FROM tick") == [(2,)]


def test_rows_that_come_before_the_host_is_described_are_its_own(open_writer: Any) -> None:
    early = {"gpus": [gpu(0)], "gaps": [GapRow(T0, T0 + 1000, GapReason.OFF)], "sources": [SourceState("nvml", "ok", T0)]}
    for second in (1, 11):  # a fresh store, and one in which the host is known from the session before
        writer = open_writer()
        writer.add(tick(second, gpu_row(), **early))
        writer.commit()
        writer.add(first_tick(gpu(0), second=second + 1))
        writer.add(tick(second + 2, gpu_row()))
        writer.commit()
        assert rows(writer, "SELECT machine_id FROM host") == [(HOST.machine_id,)]
        assert rows(writer, "SELECT count(*) FROM gpu") == [(1,)]
        assert rows(writer, "SELECT DISTINCT host_id FROM gap UNION SELECT host_id FROM source_state") == [(1,)]
        writer.end_session()
        writer.close()


def test_a_tick_without_rows_leaves_no_tick(writer: StoreWriter) -> None:
    writer.add(first_tick())
    writer.commit()
    assert rows(writer, "SELECT count(*) FROM tick") == [(0,)]


def test_tick_ids_never_go_back_when_the_clock_does(open_writer: Any) -> None:
    writer = open_writer()
    writer.add(first_tick())
    writer.add(tick(10, gpu_row(utilization_ratio=0.1)))
    writer.commit()
    writer.begin_session(T0, 1000, "boot")
    writer.add(tick(10, gpu_row(utilization_ratio=0.2)))
    writer.commit()
    writer.close()
    writer = open_writer()
    writer.add(tick(3, gpu_row(utilization_ratio=0.3), host=HOST))
    writer.commit()
    assert rows(writer, "SELECT s.utilization_pm FROM gpu_sample s ORDER BY tick_id") == [(100,), (200,), (300,)]
    assert rows(writer, "SELECT count(DISTINCT session_id) FROM tick") == [(3,)]


def test_identities_are_found_again_by_the_next_recorder(open_writer: Any) -> None:
    for second in (1, 2):
        writer = open_writer()
        writer.add(first_tick(people=[process(7)], second=second - 0.5))
        writer.add(tick(second, gpu_row(), held=[process_row(7)]))
        writer.end_session()
        writer.close()
    writer = open_writer()
    for table in ("host", "gpu", "process", "user_account"):
        assert rows(writer, f"SELECT count(*) FROM {table}") == [(1,)], table
    assert rows(writer, "SELECT count(*), count(DISTINCT gpu_id) FROM gpu_sample") == [(2, 1)]
    assert rows(writer, "SELECT first_ms FROM gpu") == [(T0 + 500,)]


def test_a_changed_entity_replaces_its_row_and_keeps_its_id(writer: StoreWriter) -> None:
    writer.add(first_tick(gpu(0, power_limit_watts=700.0)))
    writer.commit()
    before = rows(writer, "SELECT gpu_id FROM gpu")
    writer.add(tick(5, gpus=[gpu(0, power_limit_watts=500.0, ecc_enabled=True)]))
    writer.commit()
    assert rows(writer, "SELECT power_limit_watts, ecc_enabled, first_ms, last_ms FROM gpu") == [(500.0, 1, T0, T0 + 5000)]
    assert rows(writer, "SELECT gpu_id FROM gpu") == before


def test_rows_of_somebody_who_was_never_introduced_are_kept(writer: StoreWriter) -> None:
    writer.add(tick(1, gpu_row(3, utilization_ratio=0.5), held=[process_row(99, 3)]))
    writer.commit()
    assert rows(writer, "SELECT uuid, gpu_index FROM gpu") == [("GPU-3", -1)]
    assert rows(writer, "SELECT pid, start_known FROM process") == [(99, 0)]
    assert rows(writer, "SELECT count(*) FROM v_gpu_raw") == [(1,)]


def test_a_reused_pid_is_another_process(writer: StoreWriter) -> None:
    from dataclasses import replace

    old = process(7)
    new = replace(old, start_ms=old.start_ms + 4000, name="other")
    writer.add(first_tick(people=[old, new]))
    writer.add(tick(1, events=[Event(T0 + 1000, "exit", "gone", pid=7)]))
    writer.commit()
    assert rows(writer, "SELECT count(*) FROM process") == [(2,)]
    assert rows(writer, "SELECT p.name FROM event e JOIN process p USING(proc_id)") == [("other",)]


def test_host_recorder_workload_and_extra_rows(writer: StoreWriter) -> None:
    work = Workload(7, T0 - 5000, 8000, kind="inference", name="vllm", model="llama", user="alice")
    member = process(7, workload_pid=7, workload_start_ms=T0 - 5000)
    writer.add(first_tick(people=[member], workloads=[]))
    values = quantise(InferenceSample(7, output_tokens_total=5.0))
    writer.add(
        tick(
            1,
            workloads=[work],
            host_dt_ms=1000,
            host_values=quantise(HostSample(cpu_ratio=0.5)),
            recorder_dt_ms=1000,
            recorder_values=quantise(RecorderSample(cpu_seconds=0.002)),
            workload_rows=[WorkloadRow(7, T0 - 5000, 8000, "inference", 1000, values)],
            extras=[ExtraSample("fan_ratio", "ratio", 0.5, gpu_uuid="GPU-0")],
        )
    )
    writer.commit()
    assert rows(writer, "SELECT cpu_pm FROM host_sample") == [(500,)]
    assert rows(writer, "SELECT cpu_us FROM recorder_sample") == [(2000,)]
    assert rows(writer, "SELECT w.name, s.output_tokens FROM inference_sample s JOIN workload w USING(workload_id)") == [
        ("vllm", 5)
    ]
    assert rows(writer, "SELECT w.name FROM process p JOIN workload w USING(workload_id)") == [("vllm",)]
    assert rows(writer, "SELECT name, unit, value, proc_id FROM extra_sample") == [("fan_ratio", "ratio", 0.5, 0)]


def test_reasons_are_intervals_written_on_change(open_writer: Any, clock: FakeClock) -> None:
    key = ("gpu", "GPU-0", "sm_active_ratio")
    writer = open_writer()
    writer.add(first_tick(missing={key: Missing.NOT_SUPPORTED}))
    writer.add(tick(10, missing={key: Missing.DRIVER_ERROR}))
    writer.add(tick(20, missing={key: None}))
    writer.add(tick(30, gpu_row(), missing={key: Missing.STALE}))
    writer.commit()
    writer.connection.close()
    writer = open_writer()  # the recorder died: what was open ends with its last row
    assert rows(writer, f"SELECT reason, (t0_ms-{T0})/1000, (t1_ms-{T0})/1000 FROM missing ORDER BY missing_id") == [
        (1, 0, 10),
        (3, 10, 20),
        (4, 30, 30),
    ]


def test_events_gaps_and_sources(writer: StoreWriter) -> None:
    happened = Event(T0 + 500, "xid", "79", Severity.CRITICAL, "GPU-0")
    gaps = [GapRow(T0 - 9000, T0, GapReason.CRASH), GapRow(T0 - 9000, T0, GapReason.DRIVER, "GPU-0")]
    writer.add(first_tick(events=[happened], gaps=gaps, sources=[SourceState("nvml", "ok", T0)]))
    writer.add(tick(1, sources=[SourceState("nvml", "error", T0, "lost", "check dmesg")]))
    writer.commit()
    assert rows(writer, "SELECT kind, severity, gpu_uuid, detail FROM v_event") == [("xid", "critical", "GPU-0", "79")]
    assert rows(writer, "SELECT reason, gpu_uuid, duration_seconds FROM v_gap ORDER BY 1") == [
        ("crash", None, 9.0),
        ("driver", "GPU-0", 9.0),
    ]
    assert rows(writer, "SELECT name, state, last_ok_ms, hint FROM source_state") == [("nvml", "error", T0, "check dmesg")]


def test_sessions_say_how_the_one_before_ended(open_writer: Any, clock: FakeClock) -> None:
    writer = open_writer(session=False)
    first = writer.begin_session(T0, 1000, "boot-1")
    assert (first.previous_end_ms, first.previous_clean) == (None, None)
    writer.add(first_tick())
    writer.add(tick(5, gpu_row()))
    writer.commit()
    writer.connection.close()
    writer = open_writer(session=False)
    second = writer.begin_session(T0 + 60_000, 1000, "boot-1")
    assert (second.previous_end_ms, second.previous_clean, second.previous_boot_id) == (T0 + 5000, False, "boot-1")
    writer.add(tick(65, gpu_row(), host=HOST))
    clock.advance(70)
    assert writer.end_session(clean=True)
    writer.close()
    writer = open_writer(session=False)
    third = writer.begin_session(T0 + 90_000, 1000, "boot-2")
    assert (third.previous_end_ms, third.previous_clean) == (T0 + 65_000, True)
    assert rows(writer, "SELECT ended_ms FROM session WHERE session_id=2") == [(T0 + 70_000,)]


def test_simulated_and_real_never_mix(open_writer: Any, path: Path) -> None:
    open_writer(simulated=True, scenario="lab").close()
    with pytest.raises(StoreError, match="holds simulated data"):
        open_writer()
    again = open_writer(simulated=True, scenario="lab")
    assert dict(rows(again, "SELECT key, value FROM meta"))["scenario"] == "lab"


def test_a_clean_end_leaves_one_file_without_wal(open_writer: Any, path: Path) -> None:
    writer = open_writer()
    writer.add(first_tick())
    writer.add(tick(1, gpu_row()))
    writer.end_session()
    writer.close()
    assert [p.name for p in path.parent.glob("gpuwatch.db*")] == ["gpuwatch.db"]
    plain = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert plain.execute("SELECT count(*) FROM gpu_sample").fetchone() == (1,)
    plain.close()


def test_a_store_in_memory_for_one_tick(open_writer: Any) -> None:
    writer = open_writer(":memory:")
    writer.add(first_tick())
    writer.add(tick(1, gpu_row(utilization_ratio=1.0)))
    assert writer.commit()
    assert rows(writer, "SELECT utilization_pm FROM gpu_sample") == [(1000,)]
    assert rows(writer, "SELECT count(*) FROM sqlite_master WHERE type='view'") == [(0,)]


class _Full:
    """A disk that is full until told otherwise."""

    def __init__(self) -> None:
        self.free = 0

    def __call__(self, _path: Path) -> tuple[int, int]:
        return self.free, 10**12


def test_rows_wait_while_the_disk_is_nearly_full_and_follow_later(writer: StoreWriter) -> None:
    disk = writer._opener.disk_room = _Full()
    writer.add(first_tick())
    for second in range(1, 11):
        writer.add(tick(second, gpu_row()))
        assert not writer.commit()
    assert "0 MiB are free on the disk of" in writer.problem
    assert rows(writer, "SELECT count(*) FROM gpu_sample") == [(0,)]
    disk.free = 10**12
    assert writer.commit() and writer.problem == ""
    assert rows(writer, "SELECT count(*) FROM gpu_sample") == [(10,)]
    assert not rows(writer, "SELECT * FROM gap")


def test_a_small_disk_is_used_up_to_its_last_tenth(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for free, enough in ((7_000_000, True), (6_000_000, False)):
        writer._opener.disk_room = lambda _path, free=free: (free, 64_000_000)  # type: ignore[misc]
        assert writer.commit() is enough


def test_the_ring_is_bounded_and_the_store_says_what_is_gone(open_writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "RING_ROWS", 40)
    writer = open_writer(tmpfs_fallback=False)
    disk = writer._opener.disk_room = _Full()
    writer.add(first_tick())
    for second in range(1, 101):
        writer.add(tick(second, gpu_row()))
        writer.commit()
    assert len(writer._buffer) <= 40
    disk.free = 10**12
    assert writer.commit()
    kept = rows(writer, "SELECT min(k.ts_ms), max(k.ts_ms), count(*) FROM gpu_sample s JOIN tick k USING(tick_id)")[0]
    assert kept[1] == T0 + 100_000 and 15 <= kept[2] <= 20
    ((start, end, reason),) = rows(writer, "SELECT start_ms, end_ms, reason FROM v_gap")
    assert (start, reason) == (T0 + 1000, "stall") and end < kept[0]
    assert "were dropped" in rows(writer, "SELECT detail FROM v_event")[0][0]


def test_recording_moves_to_memory_when_the_ring_is_full(open_writer: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "RING_ROWS", 40)
    writer = open_writer()
    key = ("gpu", "GPU-0", "sm_active_ratio")
    writer.add(first_tick(people=[process(7)], missing={key: Missing.NOT_SUPPORTED}, sources=[SourceState("nvml", "ok", T0)]))
    writer.add(tick(0.5, gpu_row()))
    writer.commit()
    writer._opener.disk_room = _Full()
    told: list[object] = []
    writer.moved = lambda: told.append(writer.path)
    for second in range(1, 101):
        writer.add(tick(second, gpu_row(), held=[process_row(7)]))
        writer.commit()
    assert writer.hot_only and writer.path != path and "memory" in str(writer.path)
    assert writer.commit() and writer.problem == ""
    assert told == [writer.path] and "Recording into memory" in writer.notices[-1]
    assert rows(writer, "SELECT max(ts_ms) FROM tick") == [(T0 + 100_000,)]
    assert rows(writer, "SELECT gpu_uuid, host FROM v_gpu_now") == [("GPU-0", "lab")]
    assert rows(writer, "SELECT pid, user FROM v_process_now") == [(7, "alice")]
    assert rows(writer, "SELECT field, t1_ms FROM missing") == [("sm_active_ratio", None)]
    assert rows(writer, "SELECT name FROM source_state") == [("nvml",)]


def test_a_tick_type_without_anything_is_harmless(writer: StoreWriter) -> None:
    writer.add(Tick(T0))
    assert writer.commit()
