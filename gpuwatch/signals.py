"""Send a signal to exactly the process that a person chose: the pid must still have the start time that was on the screen.

A pid is reused, and a dialog may stay open for minutes. With ``pidfd_open`` (Linux 5.3) the process is pinned first and checked
then, so that no other can get the signal; without it there is a window of some microseconds between check and signal.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from gpuwatch import procfs
from gpuwatch.errors import GpuwatchError


class SignalRefused(GpuwatchError):
    """The signal was not sent; the message says why in one line."""


def send_signal(pid: int, start_ms: int, sig: int, *, proc_root: Path = Path("/proc")) -> None:
    """Send ``sig`` to the process ``pid`` that started at ``start_ms`` (unix milliseconds).

    Raises :class:`SignalRefused` when that process has ended, when its pid belongs to another one now, when it is init, a
    kernel thread or not visible, or when the system does not permit it. Nothing is sent then.
    """
    if pid <= 1:
        raise SignalRefused(f"process {pid} is never signalled")
    name = signal.Signals(sig).name
    try:
        pin = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        raise SignalRefused(f"process {pid} has ended") from None
    except OSError:
        pin = None  # an old kernel or a sandbox without the call: check and signal by number
    try:
        _check(pid, start_ms, proc_root)
        if pin is not None and hasattr(signal, "pidfd_send_signal"):
            signal.pidfd_send_signal(pin, sig)
        else:
            os.kill(pid, sig)
    except ProcessLookupError:
        raise SignalRefused(f"process {pid} has ended") from None
    except PermissionError:
        raise SignalRefused(f"no permission to send {name} to process {pid}", "it belongs to another user") from None
    finally:
        if pin is not None:
            os.close(pin)


def _check(pid: int, start_ms: int, proc_root: Path) -> None:
    root = str(proc_root)
    try:
        stat = procfs.read_stat(root, pid)
        now_ms = procfs.start_ms(procfs.boot_time(root), stat.start_ticks)
    except FileNotFoundError:
        raise SignalRefused(f"process {pid} has ended or is not visible") from None
    except (OSError, ValueError):
        raise SignalRefused(f"the start time of process {pid} cannot be read, so it is not signalled") from None
    if stat.flags & procfs.PF_KTHREAD:
        raise SignalRefused(f"process {pid} belongs to the kernel")
    if stat.state in "ZX":
        raise SignalRefused(f"process {pid} has ended and waits for its parent")
    if not procfs.same_start(now_ms, start_ms):
        raise SignalRefused(f"process {pid} is another one now: the one that was chosen has ended")
