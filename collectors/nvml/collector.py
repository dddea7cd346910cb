"""The NVML collector: opens the driver, reads every GPU each second in one thread, and tells what happened to driver and GPUs."""

from __future__ import annotations

from contextlib import suppress

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml import opening
from gpuwatch.collectors.nvml.boards import Board, Boards, Known
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.doze import Doze
from gpuwatch.collectors.nvml.events import MIG_CHANGE, XID, EventSet, describe_xid
from gpuwatch.collectors.nvml.happenings import Happenings, words
from gpuwatch.collectors.nvml.library import DriverGone, GpuGone, Library, NvmlFailure
from gpuwatch.collectors.nvml.processes import ProcessReader, pid_trust
from gpuwatch.collectors.nvml.reasons import Readings
from gpuwatch.collectors.nvml.roll_call import RollCall
from gpuwatch.collectors.nvml.sampling import Rhythm
from gpuwatch.errors import Unavailable
from gpuwatch.model import Batch, Gpu, GpuSample, MissingKey
from gpuwatch.names import Missing, Severity
from gpuwatch.plugin import CollectorContext

_PERIODS = 3
"""A row speaks for at most so many periods."""
_PROCESS_SECONDS, _LOST_RETRY_SECONDS, _COUNT_SECONDS = 2, 5, 30
_CUT_SECONDS = {True: 10, False: 30}
"""How often the MIG layout is compared, by whether MIG is on; the driver's own event tells sooner where it is allowed."""


class NvmlCollector:
    """NVIDIA GPUs through NVML. All methods are called by one thread; a hung driver call hangs that thread alone."""

    name = "nvml"
    interval_seconds = 1.0

    def __init__(self, context: CollectorContext) -> None:
        self._context = context
        self._library = Library(context.clock)
        self._happenings = Happenings(context.clock)
        self._boards: Boards | None = None
        self._events: EventSet | None = None
        self._processes: ProcessReader | None = None
        self._doze = Doze(context.sys_root)
        self._trusted = True
        self._rhythm = Rhythm()
        self._known: Known = {}
        self._was_open = False
        self._shown: list[Gpu] = []
        self._process_missing: dict[MissingKey, Missing] = {}
        """Of the last process lists: it holds in the ticks between them as well."""
        self.driver_version = ""
        self.cuda_version = ""

    # ---------------------------------------------------------------------------------------------- open and close

    def open(self) -> None:
        """Load the binding and the driver library and find all GPUs. Raises ``Unavailable`` with reason and hint.

        A host whose GPUs are all suspended (laptops) is not touched: a query would wake them.
        """
        self.close()
        if opening.all_sleep(self._context.sys_root):
            raise Unavailable("The GPU is asleep and is not woken for watching", "it is read as soon as a program uses it")
        try:
            self._open()
        except NvmlFailure as failure:
            self.close()
            raise self._explain(failure.code, was_open=self._was_open) from failure

    def _take_up(self) -> None:
        """Open the driver again after it was left alone."""
        try:
            self._open()
        except NvmlFailure as failure:
            self.close()
            raise self._explain(failure.code, was_open=True) from failure
        self._doze.end()

    def _open(self) -> None:
        library = self._library
        library.load()
        self.driver_version = library.system_text("nvmlSystemGetDriverVersion")
        self.cuda_version = library.cuda_version()
        namespaced = opening.in_pid_namespace(self._context.proc_root)
        trust = pid_trust(self.driver_version, namespaced=namespaced)
        self._trusted = trust.lists
        self._processes = ProcessReader(library, trust)
        self._rhythm = Rhythm()
        if not self._doze.gpus:
            self._happenings.renew()
        boards = self._find()
        if not boards.all:
            code = next(iter(boards.refused.values()), nvml.GPU_NOT_FOUND)
            raise NvmlFailure(code, "nvmlDeviceGetHandleByIndex_v2")
        count = f"{len(boards.all)} GPU{'s' if len(boards.all) != 1 else ''}"
        detail = f"NVIDIA driver {self.driver_version or '?'}, CUDA {self.cuda_version or '?'}, {count}"
        if not self._doze.gpus:
            self._happenings.tell("driver_reopened" if self._was_open else "driver_opened", detail, Severity.INFO)
        if not self._trusted:
            detail = "this driver lists the host's pids, which mean nothing in this container: processes are counted, not named"
            self._happenings.tell("pids_not_ours", detail, Severity.NOTICE)
        self._was_open = True

    def _find(self) -> Boards:
        """Find the GPUs anew and tell what came and went since the last time."""
        boards = Boards(self._library, self._context.sys_root, self._impossible)
        events = EventSet(self._library)
        self._boards, self._events = boards, events
        boards.find(self._known)
        events.open([board.device for board in boards.all if board.device is not None])
        before = {gpu.uuid: gpu for gpu in self._known.values()}
        self._known = {board.gpu.index: board.gpu for board in boards.all}
        self._shown = []
        now = {gpu.uuid: gpu for gpu in self._known.values()}
        if before:
            for gpu in (now[uuid] for uuid in now if uuid not in before):
                self._happenings.tell("gpu_added", f"GPU {gpu.index} {gpu.name} appeared", Severity.NOTICE, gpu.uuid)
            for gpu in (before[uuid] for uuid in before if uuid not in now):
                self._happenings.tell("gpu_removed", f"GPU {gpu.index} {gpu.name} is gone", Severity.WARNING, gpu.uuid)
        for index, code in boards.refused.items():
            detail = f"GPU {index} cannot be opened: {words(code)}"
            self._happenings.tell_once("gpu_refused", detail, Severity.WARNING, key=str(index))
        return boards

    def close(self) -> None:
        """Give everything back and shut NVML down; may be called at any time and again."""
        self._doze.end()
        self._unload()

    def _unload(self) -> None:
        self._let_go()
        self._processes = None
        self._library.unload()

    def _let_go(self) -> None:
        boards, events = self._boards, self._events
        self._boards = self._events = None
        with suppress(DriverGone):
            if boards is not None:
                boards.close()
        with suppress(DriverGone):
            if events is not None:
                events.close()

    def _explain(self, code: int, *, was_open: bool) -> Unavailable:
        return opening.explain(code, container=opening.in_container(self._context.proc_root), was_open=was_open)

    # ----------------------------------------------------------------------------------------------------- collect

    def collect(self, now: float) -> Batch:
        """Read all GPUs once for the grid second ``now``. Raises ``Unavailable`` when the driver is gone: close, then open."""
        clock, library, second = self._context.clock, self._library, int(now)
        if self._doze.gpus:
            if not self._doze.is_over(second):
                return self._leave_alone(second)
            self._take_up()
        if self._boards is None or self._processes is None:
            raise Unavailable("NVML is not open")
        begin, calls, spent = clock.monotonic_ns(), library.calls, library.spent_ns
        answered, failed = library.answered, library.failed
        try:
            self._look_who_sleeps(self._boards)
            boards = self._recount(self._boards, second)
            self._poll(boards)
            for board in boards.all:
                self._visit(boards, board, second)
            roll = self._call_the_roll(boards, self._processes, second)
        except DriverGone as gone:
            self._context.gpu_pids.publish(self.name, ())
            raise self._explain(gone.code, was_open=True) from gone
        if library.failed > failed and library.answered == answered:  # a container that lost its devices answers 999 to all
            self._context.gpu_pids.publish(self.name, ())
            raise self._explain(nvml.UNKNOWN, was_open=True)
        if roll is not None:
            self._process_missing = roll.missing
        samples, missing = _rows(boards)
        gpus = [gpu for board in boards.all for gpu in board.gpus()]
        changed, self._shown = gpus != self._shown, gpus
        self._maybe_doze(boards, second)
        return Batch(
            self.name,
            second,
            monotonic_ns=begin,
            duration_ns=clock.monotonic_ns() - begin,
            driver_calls=library.calls - calls,
            driver_ns=library.spent_ns - spent,
            gpus=gpus if changed else None,
            gpu_samples=samples,
            process_samples=roll.samples if roll else (),
            events=self._happenings.take(),
            missing=missing | self._process_missing,
        )

    def _maybe_doze(self, boards: Boards, second: int) -> None:
        if self._doze.is_time(boards.all, second):
            self._doze.begin([board.gpu for board in boards.all], second)
            self._happenings.tell_once("gpu_left_alone", "idle: the driver is closed so that the GPU can sleep", Severity.INFO)
            self._unload()
            self._context.gpu_pids.publish(self.name, ())

    def _leave_alone(self, second: int) -> Batch:
        """A row per GPU that says that nothing is known, made without touching the driver."""
        idle = [Readings(gpu.uuid) for gpu in self._doze.gpus]
        missing = {key: reason for readings in idle for key, reason in readings.missing().items()}
        samples = [readings.sample() for readings in idle]
        return Batch(self.name, second, self._context.clock.monotonic_ns(), gpu_samples=samples, missing=missing)

    def _look_who_sleeps(self, boards: Boards) -> None:
        for board in boards.all:
            if boards.falls_asleep(board):
                detail = f"GPU {board.gpu.index} sleeps and is not woken"
                self._happenings.tell_once("gpu_asleep", detail, Severity.INFO, board.gpu.uuid)

    def _recount(self, boards: Boards, second: int) -> Boards:
        """GPUs may come and go (hot plug, draining). Nothing is asked while one sleeps."""
        if not self._rhythm.due("count", _COUNT_SECONDS, second) or any(board.asleep for board in boards.all):
            return boards
        if boards.count() == len(boards.all) + len(boards.refused):
            return boards
        self._let_go()
        return self._find()

    def _poll(self, boards: Boards) -> None:
        """Take the driver's events: XIDs, and changes of the MIG layout."""
        if self._events is None or any(board.asleep for board in boards.all):
            return
        for notice in self._events.poll():
            board = next((board for board in boards.all if board.device is notice.device), None)
            if notice.kind & XID:
                severity, text = describe_xid(notice.data)
                place = f"GPU {board.gpu.index} " if board else ""
                self._happenings.tell("xid", place + text, severity, board.gpu.uuid if board else "")
            elif notice.kind & MIG_CHANGE and board is not None:
                board.cut_is_stale = True

    def _visit(self, boards: Boards, board: Board, second: int) -> None:
        """Read one GPU and its instances, or learn that it cannot be read now."""
        gpu = board.gpu
        if board.lost:
            if not board.rhythm.due("lost", _LOST_RETRY_SECONDS, second) or not boards.revive(board):
                return
            if self._events is not None and board.device is not None:
                self._events.add(board.device)
            self._happenings.tell("gpu_recovered", f"GPU {gpu.index} {gpu.name} answers again", Severity.NOTICE, gpu.uuid)
        if board.asleep or board.reader is None:
            return
        try:
            if board.cut_is_stale or board.rhythm.due("cut", _CUT_SECONDS[board.reader.gpu.mig_enabled], second):
                self._cut(boards, board)
            now_ns = self._context.clock.boottime_ns()
            for reader in board.readers():
                reader.tick(second, now_ns, _PERIODS * self.interval_seconds)
                board.cut_is_stale |= reader.handle_is_stale
            self._happenings.health(gpu, board.reader.health)
        except GpuGone as gone:
            board.lose(gone.code)
            detail = f"GPU {gpu.index} {gpu.name}: {words(gone.code)}"
            self._happenings.tell("gpu_lost", detail, Severity.CRITICAL, gpu.uuid)

    def _cut(self, boards: Boards, board: Board) -> None:
        if boards.cut(board):
            count = len(board.instances)
            detail = f"is cut into {count} MIG instance{'s' if count != 1 else ''} now" if board.mig_enabled else "is whole now"
            self._happenings.tell("mig_changed", f"GPU {board.gpu.index} {detail}", Severity.NOTICE, board.gpu.uuid)

    def _call_the_roll(self, boards: Boards, processes: ProcessReader, second: int) -> RollCall | None:
        """Processes of all GPUs, every two seconds; the process collector is told their pids."""
        if not self._rhythm.due("processes", _PROCESS_SECONDS, second):
            return None
        roll = RollCall(processes, self._impossible, trusted=self._trusted)
        for board in boards.all:
            if board.lost or board.asleep:
                continue
            try:
                roll.visit(board, second)
            except GpuGone as gone:
                board.lose(gone.code)
                detail = f"GPU {board.gpu.index} {board.gpu.name}: {words(gone.code)}"
                self._happenings.tell("gpu_lost", detail, Severity.CRITICAL, board.gpu.uuid)
        self._context.gpu_pids.publish(self.name, roll.pids)
        return roll

    def _impossible(self, device: Device, what: str, value: int) -> None:
        gpu = next((board.gpu for board in self._boards.all if board.device is device), None) if self._boards else None
        if gpu is not None:
            self._happenings.impossible(gpu, what, value)


def _rows(boards: Boards) -> tuple[list[GpuSample], dict[MissingKey, Missing]]:
    """One row for every GPU and instance, and the reasons for what is not in them."""
    samples: list[GpuSample] = []
    missing: dict[MissingKey, Missing] = {}
    for board in boards.all:
        if board.lost:
            samples.extend(GpuSample(gpu.uuid, unavailable=True) for gpu in board.gpus())
            continue
        for reader in board.readers():
            samples.append(reader.readings.sample())
            missing.update(reader.readings.missing())
    return samples, missing
