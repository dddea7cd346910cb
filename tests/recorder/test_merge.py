"""From batches to rows: time, facts, pids, host sides, changes."""

from __future__ import annotations

from dataclasses import replace

from support.recording import GIB, GPUS, gpu_batch, host_batch, proc_batch

from gpuwatch.model import Batch, Event, Gpu, GpuSample, Host, Process, ProcessSample, Workload
from gpuwatch.names import Context, GapReason, Missing
from gpuwatch.recorder.merge import Merger
from gpuwatch.store.rows import GapRow, Tick

INTERVALS = {"nvml": 1.0, "procs": 2.0, "host": 2.0}


class Merging:
    """Seconds after 1000 in, ticks out."""

    def __init__(self) -> None:
        self.merger = Merger(INTERVALS)

    def at(self, second: int, *batches: Batch) -> Tick:
        return self.merger.merge((1000 + second) * 1000, {batch.collector: batch for batch in batches})


def test_a_row_speaks_for_the_time_since_the_last_one_up_to_three_periods() -> None:
    merging = Merging()
    dts = [merging.at(second, gpu_batch(second)).gpu_rows[0].dt_ms for second in (0, 1, 2, 5, 9, 10)]
    assert dts == [0, 1000, 1000, 3000, 0, 1000]


def test_a_gpu_that_was_silent_leaves_a_gap_of_its_own() -> None:
    merging = Merging()
    merging.at(0, gpu_batch(0))
    only_b = replace(gpu_batch(1), gpu_samples=gpu_batch(1).gpu_samples[1:])
    for second in range(1, 8):
        assert not merging.at(second, only_b).gaps
    gaps = merging.at(8, gpu_batch(8)).gaps
    assert gaps == [GapRow(1_000_000, 1_008_000, GapReason.DRIVER, "GPU-a")]


def test_after_a_break_nothing_is_bridged_and_runs_begin_anew() -> None:
    merging = Merging()
    for second in range(3):
        tick = merging.at(second, gpu_batch(second, lambda now: 0.0))
    assert tick.gpu_rows[0].quiet_ms == 2000
    merging.merger.forget()
    tick = merging.at(3, gpu_batch(3, lambda now: 0.0))
    assert (tick.gpu_rows[0].dt_ms, tick.gpu_rows[0].quiet_ms, tick.gaps) == (0, 0, [])


def test_facts_stand_on_the_row() -> None:
    merging = Merging()
    merging.at(0, gpu_batch(0, lambda now: 0.0))
    held, free = merging.at(1, gpu_batch(1, lambda now: 0.0)).gpu_rows
    assert (held.quiet, held.context, held.quiet_ms, held.kappa_pm) == (True, Context.PROCESS, 1000, 1000)
    assert (free.quiet, free.context, free.quiet_ms) == (True, Context.NONE, 1000)
    busy = merging.at(2, gpu_batch(2)).gpu_rows[0]
    assert (busy.quiet, busy.quiet_ms) == (False, 0)
    unknown = merging.at(3, gpu_batch(3, lambda now: None)).gpu_rows[0]
    assert (unknown.quiet, unknown.quiet_ms) == (None, 0)


def test_a_process_on_a_free_gpu_begins_a_new_quiet_run() -> None:
    merging = Merging()
    runs = []
    for second in range(6):
        batch = gpu_batch(second, lambda now: 0.0, processes=0 if second < 4 else 1)
        runs.append(merging.at(second, batch).gpu_rows[0].quiet_ms)
    assert runs == [0, 1000, 2000, 3000, 1000, 2000]


def test_an_unavailable_gpu_has_no_facts() -> None:
    merging = Merging()
    lost = Batch("nvml", 0, gpus=GPUS, gpu_samples=[GpuSample("GPU-a", unavailable=True, utilization_ratio=0.0)])
    row = merging.at(0, lost).gpu_rows[0]
    assert (row.unavailable, row.quiet, row.context) == (True, None, None)


def test_what_is_left_of_a_sliced_gpu_is_free() -> None:
    merging = Merging()
    parent = Gpu("GPU-a", 0, "H100", mig_enabled=True)
    child = Gpu("MIG-1", 1, "H100", parent_uuid="GPU-a", compute_fraction=3 / 7)
    batch = Batch(
        "nvml", 0, gpus=[parent, child], gpu_samples=[GpuSample("GPU-a", process_count=1), GpuSample("MIG-1", process_count=1)]
    )
    assert [row.context for row in merging.at(0, batch).gpu_rows] == [Context.NONE, Context.PROCESS]
    whole = Batch("nvml", 1, gpus=[replace(parent, mig_enabled=False)], gpu_samples=[GpuSample("GPU-a", process_count=1)])
    assert merging.at(1, whole).gpu_rows[0].context is Context.PROCESS


def test_a_drivers_pid_is_joined_to_the_process_that_has_it() -> None:
    merging = Merging()
    tick = merging.at(0, gpu_batch(0), proc_batch(0))
    (row,) = tick.process_rows
    assert (row.pid, row.start_ms, row.gpu_uuid) == (100, 5000, "GPU-a")
    assert row.values[:4] == (1024, 500, None, 500)
    assert [process.key for process in tick.processes] == [(100, 5000)]


def test_a_reused_pid_is_another_process() -> None:
    merging = Merging()
    merging.at(0, gpu_batch(0), proc_batch(0))
    tick = merging.at(2, gpu_batch(2), proc_batch(2, start_ms=9000))
    assert [(row.pid, row.start_ms, row.dt_ms) for row in tick.process_rows] == [(100, 9000, 0)]
    assert [process.start_ms for process in tick.processes] == [9000]


def test_a_pid_that_nobody_can_see_is_a_process_first_seen_now() -> None:
    merging = Merging()
    merging.at(0, proc_batch(0, pids=()))
    tick = merging.at(1, gpu_batch(1))
    assert (tick.processes, tick.process_rows) == ([], [])
    tick = merging.at(2, gpu_batch(2), proc_batch(2, pids=()))
    assert tick.processes == [Process(100, 1_001_000, "", start_known=False)]
    assert [(row.pid, row.start_ms, row.gpu_uuid) for row in tick.process_rows] == [(100, 1_001_000, "GPU-a")]


def test_a_process_that_ends_between_the_two_looks_is_still_itself() -> None:
    merging = Merging()
    merging.at(0, gpu_batch(0), proc_batch(0))
    ticks = [merging.at(second, gpu_batch(second), *[proc_batch(second, pids=())] * (second % 2 == 0)) for second in range(1, 9)]
    assert [tick.processes for tick in ticks] == [[]] * 8
    assert {(row.pid, row.start_ms) for tick in ticks for row in tick.process_rows} == {(100, 5000)}


def test_a_pid_that_comes_back_after_its_process_has_left_is_another_one() -> None:
    merging = Merging()
    merging.at(0, gpu_batch(0), proc_batch(0))
    for second in (2, 4):
        merging.at(second, gpu_batch(second, processes=0), proc_batch(second, pids=()))
    tick = merging.at(6, gpu_batch(6), proc_batch(6, pids=()))
    assert [(row.pid, row.start_ms) for row in tick.process_rows] == [(100, 1_006_000)]


def test_an_invisible_pid_is_one_process_also_when_the_driver_lists_it_every_other_second() -> None:
    merging = Merging()
    told = []
    for second in range(12):
        listed = replace(gpu_batch(second), process_samples=gpu_batch(second).process_samples if second % 2 == 0 else [])
        told += merging.at(second, listed, *[proc_batch(second, pids=())] * (second % 2 == 0)).processes
    assert [process.start_ms for process in told] == [1_000_000]


def test_an_invisible_pid_that_went_and_comes_back_is_a_new_process() -> None:
    merging = Merging()
    told = []
    for second in range(0, 20, 2):
        there = gpu_batch(second, processes=1 if second in (0, 2, 14) else 0)
        told += merging.at(second, there, proc_batch(second, pids=())).processes
    assert [process.start_ms for process in told] == [1_000_000, 1_014_000]


def test_without_a_process_collector_the_drivers_pids_are_kept_after_a_while() -> None:
    merging = Merging()
    seen = [len(merging.at(second, gpu_batch(second)).process_rows) for second in range(6)]
    assert seen == [0, 0, 0, 1, 1, 1]


def test_process_rows_come_when_the_processes_were_looked_at_and_fold_what_came_between() -> None:
    merging = Merging()
    merging.at(0, gpu_batch(0), proc_batch(0))

    def reading(second: int, memory: int, sm: float | None) -> Batch:
        sample = ProcessSample(100, gpu_uuid="GPU-a", gpu_memory_bytes=memory * GIB, sm_utilization_ratio=sm)
        return replace(gpu_batch(second), process_samples=[sample])

    assert merging.at(1, reading(1, 2, 0.2)).process_rows == []
    (row,) = merging.at(2, reading(2, 3, 0.6), proc_batch(2)).process_rows
    assert (row.dt_ms, row.values[:4]) == (2000, (3072, 400, None, 500))


def test_the_host_side_stands_on_the_first_gpu_only() -> None:
    merging = Merging()
    batch = gpu_batch(0)
    both = [*batch.process_samples, ProcessSample(100, gpu_uuid="GPU-b", gpu_memory_bytes=GIB)]
    rows = merging.at(0, replace(batch, process_samples=both[::-1]), proc_batch(0, pids=(100, 200))).process_rows
    assert [(row.pid, row.gpu_uuid, row.values[3]) for row in rows] == [(100, "GPU-a", 500), (100, "GPU-b", None), (200, "", 500)]


def test_a_process_that_is_there_but_could_not_be_read_has_an_empty_row() -> None:
    merging = Merging()
    batch = replace(proc_batch(0), process_samples=[])
    (row,) = merging.at(0, batch).process_rows
    assert (row.gpu_uuid, set(row.values)) == ("", {None})


def test_entities_are_told_when_new_or_changed() -> None:
    merging = Merging()
    first = merging.at(0, gpu_batch(0), proc_batch(0), host_batch(0))
    assert (len(first.gpus), len(first.processes), first.host) == (2, 1, Host("m1", "box"))
    second = merging.at(2, gpu_batch(2), proc_batch(2), host_batch(2))
    assert (second.gpus, second.processes, second.host) == ([], [], None)
    renamed = replace(proc_batch(4), processes=[Process(100, 5000, "p100", user="alice")])
    third = merging.at(4, replace(gpu_batch(4), gpus=[replace(GPUS[0], mig_enabled=True), GPUS[1]]), renamed)
    assert ([gpu.uuid for gpu in third.gpus], [process.user for process in third.processes]) == (["GPU-a"], ["alice"])


def test_two_collectors_describe_one_host() -> None:
    merging = Merging()
    driver = replace(gpu_batch(0), host=Host("m1", "", driver_version="590"))
    assert merging.at(0, driver, host_batch(0)).host == Host("m1", "box", driver_version="590")


def test_everybody_is_told_again_under_another_host() -> None:
    merging = Merging()
    merging.at(0, replace(gpu_batch(0), host=Host("unknown", "")), proc_batch(0))
    late = replace(host_batch(1), host=Host("m1", "box"))
    tick = merging.at(1, late, gpu_batch(1), proc_batch(1))
    assert (tick.host, len(tick.gpus), len(tick.processes)) == (Host("m1", "box"), 2, 1)


def test_missing_reasons_are_told_as_changes() -> None:
    merging = Merging()
    gone, power = ("gpu", "GPU-a", "sm_active_ratio"), ("gpu", "GPU-a", "power_watts")

    def with_missing(second: int, missing: dict[tuple[str, str, str], Missing]) -> dict[tuple[str, str, str], Missing | None]:
        return dict(merging.at(second, replace(gpu_batch(second), missing=missing)).missing)

    assert with_missing(0, {gone: Missing.NOT_SUPPORTED}) == {gone: Missing.NOT_SUPPORTED}
    assert with_missing(1, {gone: Missing.NOT_SUPPORTED}) == {}
    assert with_missing(2, {gone: Missing.NOT_SUPPORTED, power: Missing.STALE}) == {power: Missing.STALE}
    assert with_missing(3, {gone: Missing.NO_PERMISSION}) == {gone: Missing.NO_PERMISSION, power: None}


def test_a_failed_batch_says_nothing_of_reasons() -> None:
    merging = Merging()
    key = ("gpu", "GPU-a", "power_watts")
    merging.at(0, replace(gpu_batch(0), missing={key: Missing.NOT_SUPPORTED}))
    assert merging.at(1, Batch("nvml", 1, error="driver lost")).missing == {}


def test_a_drivers_reason_for_a_pid_is_told_under_the_process() -> None:
    merging = Merging()
    missing = {("process", "100:0", "gpu_memory_bytes"): Missing.NO_PERMISSION}
    tick = merging.at(0, replace(gpu_batch(0), missing=missing), proc_batch(0))
    assert tick.missing == {("process", "100:5000", "gpu_memory_bytes"): Missing.NO_PERMISSION}


def test_a_second_collector_adds_what_the_first_does_not_know() -> None:
    merger = Merger({"nvml": 1.0, "zz": 1.0})
    more = Batch("zz", 0, gpu_samples=[GpuSample("GPU-a", utilization_ratio=0.1, power_watts=300.0)])
    row = merger.merge(1_000_000, {"nvml": gpu_batch(0), "zz": more}).gpu_rows[0]
    assert (row.values[0], row.values[13]) == (1000, 300_000)


def test_host_rows_events_and_workloads_pass_through() -> None:
    merging = Merging()
    event = Event(1, "xid", "fell off the bus")
    merging.at(0, host_batch(0))
    workload = Workload(100, 5000, kind="training", name="run")
    tick = merging.at(2, replace(host_batch(2), events=[event], workloads=[workload]))
    assert (tick.host_dt_ms, tick.host_values[0] if tick.host_values else None) == (2000, 250)
    assert (tick.events, tick.workloads) == ([event], [workload])
    assert merging.at(4, replace(host_batch(4), workloads=[workload])).workloads == []
