"""What the process collector reports from one tick to the next: figures, identities, pid reuse, exec, hidden processes."""

from __future__ import annotations

import os

import pytest

from gpuwatch import procfs
from gpuwatch.errors import Unavailable
from gpuwatch.model import ProcessSample
from gpuwatch.names import Missing
from gpuwatch.plugin import CollectorContext


def samples(batch):
    return {sample.pid: sample for sample in batch.process_samples}


def test_rates_come_from_the_second_tick_on(proc, watch):
    proc.add(50, cpu=100, rss=3, io=(1000, 2000))
    watcher = watch()
    first = samples(watcher.tick(50))[50]
    assert first == ProcessSample(50, 1_763_000_100_000, rss_bytes=3 * procfs.PAGE_BYTES, run_state=ord("S"))
    proc.add(50, cpu=100 + 3 * procfs.CLOCK_TICKS, rss=5, io=(1500, 2000))
    second = samples(watcher.tick(50, seconds=2))[50]
    assert (second.cpu_ratio, second.read_bytes, second.write_bytes) == (1.5, 500, 0)
    assert second.rss_bytes == 5 * procfs.PAGE_BYTES


def test_a_new_gpu_process_is_there_at_the_next_tick_and_gone_when_it_ended(proc, watch):
    watcher = watch()
    watcher.tick()
    proc.add(50, start=1002)
    assert 50 in {process.pid for process in watcher.tick(50).processes}
    proc.remove(50)
    watcher.tick(50)
    assert watcher.processes == {} and watcher.workloads == {}


def test_a_reused_pid_is_another_process_with_figures_of_its_own(proc, watch):
    proc.add(50, cpu=9000, io=(9000, 9000), argv=["python3", "old.py"])
    watcher = watch()
    watcher.tick(50)
    proc.add(50, cpu=9500, io=(9900, 9900), start=1003, argv=["python3", "new.py"])
    batch = watcher.tick(50)
    assert [(p.start_ms, p.command) for p in batch.processes] == [(1_763_001_003_000, "python3 new.py")]
    assert samples(batch)[50].cpu_ratio is None and samples(batch)[50].read_bytes is None
    assert samples(batch)[50].start_ms == 1_763_001_003_000
    assert watcher.workloads[50].name == "new.py"


def test_a_parent_pid_that_was_reused_by_a_younger_process_is_no_parent(proc, watch):
    proc.add(40, start=500, argv=["python3", "stranger.py"])
    proc.add(50, ppid=40, start=100)
    watcher = watch()
    watcher.tick(50)
    assert watcher.roles == {50: "gpu"} and watcher.processes[50].parent_pid == 0


def test_exec_changes_name_and_command_but_not_the_identity(proc, watch):
    proc.add(50, "bash", ["bash", "run.sh"], start=1000)
    watcher = watch()
    watcher.tick(50)
    key = watcher.processes[50].key
    proc.stat(50, "python3", start=1000)
    proc.argv(50, ["python3", "train.py"])
    watcher.tick(50, seconds=60)
    assert (watcher.processes[50].command, watcher.processes[50].key) == ("python3 train.py", key)
    assert watcher.workloads[50].kind == "training"


def test_the_command_of_a_young_process_is_read_again_even_under_the_same_name(proc, watch):
    proc.add(50, argv=["python3", "a.py"], start=1001)
    watcher = watch()
    watcher.tick(50)
    proc.argv(50, ["python3", "b.py"])
    watcher.tick(50)
    assert watcher.processes[50].command == "python3 b.py"


def test_python_that_execs_python_late_becomes_a_server(proc, watch):
    """As an entry script does that loads the model first."""
    proc.add(50, argv=["python3", "entry.py"], start=1, stack=1000)
    watcher = watch()
    watcher.tick(50, seconds=60)
    proc.argv(50, ["python3", "-m", "vllm.entrypoints.openai.api_server", "--port", "8001"])
    watcher.tick(50)
    assert watcher.servers == {}, "a command line alone is not read again"
    proc.stat(50, start=1, stack=0)
    watcher.tick(50)
    assert watcher.servers == {}, "not shown for a moment"
    proc.stat(50, start=1, stack=2000)
    watcher.tick(50)
    assert watcher.servers[50].port == 8001 and watcher.workloads[50].engine == "vllm"


def test_unchanged_processes_are_the_same_objects(proc, watch):
    proc.add(50)
    watcher = watch()
    first = watcher.tick(50).processes[0]
    assert watcher.tick(50).processes[0] is first


def test_a_shell_that_is_watched_by_nobody_becomes_python_and_is_found(proc, watch):
    proc.add(50, "bash", ["bash"], start=1001)
    watcher = watch()
    watcher.tick()
    assert watcher.roles == {}
    proc.stat(50, "llama-server", start=1001)
    proc.argv(50, ["llama-server", "-m", "x.gguf"])
    watcher.tick()
    assert watcher.roles == {50: "ml"}


def test_an_old_process_that_execs_is_found_in_turn(proc, watch):
    for pid in range(100, 200):
        proc.add(pid, "bash", ["bash"], start=1)
    watcher = watch()
    watcher.tick()
    proc.stat(199, "ollama", start=1)
    proc.argv(199, ["ollama", "serve"])
    for _ in range(5):
        watcher.tick()
    assert watcher.roles == {199: "ml"}


def test_what_has_ended_is_forgotten(proc, watch):
    watcher = watch()
    for generation in range(5):
        for pid in range(100, 200):
            proc.add(pid + 100 * generation, "sleep", ["sleep"], start=1)
        watcher.tick()
        for pid in range(100, 200):
            proc.remove(pid + 100 * generation)
    watcher.tick()
    assert watcher.collector.watch is not None
    table = watcher.collector.watch.table
    assert set(table.entries) == {1} and len(table._turn) < 200 and not table._young


def test_a_gpu_pid_that_proc_does_not_show_is_left_to_the_recorder(proc, watch):
    watcher = watch()
    watcher.tick(77)
    batch = watcher.tick(77)
    assert batch.processes == [] and batch.missing == {}
    proc.add(77)
    watcher.tick(77)
    assert watcher.processes[77].start_known


def test_a_refused_disk_figure_has_a_reason(proc, watch, monkeypatch):
    proc.add(50)
    original = procfs.read_once

    def refuse(path: str, limit: int = 4096) -> bytes:
        if path.endswith("/io"):
            raise PermissionError(13, "Permission denied")
        return original(path, limit)

    monkeypatch.setattr(procfs, "read_once", refuse)
    watcher = watch()
    watcher.tick(50)
    batch = watcher.tick(50)
    sample = samples(batch)[50]
    assert sample.read_bytes is None and sample.write_bytes is None and sample.cpu_ratio == 0
    assert set(batch.missing.values()) == {Missing.NO_PERMISSION}
    assert {key[2] for key in batch.missing} == {"read_bytes", "write_bytes"}


def test_a_kernel_without_disk_figures_is_not_asked_again(proc, watch):
    proc.add(50, io=None)
    watcher = watch()
    batch = watcher.tick(50)
    assert batch.missing["process", "50:1763000100000", "read_bytes"] is Missing.NOT_SUPPORTED


def test_a_stat_line_that_is_refused_leaves_the_owner_and_a_reason(proc, watch, monkeypatch):
    proc.add(50)
    original = procfs.read_stat

    def refuse(root: str, pid: int) -> procfs.Stat:
        if pid == 50:
            raise PermissionError(13, "Permission denied")
        return original(root, pid)

    monkeypatch.setattr(procfs, "read_stat", refuse)
    watcher = watch()
    watcher.tick(50)
    first = watcher.processes[50]
    batch = watcher.tick(50)
    process = watcher.processes[50]
    assert process is not first and process == first, "one identity from the first tick on"
    assert (process.uid, process.start_known, process.name) == (os.getuid(), False, "")
    assert batch.missing["process", f"50:{process.start_ms}", "cpu_ratio"] is Missing.NO_PERMISSION
    assert batch.process_samples == []
    monkeypatch.undo()
    watcher.tick(50)
    assert watcher.processes[50].start_known


@pytest.mark.parametrize(
    ("option", "command"),
    [("redacted", "python3 train.py --model /home/me/secret --token ••••••••"), ("name", "python3"), ("none", "")],
)
def test_how_much_of_a_command_line_is_kept(proc, watch, option, command):
    proc.add(50, argv=["python3", "train.py", "--model", "/home/me/secret", "--token", "s3cret"])
    watcher = watch(command_lines=option)
    watcher.tick(50)
    assert watcher.processes[50].command == command
    assert watcher.workloads[50].name == ("python3" if option == "none" else "train.py")
    assert watcher.workloads[50].model == ("/home/me/secret" if option == "redacted" else "")


def test_no_proc_is_one_clear_line(tmp_path):
    from gpuwatch.collectors.procs import factory

    with pytest.raises(Unavailable, match="cannot be read"):
        factory(CollectorContext(proc_root=tmp_path)).open()


def test_closed_and_opened_again_it_starts_anew(proc, watch):
    proc.add(50)
    watcher = watch()
    watcher.tick(50)
    watcher.collector.close()
    with pytest.raises(RuntimeError):
        watcher.tick(50)
    watcher.collector.open()
    assert samples(watcher.tick(50))[50].cpu_ratio is None


def test_the_contract_of_collectors_is_kept(proc):
    from gpuwatch.clock import FakeClock
    from gpuwatch.collectors.procs import factory
    from gpuwatch.testing import check_collector

    for pid in (50, 51):
        proc.add(pid, ppid=50 if pid == 51 else 1, start=pid)
    context = CollectorContext(clock=FakeClock(), proc_root=proc.root)
    context.gpu_pids.publish("test", [50])
    batches = check_collector(factory, context=context, advance=lambda _: proc.add(50, start=50, cpu=7, io=(8, 9)))
    assert len(batches[0].process_samples) == 2


def test_strangers_that_come_and_go_plan_nothing_anew(proc, watch):
    proc.add(50)
    watcher = watch()
    watcher.tick(50)
    planned = watcher.collector.watch.workloads
    proc.add(60, "make", ["make"], start=900)
    watcher.tick(50)
    proc.remove(60)
    watcher.tick(50)
    assert watcher.collector.watch.workloads is planned
    proc.add(70, "pt_data_worker", ["python3", "train.py"], ppid=50, start=901)
    watcher.tick(50)
    assert watcher.collector.watch.workloads is not planned
    assert watcher.roles == {50: "gpu", 70: "worker"}


def test_a_raw_command_line_does_not_outlive_its_tick(proc, watch):
    proc.add(50, "python3", ["python3", "train.py", "--api-key", "hunter2"])
    watcher = watch()
    watcher.tick(50)
    assert watcher.collector.watch.table.just_read == {}
    assert "hunter2" not in watcher.processes[50].command
