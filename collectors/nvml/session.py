"""One life of NVML, from init to shutdown: which GPUs there are, and one pass over all of them per tick."""

from __future__ import annotations

from contextlib import suppress

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml import opening
from gpuwatch.collectors.nvml.boards import Board, Boards, Known
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.events import MIG_CHANGE, XID, EventSet, describe_xid
from gpuwatch.collectors.nvml.happenings import Happenings, words
from gpuwatch.collectors.nvml.library import DriverGone, GpuGone, Library, NvmlFailure
from gpuwatch.collectors.nvml.processes import ProcessReader, pid_trust
from gpuwatch.collectors.nvml.roll_call import RollCall
from gpuwatch.collectors.nvml.sampling import Rhythm
from gpuwatch.model import MissingKey
from gpuwatch.names import Missing, Severity
from gpuwatch.plugin import CollectorContext

_PROCESS_SECONDS, _LOST_RETRY_SECONDS, _COUNT_SECONDS = 2, 5, 30
_CUT_SECONDS = {True: 10, False: 30}
"""How often the MIG layout is compared, by whether MIG is on; the driver's own event tells sooner where it is allowed."""


class Session:
    """An open NVML. Created by loading the library; raises ``NvmlFailure`` then, and ``DriverGone`` later."""

    def __init__(self, library: Library, context: CollectorContext, happenings: Happenings, known: Known) -> None:
        library.load()
        self._library = library
        self._context = context
        self._happenings = happenings
        self._rhythm = Rhythm()
        self.driver_version = library.system_text("nvmlSystemGetDriverVersion")
        self.cuda_version = library.cuda_version()
        trust = pid_trust(self.driver_version, namespaced=opening.in_pid_namespace(context.proc_root))
        self.pids_are_ours = trust.lists
        self._processes = ProcessReader(library, trust)
        self.process_missing: dict[MissingKey, Missing] = {}
        """Reasons from the last process lists: they hold in the ticks between two lists as well."""
        self._find(known)
        if not self.boards.all:
            code = next(iter(self.boards.refused.values()), nvml.GPU_NOT_FOUND)
            raise NvmlFailure(code, "nvmlDeviceGetHandleByIndex_v2")

    def close(self) -> None:
        """Give back samples and events; the library is the caller's to unload."""
        with suppress(DriverGone):
            self.boards.close()
        with suppress(DriverGone):
            self._events.close()

    def _find(self, known: Known) -> None:
        """Find the GPUs and tell what came and went since they were ``known``."""
        self.boards = Boards(self._library, self._context.proc_root, self._context.sys_root, self._impossible)
        self._events = EventSet(self._library)
        self.boards.find(known)
        self._events.open([board.device for board in self.boards.all if board.device is not None])
        before = {gpu.uuid: gpu for gpu in known.values()}
        now = {board.gpu.uuid: board.gpu for board in self.boards.all}
        for gpu in (now[uuid] for uuid in now if before and uuid not in before):
            self._happenings.tell("gpu_added", f"GPU {gpu.index} {gpu.name} appeared", Severity.NOTICE, gpu.uuid)
        for gpu in (before[uuid] for uuid in before if uuid not in now):
            self._happenings.tell("gpu_removed", f"GPU {gpu.index} {gpu.name} is gone", Severity.WARNING, gpu.uuid)
        for index, code in self.boards.refused.items():
            detail = f"GPU {index} cannot be opened: {words(code)}"
            self._happenings.tell_once("gpu_refused", detail, Severity.WARNING, key=str(index))

    def known(self) -> Known:
        """The whole GPUs, for the next session to recognise."""
        return {board.gpu.index: board.gpu for board in self.boards.all}

    def tick(self, second: int, longest_seconds: float) -> RollCall | None:
        """Read what is due of all GPUs; returns the processes in the seconds in which they are listed."""
        for board in self.boards.all:
            if self.boards.falls_asleep(board):
                detail = f"GPU {board.gpu.index} sleeps and is not woken"
                self._happenings.tell_once("gpu_asleep", detail, Severity.INFO, board.gpu.uuid)
        if not any(board.asleep for board in self.boards.all):  # questions to the whole driver could wake a GPU
            self._recount(second)
            self._poll()
        for board in self.boards.all:
            if board.lost:
                self._try_again(board, second)
            if not board.lost and not board.asleep:
                self._read(board, second, longest_seconds)
        return self._call_the_roll(second) if self._rhythm.due("processes", _PROCESS_SECONDS, second) else None

    def _recount(self, second: int) -> None:
        """GPUs may come and go: hot plug, draining."""
        if not self._rhythm.due("count", _COUNT_SECONDS, second):
            return
        try:
            count = self.boards.count()
        except DriverGone:
            raise
        except NvmlFailure:
            return  # no answer is no change
        if count != len(self.boards.all) + len(self.boards.refused):
            known = self.known()
            self.close()
            self._find(known)

    def _poll(self) -> None:
        """Take the driver's events: XIDs, and changes of the MIG layout."""
        for notice in self._events.poll():
            board = next((board for board in self.boards.all if board.device is notice.device), None)
            if notice.kind & XID:
                severity, text = describe_xid(notice.data)
                place = f"GPU {board.gpu.index} " if board else ""
                self._happenings.tell("xid", place + text, severity, board.gpu.uuid if board else "")
            elif notice.kind & MIG_CHANGE and board is not None:
                board.cut_is_stale = True

    def _try_again(self, board: Board, second: int) -> None:
        if board.rhythm.due("lost", _LOST_RETRY_SECONDS, second) and self.boards.revive(board):
            if board.device is not None:
                self._events.add(board.device)
            detail = f"GPU {board.gpu.index} {board.gpu.name} answers again"
            self._happenings.tell("gpu_recovered", detail, Severity.NOTICE, board.gpu.uuid)

    def _read(self, board: Board, second: int, longest_seconds: float) -> None:
        """Read one GPU and its instances, after a look at how it is cut where that is due."""
        try:
            cut_is_due = board.rhythm.due("cut", _CUT_SECONDS[board.mig_enabled], second)
            if (board.cut_is_stale or cut_is_due) and self.boards.cut(board):
                count = len(board.instances)
                how = f"is cut into {count} MIG instance{'s' if count != 1 else ''} now" if board.mig_enabled else "is whole now"
                self._happenings.tell("mig_changed", f"GPU {board.gpu.index} {how}", Severity.NOTICE, board.gpu.uuid)
            now_ns = self._context.clock.boottime_ns()
            for reader in board.readers():
                reader.tick(second, now_ns, longest_seconds)
                board.cut_is_stale |= reader.handle_is_stale
                self._happenings.health(reader.gpu, reader.health)
        except GpuGone as gone:
            self._lose(board, gone)

    def _lose(self, board: Board, gone: GpuGone) -> None:
        board.lose(gone.code)
        detail = f"GPU {board.gpu.index} {board.gpu.name}: {words(gone.code)}"
        self._happenings.tell("gpu_lost", detail, Severity.CRITICAL, board.gpu.uuid)

    def _call_the_roll(self, second: int) -> RollCall:
        """Processes of all GPUs; the process collector is told their pids."""
        roll = RollCall(self._processes, self._impossible, trusted=self.pids_are_ours)
        for board in self.boards.all:
            if board.lost or board.asleep:
                continue
            try:
                roll.visit(board, second)
            except GpuGone as gone:
                self._lose(board, gone)
        self.process_missing = roll.missing
        self._context.gpu_pids.publish("nvml", roll.pids)
        return roll

    def _impossible(self, device: Device, what: str, value: int) -> None:
        owner = device.parent or device
        board = next((board for board in self.boards.all if board.device is owner), None)
        if board is not None:
            self._happenings.impossible(board.gpu, what, value)
