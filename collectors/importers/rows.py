"""Rows out of the lines of a table with a header: what a line is, when it was, which GPU it is of, and what cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from gpuwatch.collectors.importers.cells import UNUSABLE, Trouble
from gpuwatch.collectors.importers.fields import Column
from gpuwatch.collectors.importers.gpus import Gpus
from gpuwatch.collectors.importers.identity import Identity, again, candidate, identify, one_gpu_only
from gpuwatch.collectors.importers.layout import Layout, cells_of, header_of, prefix_time, split_head, strip_prefix
from gpuwatch.collectors.importers.plan import Plan
from gpuwatch.collectors.importers.problems import Problems, Unreadable, message, quoted
from gpuwatch.collectors.importers.source import Source
from gpuwatch.collectors.importers.times import Times, mark_of
from gpuwatch.collectors.importers.types import ImportOptions, LogRow, PastLog
from gpuwatch.collectors.importers.units import WHY, ask, settled, with_units
from gpuwatch.collectors.importers.within import SECOND, ask_interval, placed
from gpuwatch.dataclass import replace
from gpuwatch.errors import UsageError

SAMPLE_LINES = 600
"""So many lines are looked at before the first row is read."""


class Run:
    """The reading of one file. Other line formats override how its header is found and what a header is."""

    asks_units = True
    """Whether the user can say the unit of a column."""

    def __init__(self, source: Source, options: ImportOptions) -> None:
        self.source, self.options = source, options
        self.trouble, self.problems = Trouble(), Problems()
        self.gpus = Gpus(source.label, options)
        self.sample = list(islice(source.lines(), SAMPLE_LINES))
        if len(self.sample) < SAMPLE_LINES and source.tail:
            self.sample.append(source.tail)
        layout, position = self.head([line for _, line in self.sample])
        if layout is None:
            raise UsageError(f"{source.name}: no header names its columns", "say them with --fields, as given to --query-gpu")
        if not any(column.kind in ("sample", "reason", "counter") for column in layout.columns):
            raise UsageError(
                f"--fields names nothing that is measured: {quoted(options.fields, 100)}", "names as given to --query-gpu"
            )
        self.begins = position + 1
        self.units: dict[str, str] = {}
        """Column -> unit that its numbers say."""
        if self.asks_units:
            layout = self._settled(layout)
        self.clock_less = not layout.prefixed and not any(column.name in ("time", "date", "clock") for column in layout.columns)
        self.mark = ""
        """The line of its own that said a time last, in a log whose rows have none."""
        self.marked = self.clock_less and any(mark_of(line) for _, line in self.sample)
        self.clock_less = self.clock_less and not self.marked
        self.plan = self._first_plan(layout)
        first = self.sample[self.begins - 1][1] if self.begins else ""
        self.plans = {((strip_prefix(first) or "") if layout.prefixed else first).strip(): self.plan} if self.begins else {}
        """Header line -> how the rows below it are read."""
        self.times: Times | None = None
        self.seen: list[tuple[str, int]] = []
        """GPU and time of the first rows."""

    def head(self, lines: Sequence[str]) -> tuple[Layout | None, int]:
        """The layout of the first lines and where its header is among them (-1: there is none)."""
        return split_head(lines, self.options.fields)

    def header(self, line: str, cells: Sequence[str]) -> tuple[Column, ...] | None:
        """The columns if a line is a header."""
        return header_of(cells)

    def _first_plan(self, layout: Layout) -> Plan:
        rows = [cells for _, cells in self._cells(layout, self.sample[self.begins :])]
        if not rows and len(self.sample) > self.begins and not any(message(line) for _, line in self.sample):
            line = next((line for _, line in self.sample[self.begins :] if line.strip()), "")
            raise UsageError(
                f"{self.source.name}: its header names {layout.width} columns, but its lines have {len(cells_of(line, layout.separator))} cells",
                "say the true columns with --fields",
            )
        if not rows and len(self.sample) < SAMPLE_LINES and not any(line.strip() for _, line in self.sample[self.begins :]):
            raise UsageError(f"{self.source.name}: it has a header and no rows")
        who = [(i, candidate(c), c.text) for i, c in enumerate(layout.columns)]
        empty = Plan(layout, Identity(-1, "", -1), Trouble(), None)
        said = [(self._time_text(empty, cells, line), cells) for line, cells in self._paired(layout)]
        timed = [(time, cells) for time, cells in said if mark_of(time)] or [(str(n), cells) for n, (_, cells) in enumerate(said)]
        identity = identify(who, [cells for _, cells in timed], [time for time, _ in timed])
        if self.marked and not any(mark_of(line) for _, line in self.sample[self.begins :]) and again(timed, identity.key):
            self.marked, self.clock_less = False, True  # the only time stands above rows of several instants
        return Plan(layout, identity, self.trouble, self.options.power_limit_watts)

    def _settled(self, layout: Layout) -> Layout:
        """The layout with units that only the numbers say; those that nothing says are asked of the user."""
        rows = [cells for _, cells in self._cells(layout, self.sample[self.begins :])]
        self.units = settled(layout.columns, rows, lambda: (cells for _, cells in self._cells(layout, self.source.lines())))
        layout = replace(layout, columns=with_units(layout.columns, self.units))
        ask(layout.columns, rows, self.source.name)
        return layout

    def _paired(self, layout: Layout) -> list[tuple[str, list[str]]]:
        """What says the time of a row (its line, or the mark before it), and its cells, of the sample's rows."""
        if self.marked:
            return self._marks(layout)
        return list(self._cells(layout, self.sample[self.begins :]))

    def _cells(self, layout: Layout, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[str, list[str]]]:
        """The lines that have as many cells as the header, without headers that come again."""
        for _, line in lines:
            text = (strip_prefix(line) or "") if layout.prefixed else line
            cells = cells_of(text, layout.separator)
            if len(cells) == layout.width + 1 and not cells[-1].strip():
                cells.pop()
            if len(cells) == layout.width and self.header(text, cells) is None:
                yield line, cells

    def _marks(self, layout: Layout) -> list[tuple[str, list[str]]]:
        found, mark = [], ""
        for number, line in self.sample:
            mark = mark_of(line) or mark
            found += [(mark, cells) for _, cells in self._cells(layout, [(number, line)]) if not mark_of(line)]
        return found

    def _time_text(self, plan: Plan, cells: Sequence[str], line: str) -> str:
        if plan.time >= 0:
            return cells[plan.time].strip()
        if plan.date >= 0:
            clock = f"{plan.layout.joiner or ' '}{cells[plan.clock].strip()}" if plan.clock >= 0 else ""
            return cells[plan.date].strip() + clock
        if self.marked:
            return line
        return prefix_time(line) if plan.layout.prefixed else ""

    def log(self, form: str) -> PastLog:
        """The log, once its first rows say all that is needed."""
        log = PastLog(form, iter(()), interval_ms=self.options.interval_ms)
        self._begin(log)
        log.rows = self.rows(log)
        return log

    def _begin(self, log: PastLog) -> None:
        """Look at the first rows: what they lack is an error now, not in the middle."""
        paired = self._paired(self.plan.layout)
        if self.clock_less:
            if self.options.start_ms is None or self.options.interval_ms is None:
                raise UsageError(
                    f"{self.source.name}: no column of it is a time", "say when it begins with --start and its step with --interval"
                )
            log.zone = "given"
            return
        texts = [self._time_text(self.plan, cells, line) for line, cells in paired]
        options = self.options
        if any("utc" in c.text.lower() for c in self.plan.layout.columns if c.kind == "who"):
            options = replace(options, tz="UTC")
        self.times = Times(texts, options, self.source.name, self._all_times)
        moments, contents, key = [], [], self.plan.identity.key
        for text, (_, cells) in zip(texts, paired):
            try:
                moments.append(self.times.ms(text))
            except Unreadable:
                continue
            self.seen.append((cells[key].strip() if key >= 0 else "", moments[-1]))
            contents.append((*self.seen[-1], cells))
        if texts and not moments and len(texts) >= 3:
            raise UsageError(
                f"{self.source.name}: the times of its rows cannot be read, like {quoted(texts[0])}",
                "if they are no times, call that column - in --fields and give --start and --interval",
            )
        log.utc_offset_seconds = self.times.utc_offset_seconds
        self.times.restart()
        if self.plan.identity.key >= 0:
            ask_interval(contents, options.interval_ms, self.source.name)
        elif (options.interval_ms or SECOND) >= SECOND or any(moment % SECOND for moment in moments):
            one_gpu_only(moments, self.source.name)

    def _all_times(self) -> Iterator[str]:
        for _, line in self.source.lines():
            if self.marked:
                yield mark_of(line)
                continue
            text = (strip_prefix(line) or "") if self.plan.layout.prefixed else line
            cells = cells_of(text, self.plan.layout.separator)
            if len(cells) == self.plan.layout.width:
                yield self._time_text(self.plan, cells, line)

    def rows(self, log: PastLog) -> Iterator[LogRow]:
        """The rows. Its end completes the log."""
        top = self.sample[: max(self.begins - 1, 0)]
        marks = [mark_of(line) for _, line in top] if self.marked else []
        self.mark = next((mark for mark in reversed(marks) if mark), "")
        before = [number for number, line in top if line.strip() and not (self.marked and mark_of(line))]
        if before:
            self.problems.add(before[0], "before the header", len(before))
        self._say_unused(self.begins)
        lines = self.source.lines()
        for _ in range(self.begins):
            if next(lines, None) is None:
                break
        try:
            yield from self._clocked(lines, log) if not self.clock_less else self._stepped(lines, log)
            tail = self.source.tail
            if tail is not None and tail[0] > self.begins:
                yield from self._last(tail, log)
        finally:
            self._finish(log)

    def _clocked(self, lines: Iterator[tuple[int, str]], log: PastLog) -> Iterator[LogRow]:
        """Rows that say when they were. The loop is the cost of a large import: one look-up per cell."""
        times = self.times
        assert times is not None
        trouble, problems, who, ms = self.trouble, self.problems, self.gpus.known, times.ms
        new = partial(tuple.__new__, LogRow)  # half the time of LogRow(…)
        last_text, last_ts, latest, interval_ms = "\0", 0, self.gpus.latest, self.options.interval_ms
        while True:
            plan = self.plan
            width, separator, time, key = plan.layout.width, plan.layout.separator, plan.time, plan.identity.key
            values_of = plan.values_of
            simple = time >= 0 and not plan.layout.prefixed
            for number, line in lines:
                cells = line.split(separator)
                if len(cells) != width or not simple:
                    other = self._unusual(number, line)
                    if other is None:
                        if self.plan is not plan:
                            break
                        continue
                    cells = other
                text = cells[time] if simple else self._time_text(plan, cells, self.mark if self.marked else line)
                if text != last_text:
                    try:
                        last_ts = ms(text)
                    except Unreadable as reason:
                        if self._header(number, line):
                            break
                        problems.add(number, message(line) or str(reason))
                        continue
                    last_text = text
                gpu = who.get(cells[key]) if key >= 0 else who.get("")
                if gpu is None:
                    try:
                        gpu = self.gpus.found(plan, cells, log)
                    except Unreadable as reason:
                        problems.add(number, str(reason))
                        continue
                values = values_of(cells, gpu)
                lost = self._told(number) if trouble else False
                ts = last_ts
                if latest.get(gpu, -1) >= ts:
                    found = placed(latest[gpu], ts, interval_ms)
                    if found is None:
                        problems.add(number, "the same GPU at the same time again")
                        continue
                    ts = found
                latest[gpu] = ts
                yield new((ts, gpu, values, None, bool(lost)))
            else:
                return

    def _stepped(self, lines: Iterator[tuple[int, str]], log: PastLog) -> Iterator[LogRow]:
        """Rows without a time: a new instant begins when a GPU comes again."""
        assert self.options.start_ms is not None and self.options.interval_ms is not None
        self._instant, self._seen = self.options.start_ms, set[str]()
        for number, line in lines:
            yield from self._step(number, line, log)

    def _step(self, number: int, line: str, log: PastLog) -> Iterator[LogRow]:
        cells = self._unusual(number, line)
        if cells is None:
            return
        try:
            gpu = self.gpus.found(self.plan, cells, log)
        except Unreadable as reason:
            self.problems.add(number, message(line) or str(reason))
            return
        values = self.plan.values_of(cells, gpu)
        lost = self._told(number) if self.trouble else False
        if lost is None and not any(value is not None for value in values):
            return  # without a time and without a value it is no row
        if gpu in self._seen:
            self._instant += self.options.interval_ms or 0
            self._seen.clear()
        self._seen.add(gpu)
        yield LogRow(self._instant, gpu, values, None, bool(lost))

    def _last(self, tail: tuple[int, str], log: PastLog) -> Iterator[LogRow]:
        """The line that nothing ends: its last cell may be cut, so it must look like those before it."""
        number, line = tail
        width = self.plan.layout.width
        cells = cells_of(line, self.plan.layout.separator)
        if not line.strip() or (self.marked and mark_of(line)):
            return
        typical = list(self._cells(self.plan.layout, [each for each in self.sample[self.begins :] if each[0] != number]))
        if len(cells) == width and typical:
            shortest = min(len(row[-1].strip()) for _, row in typical)
            used = {place for _, place in self.plan.readers}
            unit = any(c.isalpha() or c == "%" for c in typical[0][1][-1].strip()[-1:])
            complete = cells[-1].strip()[-1:] == typical[0][1][-1].strip()[-1:] if unit else len(cells[-1].strip()) >= shortest
            if width - 1 in used and not complete:
                self.problems.add(number, "the last line is cut off, so its last cell is not used")
                line = line.removesuffix(cells[-1]) + "N/A"
        elif self.header(line, cells) is None and not message(line):
            self.problems.add(number, "the last line is cut off")
            return
        yield from self._clocked(iter([(number, line)]), log) if not self.clock_less else self._step(number, line, log)

    def _unusual(self, number: int, line: str) -> list[str] | None:
        """The cells of a line that did not part as the others do; ``None`` if it is no row (a header makes a new plan)."""
        layout = self.plan.layout
        text = line
        if layout.prefixed:
            stripped = strip_prefix(line)
            if stripped is None:
                if line.strip():
                    self.problems.add(number, message(line) or "no time before the line")
                return None
            text = stripped
        if not text.strip():
            return None
        if self.marked and (mark := mark_of(text)):
            self.mark = mark
            return None
        cells = cells_of(text, layout.separator)
        if len(cells) == layout.width + 1 and not cells[-1].strip():
            cells.pop()
        if self._header(number, text):
            return None
        if len(cells) != layout.width:
            said = message(text)
            plural = "cell" if len(cells) == 1 else "cells"
            self.problems.add(number, said or f"{len(cells)} {plural} where the header names {layout.width}")
            return None
        return cells

    def _header(self, number: int, line: str) -> bool:
        """Whether the line is a header; if its columns are others, the rows after it are read by them."""
        key = line.strip()
        plan = self.plans.get(key)
        if plan is None:
            columns = self.header(line, cells_of(line, self.plan.layout.separator))
            if columns is None:
                return False
            plan = self._plan_for(number, columns)
            if len(self.plans) < 1000 and columns is not self.plan.layout.columns:
                self.plans[key] = plan
        if plan is not self.plan:
            self.plan = plan
            self.gpus.known.clear()
            self._say_unused(number)
        return True

    def _plan_for(self, number: int, columns: tuple[Column, ...]) -> Plan:
        """How rows under a header in the middle are read: as before, if its columns are the same or given by the user."""
        now = self.plan.layout
        columns = with_units(columns, self.units)
        if self.options.fields or columns == now.columns or now.joiner:
            return self.plan
        layout = Layout(now.separator, columns, now.prefixed)
        who = [(i, candidate(c), c.text) for i, c in enumerate(columns)]
        plan = Plan(layout, identify(who, [], []), self.trouble, self.options.power_limit_watts)
        if (plan.time < 0 and plan.date < 0 and not layout.prefixed) != (self.clock_less or self.marked):
            self.problems.add(number, "a header with and one without a time in one file: rows below it are not used")
            return self.plan
        return plan

    def _say_unused(self, number: int) -> None:
        for name in self.units:
            self.problems.add(max(number, 1), f"column {quoted(name)}: {WHY}")
        if self.plan.unused:
            self.problems.add(max(number, 1), f"columns not used: {', '.join(self.plan.unused)}")
        for note in self.plan.notes:
            self.problems.add(max(number, 1), note)

    def _told(self, number: int) -> bool | None:
        """Name the troubles of a row's cells. True if they say that the GPU could not be used, ``None`` for any other."""
        lost = UNUSABLE in self.trouble
        for reason in self.trouble:
            if reason != UNUSABLE:
                self.problems.add(number, reason)
        self.trouble.clear()
        return lost or None

    def _finish(self, log: PastLog) -> None:
        source = self.source
        for number in source.too_long[:1]:
            self.problems.add(number, "longer than any line of a log", len(source.too_long))
        if source.broken:
            self.problems.add(max(source.count, 1), source.broken)
        log.lines_read = source.count
        log.zone = (self.times.zone if self.times is not None else "") or log.zone
        log.problems[:] = self.problems.listed()
