"""Names, lines and trees that a stranger made to break a reader of /proc."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch import procfs
from gpuwatch.collectors.procs.entry import Entry
from gpuwatch.text import clean

TAIL = b" S 7 8 9 0 -1 4194304 0 0 0 0 11 22 0 0 20 0 1 0 500 999 33 0 0 0\n"


@given(st.binary(max_size=64))
def test_any_name_in_a_stat_line(name):
    stat = procfs.parse_stat(b"42 (" + name + b")" + TAIL)
    assert stat == procfs.Stat(42, name, "S", 7, 9, 4194304, 33, 500, 33)


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error_and_nothing_else(raw):
    try:
        procfs.parse_stat(raw)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "name", [b"a) R 1 1 1 (b", b"two\nlines", b"\xff\xfe", b"\x1b[31mred", b"[bold]x[/]", b"\xe2\x80\xaegnp.exe", b""]
)
def test_hostile_names_and_arguments_arrive_clean(proc, watch, name):
    proc.add(50, name, [b"python3", name, b"--x=\x1b]0;owned\x07"])
    watcher = watch()
    watcher.tick(50)
    process, workload = watcher.processes[50], watcher.workloads[50]
    for text in (process.name, process.command, workload.name):
        assert text == clean(text) and "\x1b" not in text and "\n" not in text
    assert process.start_ms == 1_763_000_100_000


def test_an_endless_command_line_is_cut(proc, watch):
    proc.add(50, argv=["python3", "x.py", *["a" * 1000] * 100])
    watcher = watch()
    watcher.tick(50)
    assert len(watcher.processes[50].command) <= 512


def test_a_secret_at_the_cut_of_the_kernel_read_is_not_shown(proc, watch):
    padding = ["--token", "x" * 16380, "--password=geheim" * 3]
    proc.add(50, argv=["python3", *padding])
    watcher = watch()
    watcher.tick(50)
    assert "x" * 20 not in watcher.processes[50].command and "geheim" not in watcher.processes[50].command


def test_the_argument_that_the_kernel_read_cuts_is_dropped(proc):
    proc.add(50, argv=["python3", "x" * 16370, "hf_abcdefghijklmnop"])
    assert Entry(50, 0, 0).read_argv(str(proc.root)) == ["python3", "x" * 16370]


def test_an_empty_command_line_is_an_empty_text(proc, watch):
    proc.add(50, "odd", [])
    watcher = watch()
    watcher.tick(50)
    assert (watcher.processes[50].name, watcher.processes[50].command) == ("odd", "")


def test_kernel_threads_and_zombies_are_never_watched_unless_the_driver_lists_them(proc, watch):
    proc.add(2, "kthreadd", [], ppid=0, flags=procfs.PF_KTHREAD)
    proc.add(60, argv=["python3", "train.py"])
    proc.add(61, ppid=60, state="Z", argv=[])
    proc.add(62, ppid=60, state="Z", argv=[])
    watcher = watch()
    watcher.tick(2, 60, 62)
    assert watcher.roles == {60: "gpu", 62: "gpu"}


def test_files_that_vanish_or_are_damaged_cost_only_their_process(proc, watch):
    proc.add(50)
    proc.add(51)
    proc.add(52)
    proc.add(53)
    (proc.root / "51" / "stat").unlink()
    (proc.root / "52" / "stat").write_bytes(b"52 (")
    for name in ("cmdline", "status", "cgroup", "io"):
        (proc.root / "53" / name).unlink()
    watcher = watch()
    watcher.tick(50, 51, 52, 53)
    assert set(watcher.processes) == {50, 53}
    assert watcher.processes[53].uid is None and watcher.processes[53].command == ""


def test_a_circle_of_parents_ends(proc, watch):
    proc.add(50, ppid=51)
    proc.add(51, ppid=50)
    watcher = watch()
    watcher.tick(50)
    assert watcher.roles[50] == "gpu"


def test_two_thousand_processes_are_all_seen_at_the_first_tick_and_new_ones_in_slices(proc, watch):
    for pid in range(1000, 3000):
        proc.add(pid, "sleep", ["sleep", "9"], io=None)
    proc.add(2999, "ollama", ["ollama", "serve"])
    watcher = watch()
    watcher.tick()
    assert watcher.roles == {2999: "ml"}
    for pid in range(4000, 5000):
        proc.add(pid, "ollama", ["ollama", "serve"], io=None)
    watcher.tick(4999)
    assert 4999 in watcher.roles and len(watcher.roles) < 600
    watcher.tick(4999)
    assert len(watcher.roles) == 1001
