"""Processes of all GPUs, every two seconds: lists and utilization become samples, each under the GPU or MIG instance it runs on."""

from __future__ import annotations

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.boards import Board
from gpuwatch.collectors.nvml.processes import Entry, ProcessReader, ProcessUtilization
from gpuwatch.collectors.nvml.sampling import Flag, GpuReader
from gpuwatch.model import MissingKey, ProcessSample
from gpuwatch.names import Missing


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
        utilization: dict[int, ProcessUtilization] = {}
        code = nvml.SUCCESS
        if entries:
            code, utilization, board.seen_us = self._reader.utilization(device, board.seen_us)
        self._add(reader, entries, code, utilization)

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
            self._add(instance, own, nvml.NOT_SUPPORTED, {})

    def _add(self, reader: GpuReader, entries: list[Entry], code: int, utilization: dict[int, ProcessUtilization]) -> None:
        if not self._trusted:
            return  # the pids belong to another namespace: a join would blame a stranger; the count stays
        uuid = reader.device.uuid
        for entry in entries:
            self.pids.add(entry.pid)
            used = utilization.get(entry.pid)
            sm = memory = None
            if code == nvml.SUCCESS:  # absent from the driver's answer means that it did nothing
                sm, memory = (used.sm, used.memory) if used else (0, 0)
                for name, value in (("sm_utilization_ratio", sm), ("memory_utilization_ratio", memory)):
                    if value > 100:
                        self._flag(reader.device, f"process {name}", value)
            key = f"{entry.pid}:0"
            if entry.memory is None:
                self.missing["process", key, "gpu_memory_bytes"] = Missing.NOT_SUPPORTED
            if sm is None:
                self.missing["process", key, "sm_utilization_ratio"] = nvml.why(code)
            self.samples.append(
                ProcessSample(
                    entry.pid,
                    gpu_uuid=uuid,
                    kind=entry.kind,
                    gpu_memory_bytes=entry.memory,
                    sm_utilization_ratio=None if sm is None else min(1.0, sm / 100),
                    memory_utilization_ratio=None if memory is None else min(1.0, memory / 100),
                )
            )
