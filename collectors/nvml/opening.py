"""Why NVML cannot be opened, in words: one clear line and the next thing to try, per cause."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.errors import Unavailable

_INIT_PID_NAMESPACE = "pid:[4026531836]"
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_CONTAINER_MARKS = ("docker", "kubepods", "containerd", "libpod", "crio", "lxc")


def in_pid_namespace(proc_root: Path) -> bool:
    """True when this process lives in a pid namespace of its own, as in a container."""
    try:
        return str((proc_root / "self/ns/pid").readlink()) != _INIT_PID_NAMESPACE
    except OSError:
        return False


def in_container(proc_root: Path) -> bool:
    """True when this looks like a container: an own pid namespace, or a container's control group."""
    if in_pid_namespace(proc_root):
        return True
    try:
        groups = (proc_root / "self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(mark in groups for mark in _CONTAINER_MARKS)


def explain(code: int, *, container: bool, was_open: bool) -> Unavailable:
    """The error for a user behind the return code of ``nvmlInit``; ``was_open``: this process had NVML open before."""
    if code == nvml.NO_BINDING:
        return Unavailable("The Python module pynvml is not installed", "pip install nvidia-ml-py")
    if code == nvml.LIBRARY_NOT_FOUND:
        hint = (
            "start the container with the NVIDIA runtime, e.g. docker run --gpus all"
            if container
            else "install the NVIDIA driver; without an NVIDIA GPU nothing is missing"
        )
        return Unavailable("No NVIDIA driver library (libnvidia-ml.so.1) is installed here", hint)
    if code == nvml.DRIVER_NOT_LOADED:
        return Unavailable(
            "The NVIDIA driver is installed but its kernel module is not loaded", "sudo modprobe nvidia; sudo dmesg | grep NVRM"
        )
    if code == nvml.MISMATCH and was_open:
        return Unavailable(
            "The NVIDIA driver was upgraded while gpuwatch ran", "restart gpuwatch: a running program keeps the old library"
        )
    if code == nvml.MISMATCH:
        return Unavailable(
            "The NVIDIA kernel module and the driver library have different versions",
            "a driver upgrade is not finished: reboot, or reload the nvidia modules",
        )
    if code == nvml.UNKNOWN and container:
        return Unavailable(
            "The driver answers Unknown Error: this container lost its access to the GPU devices",
            "systemctl daemon-reload on the host revokes it (cgroup): restart the container",
        )
    if code == nvml.NO_PERMISSION:
        return Unavailable(
            "No permission to open the NVIDIA devices", "ls -l /dev/nvidiactl; join its group or ask the administrator"
        )
    if code == nvml.GPU_NOT_FOUND:
        return Unavailable("The NVIDIA driver is loaded but sees no GPU", "lspci -d 10de: ; sudo dmesg | grep NVRM")
    return Unavailable(f"The NVIDIA driver cannot be opened: {TEXTS.get(code, 'Unknown Error')} ({code})", "sudo dmesg | grep NVRM")


TEXTS = {
    nvml.UNINITIALIZED: "Uninitialized",
    nvml.NO_PERMISSION: "Insufficient Permissions",
    nvml.DRIVER_NOT_LOADED: "Driver Not Loaded",
    nvml.TIMEOUT: "Timeout",
    nvml.GPU_IS_LOST: "GPU is lost",
    nvml.RESET_REQUIRED: "GPU requires reset",
    nvml.MISMATCH: "Driver/library version mismatch",
    nvml.GPU_NOT_FOUND: "GPU not found",
    nvml.UNKNOWN: "Unknown Error",
}
"""NVML's own words for the codes that reach people."""


def power_managed(sys_root: Path, bus_id: str) -> bool:
    """True when the kernel is allowed to suspend this PCI device."""
    return _power(sys_root, bus_id, "control") == "auto"


def may_sleep(proc_root: Path, sys_root: Path, bus_id: str) -> bool:
    """True when this GPU really sleeps when nobody uses it, as in laptops.

    The kernel must be allowed to suspend it (``power/control``), and either the driver says that it does so (Runtime D3) or it
    has slept since boot: on many servers the kernel is allowed to, and it never happens.
    """
    if not power_managed(sys_root, bus_id):
        return False
    if _power(sys_root, bus_id, "runtime_suspended_time") not in ("", "0"):
        return True
    try:
        status = (proc_root / "driver/nvidia/gpus" / bus_id / "power").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.startswith("Runtime D3 status") and "Enabled" in line for line in status.splitlines())


def sleeping(sys_root: Path, bus_id: str) -> bool:
    """True when the kernel has suspended this PCI device: a query would wake it (seconds, and watts on a laptop)."""
    return _power(sys_root, bus_id, "runtime_status") == "suspended"


def _power(sys_root: Path, bus_id: str, name: str) -> str:
    try:
        return (sys_root / "bus/pci/devices" / bus_id / "power" / name).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def nvidia_devices(sys_root: Path) -> Sequence[str]:
    """PCI addresses of NVIDIA display and 3D controllers, without touching a driver."""
    found = []
    try:
        entries = sorted((sys_root / "bus/pci/devices").iterdir())
    except OSError:
        return []
    for entry in entries:
        try:
            vendor = (entry / "vendor").read_text(encoding="utf-8", errors="replace").strip()
            kind = (entry / "class").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            found.append(entry.name)
    return found


def all_sleep(sys_root: Path) -> bool:
    """True when there are NVIDIA GPUs and every one of them is suspended."""
    devices = nvidia_devices(sys_root)
    return bool(devices) and all(sleeping(sys_root, bus_id) for bus_id in devices)
