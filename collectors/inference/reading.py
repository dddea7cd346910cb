"""What one look at a server gave, before differences are taken; and how a reader that is more than a table is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gpuwatch.dataclass import dataclass, field
from gpuwatch.model import FieldSource
from gpuwatch.names import Latency

SeriesKey = tuple[str, ...]
"""Family and its labels, in a fixed order: what a counter's difference is taken per."""
LESS = "-"
"""Before the family of a series whose growth is subtracted from that of the others of its field."""
Buckets = Mapping[float, float]
"""Upper bound in seconds (``inf`` for the last) -> cumulative count."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one path. ``status`` is the HTTP status (0: nothing came), ``error`` one clear line when it is of no use.

    ``too_large``: reading was stopped at the limit. ``began_ns`` and ``ended_ns`` are monotonic.
    """

    path: str
    status: int
    body: bytes = b""
    began_ns: int = 0
    ended_ns: int = 0
    error: str = ""
    too_large: bool = False
    refused: bool = False
    """Nobody listens there."""

    @property
    def middle_ns(self) -> int:
        """The instant that the answer is taken to speak of."""
        return (self.began_ns + self.ended_ns) // 2


@dataclass(slots=True)
class Reading:
    """Cumulative counters per series, gauges, histograms and facts. Fields are those of ``InferenceSample``.

    ``amounts`` are counts that the reader has made differences of by itself, since its previous reading. A field that is in none of
    the mappings is unknown.
    """

    counters: dict[str, dict[SeriesKey, float]] = field(default_factory=dict)
    amounts: dict[str, float] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    histograms: dict[Latency, dict[SeriesKey, Buckets]] = field(default_factory=dict)
    histogram_sums: dict[Latency, dict[SeriesKey, float]] = field(default_factory=dict)
    facts: dict[str, str | int] = field(default_factory=dict)
    sources: dict[str, FieldSource] = field(default_factory=dict)
    start_seconds: float | None = None
    """``process_start_time_seconds``, where the page has it: a change is a restart."""
    recognised: bool = True
    """False: the page is not of a known engine."""
    detail: str = ""
    """Something worth telling beside the numbers, in one line (a model partly in host memory)."""
    hint: str = ""
    """What to add to the server's command for numbers that are not in this reading (it has some all the same)."""


class Reader(Protocol):
    """Reads one server. Readers keep what they need between looks; a restarted server gets a new reader."""

    def paths(self, now_ns: int) -> Sequence[str]:
        """The paths to ask at this look, each of them in this order; at most two, and only those of the engine's own table.

        None: nothing is due, and there is no look.
        """
        ...

    def read(self, answers: Sequence[Answer], now_ns: int) -> Reading:
        """Make a reading of the good answers (status 200); raises ``ValueError`` with one clear line for one that makes no sense.

        Called when at least one answer is good, with all of the look: a reader learns from the others what is off.
        """
        ...
