"""A command to be run: tells what it was given (``argv``), what it is (``world``), or which signals come (``listen``)."""

import json
import os
import select
import signal
import sys

TOLD = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM", "SIGRTMIN", "SIGCONT")


def world():
    """All that a process inherits and can see of it, but who its parent is."""
    status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines() if ":" in line)
    names = ("SigBlk", "SigIgn", "SigCgt", "Uid", "Gid", "Umask", "Cpus_allowed", "NoNewPrivs", "CapEff")
    return {
        **{name: status[name].strip() for name in names},
        "limits": read("/proc/self/limits"),
        "nice": os.nice(0),
        "oom": read("/proc/self/oom_score_adj"),
        "cwd": os.getcwd(),
        "session": os.getsid(0),
        "descriptors": sorted(filter(None, map(opened, os.listdir("/proc/self/fd")))),
        "terminal": [os.isatty(n) for n in range(3)],
        "in the foreground group": terminal_group() == os.getpgid(0),
        "environment": dict(entry.split("=", 1) for entry in read("/proc/self/environ").split("\0") if "=" in entry),
    }


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def opened(number):
    """What stands behind a descriptor; pipes have a number of their own each time."""
    try:
        name = os.readlink("/proc/self/fd/" + number)
    except OSError:
        return ""
    return number + " " + ("pipe" if name.startswith("pipe:") else name if not name.startswith("/proc/") else "")


def terminal_group():
    try:
        return os.tcgetpgrp(0)
    except OSError:
        return None


def listen():
    """A line for each signal, in the order of their coming; ends with its input, or with exit code 5 by SIGUSR2."""
    come, coming = os.pipe()
    os.set_blocking(coming, False)
    signal.set_wakeup_fd(coming)
    for name in TOLD:
        signal.signal(getattr(signal, name), lambda *_: None)
    print("ready", os.getpid(), flush=True)
    inputs = [come] if os.isatty(0) else [come, 0]
    while True:
        ready = select.select(inputs, [], [])[0]
        for number in os.read(come, 64) if come in ready else b"":
            size = os.get_terminal_size(0) if number == signal.SIGWINCH and os.isatty(0) else ()
            print(signal.Signals(number).name, *size, flush=True)
            if number == signal.SIGUSR2:
                sys.exit(5)
        if 0 in ready and not os.read(0, 64):
            return


if sys.argv[1] == "argv":
    sys.stdout.buffer.write(b"\0".join(os.fsencode(read("/proc/self/cmdline")).split(b"\0")[5:-1]))
elif sys.argv[1] == "world":
    print(json.dumps(world()))
else:
    listen()
