"""Inference servers among the planned jobs: which processes serve, and workers that are no descendants of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from gpuwatch.collectors.procs.engines import is_part
from gpuwatch.collectors.procs.entry import Entry
from gpuwatch.collectors.procs.redact import redact
from gpuwatch.collectors.procs.tree import Tree
from gpuwatch.plugin import ServerProcess
from gpuwatch.text import clean

_PLACES: tuple[Callable[[Entry], object], ...] = (
    lambda entry: entry.where.container,
    lambda entry: entry.where.pod,
    lambda entry: entry.where.slurm,
    lambda entry: entry.session,
)
"""What a server and its workers have in common, the surest first."""


def joined(trees: Sequence[Tree], table: Mapping[int, Entry]) -> list[Tree]:
    """``trees`` with jobs of mere workers (Ray's and Dynamo's have no server above them) put into that of their server.

    Only if exactly one server that takes such workers is in the same container, pod, Slurm job or session; else a worker stays a
    job of its own, since a wrong guess would book one server's GPU to another.
    """
    if not any(tree.root.program.apart for tree in trees):
        return list(trees)
    servers = [(tree, served) for tree in trees if (served := _served(tree, table)) is not None]
    out = []
    for tree in trees:
        server = _server_for(tree.root, servers) if tree.root.program.apart else None
        if server is None:
            out.append(tree)
        else:
            server.roles.update(tree.roles)
    return out


def _served(tree: Tree, table: Mapping[int, Entry]) -> Entry | None:
    return next((table[pid] for pid in tree.roles if table[pid].program.server), None)


def _server_for(worker: Entry, servers: Iterable[tuple[Tree, Entry]]) -> Tree | None:
    fitting = [(tree, entry) for tree, entry in servers if is_part(entry.program.engine, worker.program.engine)]
    for place in _PLACES:
        mine = place(worker)
        here = [tree for tree, entry in fitting if place(entry) == mine] if mine else []
        if len(here) == 1:
            return here[0]
    return None


def serving(tree: Tree, table: Mapping[int, Entry], workload: tuple[int, int, int], command_lines: str) -> Iterable[ServerProcess]:
    """What the tree's serving processes say of themselves, the root first, workers included."""
    for pid in tree.roles:
        entry = table[pid]
        program = entry.program
        if not program.engine:
            continue
        above = table[entry.ppid] if entry.ppid in tree.roles else None
        forked = above is not None and program == above.program  # it still has the command line that it was forked with
        yield ServerProcess(
            pid=pid,
            start_ms=entry.start_ms,
            uid=entry.uid,
            workload=workload,
            engine=program.engine,
            model=clean(redact(program.model), 200) if command_lines == "redacted" else "",
            port=program.port,
            tls=program.serves.tls,
            worker=program.worker or forked,
            flags=program.serves.flags,
            parent_pid=above.pid if above is not None else 0,
            metrics_port=program.serves.metrics_port,
        )
