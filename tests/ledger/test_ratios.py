"""The figures people read, against the worked example of the ledger and the honesty rules."""

from __future__ import annotations

import pytest

from gpuwatch.ledger.ratios import ratios
from gpuwatch.ledger.types import BucketRow
from gpuwatch.names import Bucket, Cause, Tier


def part(bucket: Bucket, ms: int, tier: Tier = Tier.G) -> BucketRow:
    return BucketRow(0, bucket, Cause.NONE, tier, ms, 0)


EXAMPLE = [
    part(Bucket.UNALLOCATED, 2400),
    part(Bucket.HELD_IDLE, 4200),
    part(Bucket.OVERHEAD, 600),
    part(Bucket.WAIT, 2640),
    part(Bucket.THROTTLED, 274),
    part(Bucket.REDONE, 177),
    part(Bucket.EMPTY_SM, 2311),
    part(Bucket.STALLED_SM, 2227),
    part(Bucket.EFFECTIVE, 4371),
]
"""GPU-hours x 100 of 8 GPUs over a day."""


def test_the_worked_example() -> None:
    out = ratios([*EXAMPLE, part(Bucket.UNOBSERVED, 5000)])
    assert out.observed_ms == 19_200
    assert out.allocated == pytest.approx(0.875)
    assert out.running == pytest.approx(0.547, abs=5e-4)
    assert out.fill_low == out.fill_high == pytest.approx(0.476, abs=5e-4)
    assert out.efficiency_low == out.efficiency_high == pytest.approx(0.228, abs=5e-4)
    assert out.allocated * out.running * out.fill_low == pytest.approx(out.efficiency_low)
    assert out.tier is Tier.G
    assert out.waste_ms == 4200 + 600 + 2640 + 274 + 177


def test_without_a_fill_signal_efficiency_is_a_range() -> None:
    out = ratios([part(Bucket.BUSY_UNKNOWN, 50, Tier.N), part(Bucket.WAIT, 30), part(Bucket.UNALLOCATED, 20)])
    assert (out.fill_low, out.fill_high) == (0.0, 1.0)
    assert (out.efficiency_low, out.efficiency_high) == (0.0, 0.5)
    assert out.tier is Tier.N


def test_nothing_observed_has_no_ratio() -> None:
    out = ratios([part(Bucket.UNOBSERVED, 100)])
    assert (out.allocated, out.running, out.fill_low, out.efficiency_high) == (None, None, None, None)


def test_what_is_unknown_or_unfinished_is_never_waste() -> None:
    unknown = (
        Bucket.UNOBSERVED,
        Bucket.UNAVAILABLE,
        Bucket.UNALLOCATED,
        Bucket.IDLE_UNATTRIBUTED,
        Bucket.QUIET,
        Bucket.BUSY_UNKNOWN,
    )
    assert ratios([part(bucket, 10) for bucket in unknown]).waste_ms == 0


def test_idle_that_nobody_is_known_to_hold_is_not_allocated() -> None:
    assert ratios([part(Bucket.IDLE_UNATTRIBUTED, 10), part(Bucket.QUIET, 30)]).allocated == 0.75


def test_by_power_alone_fill_is_a_band_of_a_quarter_on_each_side() -> None:
    out = ratios([part(Bucket.BUSY_UNKNOWN, 500, Tier.P), part(Bucket.EMPTY_SM, 500, Tier.P), part(Bucket.UNALLOCATED, 1000)])
    assert (out.fill_low, out.fill_high) == (0.25, 0.75)
    assert (out.efficiency_low, out.efficiency_high) == (0.125, 0.375)
    assert out.tier is Tier.P and out.waste_ms == 0
    full = ratios([part(Bucket.BUSY_UNKNOWN, 950, Tier.P), part(Bucket.EMPTY_SM, 50, Tier.P)])
    assert (full.fill_low, full.fill_high) == (pytest.approx(0.7), 1.0)


def test_sm_activity_alone_bounds_fill_from_above() -> None:
    out = ratios([part(Bucket.BUSY_UNKNOWN, 600), part(Bucket.EMPTY_SM, 400), part(Bucket.WAIT, 1000)])
    assert (out.fill_low, out.fill_high, out.tier) == (0.0, 0.6, Tier.G)


def test_the_weakest_evidence_is_told() -> None:
    assert ratios([part(Bucket.EFFECTIVE, 1, Tier.H), part(Bucket.EMPTY_SM, 1, Tier.P)]).tier is Tier.P
    assert ratios([part(Bucket.EFFECTIVE, 1, Tier.G), part(Bucket.BUSY_UNKNOWN, 1, Tier.N)]).tier is Tier.N
