"""The workloads of a View: which can be opened, which processes and GPUs are theirs, whose workload a process is."""

from __future__ import annotations

from collections import deque

from gpuwatch.names import RunOutcome
from gpuwatch.tui.family import Family, Key
from gpuwatch.view.training_types import RankView, TrainingView
from gpuwatch.view.types import GpuView, ProcessView, View, WorkloadView

WorkKey = tuple[int, int, int]
"""Root pid, root start in unix milliseconds, port: the identity of a workload on its host."""


def key_of_work(work: WorkloadView) -> WorkKey:
    """The identity of a workload."""
    return (work.root_pid, work.root_start_ms, work.port)


def find(view: View, key: object) -> WorkloadView | None:
    """The workload of that identity, while it is in ``view``."""
    return next((work for work in view.workloads if key_of_work(work) == key), None)


def tells(work: WorkloadView) -> bool:
    """Whether it says something of itself: a number, or why a server has none."""
    if work.training is not None:
        return tells_steps(work.training)
    return work.inference is not None or work.tokens_per_second is not None


def tells_steps(training: TrainingView) -> bool:
    """Whether it tells of its steps, or is about to."""
    known = (training.steps_per_second, training.tokens_per_second, training.samples_per_second, training.step_number)
    return training.attached or any(value is not None for value in known)


def telling(view: View) -> list[WorkloadView]:
    """Those that say something of themselves."""
    return [work for work in view.workloads if tells(work)]


def silent(view: View) -> list[WorkloadView]:
    """The others."""
    return [work for work in view.workloads if not tells(work)]


def in_order(view: View) -> list[WorkloadView]:
    """All in the order of the overview's panel, the silent ones last."""
    return [*telling(view), *silent(view)]


def work_of(view: View, pid: int, start_ms: int) -> WorkloadView | None:
    """The workload that a process belongs to: that of itself or whose rank it is, else of the nearest process above it."""
    for work in view.workloads:
        if work.training is not None and any((rank.pid, rank.start_ms) == (pid, start_ms) for rank in work.training.ranks):
            return work
    roots: dict[int, WorkloadView] = {}
    for each in in_order(view):
        roots.setdefault(each.root_pid, each)
    processes = {process.pid: process for process in view.processes}
    process, seen = processes.get(pid), set[int]()
    if process is None or process.start_ms != start_ms:
        return None
    while process is not None and process.pid not in seen:
        seen.add(process.pid)
        own = roots.get(process.pid)
        if own is not None and (own.root_start_ms == process.start_ms or not process.start_known):
            return own
        process = processes.get(process.parent_pid) if process.parent_pid else None
    return None


def first_notice(view: View) -> str:
    """The one line that every size of the overview has room for: a training that stands still, else the View's first notice, else why a
    training could not be attached."""
    for work in view.workloads:
        training = work.training
        if training is not None and training.stalled and (training.run is None or training.run.outcome is RunOutcome.RUNNING):
            return f"{work.name}: {training.stalled}"
    blocked = (work for work in view.workloads if (run := work.training) is not None and not run.ranks and run.detail)
    return (
        view.notices[0] if view.notices else next((f"{work.name}: {work.training.detail}" for work in blocked if work.training), "")
    )


def rank_of(view: View, pid: int, start_ms: int) -> tuple[TrainingView, RankView] | None:
    """The rank of a training that a process is."""
    for work in view.workloads:
        training = work.training
        if training is not None:
            for rank in training.ranks:
                if (rank.pid, rank.start_ms) == (pid, start_ms):
                    return training, rank
    return None


_members: deque[tuple[View, WorkKey, list[ProcessView]]] = deque(maxlen=2)
"""One picture asks for the processes of the same workload again and again."""


def members(view: View, work: WorkloadView) -> list[ProcessView]:
    """Its root and everything below it; nothing for a server elsewhere."""
    key = key_of_work(work)
    for known, whose, kept in tuple(_members):
        if known is view and whose == key:
            return kept
    found = _found(view, work)
    _members.append((view, key, found))
    return found


def _found(view: View, work: WorkloadView) -> list[ProcessView]:
    """Below the root, and below its ranks: they may have lost their launcher, or be their own."""
    ranks = work.training.ranks if work.training is not None else ()
    roots = [root_key(work), *((rank.pid, rank.start_ms) for rank in ranks)]
    there = {(process.pid, process.start_ms): process for process in view.processes}
    tops = [there[key] for key in dict.fromkeys(roots) if key in there]
    if not tops:
        return []
    family = Family(view.processes)
    found: dict[Key, ProcessView] = {}
    for top in tops:
        if (top.pid, top.start_ms) not in found:
            found |= {(process.pid, process.start_ms): process for process in family.below(top)}
    return list(found.values())


def gpus_of(view: View, work: WorkloadView) -> list[GpuView]:
    """The GPUs that its processes hold, else those that the View names."""
    held = {hold.gpu_uuid for process in members(view, work) for hold in process.holds}
    if held:
        return [gpu for gpu in view.gpus if gpu.gpu_uuid in held]
    return [gpu for gpu in view.gpus if gpu.gpu_index in work.gpu_indices and not gpu.parent_uuid]


def root_key(work: WorkloadView) -> Key:
    """The identity of its root process."""
    return (work.root_pid, work.root_start_ms)
