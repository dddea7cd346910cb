"""What a reader brings to a view from the configuration: what is fast enough, and what a GPU costs."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass, field
from gpuwatch.prices import Prices
from gpuwatch.view.inference_types import Slo


@dataclass(frozen=True, slots=True)
class Terms:
    """Limits and prices. They change what is shown of the same rows and are never stored."""

    slo: Slo = field(default_factory=Slo)
    prices: Prices = field(default_factory=Prices)
