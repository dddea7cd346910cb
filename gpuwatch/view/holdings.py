"""Which GPUs a workload's processes hold, and who else is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gpuwatch.dataclass import dataclass
from gpuwatch.store.window import Window
from gpuwatch.view.live import Rows

ASIDE_MIB = 1024
"""Who holds less than this and computes nothing (a monitor of GPUs) is no work that shares a GPU's energy."""
Root = tuple[int, int]
"""Pid and start of a workload's root; of a process without one (-1, its row's id)."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """By the newest process rows: root -> GPUs (``gpu_id``), GPU -> roots of those that take part in its work."""

    gpus: Mapping[Root, tuple[int, ...]]
    holders: Mapping[int, frozenset[Root]]

    def of(self, root: Root) -> tuple[int, ...]:
        """The GPUs of a workload."""
        return self.gpus.get(root, ())

    def shared(self, root: Root) -> bool:
        """Whether another workload takes part in the work of one of its GPUs."""
        return any(self.holders.get(gpu_id, frozenset()) - {root} for gpu_id in self.of(root))


NONE = Holdings({}, {})


def holdings(window: Window, rows: Rows) -> Holdings:
    """Worked out once for each reading of the processes."""
    kept = rows.holdings
    if kept is None or kept[0] != rows.processes_ms:
        kept = rows.holdings = (rows.processes_ms, _holdings(window, rows))
    found: Holdings = kept[1]
    return found


def _holdings(window: Window, rows: Rows) -> Holdings:
    held = [row for (_, gpu_id), row in rows.processes.items() if gpu_id in rows.gpus]
    who = window.identities({row.proc_id for row in held})
    gpus: dict[Root, set[int]] = {}
    holders: dict[int, set[Root]] = {}
    for row in held:
        known = who.get(row.proc_id)
        root = (known.workload_pid, known.workload_start_ms) if known and known.workload_pid else (-1, row.proc_id)
        gpus.setdefault(root, set()).add(row.gpu_id)
        if row.sm_pm != 0 or row.gpu_memory_mib is None or row.gpu_memory_mib >= ASIDE_MIB:
            holders.setdefault(row.gpu_id, set()).add(root)
    order = {gpu_id: number for number, gpu_id in enumerate(rows.gpus)}
    return Holdings(
        {root: tuple(sorted(found, key=order.__getitem__)) for root, found in gpus.items()},
        {gpu_id: frozenset(found) for gpu_id, found in holders.items()},
    )


def roots(window: Window, rows: Rows) -> frozenset[Root]:
    """The roots of all workloads that have a process in the newest rows."""
    who = window.identities({row.proc_id for row in rows.processes.values()})
    return frozenset((one.workload_pid, one.workload_start_ms) for one in who.values() if one.workload_pid)


def pids(window: Window, rows: Rows, root: Root, gpu_ids: Collection[int]) -> tuple[int, ...]:
    """The processes of a workload that hold one of these GPUs by the newest process rows; the one process where it has no root."""
    held = {row.proc_id for (_, gpu_id), row in rows.processes.items() if gpu_id in gpu_ids}
    who = window.identities(held)
    found = [who[i].pid for i in held if i in who and (root == (-1, i) or root == (who[i].workload_pid, who[i].workload_start_ms))]
    return tuple(sorted(found))
