"""What a report says of one served model."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Missing, Quality
from gpuwatch.view.inference_types import LatencyView
from gpuwatch.view.period.ledger_types import Ledger


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One served model over the span, all of its replicas and hosts together. Tokens and requests are sums of what was counted.

    ``model`` is the name by which it is served, empty where no server tells one. Energy is that of the GPU time that its processes
    held, idle time included; where a GPU is shared the ledger splits it. Costs are ``None`` without a price for all of that time.
    Both are told a token only where tokens were counted for at least 90 % of that time, in each of its servers.
    """

    model: str
    engines: tuple[str, ...]
    replicas: int
    """Servers that had it in the span, one after the other or at once."""
    gpus: tuple[tuple[str, int], ...]
    """(host, index) of the GPUs that it held."""
    ledger: Ledger
    """Its GPU time: capacity is what it held."""
    observed_seconds: float
    """Server-seconds between two readings."""
    output_tokens_total: int | None
    prefill_tokens_total: int | None
    cached_tokens_total: int | None
    requests_total: int | None
    energy_per_output_token_joules: float | None
    ttft: LatencyView | None
    itl: LatencyView | None
    """Over all observations of the span; ``None`` where it is not measured."""
    cost_per_million_output_tokens: float | None = None
    currency: str = ""
    price: str = ""
    quality: Quality | None = None
    """How output tokens are counted; the worst where servers differ, ``None`` where they are not."""
    missing: Mapping[str, Missing] = field(default_factory=dict)
