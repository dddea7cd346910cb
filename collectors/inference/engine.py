"""What the table of an engine is made of: for each number the families that may give it, newest name first.

The kind of a field (a counter to take differences of, or a gauge) is that of its measure in ``model.InferenceSample``. A family that
is not on the page makes the field unknown, never 0; the first candidate that is there wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Latency, Quality

Evidence = Literal["live", "captured", "source"]
"""How a table's line is known: read from a running server by its makers, from a page somebody captured, from source or docs only."""


@dataclass(frozen=True, slots=True)
class Source:
    """One family that a field can come from.

    ``family`` is the full name of the series; of a histogram or summary the base name, and ``part`` says which part of it. Only
    series whose labels have the values of ``labels`` count (an empty value also matches a label that is absent; several values are
    given as ``a|b``). ``how`` joins what is left: over engines and label values. ``minus`` is subtracted (per page, not per
    series); without it on the page the candidate is not there. ``scale`` turns the family's unit into the field's.
    """

    family: str
    part: Literal["value", "sum", "count"] = "value"
    labels: Mapping[str, str] = field(default_factory=dict)
    lowest: tuple[str, ...] = ()
    """Labels that say which of several ranks tells it: of series that differ in these labels alone the one with the lowest counts."""
    how: Literal["sum", "max", "mean", "first"] = "sum"
    moves: bool = False
    """The server shows 0 where it does not count: only once it has moved the candidate is there."""
    scale: float = 1.0
    quality: Quality = Quality.EXACT
    minus: tuple[Source, ...] = ()
    plus: tuple[Source, ...] = ()
    """Added in the same way as ``minus`` is subtracted; without one of them on the page the candidate is not there."""
    beside: tuple[str, ...] = ()
    """Families that must be on the page too, or the candidate is not there: they tell which version's meaning a name has."""
    over: tuple[Source, ...] = ()
    """Gauges only: divided by the sum of these (used blocks over all blocks)."""
    evidence: Evidence = "source"


@dataclass(frozen=True, slots=True)
class Fact:
    """A limit or a name: the value of a family (``label`` empty), or a label's value on any series of it.

    ``times`` are labels or families whose numbers are multiplied with it (blocks x block size).
    """

    family: str
    label: str = ""
    times: tuple[str, ...] = ()
    how: Literal["sum", "max", "first"] = "first"
    evidence: Evidence = "source"


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One engine, or one shape of its page. Compared by identity, so that what is made of a table can be kept for all its servers.

    ``name`` is the word that the process collector uses. ``paths`` are asked in this order until one answers (at most two).
    ``prefixes`` are what a line must begin with to be read at all, ``marks`` the families any of which proves that a page is this
    engine's (also for processes that nobody recognised). ``aliases`` are prefixes that stand for ``prefixes[0]`` on other pages
    (Ray's ``ray_vllm_``; the empty one for a page without prefix), tried in order. ``metrics_off`` says what to add to the command.
    """

    name: str
    title: str
    default_port: int
    paths: tuple[str, ...]
    prefixes: tuple[str, ...]
    marks: tuple[str, ...]
    fields: Mapping[str, tuple[Source, ...]]
    latencies: Mapping[Latency, tuple[Source, ...]] = field(default_factory=dict)
    facts: Mapping[str, tuple[Fact, ...]] = field(default_factory=dict)
    """Of ``model.Server``: served_model, engine_version, max_model_tokens, max_running_requests, kv_cache_tokens."""
    once: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Paths asked once for each process, after a good page: fact -> the way to it through the JSON (``data.0.id``)."""
    aliases: tuple[str, ...] = ()
    metrics_off: str = ""
    metrics_port: int = 0
    """Where the page is when it is not on the port that serves; 0: the same."""
    late: bool = False
    """Its families appear with the first request: a page without any mark is an idle server's, not a foreign one."""
    repeats: bool = False
    """Several processes of it tell of the same tokens (a frontend and its workers): of one workload one page is taken, never a sum."""
    answer_seconds: float = 2.0
    """How long a whole answer may take: longer where the server answers between two batches."""
    keep_alive: bool = True
    """False where an open connection holds one of the server's few threads."""
    verified: bool = False
    """Whether some page of it was seen (live or captured)."""
    reader: str = ""
    """``module:Class`` of a reader of its own, where a table cannot say it, made as ``Class(engine)``; empty: the page alone is read."""
    notes: str = ""
    """For ``docs/engines.md``: traps and what is not covered."""
