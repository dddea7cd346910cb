"""Plain ``nvidia-smi`` tables printed again and again: layouts of drivers 418 to 610, Linux, Windows and WSL, with processes.

A table is read whole: its rows are handed out when it has ended, with the number of compute processes that it lists. MIG instances
are not read: a table does not say which share of the GPU they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from gpuwatch.collectors.importers.cells import Cells, Trouble, scale_of
from gpuwatch.collectors.importers.fields import SAMPLE, Field
from gpuwatch.collectors.importers.problems import Problems, Unreadable, message, quoted
from gpuwatch.collectors.importers.smi_csv import SmiCsv
from gpuwatch.collectors.importers.source import Source
from gpuwatch.collectors.importers.times import Times, mark_of
from gpuwatch.collectors.importers.types import ImportOptions, LogProcessRow, LogRow, PastLog
from gpuwatch.collectors.importers.within import ask_interval, placed
from gpuwatch.dataclass import dataclass, field, replace
from gpuwatch.errors import UsageError
from gpuwatch.measure import measures
from gpuwatch.model import Gpu, GpuSample, Process, ProcessSample
from gpuwatch.text import clean

FORMAT = "nvidia-smi tables"
TITLE = re.compile(r"^\s*\|\s*NVIDIA-SMI\s+[\d.]+", re.MULTILINE)
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_])")
GPU = re.compile(
    r"\|\s*(?P<index>\d+)\s+(?P<name>\S.*?)\s+(?P<mode>On|Off|N/A|WDDM|TCC|MCDM|ERR!)\s*"
    r"\|\s*(?P<bus>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])\s+\S.*\|.*\|"
)
VALUES = re.compile(
    r"\|\s*(?P<fan>N/A|ERR!|\[?[\w ]+?\]?|\d+%)\s+(?P<temp>\d+C|\S+)\s+(?P<perf>P\d+|\S+)\s+(?P<power>\S.*?)\s*/\s*(?P<limit>\S.*?)\s*"
    r"\|\s*(?P<memory>\S.*?)\s*\|\s*(?P<util>\d+%|N/A|ERR!|\S+)(?:\s+(?P<compute>\S.*?))?\s*\|"
)
MEMORY = re.compile(r"(\d+)\s*MiB\s*/\s*(\d+)\s*MiB")
MIG_MODE = re.compile(r"\|\s*\|\s*\|\s*(Enabled\*?|Disabled\*?|N/A|ERR!)\s*\|")
PROCESS = re.compile(
    r"\|\s+(?P<gpu>\d+)\s+(?:(?:N/A|\d+)\s+(?:N/A|\d+)\s+)?(?P<pid>\d+)\s+(?P<type>M\+C\+G|M\+C|C\+G|C|G)\s+(?P<name>.*?)\s*"
    r"(?<!\S)(?P<memory>\d+\s?MiB|N/A|[Uu]nknown(?: [Ee]rror)?|Not Supported|ERR!)\s*\|"
)
MESSAGE = re.compile(r"\|\s+(?P<text>[A-Za-z(].*?)\s*\|")
NONE_RUNNING = re.compile(r"\|\s+No running (?:compute )?processes found")
MANY = 100_000
"""So many processes are kept apart."""
MEASURES = list(measures(GpuSample))
PROCESS_WIDTH = len(measures(ProcessSample))
KEPT = {
    "util": SAMPLE["utilization_gpu"], "memory": SAMPLE["memory_used"], "power": SAMPLE["power_draw"],
    "limit": SAMPLE["power_limit"], "temp": SAMPLE["temperature_gpu"], "perf": SAMPLE["pstate"],
}  # fmt: skip


@dataclass(slots=True)
class _Table:
    """What was read of the table that is being read."""

    line: int
    ts_ms: int
    gpus: dict[int, tuple[tuple[int | None, ...], bool]] = field(default_factory=dict)
    processes: list[tuple[int, int, str, str, int | None]] = field(default_factory=list)
    """GPU index, pid, type, name, MiB."""
    listed: bool = False
    closed: bool = False
    """The list of processes came, and its end."""
    pending: re.Match[str] | None = None
    last: int = -1


class SmiTable:
    """Reader of plain tables."""

    name = FORMAT

    def reads(self, head: str, options: ImportOptions) -> bool:
        """Whether the title of a table is there."""
        found = TITLE.findall(ESCAPES.sub("", head))
        return len(found) > 1 or (len(found) == 1 and not SmiCsv().reads(head, options))

    def open(self, source: Source, options: ImportOptions) -> PastLog:
        """The log; :class:`UsageError` says which option would supply what it lacks."""
        run = _Tables(source, options)
        log = PastLog(FORMAT, iter(()), interval_ms=options.interval_ms, zone=run.begin())
        log.rows = run.rows(log)
        return log


class _Tables:
    """The reading of one file."""

    def __init__(self, source: Source, options: ImportOptions) -> None:
        self.source, self.options = source, options
        self.problems, self.trouble = Problems(), Trouble()
        self.cells = {name: Cells(name, kind, scale_of(kind.target), self.trouble) for name, kind in KEPT.items()}
        self.limit = None if options.power_limit_watts is None else round(options.power_limit_watts * 1000)
        self.mebibytes = Cells("GPU Memory", Field("gpu_memory_bytes", "bytes", "mib"), 2.0**-20, self.trouble)
        self.times: Times | None = None
        self.dated = False
        self.instant: int | None = None
        self.latest: dict[str, int] = {}
        self.living: dict[int, tuple[tuple[int, int], str]] = {}
        self.slices_named = False

    def begin(self) -> str:
        """Look at the times before the first tables."""
        texts, before, seen = [], "", list[tuple[str, str, str]]()
        gpu: re.Match[str] | None = None
        for _, raw in islice(self.source.lines(), 5000):
            line = ESCAPES.sub("", raw)
            plain = line.strip()
            if TITLE.match(line):
                texts += [before] if before else []
                before = ""
            elif gpu is not None:
                seen.append((gpu["index"], texts[-1], plain))
                gpu = None
            elif texts and (gpu := GPU.match(plain)):
                pass
            elif plain and plain[0] not in "|+":
                before = mark_of(plain, dated=True) or before
        self.dated = bool(texts)
        if not self.dated:
            if self.options.start_ms is None or self.options.interval_ms is None:
                raise UsageError(
                    f"{self.source.name}: no date stands before its tables",
                    "say when it begins with --start and its step with --interval",
                )
            return "given"
        self.times = Times(texts, self.options, self.source.name, lambda: texts)
        for text in texts[:1]:
            try:
                self.times.ms(text)
            except Unreadable as reason:
                raise UsageError(f"{self.source.name}: {reason}") from None
        zone = self.times.zone
        self._ask_interval(seen, self.times)
        self.times.restart()
        return zone

    def _ask_interval(self, seen: list[tuple[str, str, str]], times: Times) -> None:
        """Tables that share their second need an interval; ``seen``: index, time and second line of GPUs."""
        rows: list[tuple[str, int, object]] = []
        for index, text, values in seen:
            try:
                rows.append((index, times.ms(text), values))
            except Unreadable:
                continue
        ask_interval(rows, self.options.interval_ms, self.source.name)

    def rows(self, log: PastLog) -> Iterator[LogRow | LogProcessRow]:
        """The rows, table by table."""
        table: _Table | None = None
        moment = ""
        try:
            for number, raw in self._lines():
                line = ESCAPES.sub("", raw) if "\x1b" in raw else raw
                start = line.lstrip()[:1]
                if start == "|":
                    if TITLE.match(line):
                        if table is not None:
                            yield from self._finish(table, log)
                        table = self._begun(number, moment)
                        moment = ""
                    elif table is not None:
                        self._line(table, number, line.strip(), log)
                    else:
                        self.problems.add(number, "a line of a table whose beginning is not in the log, or has no date")
                elif start in ("", "+"):
                    if table is not None and table.listed:
                        table.closed = True
                else:
                    found = mark_of(line.strip(), dated=True)
                    if found:
                        moment = found
                    elif not line.startswith("Every "):
                        self.problems.add(number, message(line) or "no part of a table")
            if table is not None:
                yield from self._finish(table, log)
        finally:
            log.lines_read = self.source.count
            if self.source.broken:
                self.problems.add(max(self.source.count, 1), self.source.broken)
            log.problems[:] = self.problems.listed()

    def _lines(self) -> Iterator[tuple[int, str]]:
        yield from self.source.lines()
        if self.source.tail is not None:
            yield self.source.tail

    def _begun(self, number: int, moment: str) -> _Table | None:
        if not self.dated:
            step = self.options.interval_ms or 0
            self.instant = (self.options.start_ms or 0) if self.instant is None else self.instant + step
            return _Table(number, self.instant)
        if not moment:
            self.problems.add(number, "a table without a date before it")
            return None
        assert self.times is not None
        try:
            return _Table(number, self.times.ms(moment))
        except Unreadable as reason:
            self.problems.add(number, str(reason))
            return None

    def _line(self, table: _Table, number: int, line: str, log: PastLog) -> None:
        """One line of a table that begins with a bar."""
        if table.pending is not None:
            values = VALUES.match(line)
            if values is not None:
                self._gpu(table, number, table.pending, values, log)
            else:
                self.problems.add(number, f"GPU {table.pending['index']}: its second line cannot be read: {quoted(line)}")
            table.pending = None
            return
        found = GPU.match(line)
        if found is not None:
            table.pending, table.last = found, int(found["index"])
            return
        process = PROCESS.match(line)
        if process is not None:
            memory = self.mebibytes[process["memory"]] if process["memory"][0].isdigit() else None
            table.processes.append((int(process["gpu"]), int(process["pid"]), process["type"], process["name"], memory))
            table.listed = True
        elif NONE_RUNNING.match(line):
            table.listed = True
        elif "MIG devices" in line and not self.slices_named:
            self.slices_named = True
            self.problems.add(number, "MIG instances are not read: a table does not say which share of the GPU they are")
        else:
            mode = MIG_MODE.match(line)
            if mode is not None and mode[1].startswith("Enabled") and table.last >= 0:
                key = self._key(table.last)
                if key in log.gpus and not log.gpus[key].mig_enabled:
                    log.gpus[key] = replace(log.gpus[key], mig_enabled=True)
        self._tell(number)

    def _key(self, index: int) -> str:
        return f"import:{self.source.label}:{index}"

    def _gpu(self, table: _Table, number: int, who: re.Match[str], said: re.Match[str], log: PastLog) -> None:
        index = int(who["index"])
        memory = MEMORY.match(said["memory"])
        texts = {name: said[name] or "" for name in ("util", "power", "limit", "temp", "perf")}
        texts["memory"] = f"{memory[1]} MiB" if memory else ""
        lost = texts["temp"] == texts["perf"] == texts["util"] == "ERR!"
        found: dict[str, int | None] = {}
        for name, kind in KEPT.items():
            text = texts[name]
            known = text in ("N/A", "ERR!", "") or text.startswith(("Unknown", "Not", "["))
            found[kind.target] = None if known or lost else self.cells[name][text]
        if found["power_limit_watts"] is None:
            found["power_limit_watts"] = self.limit
        key = self._key(index)
        if key not in log.gpus:
            limit = found["power_limit_watts"]
            log.gpus[key] = Gpu(
                uuid=key,
                index=index,
                name="" if who["name"] == "ERR!" else clean(who["name"], 120),
                memory_total_bytes=int(memory[2]) * 2**20 if memory else None,
                power_limit_watts=None if limit is None else limit / 1000,
                pci_bus_id=clean(who["bus"], 40),
            )
        if index in table.gpus:
            self.problems.add(number, "the same GPU twice in one table")
            return
        table.gpus[index] = tuple([found.get(name) for name in MEASURES]), lost
        self._tell(number)

    def _finish(self, table: _Table, log: PastLog) -> Iterator[LogRow | LogProcessRow]:
        """Hand out a table that has ended."""
        if table.pending is not None:
            self.problems.add(table.line, "a table that is cut off")
        elif not table.gpus:
            self.problems.add(table.line, "a table without a GPU")
        place = MEASURES.index("process_count")
        known = max([self.latest.get(self._key(index), -1) for index in table.gpus], default=-1)
        if known >= table.ts_ms:
            found = placed(known, table.ts_ms, self.options.interval_ms)
            if found is None:
                self.problems.add(table.line, "the same GPU at the same time again", len(table.gpus))
                return
            table.ts_ms = found
        for index, (values, lost) in table.gpus.items():
            key = self._key(index)
            self.latest[key] = table.ts_ms
            if table.closed:
                count = sum(gpu == index and "C" in kind for gpu, _, kind, _, _ in table.processes)
                values = (*values[:place], count, *values[place + 1 :])
            yield LogRow(table.ts_ms, key, values, None, lost)
        yield from self._processes(table, log)

    def _processes(self, table: _Table, log: PastLog) -> Iterator[LogProcessRow]:
        now: dict[int, tuple[tuple[int, int], str]] = {}
        done = set()
        for index, pid, _, name, memory in table.processes:
            if index not in table.gpus or (index, pid) in done:
                continue
            done.add((index, pid))
            known = now.get(pid) or self.living.get(pid)
            if known is None or known[1] != name:
                if len(log.processes) >= MANY:
                    self.problems.add(table.line, "more processes than are kept apart")
                    continue
                known = (pid, table.ts_ms), name
                log.processes[known[0]] = Process(pid, table.ts_ms, _program(name), start_known=False)
            now[pid] = known
            yield LogProcessRow(table.ts_ms, known[0], self._key(index), (memory, *[None] * (PROCESS_WIDTH - 1)))
        if table.closed:
            self.living = now

    def _tell(self, number: int) -> None:
        for reason in self.trouble:
            self.problems.add(number, reason or "a GPU that cannot be used")
        self.trouble.clear()


def _program(shown: str) -> str:
    """The program of a process name, which may be a path or have arguments; those are not kept."""
    first = shown.strip().split(" ", 1)[0] if shown.startswith(("/", "./")) else shown.strip()
    return clean(re.split(r"[/\\]", first)[-1] or first, 120)
