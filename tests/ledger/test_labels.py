"""What a row with facts of work and of fill is booked as: every bucket, cause and tier, in the order of the waterfall."""

from __future__ import annotations

import pytest

from gpuwatch.ledger import split
from gpuwatch.ledger.types import BucketRow, Fill, LedgerRow, Share, Work
from gpuwatch.names import Bucket, Cause, Context, Tier

T0, MINUTE = 1_763_130_720_000, 60_000
Booked = dict[tuple[Bucket, Cause, Tier], int]


def booked(rows: list[BucketRow]) -> Booked:
    out: Booked = {}
    for row in rows:
        out[row.bucket, row.cause, row.tier] = out.get((row.bucket, row.cause, row.tier), 0) + row.ms
    return out


def active(busy: int, kappa: int = 1000, **more: object) -> Booked:
    row = LedgerRow(T0 + MINUTE, MINUTE, False, 0, Context.PROCESS, busy, kappa, **more)  # type: ignore[arg-type]
    return booked(split([row], start_ms=T0, end_ms=T0 + MINUTE))


def none(bucket: Bucket, tier: Tier) -> tuple[Bucket, Cause, Tier]:
    return bucket, Cause.NONE, tier


def test_all_lines_of_the_waterfall() -> None:
    """50 % overhead; of the rest 80 % busy, of it a tenth lost to clocks, a tenth of what is left redone, then three quarters filled."""
    work = Work(overhead_pm=500, peers_pm=20, input_pm=30, redone_pm=100)
    assert active(800, 900, work=work, fill=Fill(Tier.G, 750, 500)) == {
        none(Bucket.OVERHEAD, Tier.H): 30_000,
        (Bucket.WAIT, Cause.PEERS, Tier.H): 1_200,
        (Bucket.WAIT, Cause.INPUT, Tier.H): 1_800,
        (Bucket.WAIT, Cause.UNEXPLAINED, Tier.N): 3_000,
        none(Bucket.THROTTLED, Tier.N): 2_400,
        none(Bucket.REDONE, Tier.H): 2_160,
        none(Bucket.EMPTY_SM, Tier.G): 4_860,
        none(Bucket.STALLED_SM, Tier.G): 4_860,
        none(Bucket.EFFECTIVE, Tier.G): 9_720,
    }


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (None, {none(Bucket.BUSY_UNKNOWN, Tier.N): 60_000}),
        (Fill(Tier.P, 250), {none(Bucket.EMPTY_SM, Tier.P): 45_000, none(Bucket.BUSY_UNKNOWN, Tier.P): 15_000}),
        (Fill(Tier.H, 1000, 400), {none(Bucket.STALLED_SM, Tier.H): 36_000, none(Bucket.EFFECTIVE, Tier.H): 24_000}),
        (Fill(Tier.G, 750), {none(Bucket.EMPTY_SM, Tier.G): 15_000, none(Bucket.BUSY_UNKNOWN, Tier.G): 45_000}),
        (Fill(Tier.G, 750, 900), {none(Bucket.EMPTY_SM, Tier.G): 15_000, none(Bucket.EFFECTIVE, Tier.G): 45_000}),
    ],
)
def test_busy_time_by_its_evidence(fill: Fill | None, expected: Booked) -> None:
    assert active(1000, fill=fill) == expected


def test_causes_are_capped_by_what_is_left_in_their_order_and_a_finding_names_the_rest() -> None:
    assert active(500, work=Work(peers_pm=200, input_pm=200, host_pm=200, demand_pm=900)) == {
        (Bucket.WAIT, Cause.PEERS, Tier.H): 12_000,
        (Bucket.WAIT, Cause.INPUT, Tier.H): 12_000,
        (Bucket.WAIT, Cause.HOST, Tier.H): 6_000,
        none(Bucket.BUSY_UNKNOWN, Tier.N): 30_000,
    }
    assert active(500, work=Work(input_pm=100, inferred=Cause.TRANSFER)) == {
        (Bucket.WAIT, Cause.INPUT, Tier.H): 6_000,
        (Bucket.WAIT, Cause.TRANSFER, Tier.N): 24_000,
        none(Bucket.BUSY_UNKNOWN, Tier.N): 30_000,
    }


def quiet(first: int, last: int, start: int, **more: object) -> list[LedgerRow]:
    """Minutes ``first`` to ``last`` of a quiet run that began at minute ``start``."""
    held = {"context": Context.PROCESS} | more
    return [
        LedgerRow(T0 + n * MINUTE, MINUTE, True, (n - start) * MINUTE, busy_pm=0, **held)  # type: ignore[arg-type]
        for n in range(first, last + 1)
    ]


def minutes(rows: list[LedgerRow], count: int) -> list[Booked]:
    return [booked(split(rows, start_ms=T0 + n * MINUTE, end_ms=T0 + (n + 1) * MINUTE)) for n in range(count)]


def test_a_short_quiet_run_is_wait_by_its_causes_and_what_a_hook_says_of_it_goes_first() -> None:
    busy = LedgerRow(T0 + 3 * MINUTE, MINUTE, False, 0, Context.PROCESS, 1000)
    rows = [*quiet(1, 2, 0, work=Work(overhead_pm=400, demand_pm=500)), busy]
    assert minutes(rows, 1) == [
        {
            none(Bucket.OVERHEAD, Tier.H): 24_000,
            (Bucket.WAIT, Cause.DEMAND, Tier.H): 30_000,
            (Bucket.WAIT, Cause.UNEXPLAINED, Tier.N): 6_000,
        }
    ]
    long = quiet(1, 5, 0, work=Work(overhead_pm=400, demand_pm=500))
    assert minutes(long, 1) == [{none(Bucket.OVERHEAD, Tier.H): 24_000, none(Bucket.HELD_IDLE, Tier.N): 36_000}]


def test_a_gpu_that_its_working_job_leaves_alone_for_15_minutes_is_unused_from_the_start() -> None:
    beside = Work(sibling=True)
    held, unused = {none(Bucket.HELD_IDLE, Tier.N): MINUTE}, {none(Bucket.ALLOCATED_UNUSED, Tier.N): MINUTE}
    assert minutes(quiet(1, 14, 0, work=beside), 14) == [held] * 14
    assert minutes(quiet(1, 15, 0, work=beside), 15) == [unused] * 15
    mixed = [*quiet(1, 6, 0), *quiet(7, 20, 0, work=beside), *quiet(21, 22, 0)]
    assert minutes(mixed, 22) == [held] * 6 + [unused] * 14 + [held] * 2
    assert minutes(quiet(1, 4, 0, work=beside), 1) == [{none(Bucket.QUIET, Tier.N): MINUTE}]


def test_a_free_gpu_that_a_working_job_was_given_is_unused_after_15_minutes_and_not_before() -> None:
    rows = quiet(1, 17, 0, work=Work(sibling=True), context=Context.NONE)
    free, unused = {none(Bucket.UNALLOCATED, Tier.N): MINUTE}, {none(Bucket.ALLOCATED_UNUSED, Tier.N): MINUTE}
    assert minutes(rows, 17) == [free] * 14 + [unused] * 3


def test_unused_time_belongs_to_who_holds_the_memory() -> None:
    rows = quiet(1, 15, 0, work=Work(sibling=True), shares=(Share(3, 0, 30), Share(4, 50, 10)))
    found = split(rows, start_ms=T0, end_ms=T0 + MINUTE)
    assert [(row.owner, row.bucket, row.ms) for row in found] == [
        (3, Bucket.ALLOCATED_UNUSED, 45_000),
        (4, Bucket.ALLOCATED_UNUSED, 15_000),
    ]
