"""``gpuwatch record``: the headless recorder, alone or as the child of a screen."""

from __future__ import annotations

import argparse
import gc
import os
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING

from gpuwatch.errors import UsageError

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """A duration as people write it: ``1s``, ``500ms`` is refused (the grid is whole seconds), ``5m``, ``2h``, ``1d``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not a duration: write it as 1s, 5m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2]]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "record",
        help="record without a screen",
        description="Record this host until interrupted. A second recorder on the same store waits and takes over when the first ends.",
    )
    parser.add_argument("--interval", type=seconds, metavar="1s", help="time between two samples, 1s to 60s")
    parser.add_argument("--for", type=seconds, dest="duration", metavar="5m", help="stop by itself after this time")
    parser.add_argument("--print-unit", choices=("system", "user"), help="print a systemd unit for this installation and exit")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--linger", type=seconds, default=0.0, help=argparse.SUPPRESS)
    return parser


def run(args: argparse.Namespace, runtime: Runtime) -> int:
    """Record until a signal, ``--for`` or (as a child) the end of the parent."""
    if args.print_unit:
        print(unit(args.print_unit), end="")
        return 0
    gc.disable()  # the recorder begins with it when it has started: until then nothing becomes garbage
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: _set_from_signal(stop))
    if args.child:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # gpuwatch run blocks signals, and its children inherit that
        threading.Thread(target=_stop_with_parent, args=(stop, args.linger), name="parent", daemon=True).start()
    try:
        return runtime.record(stop, duration=args.duration, wait_for_lease=not args.child, talk=not args.child)
    finally:
        gc.enable()


def _set_from_signal(stop: threading.Event) -> None:
    """A handler runs inside whatever the main thread does, perhaps while it holds the event's own lock: a thread can wait for that."""
    threading.Thread(target=stop.set, name="signal", daemon=True).start()


def unit(kind: str) -> str:
    """The text of the systemd unit, with the path of this installation's command filled in."""
    import shutil
    from importlib.resources import files

    name = "gpuwatch.service" if kind == "system" else "gpuwatch-user.service"
    program = shutil.which("gpuwatch") or f"{sys.executable} -m gpuwatch"
    beside = os.path.join(os.path.dirname(sys.executable), "gpuwatch")
    if os.access(beside, os.X_OK):
        program = beside
    if any(character.isspace() for character in os.path.dirname(program)):
        raise UsageError(f"systemd cannot run a program whose path has spaces: {program}")
    return files("gpuwatch").joinpath("units", name).read_text(encoding="utf-8").replace("@GPUWATCH@", program)


def _stop_with_parent(stop: threading.Event, linger: float) -> None:
    """The parent holds the other end of stdin: when it ends, however it ends, reading ends too; then ``linger`` seconds more."""
    try:
        while os.read(0, 1024):
            pass
    except OSError:
        pass
    stop.wait(linger)
    stop.set()
