"""gpuwatch's own exports of single rows of GPUs and processes, CSV and Parquet: the integers that come back are those that went out."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gpuwatch.collectors.importers.cells import Trouble
from gpuwatch.collectors.importers.layout import cells_of
from gpuwatch.collectors.importers.problems import Problems, quoted
from gpuwatch.collectors.importers.source import Source
from gpuwatch.collectors.importers.types import ImportOptions, LogProcessRow, LogRow, PastLog
from gpuwatch.errors import UsageError
from gpuwatch.measure import Measure, measures
from gpuwatch.model import Gpu, GpuSample, Process, ProcessSample
from gpuwatch.text import clean, sheet_unsafe

GPU_FORMAT, PROCESS_FORMAT = "gpuwatch export of GPUs", "gpuwatch export of processes"
MAGIC = "PAR1"
CACHED = 50_000
BATCH = 16_384
DERIVED = frozenset(("tick_id", "quiet", "context", "quiet_seconds", "clock_ratio"))
"""Columns that are made anew from the others."""
Cell = Any
Record = Sequence[Cell]


class Exact(dict[Cell, "int | None"]):
    """A value in base units -> the store's integer, exactly: what was written is an integer over the same scale."""

    def __init__(self, name: str, measure: Measure, trouble: Trouble) -> None:
        super().__init__()
        self._name, self._measure, self._trouble = name, measure, trouble

    def __missing__(self, cell: Cell) -> int | None:
        value = None
        if cell is not None and cell != "":
            try:
                number = float(cell)
                if not math.isfinite(number) or abs(number * self._measure.scale) >= 2**53:
                    raise ValueError
                if number < 0 and self._measure.unit != "celsius":
                    raise ValueError
                if self._measure.unit == "ratio" and self._measure.column != "cpu_pm" and number > 1:
                    raise ValueError
                value = round(number * self._measure.scale)
            except (ValueError, TypeError):
                self._trouble.append(f"column {self._name}: {quoted(str(cell))} is not possible")
                return None
        if len(self) > CACHED:
            self.clear()
        self[cell] = value
        return value


class Exports:
    """Reader of own exports."""

    name = "gpuwatch export"

    def reads(self, head: str, options: ImportOptions) -> bool:
        """Whether the header is one of ours, or the file is Parquet."""
        return head.startswith(MAGIC) or _is_header(_first_cells(head))

    def open(self, source: Source, options: ImportOptions) -> PastLog:
        """The log; :class:`UsageError` if columns that name time and GPU are not there."""
        if source.head.startswith(MAGIC):
            names, records = _parquet(source)
            if not _is_header(names):
                raise UsageError(f"{source.name}: a Parquet file, but none that gpuwatch export wrote from single rows")
        else:
            names, records = _first_cells(source.head), None
        run = _Run(source, options, names, records)
        log = PastLog(
            PROCESS_FORMAT if "pid" in names else GPU_FORMAT, iter(()), zone="in the log", interval_ms=options.interval_ms
        )
        log.rows = run.rows(log)
        return log


def _first_cells(head: str) -> list[str]:
    line = head.split("\n", 1)[0]
    return [cell.strip() for cell in cells_of(line, ",")] if len(line) < 20_000 else []


def _is_header(names: Sequence[str]) -> bool:
    return "ts_ms" in names and "gpu_uuid" in names and len(set(names)) == len(names)


def _parquet(source: Source) -> tuple[list[str], Callable[[], Iterator[Record]]]:
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from pyarrow import parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise UsageError(f"{source.name}: a Parquet file, which needs pyarrow", "pip install 'gpuwatch-tui[parquet]'") from None
    wrong = (pyarrow.ArrowException, OSError)
    try:
        with source.opened() as raw:
            names = list(parquet.ParquetFile(raw).schema_arrow.names)
    except wrong as problem:
        raise UsageError(f"{source.name}: cannot be read as Parquet: {quoted(str(problem), 120)}") from None

    def records() -> Iterator[Record]:
        with source.opened() as raw:
            try:
                for batch in parquet.ParquetFile(raw).iter_batches(BATCH):
                    yield from zip(*[column.to_pylist() for column in batch.columns])
            except wrong as problem:
                raise UsageError(f"{source.name}: cannot be read further: {quoted(str(problem), 120)}") from None

    return names, records


class _Run:
    """The reading of one file."""

    def __init__(
        self, source: Source, options: ImportOptions, names: Sequence[str], records: Callable[[], Iterator[Record]] | None
    ) -> None:
        self.source, self.names, self.options = source, names, options
        self.records = records
        self.problems, self.trouble = Problems(), Trouble()
        self.place = {name: place for place, name in enumerate(names)}
        self.of_processes = "pid" in self.place
        kinds: Mapping[str, Measure] = measures(ProcessSample if self.of_processes else GpuSample)
        self.cells = [(Exact(name, kind, self.trouble), self.place.get(name, -1)) for name, kind in kinds.items()]
        self.millis = Exact("duration_seconds", Measure("duration", "seconds", 1000, "delta", "", "", ""), self.trouble)
        used = {*kinds, *DERIVED, "ts_ms", "host", "gpu_uuid", "gpu_index", "duration_seconds", "unavailable"}
        used |= {"pid", "start_ms", "name", "user", "job"} if self.of_processes else set()
        self.unused = [name for name in names if name not in used]
        if "simulated" in self.place:
            raise UsageError(f"{source.name}: it holds simulated rows, which never mix with real ones")
        if self.of_processes and "start_ms" not in self.place:
            raise UsageError(f"{source.name}: it has no column start_ms, without which a pid names no process")

    def rows(self, log: PastLog) -> Iterator[LogRow | LogProcessRow]:
        """The rows. Its end completes the log."""
        if self.unused:
            self.problems.add(1, f"columns not used: {', '.join(self.unused)}")
        make = self._process if self.of_processes else self._gpu
        width = len(self.names)
        number = 0
        try:
            for number, record in self._numbered():
                if len(record) != width:
                    self.problems.add(number, f"{len(record)} cells where the header names {width}")
                    continue
                try:
                    row = make(number, record, log)
                except (ValueError, TypeError):
                    if list(record) != self.names:
                        self.problems.add(number, "time, GPU or process cannot be read")
                    continue
                if self.trouble:
                    for reason in self.trouble:
                        self.problems.add(number, reason)
                    self.trouble.clear()
                if row is not None:
                    yield row
        finally:
            for first in self.source.too_long[:1]:
                self.problems.add(first, "longer than any line of a log", len(self.source.too_long))
            if self.source.broken:
                self.problems.add(max(number, 1), self.source.broken)
            log.lines_read = number
            log.problems[:] = self.problems.listed()

    def _numbered(self) -> Iterable[tuple[int, Record]]:
        if self.records is not None:
            yield from enumerate(self.records(), 2)  # as lines of the CSV form would be
            return
        lines = self.source.lines()
        next(lines, None)
        for number, line in lines:
            if '"' in line:
                try:
                    yield number, next(csv.reader([line]), [])
                except csv.Error:
                    yield number, []
            elif line:
                yield number, line.split(",")
        if self.source.tail is not None and self.source.tail[0] > 1:
            self.problems.add(self.source.tail[0], "the last line is cut off")

    def _gpu(self, number: int, record: Record, log: PastLog) -> LogRow | None:
        place = self.place
        ts_ms, uuid = _integer(record[place["ts_ms"]]), record[place["gpu_uuid"]]
        if uuid not in log.gpus:
            uuid = self._known(number, record, log)
        values = tuple([exact[record[at]] if at >= 0 else None for exact, at in self.cells])
        lost = "unavailable" in place and str(record[place["unavailable"]]) in ("1", "True")
        return LogRow(ts_ms, uuid, values, self._duration(record), lost)

    def _process(self, number: int, record: Record, log: PastLog) -> LogProcessRow | None:
        place = self.place
        ts_ms = _integer(record[place["ts_ms"]])
        key = _integer(record[place["pid"]]), _integer(record[place["start_ms"]])
        uuid = record[place["gpu_uuid"]] or ""
        if uuid and uuid not in log.gpus:
            uuid = self._known(number, record, log)
        if key not in log.processes:
            said = {name: self._text(record[place[name]]) for name in ("name", "user", "job") if name in place}
            self._host(record, log)
            log.processes[key] = Process(*key, said.get("name", ""), user=said.get("user", ""), job=said.get("job", ""))
        values = tuple([exact[record[at]] if at >= 0 else None for exact, at in self.cells])
        return LogProcessRow(ts_ms, key, uuid, values, self._duration(record))

    def _duration(self, record: Record) -> int | None:
        at = self.place.get("duration_seconds", -1)
        return self.millis[record[at]] if at >= 0 else None

    def _known(self, number: int, record: Record, log: PastLog) -> str:
        """Make a GPU known; its key."""
        uuid = self._text(record[self.place["gpu_uuid"]]).strip()
        if not uuid or (len(log.gpus) > 4096):
            raise ValueError
        self._host(record, log)
        if uuid not in log.gpus:
            index = _integer(record[self.place["gpu_index"]]) if "gpu_index" in self.place else len(log.gpus)
            log.gpus[uuid] = Gpu(uuid, index, "", power_limit_watts=self.options.power_limit_watts)
        return uuid

    def _text(self, cell: Cell) -> str:
        """A name; CSV has a mark before those that a spreadsheet would calculate."""
        text = str(cell or "")
        return clean(sheet_unsafe(text) if self.records is None else text, 120)

    def _host(self, record: Record, log: PastLog) -> None:
        if "host" not in self.place:
            return
        host = self._text(record[self.place["host"]])
        if log.hostname and host != log.hostname:
            raise UsageError(
                f"{self.source.name}: it holds rows of several hosts, {quoted(log.hostname)} and {quoted(host)}",
                "export one host at a time",
            )
        log.hostname = host


def _integer(cell: Cell) -> int:
    if isinstance(cell, str) and not (cell.isascii() and cell.lstrip("-").isdigit() and len(cell) <= 16):
        raise ValueError
    return int(cell)
