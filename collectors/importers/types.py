"""What a reader of past logs hands out: rows of the store's integers with where each came from, and what it could not use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from gpuwatch.dataclass import NamedTuple, dataclass, field
from gpuwatch.model import Gpu, Process

if TYPE_CHECKING:
    from gpuwatch.collectors.importers.source import Source


class LogRow(NamedTuple):
    """One GPU at one instant. A tuple, since a log has millions.

    ``gpu`` is a key of :attr:`PastLog.gpus`. ``values`` are the store's integers in the order of ``measures(GpuSample)``
    (what ``measure.quantise`` gives); ``None`` is "the log does not say". ``duration_ms`` is ``None`` unless the log itself says
    how much time the row speaks for (our own exports do). ``unavailable``: the log says that the GPU is lost or needs a reset.
    Rows of a GPU may be out of order; the reader leaves out a row at the very time of the one before it and counts it, a
    repetition further on is the loader's to leave out.
    """

    ts_ms: int
    gpu: str
    values: tuple[int | None, ...]
    duration_ms: int | None = None
    unavailable: bool = False


class LogProcessRow(NamedTuple):
    """One process on one GPU at one instant; ``values`` as for ``measures(ProcessSample)``. ``gpu`` is empty for a process on none."""

    ts_ms: int
    process: tuple[int, int]
    gpu: str
    values: tuple[int | None, ...]
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What could not be used: the first line of it (1 is the first of the file), how many lines are like it, and why."""

    line: int
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says of a log that it does not say itself; ``None`` and empty: not said. Nothing is ever guessed.

    ``tz`` is the IANA zone of times without one; ``start_ms`` the time of the first row of a log without times (or the date of
    one without dates), ``interval_ms`` the time between its rows.
    """

    host: str = ""
    tz: str = ""
    power_limit_watts: float | None = None
    start_ms: int | None = None
    interval_ms: int | None = None
    date_order: str = ""
    """``mdy``, ``dmy`` or ``ymd`` where a log's dates can be read in two ways."""
    fields: str = ""
    """The columns of a CSV file without a header, or with a wrong one, as they were given to ``--query-gpu``."""


@dataclass(slots=True)
class PastLog:
    """A log that is being read. Iterate ``rows`` once; ``gpus``, ``processes`` and ``problems`` are complete when it has ended.

    ``gpus`` are the entities under the keys that rows use; a GPU of which the log does not know the UUID has
    ``uuid="import:<label>:<index>"``. ``zone`` is the zone that times were read in, or ``in the log``.
    """

    format: str
    rows: Iterator[LogRow | LogProcessRow]
    gpus: dict[str, Gpu] = field(default_factory=dict)
    processes: dict[tuple[int, int], Process] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    hostname: str = ""
    zone: str = ""
    utc_offset_seconds: int | None = None
    """Local time minus UTC, where the log's own times say it; known before the first row."""
    lines_read: int = 0
    interval_ms: int | None = None
    """Time between rows of one GPU, where the log or an option says it; else the loader takes the median."""


class LogReader(Protocol):
    """One format. ``reads`` looks at the beginning; ``open`` raises :class:`gpuwatch.errors.UsageError` naming the option that
    would supply what the log lacks."""

    name: str

    def reads(self, head: str, options: ImportOptions) -> bool: ...

    def open(self, source: Source, options: ImportOptions) -> PastLog: ...


Readers = Mapping[str, LogReader]
