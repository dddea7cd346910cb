"""How a quantity that is never twice the same is spread: log-normal, by its median and its 95th percentile."""

from __future__ import annotations

import math
from functools import cached_property

from gpuwatch.dataclass import dataclass

_Z95 = 1.6448536269514722
"""The standard normal distribution has 95 % below it."""


@dataclass(frozen=True)
class Spread:
    """A log-normal quantity: most of it near the median, and a tail above."""

    median: float
    p95: float

    @cached_property
    def sigma(self) -> float:
        """Standard deviation of the logarithm; 0 where the quantity is always the same, or nothing."""
        return math.log(self.p95 / self.median) / _Z95 if self.median else 0.0

    @cached_property
    def mean(self) -> float:
        """Always above the median: the tail pulls."""
        return self.median * math.exp(self.sigma**2 / 2)

    def share_up_to(self, limit: float, median: float) -> float:
        """The share at or below ``limit`` when the median is ``median`` and the shape the same."""
        if median <= 0 or not self.sigma:
            return 1.0 if median <= limit else 0.0
        return 0.5 * math.erfc((math.log(median / limit)) / (self.sigma * math.sqrt(2)))
