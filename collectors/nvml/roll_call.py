"""Processes of all GPUs, every two seconds: lists and utilization become samples, each under the GPU or MIG instance it runs on."""

from __future__ import annotations

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.boards import Board
from gpuwatch.collectors.nvml.processes import Entry, ProcessReader, ProcessUtilization, Usage
from gpuwatch.collectors.nvml.sampling import GpuReader
from gpuwatch.collectors.nvml.utilization import Flag
from gpuwatch.model import MissingKey, ProcessSample
from gpuwatch.names import Missing

_NOTHING_DONE = ProcessUtilization(0, 0)
"""A process that did nothing is absent from the driver's answer."""


class RollCall:
    """The result of one pass over the GPUs."""

    def __init__(self, reader: ProcessReader, flag: Flag, *, trusted: bool) -> None:
        self._reader = reader
        self._flag = flag
        self._trusted = trusted
        self.samples: list[ProcessSample] = []
        self.missing: dict[MissingKey, Missing] = {}
        self.pids: set[int] = set()

    def visit(self, board: Board, second: int) -> None:
        """Read the processes of one GPU. Graphics clients come and go rarely: every 10 s while there are some, else 30."""
        reader, device = board.reader, board.device
        if reader is None or device is None:
            return
        code, compute = self._reader.listed(device, "compute")
        if code != nvml.SUCCESS and not board.instances:
            reader.readings.lack("process_count", nvml.why(code))
            return
        if board.rhythm.due("graphics", 10 if board.graphics else 30, second):
            board.graphics = self._reader.listed(device, "graphics")[1]
        if board.instances:
            self._visit_instances(board, reader, code, compute)
            return
        listed = {entry.pid for entry in compute}
        entries = [*compute, *(entry for entry in board.graphics if entry.pid not in listed)]
        reader.readings.put("process_count", len(compute))
        usage: Usage = {}
        unknown: Missing | None = None
        if entries:
            code, usage, board.seen_us = self._reader.utilization(device, board.seen_us)
            if code != nvml.SUCCESS:
                unknown = nvml.why(code)
            elif not board.usage_asked and not usage and reader.readings["utilization_ratio"]:
                unknown = Missing.STALE  # somebody works, but the driver has no sample yet
            board.usage_asked = True
        self._add(reader, entries, usage, unknown)

    def _visit_instances(self, board: Board, parent: GpuReader, code: int, entries: list[Entry]) -> None:
        """One call on the parent lists all with their instance ids; where it may not or does not, each instance is asked."""
        places = {(one.device.gi, one.device.ci): one for one in board.instances}
        by_place: dict[GpuReader, list[Entry]] = {one: [] for one in board.instances}
        if code == nvml.SUCCESS and all((entry.gi, entry.ci) in places for entry in entries):
            for entry in entries:
                by_place[places[entry.gi, entry.ci]].append(entry)
            parent.readings.put("process_count", len(entries))
        else:
            parent.readings.settle("process_count", code, len(entries))
            for instance in board.instances:
                code, own = self._reader.listed(instance.device, "compute")
                by_place[instance] = own
                if code != nvml.SUCCESS:
                    instance.readings.lack("process_count", nvml.why(code))
                    del by_place[instance]
        for instance, own in by_place.items():
            instance.readings.put("process_count", len(own))
            self._add(instance, own, {}, Missing.NOT_SUPPORTED)

    def _add(self, reader: GpuReader, entries: list[Entry], usage: Usage, unknown: Missing | None) -> None:
        """Samples of the processes of one GPU; ``unknown`` is why nobody's utilization is known, if so."""
        if not self._trusted:
            return  # the pids belong to another namespace: a join would blame a stranger; the count stays
        for entry in entries:
            self.pids.add(entry.pid)
            used = usage.get(entry.pid, _NOTHING_DONE)
            reason = unknown if unknown is not None or used is not None else Missing.DRIVER_ERROR
            key = f"{entry.pid}:0"
            if entry.memory is None:
                self.missing["process", key, "gpu_memory_bytes"] = Missing.NOT_SUPPORTED
            if reason is not None:
                self.missing["process", key, "sm_utilization_ratio"] = reason
                used = None
            self.samples.append(
                ProcessSample(
                    entry.pid,
                    gpu_uuid=reader.device.uuid,
                    kind=entry.kind,
                    gpu_memory_bytes=entry.memory,
                    sm_utilization_ratio=None if used is None else self._ratio(reader, "sm", used.sm),
                    memory_utilization_ratio=None if used is None else self._ratio(reader, "memory", used.memory),
                )
            )

    def _ratio(self, reader: GpuReader, what: str, percent: int) -> float:
        if percent > 100:
            self._flag(reader.device, f"{what} utilization of a process", percent)
        return min(1.0, percent / 100)
