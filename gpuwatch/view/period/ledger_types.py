"""The ledger of a report and its bounds, as every row of a report has them."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Bucket, Cause, Missing, Tier

NO_PRICE = "no_price"
"""No price is configured."""


@dataclass(frozen=True, slots=True)
class Band:
    """A ratio that is a point (``low == high``) or known only within bounds: print a range, never the middle."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the GPU time of a span went. ``sum(buckets_gpu_ms) == capacity_gpu_ms`` and ``sum(wait_gpu_ms) == WAIT``, exactly.

    allocation x running x fill = efficiency. A ratio is ``None`` when its denominator is 0.
    """

    capacity_gpu_ms: int
    buckets_gpu_ms: Mapping[Bucket, int]
    """Every bucket, those of 0 too. ``QUIET`` is provisional: a quiet run younger than five minutes that still goes on."""
    wait_gpu_ms: Mapping[Cause, int]
    """``WAIT`` by cause, every cause but ``NONE``."""
    observed_gpu_ms: int
    """Capacity less unobserved."""
    allocated_gpu_ms: int
    """Observed less unavailable, unallocated and idle ?."""
    first_time_gpu_ms: int
    """Allocated less unused, held idle, quiet, overhead, wait and redone: work that was done once."""
    idle_gpu_ms: int
    """Held idle + unused + free + idle ? (+ quiet while provisional)."""
    waste_gpu_ms: int
    """Wait + throttled + redone + overhead + held idle + unused."""
    allocation_ratio: float | None
    """Allocated of observed."""
    running_ratio: float | None
    """First-time work of allocated."""
    fill_ratio: Band | None
    """Effective of first-time work; a range where no signal says how well busy time was filled."""
    efficiency_ratio: Band | None
    """Effective of observed."""
    tier: Tier
    """The weakest evidence behind busy time: ``G`` GPM, ``H`` hook, ``P`` power, ``N`` nothing."""
    busy_gpu_ms_by_tier: Mapping[Tier, int]
    """Busy time by its evidence; only tiers that have any."""
    coverage_ratio: float | None
    """Observed of capacity."""
    energy_mj: int | None
    """Energy of observed time; ``None``: nothing was observed, or no GPU of it has an energy of its own (``energy_reason``): neither
    a counter nor a power reading, or one for all instances of a sliced board."""
    idle_energy_mj: int | None
    """The part of it in held idle, unused, free and idle ?."""
    energy_reason: Missing | None = None
    money: float | None = None
    money_reason: str = NO_PRICE
