"""What the collector of trainings is told of jobs that serve nothing: their processes, and which of them train by what is known so far."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gpuwatch.collectors.procs.entry import Entry
from gpuwatch.model import Workload
from gpuwatch.plugin import JobProcess


def members_of_jobs(
    members: Sequence[Entry], root: tuple[int, int], workload: Workload | None, watched: Collection[int]
) -> Iterable[JobProcess]:
    """The processes of one job, root first; none of an inference server's."""
    if workload is not None and workload.kind == "inference":
        return
    for entry in members:
        yield JobProcess(
            pid=entry.pid,
            start_ms=entry.start_ms,
            uid=entry.uid,
            workload=root,
            training=workload is not None and workload.kind == "training",
            python=entry.program.python,
            parent_pid=entry.ppid if entry.ppid in watched else 0,
            command=entry.command,
            name=workload.name if workload is not None else "",
        )
