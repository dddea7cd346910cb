"""Names for what the trees do: the workload of a tree, the job (Slurm, pod, container, notebook, session) of a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch import procfs
from gpuwatch.collectors.procs.entry import Entry
from gpuwatch.collectors.procs.programs import Program
from gpuwatch.collectors.procs.redact import redact
from gpuwatch.collectors.procs.tree import Tree, lineage
from gpuwatch.collectors.procs.where import slurm_from_environ
from gpuwatch.model import Workload
from gpuwatch.text import clean, lazy

_SCREEN_NAME = lazy(rb"\0-d?m?S\0([^\0]{1,64})\0")


def job_of(root: str, entry: Entry, table: Mapping[int, Entry]) -> str:
    """``slurm:123``, ``pod:UID``, the container, ``notebook:KERNEL``, ``tmux``, ``screen:NAME``, or empty: the first that is so.

    The environment is opened only below Slurm's own daemon and only when the cgroup does not tell the job.
    """
    if entry.where.slurm:
        return f"slurm:{entry.where.slurm}"
    above = [entry, *lineage(entry, table)]
    if any(one.comm.startswith("slurmstepd") for one in above) and (found := _slurm_variable(root, entry.pid)):
        return f"slurm:{found}"
    if entry.where.pod:
        return f"pod:{entry.where.pod}"
    if entry.where.container:
        return entry.where.container
    for one in above:
        if one.program.kernel:
            return f"notebook:{one.program.kernel}" if one.program.kernel != "notebook" else "notebook"
        if one.comm.startswith("tmux"):
            return "tmux"
        if one.comm.lower() == "screen":
            return _screen_session(root, one.pid)
    return ""


def _slurm_variable(root: str, pid: int) -> str:
    try:
        return slurm_from_environ(procfs.read(f"{root}/{pid}/environ", 1 << 18))
    except OSError:
        return ""


def _screen_session(root: str, pid: int) -> str:
    try:
        found = _SCREEN_NAME.search(procfs.read(f"{root}/{pid}/cmdline", 4096))
    except OSError:
        found = None
    return clean(redact(f"screen:{found[1].decode('utf-8', 'surrogateescape')}"), 80) if found else "screen"


def _server_of(programs: Sequence[Program]) -> Program | None:
    """The server of a tree: the first that answers HTTP, else the first that works for one."""
    return next(
        (program for program in programs if program.server), next((program for program in programs if program.engine), None)
    )


def workload_of(tree: Tree, members: Sequence[Entry], job: str, command_lines: str, trained: bool = False) -> Workload:
    """What a tree does, from its root first and then from its other processes in order of depth.

    ``trained``: steps of a training were seen in it, whatever its command lines say.
    """
    programs = [entry.program for entry in members]
    kind = next((program for program in programs if program.kind != "other"), tree.root.program).kind
    if kind == "other" and trained:
        kind = "training"
    served = _server_of(programs) if kind == "inference" else None
    root = tree.root.program
    engine, model, port, name = "", root.model, 0, root.script
    if served is not None:
        engine = served.engine
        model = next((program.model for program in programs if program.engine == engine and program.model), "")
        port = served.port  # not that of a part: those come and go, and the port is in the key
        name = (model.rstrip("/").rpartition("/")[2] or served.script) if root.engine else root.script
    elif kind == "training" and not model:
        model = next((program.model for program in programs if program.model), "")
    if command_lines != "redacted":
        model = ""
    if command_lines == "none":
        name = tree.root.comm
    return Workload(
        root_pid=tree.root.pid,
        root_start_ms=tree.root.start_ms,
        port=port,
        kind=kind,
        name=clean(redact(name or tree.root.comm), 120),
        model=clean(redact(model), 200),
        engine=engine,
        user=tree.root.user,
        job=job,
    )
