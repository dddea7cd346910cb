"""Lines for flat scenarios: whole GPUs of a class, and faults."""

from __future__ import annotations

from collections.abc import Iterable

from ._build import HERE

CLASSES = tuple(sorted(path.stem for path in (HERE / "profiles").glob("*.txt")))
"""The GPU classes with a table of answers."""

SLOW = {
    "nvmlDeviceGetPcieThroughput": 20_000,
    "nvmlDeviceGetComputeRunningProcesses*": 4_500,
    "nvmlDeviceGetGraphicsRunningProcesses*": 4_500,
    "nvmlDeviceGetMPSComputeRunningProcesses*": 4_500,
    "nvmlDeviceGetProcessUtilization": 1_000,
    "nvmlDeviceGetProcessesUtilizationInfo": 1_000,
    "nvmlDeviceGetFanSpeed*": 137,
    "nvmlDeviceGetMemoryInfo*": 12,
    "nvmlDeviceGet*": 45,
}
"""Latency of a slow driver in microseconds, as public measurements of real ones have it; the first match counts."""


def profile(name: str) -> dict[str, tuple[int, str]]:
    """A class's table: key -> (return code, example as text)."""
    table = {}
    for line in (HERE / "profiles" / f"{name}.txt").read_text().splitlines():
        if line.startswith(("nvml", "FI:", "process.")):
            key, code, *value = line.split(" ", 2)
            table[key] = int(code), "".join(value)
        elif not line.startswith("#"):
            key, _, text = line.partition(" ")
            table[key] = 0, text
    return table


def of_class(name: str, gpus: int = 1, *, driver: str = "", attributes: str = "", values: Iterable[str] = ()) -> str:
    """A scenario of ``gpus`` GPUs of one class that stand still at the class's example values.

    ``driver`` is the class's own unless given; ``attributes`` are added to each ``gpu`` line; ``values`` are further lines.
    """
    driver = driver or profile(name)["driver"][1]
    head = ["gpuwatch-scenario 1", f"name {name}", f"driver {driver}", "loop_ms 0"]
    return "\n".join([*head, *(f"gpu {i} profile={name} {attributes}".rstrip() for i in range(gpus)), *values]) + "\n"


def fault(
    kind: str,
    call: str = "-",
    *,
    gpu: int | None = None,
    arg: int = 0,
    at_ms: int = 0,
    for_ms: int = 0,
    first: int = 0,
    after: int = 0,
) -> str:
    """One fault line. ``kind``: call (returns ``arg``), slow (``arg`` us), hang, lost, reset, mismatch, driver_gone.

    ``call`` may end in ``*``; ``for_ms`` 0 is for ever; ``first``/``after`` limit it to the first n matching calls, or those after n.
    """
    limits = (f" first={first}" if first else "") + (f" after={after}" if after else "")
    return f"fault {at_ms} {for_ms} {'*' if gpu is None else gpu} {kind} {call} {arg}{limits}"


def slow_driver() -> list[str]:
    """Faults that give every call the latency of a real, slow driver."""
    return [fault("slow", call, arg=us) for call, us in SLOW.items()]
