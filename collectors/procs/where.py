"""Where a process runs: container, Kubernetes pod and Slurm job from its cgroup path, terminal session from its ancestors."""

from __future__ import annotations

import re
from functools import lru_cache

from gpuwatch.dataclass import NamedTuple
from gpuwatch.text import lazy

_SLURM = lazy(r"/job_(\d+)(?:[/.]|$)")
_POD = lazy(r"pod([0-9a-f]{8}[-_](?:[0-9a-f]{4}[-_]){3}[0-9a-f]{12}|[0-9a-f]{32})(?:[/.]|$)")
_SCOPE = lazy(r"(?:^|/)(docker|cri-containerd|containerd|crio|libpod|nerdctl|podman)-([0-9a-f]{12,64})(?:\.scope)?(?:/|$)")
_FOLDER = lazy(r"/(docker|lxc|garden|actions_job)/([0-9a-f]{12,64})(?:/|$)")
_BARE = lazy(r"/([0-9a-f]{64})(?:/|$)")
_LXC = lazy(r"/lxc(?:\.payload)?[./]([\w.\-]{1,64})(?:/|$)")
_MACHINE = lazy(r"/machine-([\w.\\\-]{1,80})\.scope(?:/|$)")
_NAMES = {"cri-containerd": "containerd", "crio": "cri-o", "libpod": "podman"}


class Where(NamedTuple):
    """``container`` is ``docker:0123456789ab`` (engine and the first 12 digits of its id), ``pod`` a uid, ``slurm`` a job id."""

    container: str = ""
    pod: str = ""
    slurm: str = ""


@lru_cache(maxsize=128)
def parse_cgroup(text: str) -> Where:
    """All that the lines of /proc/PID/cgroup tell, version 1 and 2, systemd and cgroupfs drivers.

    Remembered: all processes of a job or session say the same.
    """
    container = pod = slurm = ""
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        if "slurm" in path and (found := _SLURM.search(path)):
            slurm = slurm or found[1]
        if "kubepods" in path and (found := _POD.search(path)):
            pod = pod or found[1].replace("_", "-")
        container = container or _container(path)
    return Where(container, pod, slurm)


def _container(path: str) -> str:
    if found := _SCOPE.search(path) or _FOLDER.search(path):
        return f"{_NAMES.get(found[1], found[1])}:{found[2][:12]}"
    if "kubepods" in path and (found := _BARE.search(path)):
        return f"containerd:{found[1][:12]}"
    if found := _LXC.search(path):
        return f"lxc:{found[1]}"
    if found := _MACHINE.search(path):
        return f"machine:{found[1]}"
    return ""


@lru_cache(maxsize=128)
def cpu_group(text: str) -> str:
    """The control group that limits the CPU, by the lines of /proc/PID/cgroup: ``1:`` or ``2:`` (the version) and its path; or empty.

    A path that leads out of what this namespace shows has none.
    """
    found = ""
    for line in text.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "/.." in path:
            continue
        if "cpu" in controllers.split(","):
            return f"1:{path}"  # where both are mounted, the old one has the controller
        if not controllers and path:
            found = f"2:{path}"
    return found


def visible_from_environ(raw: bytes) -> str:
    """The one variable CUDA_VISIBLE_DEVICES: a list of numbers or UUIDs; everything else in ``raw`` is dropped with it."""
    found = re.search(rb"(?:^|\0)CUDA_VISIBLE_DEVICES=([0-9A-Za-z,/ -]{1,1024})(?:\0|$)", raw)
    return found[1].decode().strip() if found else ""


def world_from_environ(raw: bytes) -> int:
    """How many processes train together by WORLD_SIZE, 1 without it; everything else in ``raw`` is dropped with it."""
    found = re.search(rb"(?:^|\0)WORLD_SIZE=(\d{1,9})(?:\0|$)", raw)
    return int(found[1]) if found else 1


def slurm_from_environ(raw: bytes) -> str:
    """The one variable that is looked at, SLURM_JOB_ID; everything else in ``raw`` is dropped with it."""
    found = re.search(rb"(?:^|\0)SLURM_JOB_ID=(\d{1,12})(?:\0|$)", raw)
    return found[1].decode() if found else ""
