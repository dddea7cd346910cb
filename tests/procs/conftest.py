"""A /proc made of files: every test builds the processes it speaks about."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.procs.collector import ProcsCollector
from gpuwatch.model import Batch, Process, Workload
from gpuwatch.plugin import CollectorContext, ServerBoard, ServerProcess, WatchedPids

BTIME = 1_763_000_000
TICKS = os.sysconf("SC_CLK_TCK")


class FakeProc:
    """Files as the kernel lays them out, for chosen processes; ``start`` is seconds after boot."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "stat").write_text(f"cpu  0 0 0 0 0 0 0 0 0 0\nbtime {BTIME}\n")
        self.add(1, "systemd", ["/sbin/init"], ppid=0, start=0)

    def add(
        self,
        pid: int,
        comm: str | bytes = "python3",
        argv: Sequence[str | bytes] = ("python3", "train.py"),
        *,
        ppid: int = 1,
        start: float = 100.0,
        cpu: int = 0,
        rss: int = 1000,
        state: str = "S",
        flags: int = 0x400000,
        session: int | None = None,
        stack: int = 0,
        uid: int = 0,
        cgroup: str = "0::/\n",
        environ: bytes = b"",
        maps: str = "",
        io: tuple[int, int] | None = (0, 0),
    ) -> None:
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        self.stat(pid, comm, ppid=ppid, start=start, cpu=cpu, rss=rss, state=state, flags=flags, session=session, stack=stack)
        self.argv(pid, argv)
        (folder / "status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        (folder / "cgroup").write_text(cgroup)
        (folder / "environ").write_bytes(environ)
        (folder / "maps").write_text(maps)
        if io is not None:
            (folder / "io").write_text(f"rchar: 9\nwchar: 9\nsyscr: 1\nsyscw: 1\nread_bytes: {io[0]}\nwrite_bytes: {io[1]}\n")

    def stat(
        self,
        pid: int,
        comm: str | bytes = "python3",
        *,
        ppid: int = 1,
        start: float = 100.0,
        cpu: int = 0,
        rss: int = 1000,
        state: str = "S",
        flags: int = 0x400000,
        session: int | None = None,
        stack: int = 0,
    ) -> None:
        name = comm.encode() if isinstance(comm, str) else comm
        rest = f" {state} {ppid} {pid} {session or pid} 0 -1 {flags} 0 0 0 0 {cpu} 0 0 0 20 0 1 0 {round(start * TICKS)} 999 {rss} 0 0 0 {stack}\n"
        (self.root / str(pid) / "stat").write_bytes(b"%d (%s)" % (pid, name) + rest.encode())

    def argv(self, pid: int, argv: Sequence[str | bytes]) -> None:
        raw = b"".join((arg.encode() if isinstance(arg, str) else arg) + b"\0" for arg in argv)
        (self.root / str(pid) / "cmdline").write_bytes(raw)

    def remove(self, pid: int) -> None:
        shutil.rmtree(self.root / str(pid))


class Watcher:
    """The collector on a fake /proc, one ``tick`` at a time."""

    def __init__(self, proc: FakeProc, **options: object) -> None:
        self.proc = proc
        self.clock = FakeClock(BTIME + 1000.0)
        self.pids, self.board = WatchedPids(), ServerBoard()
        self.collector = ProcsCollector(
            CollectorContext(clock=self.clock, proc_root=proc.root, gpu_pids=self.pids, servers=self.board, options=options)
        )
        self.collector.open()
        self.batch: Batch | None = None

    def tick(self, *gpu: int, seconds: float = 2.0) -> Batch:
        """Let ``seconds`` pass and collect, with ``gpu`` as the pids that the driver lists."""
        self.clock.advance(seconds)
        self.pids.publish("test", gpu)
        self.batch = self.collector.collect(float(int(self.clock.time())))
        return self.batch

    @property
    def processes(self) -> dict[int, Process]:
        assert self.batch is not None and self.batch.processes is not None
        return {process.pid: process for process in self.batch.processes}

    @property
    def roles(self) -> dict[int, str]:
        return {pid: process.role for pid, process in self.processes.items()}

    @property
    def servers(self) -> dict[int, ServerProcess]:
        """What is on the board, by pid."""
        return {server.pid: server for server in self.board.current()[1]}

    @property
    def workloads(self) -> dict[int, Workload]:
        assert self.batch is not None and self.batch.workloads is not None
        return {workload.root_pid: workload for workload in self.batch.workloads}


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


@pytest.fixture
def watch(proc: FakeProc) -> Callable[..., Watcher]:
    """``watch(command_lines="name")``: a collector that is open on ``proc``."""
    return lambda **options: Watcher(proc, **options)
