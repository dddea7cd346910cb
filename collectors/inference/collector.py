"""The inference collector: asks each server that is there, at its own pace, and turns readings into samples."""

from __future__ import annotations

from gpuwatch.model import Batch
from gpuwatch.plugin import CollectorContext


class InferenceCollector:
    """See the package's docstring."""

    name = "inference"
    interval_seconds = 2.0

    def __init__(self, context: CollectorContext) -> None:
        self.context = context

    def open(self) -> None:
        """Nothing to connect to."""

    def collect(self, now: float) -> Batch:
        """One tick."""
        return Batch(collector=self.name, t=int(now), monotonic_ns=self.context.clock.monotonic_ns())

    def close(self) -> None:
        """Forget every server."""
