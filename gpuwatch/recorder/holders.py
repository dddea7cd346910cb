"""Which job holds which GPU: by the rows of its processes, and by the GPUs that a process was told it may see."""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.measure import measures
from gpuwatch.model import Process, ProcessSample
from gpuwatch.recorder.people import People
from gpuwatch.store.rows import ProcessRow
from gpuwatch.visible import named_gpus

Key = tuple[int, int]
"""(pid, start_ms) of a process, or of the root of its job."""
_NOTHING: tuple[str, ...] = ()
_NOBODY: frozenset[Key] = frozenset()
_MEMORY, _ASIDE_MIB = tuple(measures(ProcessSample)).index("gpu_memory_bytes"), 1024
"""Who holds less (a monitor of GPUs, a desktop) takes no part in the work of a GPU."""


class Holders:
    """As of the last look at the processes; ``version`` tells whether anything has changed since."""

    def __init__(self, people: People) -> None:
        self.version = 0
        self._people = people
        self._seen: list[tuple[str, int, int, Process | None, bool]] = []
        self._known_gpus = 0
        self._of_process: dict[Key, tuple[str, ...]] = {}
        self._of_job: dict[Key, tuple[str, ...]] = {}
        self._job: dict[Key, Key] = {}
        self._jobs: dict[str, frozenset[Key]] = {}
        self._others: dict[str, frozenset[str]] = {}
        self._given_ms: dict[str, int] = {}
        self._on: frozenset[str] = frozenset()

    def look(self, rows: Iterable[ProcessRow]) -> None:
        """Take in all processes that are watched now."""
        find = self._people.find
        seen = [
            (row.gpu_uuid, row.pid, row.start_ms, find(row.pid), (memory := row.values[_MEMORY]) is None or memory >= _ASIDE_MIB)
            for row in rows
            if row.gpu_uuid
        ]
        if seen == self._seen and self._known_gpus == len(self._people.gpus):
            return
        self._seen, self._known_gpus = seen, len(self._people.gpus)
        self.version += 1
        self._work_out()

    def of_process(self, key: Key) -> tuple[str, ...]:
        """The GPUs on which a process is."""
        return self._of_process.get(key, _NOTHING)

    def of_job(self, root: Key) -> tuple[str, ...]:
        """The GPUs on which processes of a job are."""
        return self._of_job.get(root, _NOTHING)

    def strangers(self, uuid: str, process: Key, root: Key) -> bool:
        """Whether work of other jobs than that of a process (or of this root) is on a GPU."""
        return not self._jobs.get(uuid, _NOBODY) <= {root, self._job.get(process, root)}

    def others(self, uuid: str) -> frozenset[str] | None:
        """The other GPUs of the jobs that hold this one or were given it; ``None``: no job is known to have it."""
        return self._others.get(uuid)

    def held(self, uuid: str) -> bool:
        """Whether a process is on this GPU."""
        return uuid in self._on

    def given_ms(self, uuid: str) -> int | None:
        """Since when a process is there that was given this GPU (unix milliseconds); ``None``: there is none."""
        return self._given_ms.get(uuid)

    def _work_out(self) -> None:
        of_process: dict[Key, list[str]] = {}
        held: dict[Key, dict[str, None]] = {}
        jobs: dict[Key, Key] = {}
        who: dict[Key, Process] = {}
        working: dict[str, set[Key]] = {}
        for uuid, pid, start_ms, process, works in self._seen:
            key = pid, start_ms
            of_process.setdefault(key, []).append(uuid)
            if process is not None and process.key == key:
                who[key] = process
            jobs[key] = root = _job(key, who.get(key))
            held.setdefault(root, {})[uuid] = None
            if works:
                working.setdefault(uuid, set()).add(root)
        given = {root: set(uuids) for root, uuids in held.items()}
        self._on = frozenset(uuid for uuid, *_ in self._seen)
        self._given_ms = {}
        for key, process in who.items():
            named = self._named(process, of_process[key])
            given[jobs[key]].update(named)
            for uuid in named:
                self._given_ms[uuid] = min(key[1], self._given_ms.get(uuid, key[1]))
        others: dict[str, set[str]] = {}
        for uuids in given.values():
            for uuid in uuids:
                others.setdefault(uuid, set()).update(uuids - {uuid})
        self._of_process = {key: tuple(uuids) for key, uuids in of_process.items()}
        self._of_job = {root: tuple(uuids) for root, uuids in held.items()}
        self._job = jobs
        self._jobs = {uuid: frozenset(roots) for uuid, roots in working.items()}
        self._others = {uuid: frozenset(found) for uuid, found in others.items()}

    def _named(self, process: Process, held: list[str]) -> set[str]:
        """The GPUs that ``CUDA_VISIBLE_DEVICES`` of a process names."""
        if not process.visible_gpus:
            return set()
        gpus = self._people.gpus.values()
        return named_gpus(process.visible_gpus, held, gpus, container=process.container, job=process.job)


def _job(key: Key, process: Process | None) -> Key:
    """The root of a process' job; one that nobody has described is a job of its own."""
    if process is None or not process.workload_pid:
        return key
    return process.workload_pid, process.workload_start_ms
