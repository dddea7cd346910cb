"""All GPUs of the host as they are now: whole GPUs in driver order, each with its MIG instances, readers and remembered state."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

from gpuwatch.collectors.nvml import devices, mig
from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.collectors.nvml.gpm import GpmRequest
from gpuwatch.collectors.nvml.library import GpuGone, Library, NvmlFailure
from gpuwatch.collectors.nvml.opening import may_sleep, power_managed, sleeping
from gpuwatch.collectors.nvml.processes import Entry
from gpuwatch.collectors.nvml.sampling import GpuReader, Rhythm
from gpuwatch.collectors.nvml.utilization import Flag
from gpuwatch.dataclass import dataclass, field, replace
from gpuwatch.model import Gpu
from gpuwatch.names import Missing

Known = dict[int, Gpu]
"""Whole GPUs by index as they were when they last answered."""


@dataclass(slots=True, eq=False)
class Board:
    """One whole GPU: its reader, its MIG instances, and what happened to it.

    ``device`` and ``reader`` are ``None`` for a GPU that the driver counts but does not hand out (lost before this open).
    ``lost`` is the code of its loss. ``power_managed``: the kernel may suspend it; ``may_sleep``: and really does so.
    ``graphics``, ``seen_us`` and ``usage_asked`` belong to the process lists.
    """

    gpu: Gpu
    device: Device | None = None
    reader: GpuReader | None = None
    instances: list[GpuReader] = field(default_factory=list)
    lost: int = nvml.SUCCESS
    asleep: bool = False
    may_sleep: bool = False
    power_managed: bool = False
    cut_is_stale: bool = False
    rhythm: Rhythm = field(default_factory=Rhythm)
    graphics: list[Entry] = field(default_factory=list)
    seen_us: int = 0
    usage_asked: bool = False

    @property
    def mig_enabled(self) -> bool:
        """Whether the GPU is in MIG mode now."""
        return self.reader is not None and self.reader.gpu.mig_enabled

    def readers(self) -> Iterator[GpuReader]:
        """The GPU's own reader, then those of its instances."""
        if self.reader is not None:
            yield self.reader
        yield from self.instances

    def gpus(self) -> Iterator[Gpu]:
        """The GPU as it is now, then its instances."""
        yield self.reader.gpu if self.reader is not None else self.gpu
        for instance in self.instances:
            yield instance.gpu

    def lose(self, code: int) -> None:
        """The GPU does not answer any more; its counters begin anew if it ever does."""
        self.lost = code
        self.graphics, self.seen_us, self.usage_asked = [], 0, False


class Boards:
    """Finds and re-finds what exists. Built once per open."""

    def __init__(self, library: Library, proc_root: Path, sys_root: Path, flag: Flag) -> None:
        self._library = library
        self._proc_root, self._sys_root = proc_root, sys_root
        self._flag = flag
        self._request = GpmRequest(library)
        self.all: list[Board] = []
        self.refused: dict[int, int] = {}
        """Index that the driver counts but does not hand out, and about which nothing is known -> code."""

    def count(self) -> int:
        """How many GPUs the driver counts. Raises ``NvmlFailure`` if it does not say."""
        number = ctypes.c_uint()
        code = self._library.call("nvmlDeviceGetCount_v2", ctypes.byref(number))
        if code != nvml.SUCCESS:
            raise NvmlFailure(code, "nvmlDeviceGetCount_v2")
        return number.value

    def find(self, known: Known) -> None:
        """Open every index. One that is lost or forbidden does not hide the others; a lost one keeps its former identity."""
        gone: dict[int, int] = {}
        for index in range(self.count()):
            try:
                code, device = self._open(index)
                if device is not None:
                    self.all.append(self._board(device))
                    continue
            except GpuGone as lost:
                code = lost.code
            if code in nvml.GPU_GONE:
                gone[index] = code
            else:
                self.refused[index] = code
        self._recall(gone, known)

    def _recall(self, gone: dict[int, int], known: Known) -> None:
        """Give lost GPUs their former identity: by index, unless that GPU was found elsewhere (the order is not stable)."""
        found = {board.gpu.uuid for board in self.all}
        for index, code in gone.items():
            if index in known and known[index].uuid not in found:
                self.all.append(Board(known[index], lost=code))
            else:
                self.refused[index] = code
        self.all.sort(key=lambda board: board.gpu.index)

    def revive(self, board: Board) -> bool:
        """Ask a lost GPU again; if it answers, it is read as if it were new, for a reset may have changed it."""
        try:
            _, device = self._open(board.gpu.index)
            if device is None or device.uuid != board.gpu.uuid:
                return False
            fresh = self._board(device)
        except GpuGone:
            return False
        for reader in board.readers():
            reader.close()
        board.gpu, board.device, board.reader, board.instances = fresh.gpu, device, fresh.reader, fresh.instances
        board.lost, board.may_sleep, board.power_managed = nvml.SUCCESS, fresh.may_sleep, fresh.power_managed
        return True

    def falls_asleep(self, board: Board) -> bool:
        """Look whether the kernel has suspended this GPU, without waking it. True when it has just fallen asleep."""
        before = board.asleep
        board.asleep = board.power_managed and sleeping(self._sys_root, board.gpu.pci_bus_id)
        if board.asleep and not before:
            for reader in board.readers():
                reader.forget()
                reader.readings.lack_all(Missing.STALE)
        return board.asleep and not before

    def cut(self, board: Board) -> bool:
        """Look anew at the MIG mode and the instances of a GPU. True if anything changed; GPM then starts anew."""
        device, reader = board.device, board.reader
        board.cut_is_stale = False
        if device is None or reader is None:
            return False
        enabled = devices.mig_enabled(device)
        found = mig.instances(device) if enabled else []
        before = [(one.device.uuid, one.device.gi, one.device.ci) for one in board.instances]
        if enabled == reader.gpu.mig_enabled and [(one.uuid, one.gi, one.ci) for one in found] == before:
            return False
        for instance in board.instances:
            instance.close()
        reader.forget()
        reader.gpu = replace(reader.gpu, mig_enabled=enabled)
        for memory in [name for name in device.refused if name.startswith("nvmlGpmMigSampleGet")]:
            del device.refused[memory]  # instance ids are used again for other instances
        gis = [one.gi for one in found]
        slices = mig.slice_count(device) if found else 1
        board.instances = [
            GpuReader(one, mig.describe(one, reader.gpu, slices), self._request, self._flag, lone_instance=gis.count(one.gi) == 1)
            for one in found
        ]
        return True

    def close(self) -> None:
        """Give back every GPM sample."""
        for board in self.all:
            for reader in board.readers():
                reader.close()

    def _open(self, index: int) -> tuple[int, Device | None]:
        handle = self._library.binding.c_nvmlDevice_t()
        code = self._library.call("nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(handle))
        if code != nvml.SUCCESS:
            return code, None
        device = Device(self._library, handle, index, "")
        device.uuid = device.text("nvmlDeviceGetUUID")
        device.bus_id = devices.bus_id_of(self._library, handle)
        return (code, device) if device.uuid else (nvml.UNKNOWN, None)

    def _board(self, device: Device) -> Board:
        gpu = replace(devices.describe(device), mig_enabled=False)
        board = Board(gpu, device, GpuReader(device, gpu, self._request, self._flag), rhythm=Rhythm(device.index))
        board.power_managed = power_managed(self._sys_root, device.bus_id)
        board.may_sleep = may_sleep(self._proc_root, self._sys_root, device.bus_id)
        self.cut(board)
        return board
