"""The door for collectors: a protocol of three methods, found by the entry-point group ``gpuwatch.collectors``.

Built-in collectors come through the same door as a stranger's.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from gpuwatch.clock import Clock, SystemClock
from gpuwatch.dataclass import dataclass, field
from gpuwatch.model import Batch

GROUP = "gpuwatch.collectors"


class WatchedPids:
    """Which pids a driver sees on GPUs right now: written by driver collectors, read by the process collector. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pids: dict[str, frozenset[int]] = {}
        self.changed = threading.Event()

    def publish(self, collector: str, pids: Iterable[int]) -> None:
        """Replace what ``collector`` sees; sets ``changed`` when a new pid appears."""
        seen = frozenset(pids)
        with self._lock:
            fresh = seen - self._pids.get(collector, frozenset())
            self._pids[collector] = seen
        if fresh:
            self.changed.set()

    def current(self) -> frozenset[int]:
        """The union over all collectors."""
        with self._lock:
            return frozenset().union(*self._pids.values())


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A process that serves inference, by its command line; what it says there of where it listens.

    ``workload`` is the key of the workload that its tree is (root pid, root start, port or 0). ``port`` is 0 when the
    command line does not tell it. ``uid`` owns the process; ``worker`` is True for a process of the engine that does
    GPU work and is never to be asked. ``metrics_port`` is the port of the page where the command line names one of its own. ``flags``
    are names of options that say where it listens, without values.
    """

    pid: int
    start_ms: int
    uid: int | None
    workload: tuple[int, int, int]
    engine: str
    model: str = ""
    port: int = 0
    tls: bool = False
    worker: bool = False
    flags: frozenset[str] = frozenset()
    parent_pid: int = 0
    """The process above it in the same workload, 0 for the root."""
    metrics_port: int = 0


class ServerBoard:
    """Which serving processes there are now: written by the process collector, read by the inference collector. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: tuple[ServerProcess, ...] = ()
        self._version = 0

    def publish(self, servers: Iterable[ServerProcess]) -> None:
        """Replace what is known."""
        found = tuple(servers)
        with self._lock:
            if found != self._servers:
                self._servers, self._version = found, self._version + 1

    def current(self) -> tuple[int, tuple[ServerProcess, ...]]:
        """A number that changes with every change, and the processes."""
        with self._lock:
            return self._version, self._servers


@dataclass(frozen=True, slots=True)
class JobProcess:
    """A process of a job that is no inference server; ``workload`` is the root (pid, start) of its tree, ``training`` what its tree is
    by its command lines or by what was seen of its steps.
    """

    pid: int
    start_ms: int
    uid: int | None
    workload: tuple[int, int]
    training: bool = False
    python: bool = False
    parent_pid: int = 0
    command: str = ""
    """Redacted."""
    name: str = ""
    """The workload's."""


class TrainerBoard:
    """Which jobs there are, and which of their processes train: the process collector tells the first, the training collector the
    second. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: tuple[JobProcess, ...] = ()
        self._version = 0
        self._stepping: frozenset[int] = frozenset()

    def publish(self, jobs: Iterable[JobProcess]) -> None:
        """Replace what is known of the jobs."""
        found = tuple(jobs)
        with self._lock:
            if found != self._jobs:
                self._jobs, self._version = found, self._version + 1

    def current(self) -> tuple[int, tuple[JobProcess, ...]]:
        """A number that changes with every change, and the processes."""
        with self._lock:
            return self._version, self._jobs

    def trains(self, pids: Iterable[int]) -> None:
        """Replace which processes are known to train."""
        found = frozenset(pids)
        with self._lock:
            self._stepping = found

    def training(self) -> frozenset[int]:
        """Pids of processes that are known to train, whatever their command lines say."""
        with self._lock:
            return self._stepping


@dataclass(frozen=True, slots=True)
class CollectorContext:
    """What a collector is given: nothing here is global, so tests inject all of it."""

    clock: Clock = field(default_factory=SystemClock)
    proc_root: Path = Path("/proc")
    sys_root: Path = Path("/sys")
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("gpuwatch.collectors"))
    gpu_pids: WatchedPids = field(default_factory=WatchedPids)
    servers: ServerBoard = field(default_factory=ServerBoard)
    trainers: TrainerBoard = field(default_factory=TrainerBoard)
    options: Mapping[str, Any] = field(default_factory=dict)
    """The collector's own section of the configuration (``[collectors.NAME]``) plus ``command_lines``."""


class Collector(Protocol):
    """One source of data.

    ``open`` imports the vendor library and connects; it raises :class:`gpuwatch.errors.Unavailable` with reason and hint.
    ``collect`` reads once for the grid second ``now`` and never raises for a single missing value (that is ``None`` plus a
    reason). An exception from it is a broken source: the recorder closes it, backs off and opens it again.
    """

    name: str
    interval_seconds: float

    def open(self) -> None: ...

    def collect(self, now: float) -> Batch: ...

    def close(self) -> None: ...


Factory = Callable[[CollectorContext], Collector]


def names() -> list[str]:
    """Names of all installed collectors, without importing any of them."""
    return sorted(_installed(tuple(sys.path)))


def load(name: str) -> Factory:
    """The factory behind one name. Raises ``KeyError`` if there is none, or whatever its import raises."""
    from importlib import import_module

    module, _, attribute = _installed(tuple(sys.path))[name].partition(":")
    factory: Factory = getattr(import_module(module.strip()), attribute.strip())
    return factory


@cache
def _installed(folders: tuple[str, ...]) -> dict[str, str]:
    """Name -> ``module:attribute`` of the group, read straight from the installed metadata in ``folders`` and remembered.

    ``importlib.metadata`` answers the same but costs 50 ms of imports, a third of what ``status`` may take; it is the fallback
    for whatever is not a plain folder on the path (a zip file).
    """
    found: dict[str, str] = {}
    for folder in folders:
        try:
            entries = [entry for entry in os.scandir(folder or ".") if entry.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for entry in entries:
            for name, target in _group_of(os.path.join(entry.path, "entry_points.txt")):
                found.setdefault(name, target)
    if not found:
        from importlib.metadata import entry_points

        found = {point.name: point.value for point in entry_points(group=GROUP)}
    return found


def _group_of(path: str) -> list[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError):
        return []
    section = text.partition(f"[{GROUP}]")[2].partition("\n[")[0]
    pairs = [line.split("=", 1) for line in section.splitlines() if "=" in line]
    return [(name.strip(), target.split("[", 1)[0].strip()) for name, target in pairs]
