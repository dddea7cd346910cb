"""Tables that are taken over from another engine: the families may well be right, but nobody here has seen them on such a page."""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.collectors.inference.engine import Engine, Source
from gpuwatch.dataclass import replace


def as_source(sources: Iterable[Source]) -> tuple[Source, ...]:
    """The same sources, known from source only."""
    return tuple(
        replace(
            source,
            evidence="source",
            minus=as_source(source.minus),
            plus=as_source(source.plus),
            over=as_source(source.over),
        )
        for source in sources
    )


def unseen(table: Engine) -> Engine:
    """The same table, every line of it known from source only."""
    return replace(
        table,
        fields={name: as_source(sources) for name, sources in table.fields.items()},
        latencies={latency: as_source(sources) for latency, sources in table.latencies.items()},
        facts={name: tuple(replace(fact, evidence="source") for fact in facts) for name, facts in table.facts.items()},
        verified=False,
    )
