"""Answers of servers, read by the engines' tables, and what comes of them as one number a field."""

from __future__ import annotations

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines import engine
from gpuwatch.collectors.inference.reading import Answer, Reading
from gpuwatch.collectors.inference.table_reader import TableReader


def table(name: str) -> Engine:
    """The table of an engine that there is."""
    found = engine(name)
    assert found is not None
    return found


def answer(path: str, body: bytes | str = b"", status: int = 200, at_ns: int = 0) -> Answer:
    """What came for a path at one instant."""
    return Answer(path, status, body.encode() if isinstance(body, str) else body, at_ns, at_ns)


def read_page(name: str, body: bytes | str) -> Reading:
    """A page as the table of ``name`` says."""
    return TableReader(table(name)).read([answer("/metrics", body)], 0)


def numbers(reading: Reading) -> dict[str, float]:
    """Field -> its counters added up (less what is subtracted) or its gauge, and for each waiting time how many there were."""
    found = {
        name: sum(-value if key[0].startswith("-") else value for key, value in series.items())
        for name, series in reading.counters.items()
    }
    found |= reading.gauges
    for latency, series in reading.histograms.items():
        found[latency.label] = sum(buckets[float("inf")] for buckets in series.values())
    return found
