"""The NVML collector: opens and closes the driver, and makes one batch of what a session read."""

from __future__ import annotations

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml import opening
from gpuwatch.collectors.nvml.boards import Boards, Known
from gpuwatch.collectors.nvml.doze import Doze
from gpuwatch.collectors.nvml.happenings import Happenings
from gpuwatch.collectors.nvml.library import DriverGone, Library, NvmlFailure
from gpuwatch.collectors.nvml.reasons import Readings
from gpuwatch.collectors.nvml.roll_call import RollCall
from gpuwatch.collectors.nvml.session import Session
from gpuwatch.errors import Unavailable
from gpuwatch.model import Batch, Gpu, GpuSample, Host, MissingKey
from gpuwatch.names import Missing, Severity
from gpuwatch.plugin import CollectorContext

Reasons = dict[MissingKey, Missing]
_PERIODS = 3
"""A row speaks for at most so many periods."""


class NvmlCollector:
    """NVIDIA GPUs through NVML. All methods are called by one thread; a hung driver call hangs that thread alone."""

    name = "nvml"
    interval_seconds = 1.0

    def __init__(self, context: CollectorContext) -> None:
        self._context = context
        self._library = Library(context.clock)
        self._happenings = Happenings(context.clock)
        self._doze = Doze(context.sys_root)
        self._session: Session | None = None
        self._known: Known = {}
        self._was_open = False
        self._shown: list[Gpu] = []
        self._parts: list[Reasons] = []
        self._missing: Reasons = {}
        self._host: Host | None = None
        """Of the host this collector knows the driver alone; whoever knows the machine completes it."""

    def open(self) -> None:
        """Load the binding and the driver library and find all GPUs. Raises ``Unavailable`` with reason and hint.

        A host whose GPUs are all suspended (laptops) is not touched: a query would wake them.
        """
        self.close()
        if opening.all_sleep(self._context.sys_root):
            raise Unavailable("The GPU is asleep and is not woken for watching", "it is read as soon as a program uses it")
        self._happenings.renew()
        session = self._begin()
        count = len(session.boards.all)
        gpus = f"{count} GPU{'s' if count != 1 else ''}"
        detail = f"NVIDIA driver {session.driver_version or '?'}, CUDA {session.cuda_version or '?'}, {gpus}"
        self._happenings.tell("driver_reopened" if self._was_open else "driver_opened", detail, Severity.INFO)
        if not session.pids_are_ours:
            detail = "this driver lists the host's pids, which mean nothing in this container: processes are counted, not named"
            self._happenings.tell("pids_not_ours", detail, Severity.NOTICE)
        self._was_open = True

    def close(self) -> None:
        """Give everything back and shut NVML down; may be called at any time and again."""
        self._doze.end()
        self._end()

    def collect(self, now: float) -> Batch:
        """Read all GPUs once for the grid second ``now``. Raises ``Unavailable`` when the driver is gone: close, then open."""
        second = int(now)
        if self._doze.gpus:
            if not self._doze.is_over(second):
                return self._leave_alone(second)
            self._begin()
            self._doze.end()
        if self._session is None:
            raise Unavailable("NVML is not open", "open() comes first")
        return self._read(self._session, second)

    def _begin(self) -> Session:
        try:
            self._session = session = Session(self._library, self._context, self._happenings, self._known)
        except NvmlFailure as failure:
            self.close()
            raise self._explain(failure.code, was_open=self._was_open) from failure
        self._host = Host("", "", driver_version=session.driver_version, cuda_version=session.cuda_version)
        self._known = session.known()
        self._shown = []
        return session

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._known = session.known()
            session.close()
        self._library.unload()

    def _explain(self, code: int, *, was_open: bool) -> Unavailable:
        self._context.gpu_pids.publish(self.name, ())
        return opening.explain(code, container=opening.in_container(self._context.proc_root), was_open=was_open)

    def _read(self, session: Session, second: int) -> Batch:
        clock, library = self._context.clock, self._library
        begin, calls, spent = clock.monotonic_ns(), library.calls, library.spent_ns
        refused, failed = library.refused, library.failed
        try:
            roll = session.tick(second, _PERIODS * self.interval_seconds)
        except DriverGone as gone:
            raise self._explain(gone.code, was_open=True) from gone
        all_refused = library.calls - calls == library.refused - refused
        if library.failed > failed and all_refused:  # a container that lost its devices answers 999 to all
            raise self._explain(nvml.UNKNOWN, was_open=True)
        batch = self._batch(session, roll, second, begin, library.calls - calls, library.spent_ns - spent)
        self._maybe_doze(session, second)
        return batch

    def _batch(self, session: Session, roll: RollCall | None, second: int, begin: int, calls: int, spent: int) -> Batch:
        samples, parts = _rows(session.boards)
        gpus = [gpu for board in session.boards.all for gpu in board.gpus()]
        changed, self._shown = gpus != self._shown, gpus
        return Batch(
            self.name,
            second,
            monotonic_ns=begin,
            duration_ns=self._context.clock.monotonic_ns() - begin,
            driver_calls=calls,
            driver_ns=spent,
            host=self._host if changed else None,
            gpus=gpus if changed else None,
            gpu_samples=samples,
            process_samples=roll.samples if roll else (),
            events=self._happenings.take(),
            missing=self._all_missing([*parts, session.process_missing]),
        )

    def _all_missing(self, parts: list[Reasons]) -> Reasons:
        """One mapping of all reasons; the same object as long as nothing changes."""
        if len(parts) != len(self._parts) or any(
            new is not old and new != old for new, old in zip(parts, self._parts, strict=True)
        ):
            self._parts, self._missing = parts, {key: reason for part in parts for key, reason in part.items()}
        return self._missing

    def _maybe_doze(self, session: Session, second: int) -> None:
        if self._doze.is_time(session.boards.all, second):
            self._doze.begin([board.gpu for board in session.boards.all], second)
            self._happenings.tell_once("gpu_left_alone", "idle: the driver is closed so that the GPU can sleep", Severity.INFO)
            self._end()
            self._context.gpu_pids.publish(self.name, ())

    def _leave_alone(self, second: int) -> Batch:
        """A row per GPU that says that nothing is known, made without touching the driver."""
        idle = [Readings(gpu.uuid) for gpu in self._doze.gpus]
        missing = {key: reason for readings in idle for key, reason in readings.missing().items()}
        samples = [readings.sample() for readings in idle]
        events = self._happenings.take()
        return Batch(self.name, second, self._context.clock.monotonic_ns(), gpu_samples=samples, events=events, missing=missing)


def _rows(boards: Boards) -> tuple[list[GpuSample], list[Reasons]]:
    """One row for every GPU and instance, and for each the reasons for what is not in it."""
    samples: list[GpuSample] = []
    missing: list[Reasons] = []
    for board in boards.all:
        if board.lost:
            for gpu in board.gpus():
                samples.append(GpuSample(gpu.uuid, unavailable=True))
                nothing = Readings(gpu.uuid)
                nothing.lack_all(Missing.DRIVER_ERROR)
                missing.append(nothing.missing())
            continue
        for reader in board.readers():
            samples.append(reader.readings.sample())
            missing.append(reader.readings.missing())
    return samples, missing
