"""Inference servers: found by the process collector, read over HTTP, each engine described by one table.

``engine`` what a table is made of, ``engines/`` one file an engine, ``page`` a page of metrics, ``reading`` what one look gave,
``collector`` when and how servers are asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.collectors.inference.collector import InferenceCollector
    from gpuwatch.plugin import CollectorContext


def factory(context: CollectorContext) -> InferenceCollector:
    """The collector behind the entry point ``inference``."""
    from gpuwatch.collectors.inference.collector import InferenceCollector

    return InferenceCollector(context)
