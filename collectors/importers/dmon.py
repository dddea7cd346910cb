"""``nvidia-smi dmon``: columns parted by blanks under two ``#`` lines, names and units, that come again every few rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from gpuwatch.collectors.importers.fields import UNITS, Column, Field
from gpuwatch.collectors.importers.layout import Layout
from gpuwatch.collectors.importers.plan import MEASURES
from gpuwatch.collectors.importers.rows import Run
from gpuwatch.collectors.importers.source import Source
from gpuwatch.collectors.importers.types import ImportOptions, LogRow, PastLog
from gpuwatch.measure import KIB

FORMAT = "nvidia-smi dmon"
NAMES = re.compile(r"^#\s*(?:date\b[\s,]*)?(?:time\b[\s,]*)?gpu\b(?![^\n]*\bpid\b)", re.IGNORECASE | re.MULTILINE)
COLUMNS = {
    "gpu": Column("gpu", "who", "index"),
    "date": Column("Date", "who", "date"),
    "time": Column("Time", "who", "clock"),
    "pwr": Column("pwr", "sample", "power", Field("power_watts", "watts", "w")),
    "gtemp": Column("gtemp", "sample", "temperature", Field("temperature_celsius", "celsius", "c")),
    "temp": Column("temp", "sample", "temperature", Field("temperature_celsius", "celsius", "c", 1)),
    "mtemp": Column("mtemp", "sample", "memory_temperature", Field("memory_temperature_celsius", "celsius", "c")),
    "sm": Column("sm", "sample", "utilization", Field("utilization_ratio", "ratio", "%")),
    "mem": Column("mem", "sample", "memory_utilization", Field("memory_utilization_ratio", "ratio", "%")),
    "enc": Column("enc", "sample", "encoder", Field("encoder_utilization_ratio", "ratio", "%")),
    "dec": Column("dec", "sample", "decoder", Field("decoder_utilization_ratio", "ratio", "%")),
    "mclk": Column("mclk", "sample", "memory_clock", Field("memory_clock_hertz", "hertz", "mhz")),
    "pclk": Column("pclk", "sample", "sm_clock", Field("sm_clock_hertz", "hertz", "mhz")),
    "fb": Column("fb", "sample", "memory_used", Field("memory_used_bytes", "bytes", "mib")),
    "rxpci": Column("rxpci", "sample", "pcie_rx", Field("pcie_rx_bytes", "rate", "mb/s")),
    "txpci": Column("txpci", "sample", "pcie_tx", Field("pcie_tx_bytes", "rate", "mb/s")),
    "pviol": Column("pviol", "sample", "power_violation", Field("power_throttled_seconds", "share", "%")),
}
"""``nvidia-smi dmon -h``; ``sm`` is utilization, ``fb`` counts powers of two, ``pviol`` is a share of the row's time."""
PERIODS = 3
"""A row speaks for the time since the one before it if that is at most so many intervals."""
AMOUNTS = (("pcie_rx_bytes", KIB / 1000), ("pcie_tx_bytes", KIB / 1000), ("power_throttled_seconds", 0.001))


class Dmon:
    """Reader of ``nvidia-smi dmon``."""

    name = FORMAT

    def reads(self, head: str, options: ImportOptions) -> bool:
        """Whether a line of names is there."""
        return NAMES.search(head) is not None

    def open(self, source: Source, options: ImportOptions) -> PastLog:
        """The log; :class:`UsageError` says which option would supply what it lacks."""
        return _DmonRun(source, options).log(FORMAT)


class _DmonRun(Run):
    asks_units = False

    def head(self, lines: Sequence[str]) -> tuple[Layout | None, int]:
        for position, line in enumerate(lines):
            columns = self._names(line)
            if columns is not None:
                units = lines[position + 1] if position + 1 < len(lines) else ""
                return Layout(", " if "," in line else None, self._with_units(columns, units)), position
        return None, -1

    def header(self, line: str, cells: Sequence[str]) -> tuple[Column, ...] | None:
        if not line.lstrip().startswith("#"):
            return None
        names = self._names(line)
        now = self.plan.layout.columns if hasattr(self, "plan") else None
        if names is None or (now is not None and [c.text for c in names] == [c.text for c in now]):
            return now or ()
        return names

    @staticmethod
    def _names(line: str) -> tuple[Column, ...] | None:
        if not NAMES.match(line.lstrip()):
            return None
        names = line.strip().lstrip("#").replace(",", " ").split()
        return tuple([COLUMNS.get(name.lower(), Column(name, "unused", name)) for name in names])

    @staticmethod
    def _with_units(columns: tuple[Column, ...], line: str) -> tuple[Column, ...]:
        """The columns with what the line below says of their units."""
        units = line.strip().lstrip("#").replace(",", " ").split() if line.lstrip().startswith("#") else []
        if len(units) != len(columns):
            return columns
        found = []
        for column, unit in zip(columns, units):
            field = column.field
            if field is not None and field.unit != "mib":
                known = unit.lower() if unit.lower() in UNITS[field.dimension] else ""
                column = Column(column.text, column.kind, column.name, field._replace(unit=known))
            found.append(column)
        return tuple(found)

    def rows(self, log: PastLog) -> Iterator[LogRow]:
        """The rows, with rates made amounts over the time since the GPU's row before."""
        limit = PERIODS * (self.options.interval_ms or self._usual_ms())
        places = [(MEASURES.index(name), factor) for name, factor in AMOUNTS]
        before: dict[str, int] = {}
        for row in super().rows(log):
            step = row.ts_ms - before.get(row.gpu, row.ts_ms)
            before[row.gpu] = row.ts_ms
            if any(row.values[place] is not None for place, _ in places):
                values = list(row.values)
                for place, factor in places:
                    value = values[place]
                    if value is not None:
                        values[place] = round(value * step * factor) if 0 < step <= limit else None
                row = row._replace(values=tuple(values))
            yield row

    def _usual_ms(self) -> int:
        """The usual time between rows of a GPU among the first; 0 if that cannot be told."""
        first: dict[str, list[int]] = {}
        for gpu, moment in self.seen:
            first.setdefault(gpu, []).append(moment)
        steps = sorted(b - a for moments in first.values() for a, b in pairwise(moments) if b > a)
        return steps[len(steps) // 2] if steps else 0
