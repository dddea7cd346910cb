"""Which processes are watched and what they are to each other: jobs as trees, from GPU and ML processes up and down again.

Upwards a job goes on through interpreters, launchers and servers, and through a shell only when a launcher stands above it; it
ends below a shell, a session, a notebook server, a container's or the system's init. An inference server is a job of its own: above
one it goes on only through launchers, wrappers and a server that starts such servers as parts of itself, so that two replicas
that one script has started are two. So it is with trainings: each that a Python script starts is one, unless it may be one rank of
several that train together, or the script trains itself. Downwards all descendants belong to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from gpuwatch.collectors.procs.engines import is_part
from gpuwatch.collectors.procs.entry import Entry
from gpuwatch.collectors.procs.programs import Program
from gpuwatch.dataclass import dataclass, field

MAX_STEPS = 32
SHELL_STEPS = 3


@dataclass(slots=True)
class Tree:
    """One job: its root and all watched processes in it, root first, each with its role."""

    root: Entry
    roles: dict[int, str] = field(default_factory=dict)


def parent(entry: Entry, table: Mapping[int, Entry]) -> Entry | None:
    """The process above, unless its pid was reused by one that is younger than its supposed child."""
    above = table.get(entry.ppid)
    if above is None or above is entry or above.kernel or above.start_ticks > entry.start_ticks:
        return None
    return above


def lineage(entry: Entry, table: Mapping[int, Entry]) -> Iterable[Entry]:
    """All ancestors, nearest first."""
    for _ in range(MAX_STEPS):
        above = parent(entry, table)
        if above is None:
            return
        yield above
        entry = above


def may_be_apart(entry: Entry, table: Mapping[int, Entry]) -> bool:
    """Whether it trains below a Python script that may start several such: it matters then if it is a rank of several."""
    program = entry.program
    trains = program.python and program.kind == "training" and not program.launcher
    return trains and any(above.program.starts_only for above in lineage(entry, table))


def path_to_root(entry: Entry, table: Mapping[int, Entry]) -> list[Entry]:
    """From ``entry`` up to the root of its job, both included."""
    path, shells = [entry], list[Entry]()
    server = entry.program if entry.program.server else None
    whole = entry.whole_training
    for above in lineage(entry, table):
        program = above.program
        if program.shell and len(shells) < SHELL_STEPS:
            shells.append(above)
            continue
        if not program.joins or (shells and not (program.launcher or program.engine)) or not _may_hold(program, server):
            break
        if whole and program.starts_only:
            break
        path += [*shells, above]
        shells = []
        server = program if program.server else server
        whole = whole if program.wrapper else above.whole_training
    while len(path) > 1 and path[-1].program.wrapper:
        path.pop()
    return path


def _may_hold(above: Program, server: Program | None) -> bool:
    """Whether a job with ``server`` at its top, if it has one, goes on at ``above``."""
    return server is None or above.launcher or above.wrapper or is_part(above.engine, server.engine)


def plan(table: Mapping[int, Entry], gpu: Collection[int]) -> list[Tree]:
    """The jobs of all GPU processes and ML processes, ordered by their root's pid."""
    live = {pid: entry for pid, entry in table.items() if not entry.kernel and (not entry.ended or pid in gpu)}
    seeds = {pid for pid, entry in live.items() if pid in gpu or entry.is_ml}
    trees: dict[int, Tree] = {}
    above_seed: set[int] = set()
    homes: dict[int, int] = {}
    for pid in seeds:
        path = path_to_root(live[pid], live)
        homes[pid] = path[-1].pid
        trees.setdefault(path[-1].pid, Tree(path[-1]))
        above_seed.update(entry.pid for entry in path[1:])
    children: dict[int, list[Entry]] = {}
    for entry in live.values():
        if (above := parent(entry, live)) is not None:
            children.setdefault(above.pid, []).append(entry)
    homes |= {pid: path_to_root(each, live)[-1].pid for pid, each in live.items() if pid not in seeds and each.whole_training}
    homes |= {pid: pid for pid in trees}
    for tree in trees.values():
        _descend(tree, children, gpu, above_seed, homes)
    return sorted(trees.values(), key=lambda tree: tree.root.pid)


def _descend(
    tree: Tree, children: Mapping[int, list[Entry]], gpu: Collection[int], above_seed: Collection[int], homes: Mapping[int, int]
) -> None:
    """Give every process of the tree its role; one that belongs to another job by ``homes`` (pid -> root) is left to that."""
    todo = [(tree.root, False)]
    while todo:
        entry, below_work = todo.pop(0)
        works = entry.pid in gpu or (entry.is_ml and not entry.program.launcher)
        if entry.pid in gpu:
            role = "gpu"
        elif works and not below_work:
            role = "ml"
        elif entry.pid in above_seed and not works:
            role = "ancestor"
        else:
            role = "worker"
        tree.roles[entry.pid] = role
        for child in sorted(children.get(entry.pid, ()), key=lambda child: child.pid):
            if homes.get(child.pid, tree.root.pid) == tree.root.pid and child.pid not in tree.roles:
                todo.append((child, below_work or works))
