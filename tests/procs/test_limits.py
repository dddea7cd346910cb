"""What holds a process back: its state, one busy thread, a CPU limit, and which GPUs it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch import procfs
from gpuwatch.clock import FakeClock
from gpuwatch.collectors.procs.collector import ProcsCollector
from gpuwatch.collectors.procs.threads import MAX_THREADS, Threads
from gpuwatch.collectors.procs.throttling import Throttling
from gpuwatch.collectors.procs.where import cpu_group, visible_from_environ
from gpuwatch.plugin import CollectorContext, WatchedPids

SECOND = 1_000_000_000
KEY = (50, 1)


def threads(root: Path, **cores_of: float) -> None:
    """Add so many seconds of CPU to each thread of process 50."""
    for name, seconds in cores_of.items():
        folder = root / "50" / "task" / name.removeprefix("t")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "stat"
        before = procfs.parse_stat(path.read_bytes()).cpu_ticks if path.exists() else 0
        ticks = before + round(seconds * procfs.CLOCK_TICKS)
        path.write_text(f"{folder.name} (x) R 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 999 9 0 0 0 0\n")


def test_the_busiest_thread_is_known_after_ten_seconds_and_holds_until_the_next_look(tmp_path):
    threads(tmp_path, t50=100, t51=3)
    looked = Threads(str(tmp_path))
    assert looked.look([(KEY, 1.0)], 0) == {}
    threads(tmp_path, t50=9.8, t51=0.1, t52=0.2)
    assert looked.look([(KEY, 1.0)], 8 * SECOND) == {}
    assert looked.look([(KEY, 1.0)], 10 * SECOND) == {KEY: pytest.approx(0.98)}
    threads(tmp_path, t52=5)
    assert looked.look([(KEY, 1.0)], 12 * SECOND) == {KEY: pytest.approx(0.98)}
    assert looked.look([(KEY, 1.0)], 20 * SECOND) == {KEY: pytest.approx(0.5)}


@pytest.mark.parametrize("cpu", [None, 0.0, 0.84, 1.61, 30.0])
def test_threads_are_not_read_where_the_process_does_not_use_about_one_core(tmp_path, cpu):
    threads(tmp_path, t50=1)
    looked = Threads(str(tmp_path))
    looked.look([(KEY, 1.0)], 0)
    assert looked.look([(KEY, 1.0)], 10 * SECOND) == {KEY: 0.0}
    assert looked.look([(KEY, cpu)], 12 * SECOND) == {}
    assert looked.look([(KEY, 1.0)], 20 * SECOND) == {}, "it begins anew"


def test_a_process_with_too_many_threads_or_none_to_read_has_no_busiest_one(tmp_path):
    looked = Threads(str(tmp_path))
    looked.look([(KEY, 1.0)], 0)
    assert looked.look([(KEY, 1.0)], 10 * SECOND) == {}
    threads(tmp_path, **{f"t{number}": 1.0 for number in range(MAX_THREADS + 1)})
    looked.look([(KEY, 1.0)], 20 * SECOND)
    assert looked.look([(KEY, 1.0)], 30 * SECOND) == {}


def test_a_tick_reads_few_threads_and_the_longest_unread_process_first(tmp_path):
    folder = tmp_path / "50" / "task"
    threads(tmp_path, **{f"t{number}": 1.0 for number in range(100)})
    for pid in (51, 52):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "task").symlink_to(folder)
    looked, processes = Threads(str(tmp_path)), [((pid, 1), 1.0) for pid in (50, 51, 52)]
    known = [sorted(key[0] for key in looked.look(processes, tick * 2 * SECOND)) for tick in range(8)]
    assert known == [[], [], [], [], [], [50, 51], [50, 51, 52], [50, 51, 52]]


def cgroup(root: Path, path: str, periods: int, throttled: int) -> None:
    folder = root / "fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.stat").write_text(f"usage_usec 5\nnr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec 7\n")


@pytest.mark.parametrize(("group", "folder"), [("2:/kube/pod/one", "kube/pod"), ("1:/kube/pod/one", "cpu,cpuacct/kube/pod")])
def test_throttling_is_that_of_the_group_with_the_limit_which_may_lie_above(tmp_path, group, folder):
    cgroup(tmp_path, folder, 1000, 100)
    cgroup(tmp_path, f"{folder}/one", 0, 0)
    limits = Throttling(tmp_path)
    assert limits.look([group, group, ""], 0) == {}
    cgroup(tmp_path, folder, 1100, 130)
    assert limits.look([group], 5 * SECOND) == {}
    assert limits.look([group], 10 * SECOND) == {group: pytest.approx(0.3)}
    assert limits.look([group], 12 * SECOND) == {group: pytest.approx(0.3)}
    assert limits.look([group], 20 * SECOND) == {}, "no period has passed"


def test_without_a_limit_there_is_no_share_of_it(tmp_path):
    (tmp_path / "fs/cgroup/a").mkdir(parents=True)
    (tmp_path / "fs/cgroup/a/cpu.stat").write_text("usage_usec 5\n")
    limits = Throttling(tmp_path)
    for tick in range(3):
        assert limits.look(["2:/a", "2:/gone"], tick * 10 * SECOND) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/system.slice/a.service\n", "2:/system.slice/a.service"),
        ("12:memory:/m\n4:cpu,cpuacct:/docker/x\n0::/u\n", "1:/docker/x"),
        ("0::/u\n4:cpuset:/x\n", "2:/u"),
        ("0::/../../up\n", ""),
        ("", ""),
        ("nonsense\n", ""),
    ],
)
def test_the_group_that_limits_the_cpu(text, expected):
    assert cpu_group(text) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"A=1\0CUDA_VISIBLE_DEVICES=0,1\0TOKEN=x\0", "0,1"),
        (b"CUDA_VISIBLE_DEVICES=GPU-8f1c-2a, GPU-1\0", "GPU-8f1c-2a, GPU-1"),
        (b"CUDA_VISIBLE_DEVICES=MIG-GPU-8f/1/0", "MIG-GPU-8f/1/0"),
        (b"MY_CUDA_VISIBLE_DEVICES=0\0", ""),
        (b"CUDA_VISIBLE_DEVICES=\0", ""),
        (b"CUDA_VISIBLE_DEVICES=0\x1b[31m\0", ""),
        (b"CUDA_VISIBLE_DEVICES=" + b"0," * 600 + b"\0", ""),
    ],
)
def test_only_a_list_of_gpus_is_taken_from_an_environment(raw, expected):
    assert visible_from_environ(raw) == expected


def test_a_process_on_a_gpu_tells_which_gpus_it_was_given_and_others_are_not_asked(proc, watch):
    proc.add(60, ppid=50, environ=b"CUDA_VISIBLE_DEVICES=7\0")
    proc.add(50, environ=b"CUDA_VISIBLE_DEVICES=0,1\0SECRET=x\0")
    watcher = watch()
    watcher.tick(50)
    assert {pid: process.visible_gpus for pid, process in watcher.processes.items()} == {50: "0,1", 60: ""}
    (proc.root / "50" / "environ").write_bytes(b"CUDA_VISIBLE_DEVICES=5\0")
    watcher.tick(50, 51)
    assert watcher.processes[50].visible_gpus == "0,1", "read once"
    proc.stat(50, "python4")
    watcher.tick(50)
    assert watcher.processes[50].visible_gpus == "5", "another program"


def test_an_environment_that_cannot_be_read_names_no_gpus(proc, watch):
    proc.add(50)
    (proc.root / "50" / "environ").unlink()
    watcher = watch()
    watcher.tick(50)
    assert watcher.processes[50].visible_gpus == ""


def test_a_sample_says_state_busiest_thread_and_throttling(proc, tmp_path):
    sys_root, pids, clock = tmp_path / "sys", WatchedPids(), FakeClock(1_763_001_000.0)
    cgroup(sys_root, "job", 100, 0)
    proc.add(50, cgroup="0::/job\n", state="R")
    proc.add(60, cgroup="0::/job\n", state="D")
    threads(proc.root, t50=1)
    collector = ProcsCollector(CollectorContext(clock=clock, proc_root=proc.root, sys_root=sys_root, gpu_pids=pids))
    collector.open()
    pids.publish("test", [50])
    for tick in range(8):
        clock.advance(2)
        proc.stat(50, state="R", cpu=tick * 2 * procfs.CLOCK_TICKS)
        if tick:
            threads(proc.root, t50=1.9)
        cgroup(sys_root, "job", 100 + 20 * tick, 5 * tick)
        batch = collector.collect(clock.time())
    (sample,) = batch.process_samples
    assert chr(sample.run_state) == "R"
    assert sample.thread_cpu_ratio == pytest.approx(0.95)
    assert sample.cpu_throttled_ratio == pytest.approx(0.25)
