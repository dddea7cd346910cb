"""What ``doctor`` says about who sees which processes, and the collector on the real /proc of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpuwatch import procfs
from gpuwatch.collectors.procs import factory
from gpuwatch.collectors.procs.visibility import look, visibility
from gpuwatch.plugin import CollectorContext

CODE = "print(1, flush=True); input()"


def mounted(proc, options: str) -> None:
    (proc.root / "self").mkdir(exist_ok=True)
    (proc.root / "self" / "mountinfo").write_text(
        f"25 1 0:22 / /proc rw,nosuid - proc proc {options}\n26 1 8:1 / / rw - ext4 /dev/sda rw\n"
    )


@pytest.mark.parametrize(
    ("options", "value"), [("rw", 0), ("rw,gid=4,hidepid=2", 2), ("rw,hidepid=invisible", 2), ("rw,hidepid=odd", None)]
)
def test_hidepid_from_the_mount_options(proc, options, value):
    mounted(proc, options)
    assert look(proc.root).hidepid == value


def test_a_user_on_an_open_host_is_told_what_root_would_add(proc):
    mounted(proc, "rw")
    proc.add(2, "kthreadd", [], ppid=0, flags=procfs.PF_KTHREAD)
    seen = look(proc.root, uid=1000)
    assert (seen.host_namespace, seen.listed, seen.io_tried) == (True, 2, 2)
    text = "\n".join(seen.lines())
    assert "running as user 1000" in text and "as a user: all processes" in text and "as root: also disk figures" in text
    assert "hidepid" not in text and "container" not in text


def test_hidepid_and_containers_are_said_with_the_remedy(proc):
    mounted(proc, "rw,hidepid=2")
    text = "\n".join(look(proc.root, uid=1000).lines())
    assert "a user sees own processes only, root sees all" in text and "remount,hidepid=2,gid=GROUP" in text
    assert "inside a container" in text and "--pid=host" in text


def test_root_is_not_told_to_become_root(proc):
    mounted(proc, "rw,hidepid=2")
    text = "\n".join(look(proc.root, uid=0).lines())
    assert visibility(CollectorContext(proc_root=proc.root)) == look(proc.root).lines()
    assert "running as root" in text and "sudo" not in text and "remount" not in text


def test_no_proc_at_all(tmp_path):
    seen = look(tmp_path / "none")
    assert (seen.listed, seen.hidepid, seen.host_namespace) == (0, None, False)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc")
def test_a_real_child_is_read_as_it_is():
    before = time.time()
    child = subprocess.Popen([sys.executable, "-c", CODE, "--token", "geheim"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    try:
        context = CollectorContext()
        context.gpu_pids.publish("test", [child.pid, os.getpid()])
        collector = factory(context)
        collector.open()
        batch = collector.collect(before)
        (process,) = [process for process in batch.processes or () if process.pid == child.pid]
        assert process.command == f"{sys.executable} -c {CODE} --token ••••••••"
        assert (process.uid, process.role, process.parent_pid) == (os.getuid(), "gpu", os.getpid())
        assert abs(process.start_ms / 1000 - before) < 60
        (sample,) = [sample for sample in batch.process_samples if sample.pid == child.pid]
        assert sample.rss_bytes and sample.rss_bytes > 1 << 20
        assert "geheim" not in repr(batch)
    finally:
        child.communicate(b"\n")
