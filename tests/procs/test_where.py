"""Containers, pods and Slurm jobs from cgroup paths; sessions from ancestors; the environment opened for Slurm alone."""

from __future__ import annotations

import pytest

from gpuwatch import procfs
from gpuwatch.collectors.procs.where import Where, parse_cgroup, slurm_from_environ

ID = "0123456789ab" + "c" * 52
UID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("0::/user.slice/user-1000.slice/session-3.scope\n", Where()),
        ("", Where()),
        (f"0::/system.slice/docker-{ID}.scope\n", Where("docker:0123456789ab")),
        (f"12:devices:/docker/{ID}\n11:cpu:/docker/{ID}\n", Where("docker:0123456789ab")),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", Where("podman:0123456789ab")),
        (
            f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope\n",
            Where("containerd:0123456789ab", UID),
        ),
        (f"4:memory:/kubepods/besteffort/pod{UID}/{ID}\n", Where("containerd:0123456789ab", UID)),
        (f"0::/kubepods.slice/kubepods-pod{'a' * 32}.slice/crio-{ID}.scope\n", Where("cri-o:0123456789ab", "a" * 32)),
        ("0::/system.slice/slurmstepd.scope/job_4242/step_0/user/task_3\n", Where(slurm="4242")),
        ("5:devices:/slurm/uid_1000/job_77/step_batch\n", Where(slurm="77")),
        ("0::/lxc.payload.box/init.scope\n", Where("lxc:box")),
        ("0::/home/job_12/x\n", Where()),
    ],
)
def test_cgroup_paths(text, where):
    assert parse_cgroup(text) == where


def test_only_the_job_id_is_taken_from_an_environment():
    assert slurm_from_environ(b"A=1\0SLURM_JOB_ID=99\0HF_TOKEN=x\0") == "99"
    assert slurm_from_environ(b"SLURM_JOB_ID=1\0") == "1"
    assert slurm_from_environ(b"MY_SLURM_JOB_ID=99\0SLURM_JOB_ID=rm -rf\0") == ""


def test_the_environment_is_opened_only_of_gpu_processes_and_below_slurm(proc, watch, monkeypatch):
    proc.add(10, "slurmstepd", ["slurmstepd: [5.0]"], start=1)
    proc.add(20, ppid=10, start=2, environ=b"SLURM_JOB_ID=5\0SECRET=x\0")
    proc.add(30, environ=b"SLURM_JOB_ID=6\0")
    proc.add(40, "bash", ["bash"], start=2)
    proc.add(50, ppid=40, environ=b"SLURM_JOB_ID=7\0")
    opened = []
    original = procfs.read
    monkeypatch.setattr(procfs, "read", lambda path, limit=65536: (opened.append(path), original(path, limit))[1])
    watcher = watch()
    watcher.tick(20, 30)
    watcher.tick(20, 30)
    assert {pid: process.job for pid, process in watcher.processes.items() if pid in (20, 30)} == {20: "slurm:5", 30: ""}
    found = sorted(path for path in opened if path.endswith("environ"))
    assert found == [f"{proc.root}/20/environ", f"{proc.root}/20/environ", f"{proc.root}/30/environ"], (
        "once for the job, once for GPUs"
    )


def test_jobs_of_containers_and_terminal_sessions(proc, watch):
    proc.add(5, "tmux: server", ["tmux", "new", "-s", "work"], start=1)
    proc.add(6, "bash", ["-bash"], ppid=5, start=2)
    proc.add(7, ppid=6, start=3)
    proc.add(8, "screen", ["SCREEN", "-dmS", "night", "bash"], start=1)
    proc.add(9, ppid=8, start=2)
    proc.add(20, cgroup=f"0::/system.slice/docker-{ID}.scope\n")
    proc.add(21, cgroup=f"0::/kubepods.slice/kubepods-pod{'a' * 32}.slice/crio-{ID}.scope\n")
    watcher = watch()
    watcher.tick(7, 9, 20, 21)
    jobs = {pid: process.job for pid, process in watcher.processes.items()}
    assert jobs == {7: "tmux", 9: "screen:night", 20: "docker:0123456789ab", 21: "pod:" + "a" * 32}
    assert watcher.processes[20].container == "docker:0123456789ab" and watcher.workloads[21].job == jobs[21]


def test_an_unknown_user_is_a_number(proc, watch):
    proc.add(20, uid=4_000_000_123)
    watcher = watch()
    watcher.tick(20)
    assert (watcher.processes[20].uid, watcher.processes[20].user) == (4_000_000_123, "4000000123")
