"""Who is there: hosts, GPUs, processes, servers and trainings as the collectors describe them, and which of it the store has not been told yet.

Drivers name pids alone; a process is (pid, start time). A pid is joined to the process that the process collector sees under it.
A pid that has just left its list is still the process that it was: a driver may be asked a moment before it. A pid that it never saw
(another namespace) becomes a process whose start is the moment it was first seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gpuwatch.dataclass import fields, replace
from gpuwatch.model import Batch, Gpu, Host, Process, Server, Workload
from gpuwatch.recorder.told import Told
from gpuwatch.training import Run, Trainer

_PATIENCE_MS = 3000
_FORGET_MS = 6000
_MAX_TRAINED = 1000


class People:
    """The present entities of one host and the changes since they were last taken."""

    def __init__(self) -> None:
        self.gpus: dict[str, Gpu] = {}
        self.sliced: frozenset[str] = frozenset()
        """GPUs whose MIG instances are listed."""
        self._host: Host | None = None
        self._hosts: dict[str, Host] = {}
        self._pids: dict[int, Process] = {}
        self._left: dict[int, Process] = {}
        """Not in the last list, but in the one before, or named by a driver ever since."""
        self._listed: dict[str, Sequence[Gpu]] = {}
        self._described: dict[str, Mapping[int, Process]] = {}
        self._lists: dict[str, Sequence[Process]] = {}
        self._told: dict[tuple[int, int], Process] = {}
        self._workloads: dict[tuple[int, int, int], Workload] = {}
        self._trained: set[tuple[int, int, int]] = set()
        self._servers = Told[Server]()
        self.trainers = Told[Trainer]()
        self.runs = Told[Run]()
        self._first_seen: dict[int, int] = {}
        self._last_seen: dict[int, int] = {}
        self._strangers: dict[int, Process] = {}
        self._new: tuple[list[Gpu], list[Process], list[Workload]] = ([], [], [])
        self._new_host: Host | None = None

    def learn(self, name: str, batch: Batch) -> None:
        """Take in who a batch says is there."""
        if batch.host is not None:
            self._learn_host(name, batch.host)
        for gpu in batch.gpus or ():
            if self.gpus.get(gpu.uuid) != gpu:
                self.gpus[gpu.uuid] = gpu
                self._new[0].append(gpu)
        if batch.gpus is not None:
            self._listed[name] = batch.gpus
            self.sliced = frozenset(gpu.parent_uuid for listed in self._listed.values() for gpu in listed if gpu.parent_uuid)
        if batch.processes is not None and batch.processes is not self._lists.get(name):
            self._lists[name] = batch.processes
            self._described[name] = {process.pid: process for process in batch.processes}
            before = self._pids
            self._pids = {pid: process for known in self._described.values() for pid, process in known.items()}
            named = {pid: process for pid, process in self._left.items() if pid in self._last_seen}
            self._left = {pid: process for pid, process in {**named, **before}.items() if pid not in self._pids}
            for process in batch.processes:
                self._learn_process(process)
            self._forget_processes()
        for workload in batch.workloads or ():
            self._learn_workload(workload)
        for trainer in batch.trainers:
            self._learn_training(trainer)
        self._servers.learn(batch.servers)
        self.trainers.learn(batch.trainers)
        self.runs.learn(batch.runs)

    def _learn_workload(self, workload: Workload) -> None:
        key = workload.root_pid, workload.root_start_ms, workload.port
        if workload.kind == "other" and key in self._trained:
            workload = replace(workload, kind="training")
        if self._workloads.get(key) != workload:
            self._workloads[key] = workload
            self._new[2].append(workload)

    def _learn_training(self, trainer: Trainer) -> None:
        """A workload of which a step was seen is a training, even if the process collector will only see it so the next time."""
        key = trainer.root_pid, trainer.root_start_ms, 0
        if trainer.first_step_ms is None or key in self._trained:
            return
        if len(self._trained) > _MAX_TRAINED:
            self._trained &= self._workloads.keys()
        self._trained.add(key)
        if (known := self._workloads.get(key)) is not None:
            self._learn_workload(known)

    def _learn_host(self, name: str, host: Host) -> None:
        if self._hosts.get(name) == host:
            return
        self._hosts[name] = host
        merged = _merge_hosts(self._hosts[key] for key in sorted(self._hosts))
        if merged is None or merged == self._host or not merged.machine_id:
            return  # a driver knows its version alone: it waits for the collector that knows the machine
        if self._host is not None and merged.machine_id != self._host.machine_id:
            self._new[0].extend(gpu for gpu in self.gpus.values() if gpu not in self._new[0])
            self._new[2].extend(workload for workload in self._workloads.values() if workload not in self._new[2])
            for told in (self._servers, self.trainers, self.runs):
                told.tell_again()
            self._told.clear()
            for process in [process for known in self._described.values() for process in known.values()]:
                self._learn_process(process)
        self._host = self._new_host = merged

    def _learn_process(self, process: Process) -> None:
        key = process.pid, process.start_ms
        known = self._told.get(key)
        if known is not process and known != process:
            self._told[key] = process
            self._new[1].append(process)

    def _forget_processes(self) -> None:
        if len(self._told) < 2 * sum(map(len, self._described.values())) + 512:
            return
        alive = {process.key for known in self._described.values() for process in known.values()}
        alive |= {process.key for process in self._strangers.values()}
        self._told = {key: process for key, process in self._told.items() if key in alive}

    def take(self) -> tuple[Host | None, list[Gpu], list[Process], list[Workload], list[Server]]:
        """What is new or changed since the last call."""
        host, new = self._new_host, self._new
        self._new_host, self._new = None, ([], [], [])
        return host, *new, self._servers.take()

    # ------------------------------------------------------------------------------------------------------------ pids

    def find(self, pid: int) -> Process | None:
        """The process that has this pid now."""
        return self._pids.get(pid) or self._left.get(pid) or self._strangers.get(pid)

    def unknown(self, pids: Iterable[int]) -> bool:
        """Whether a driver names a pid that nobody has described and that is not yet taken for invisible."""
        return any(self.find(pid) is None for pid in pids)

    def identify(self, pid: int, ts_ms: int, looked: bool) -> Process | None:
        """The process behind a driver's pid; ``None`` while the process collector has not had its chance to see it.

        ``looked``: the process collector has looked since; what it does not see then is invisible.
        """
        process = self._pids.get(pid)
        if process is not None:
            return process
        if pid in self._left:
            self._last_seen[pid] = ts_ms
            return self._left[pid]
        first = self._first_seen.setdefault(pid, ts_ms)
        self._last_seen[pid] = ts_ms
        if pid not in self._strangers:
            if not looked and ts_ms - first < _PATIENCE_MS:
                return None
            self._strangers[pid] = Process(pid, first, "", start_known=False)
            self._learn_process(self._strangers[pid])
        return self._strangers[pid]

    def forget_strangers(self, ts_ms: int) -> None:
        """Forget processes out of sight that no driver has named for a while: their pid may come back as another process."""
        for pid in [pid for pid, last in self._last_seen.items() if ts_ms - last > _FORGET_MS]:
            del self._last_seen[pid]
            for known in (self._first_seen, self._strangers, self._left):
                known.pop(pid, None)


def _merge_hosts(hosts: Iterable[Host]) -> Host | None:
    """One host from what several collectors know of it: the first that knows a thing says it."""
    merged: Host | None = None
    for host in hosts:
        if merged is None:
            merged = host
            continue
        gaps = {f.name: getattr(host, f.name) for f in fields(Host) if not getattr(merged, f.name) and getattr(host, f.name)}
        merged = replace(merged, **gaps)
    return merged
