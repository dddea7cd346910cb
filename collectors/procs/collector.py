"""The process collector: a tick reads what changed, plans the trees again when they did, and samples every watched process."""

from __future__ import annotations

import os

from gpuwatch import procfs
from gpuwatch.collectors.procs.entry import Entry, user_name
from gpuwatch.collectors.procs.table import Table
from gpuwatch.collectors.procs.threads import Threads
from gpuwatch.collectors.procs.throttling import Throttling
from gpuwatch.collectors.procs.watch import Watch
from gpuwatch.errors import Unavailable
from gpuwatch.model import Batch, MissingKey, Process, ProcessSample
from gpuwatch.names import Missing
from gpuwatch.plugin import CollectorContext

COMMAND_LINES = ("redacted", "name", "none")


class ProcsCollector:
    """GPU processes, their ancestors up to the job, their workers, and ML processes on the CPU. See the package's docstring."""

    name = "procs"
    interval_seconds = 2.0

    def __init__(self, context: CollectorContext) -> None:
        self.context = context
        self.root = str(context.proc_root)
        wanted = str(context.options.get("command_lines", "redacted"))
        self.command_lines = wanted if wanted in COMMAND_LINES else "redacted"
        self.watch: Watch | None = None
        self._threads, self._throttling = Threads(self.root), Throttling(context.sys_root)
        self._refused: dict[int, int] = {}
        """GPU pids whose files are refused -> unix ms of the first tick that found them so."""

    def open(self) -> None:
        """Raises :class:`Unavailable` where there is no /proc (not Linux, not mounted)."""
        try:
            btime = procfs.boot_time(self.root)
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"{self.root} cannot be read: {type(error).__name__}", "processes are recorded on Linux only"
            ) from None
        own_pid = os.getpid() if self.root == "/proc" else 0
        self.watch = Watch(Table(self.root, btime, own_pid), self.command_lines, self.context.servers, self.context.trainers)
        self._threads, self._throttling = Threads(self.root), Throttling(self.context.sys_root)
        self._refused = {}

    def close(self) -> None:
        """Forget everything; ``open`` starts anew."""
        self.watch = None

    def collect(self, now: float) -> Batch:
        """One tick. Lists all watched processes and workloads that exist now."""
        if self.watch is None:
            raise RuntimeError("collect() before open()")
        clock, watch = self.context.clock, self.watch
        began, now_ms = clock.monotonic_ns(), round(clock.time() * 1000)
        gpu = self.context.gpu_pids.current()
        watch.update(now_ms, gpu)
        samples, missing = self._sample(watch, gpu, began)
        refused = self._not_readable(watch.table, gpu, now_ms, missing)
        return Batch(
            collector=self.name,
            t=int(now),
            monotonic_ns=began,
            duration_ns=clock.monotonic_ns() - began,
            processes=[*watch.processes.values(), *refused],
            workloads=watch.workloads,
            process_samples=samples,
            missing=missing,
        )

    def _sample(self, watch: Watch, gpu: frozenset[int], now_ns: int) -> tuple[list[ProcessSample], dict[MissingKey, Missing]]:
        missing: dict[MissingKey, Missing] = {}
        rates = [(entry, *self._rates(entry, now_ns, missing)) for entry in watch.watched()]
        on_gpus = [(entry, cpu) for entry, cpu, _, _ in rates if entry.pid in gpu]
        busiest = self._threads.look([(entry.key, cpu) for entry, cpu in on_gpus], now_ns)
        throttled = self._throttling.look([entry.cpu_group for entry, _ in on_gpus], now_ns)
        return [
            ProcessSample(
                entry.pid,
                entry.start_ms,
                cpu_ratio=cpu,
                rss_bytes=entry.rss_pages * procfs.PAGE_BYTES,
                read_bytes=read,
                write_bytes=written,
                thread_cpu_ratio=busiest.get(entry.key),
                cpu_throttled_ratio=throttled.get(entry.cpu_group) if entry.pid in gpu else None,
                run_state=ord(entry.state) if entry.state else None,
            )
            for entry, cpu, read, written in rates
        ], missing

    def _rates(self, entry: Entry, now_ns: int, missing: dict[MissingKey, Missing]) -> tuple[float | None, int | None, int | None]:
        """(cores in use, bytes read, bytes written) since its last sample."""
        cpu = read = written = None
        elapsed = (now_ns - entry.sampled_ns) / 1e9
        io = entry.read_io(self.root)
        if entry.sampled_ns and elapsed > 0:
            cpu = max(0, entry.cpu_ticks - entry.sampled_cpu_ticks) / procfs.CLOCK_TICKS / elapsed
            if io is not None and entry.sampled_io is not None:
                read, written = max(0, io[0] - entry.sampled_io[0]), max(0, io[1] - entry.sampled_io[1])
        if entry.io_missing is not None:
            key = f"{entry.pid}:{entry.start_ms}"
            missing["process", key, "read_bytes"] = missing["process", key, "write_bytes"] = entry.io_missing
        entry.sampled_ns, entry.sampled_cpu_ticks, entry.sampled_io = now_ns, entry.cpu_ticks, io
        return cpu, read, written

    def _not_readable(self, table: Table, gpu: frozenset[int], now_ms: int, missing: dict[MissingKey, Missing]) -> list[Process]:
        """GPU processes of other users under hidepid=1: /proc shows that they are there and whose, and nothing else.

        Pids that /proc does not show at all are the recorder's to tell: only it sees the driver's list at the same moment.
        """
        self._refused = {pid: self._refused.get(pid, now_ms) for pid in gpu & table.hidden}
        out = []
        for pid, first_ms in self._refused.items():
            uid = self._owner(pid)
            out.append(Process(pid, first_ms, "", start_known=False, uid=uid, user="" if uid is None else user_name(uid)))
            for name in ("cpu_ratio", "rss_bytes", "read_bytes", "write_bytes", "run_state"):
                missing["process", f"{pid}:{first_ms}", name] = Missing.NO_PERMISSION
        return out

    def _owner(self, pid: int) -> int | None:
        try:
            return os.stat(f"{self.root}/{pid}").st_uid
        except OSError:
            return None
