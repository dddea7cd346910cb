"""What is watched now: the planned trees turned into ``Process`` and ``Workload`` entities, kept until something changes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from gpuwatch.collectors.procs.entry import Entry
from gpuwatch.collectors.procs.jobs import job_of, workload_of
from gpuwatch.collectors.procs.servers import joined, serving
from gpuwatch.collectors.procs.table import Table
from gpuwatch.collectors.procs.trainers import members_of_jobs
from gpuwatch.collectors.procs.tree import Tree, lineage, may_be_apart, plan
from gpuwatch.dataclass import replace
from gpuwatch.model import Process, Workload
from gpuwatch.plugin import JobProcess, ServerBoard, ServerProcess, TrainerBoard

KEEP_OPEN = 256
"""Watched processes whose two files stay open."""
Key = tuple[int, int]
"""(pid, start_ms)."""


class Watch:
    """``processes`` by pid and ``workloads`` as of the last ``update``; processes that serve go to ``board``, all others to ``trainers``."""

    def __init__(self, table: Table, command_lines: str, board: ServerBoard, trainers: TrainerBoard) -> None:
        self.table = table
        self.command_lines = command_lines
        self.board = board
        self.trainers = trainers
        self.processes: dict[int, Process] = {}
        self.workloads: list[Workload] = []
        self._gpu: frozenset[int] = frozenset()
        self._lasting: dict[Key, Key] = {}
        """Process -> root of its workload: a process keeps it when the root has ended before it."""
        self._known: dict[Key, Workload] = {}
        self._stepping: frozenset[int] = frozenset()
        self._trained: set[Key] = set()
        """Roots of the jobs in which a training was seen: they keep that kind when the process that trained has ended."""

    def update(self, now_ms: int, gpu: frozenset[int]) -> None:
        """Read /proc once more; plan again only when a process came, went, became another one or got a new parent."""
        self.table.refresh(now_ms, self.processes, gpu)
        self._mark()
        if self.table.changed or gpu != self._gpu or any(entry.facts_stale for entry in self.watched()):
            self._plan(gpu)
        self.table.just_read.clear()

    def _mark(self) -> None:
        """Take over which processes are known to train. A pid is only marked while it is the process that was meant."""
        stepping, entries = self.trainers.training(), self.table.entries
        if stepping == self._stepping:
            return
        for pid in (stepping | self._stepping) & entries.keys():
            trains = pid in stepping
            if entries[pid].trains != trains:
                entries[pid].trains, self.table.changed = trains, True
        self._stepping = stepping & entries.keys()

    def watched(self) -> list[Entry]:
        """The entries of all watched processes."""
        entries = self.table.entries
        return [entries[pid] for pid in self.processes if pid in entries]

    def _plan(self, gpu: frozenset[int]) -> None:
        """Trees, roles, workloads and the Process of every watched pid; unchanged ones stay the same objects."""
        entries = self.table.entries
        for entry in entries.values():
            if entry.ranked is None and may_be_apart(entry, entries):
                entry.look_for_ranks(self.table.root)
        trees, self._gpu, self.table.changed = plan(entries, gpu), gpu, False
        self.table.above = frozenset(above.pid for tree in trees for above in lineage(tree.root, entries))
        watched = {pid for tree in trees for pid in tree.roles}
        for pid in watched:
            if entries[pid].facts_stale:
                entries[pid].read_facts(self.table.root, self.command_lines, self.table.just_read.get(pid))
            if pid in gpu and entries[pid].visible_gpus is None:
                entries[pid].look_for_visible_gpus(self.table.root)
        processes: dict[int, Process] = {}
        current: dict[tuple[int, int], Workload] = {}
        servers: list[ServerProcess] = []
        jobs: list[JobProcess] = []
        for tree in joined(trees, entries):
            members = [entries[pid] for pid in tree.roles]
            job = job_of(self.table.root, tree.root, entries)
            key = self._root_key(tree)
            if any(entry.trains for entry in members):
                self._trained.add(key)
            if key == tree.root.key:
                current[key] = workload_of(tree, members, job, self.command_lines, key in self._trained)
            elif key in self._known:
                known = self._known[key]
                current[key] = replace(known, kind="training") if key in self._trained and known.kind == "other" else known
            servers += serving(tree, entries, (*key, current[key].port if key in current else 0), self.command_lines)
            jobs += members_of_jobs(members, key, current.get(key), watched)
            for entry in members:
                self._lasting[entry.key] = key
                made = self._process(entry, tree.roles[entry.pid], key, watched, job)
                old = self.processes.get(entry.pid)
                processes[entry.pid] = old if old == made and old is not None else made
        self.board.publish(servers)
        self.trainers.publish(jobs)
        self._trained &= current.keys()
        self._keep_open(processes)
        self.processes, self._known, self.workloads = processes, current, list(current.values())
        alive = {entries[pid].key for pid in processes}
        self._lasting = {key: root for key, root in self._lasting.items() if key in alive}

    def _keep_open(self, processes: Mapping[int, Process]) -> None:
        """Keep the files of watched processes open, of so many as leaves room in the usual limit of 1024 open files.

        Only the real /proc: elsewhere a file that stays open may be another one's by now.
        """
        entries = self.table.entries
        kept = list(itertools.islice(processes, KEEP_OPEN)) if self.table.root == "/proc" else []
        for pid in kept:
            entries[pid].keep_open(self.table.root)
        for pid in (self.processes.keys() - kept) & entries.keys():
            entries[pid].let_go()

    def _root_key(self, tree: Tree) -> tuple[int, int]:
        """The workload of a tree: its root's, or the one it had under a root that has ended."""
        before = self._lasting.get(tree.root.key, tree.root.key)
        above = self.table.entries.get(before[0])
        ended = above is None or above.key != before or above.ended
        return before if ended and before in self._known else tree.root.key

    def _process(self, entry: Entry, role: str, root: tuple[int, int], watched: set[int], tree_job: str) -> Process:
        above = self.table.entries.get(entry.ppid) if entry.ppid in watched else None
        job = tree_job
        if entry.where.slurm or entry.where.pod or entry.where.container:
            job = job_of(self.table.root, entry, self.table.entries)
        return Process(
            pid=entry.pid,
            start_ms=entry.start_ms,
            name=entry.comm,
            parent_pid=above.pid if above else 0,
            parent_start_ms=above.start_ms if above else 0,
            uid=entry.uid,
            user=entry.user,
            command=entry.command,
            container=entry.where.container,
            job=job,
            workload_pid=root[0],
            workload_start_ms=root[1],
            role=role,
            visible_gpus=entry.visible_gpus or "",
        )
