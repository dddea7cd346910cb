"""What must hold for any rows: sums are exact, order does not matter, nothing exceeds capacity."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwatch.ledger import capacity, split
from gpuwatch.ledger.labels import UNIT, active, still
from gpuwatch.ledger.rounding import divide, largest_remainder
from gpuwatch.ledger.runs import next_quiet_ms
from gpuwatch.ledger.types import NO_WORK, Fill, LedgerRow, Share, Work
from gpuwatch.names import Bucket, Cause, Context, Tier

START = 1_763_130_720_123
CONTEXTS = [None, Context.NONE, Context.PROCESS, Context.MEMORY_ONLY]
WEIGHTS = [Fraction(1), Fraction(1, 7), Fraction(3, 7), Fraction(1, 2)]


PM = st.integers(0, 1000)
WORKS = st.just(NO_WORK) | st.builds(Work, PM, PM, PM, PM, PM, PM, inferred=st.sampled_from(Cause), sibling=st.booleans())
FILLS = st.none() | st.builds(Fill, st.sampled_from([Tier.P, Tier.H, Tier.G]), PM, st.none() | PM)


@st.composite
def histories(draw: st.DrawFn) -> list[LedgerRow]:
    """Rows as a recorder makes them: in order, with gaps, true quiet runs, any facts and holders."""
    rows: list[LedgerRow] = []
    now, run = START, 0
    facts: tuple[bool | None, Context | None] = (None, None)
    for _ in range(draw(st.integers(0, 25))):
        dt = draw(st.sampled_from([1000, 1000, 997, 2003, 90_000]))
        gap = draw(st.sampled_from([0, 0, 0, 0, 4321]))
        now += dt + gap
        quiet = draw(st.sampled_from([True, True, False, None]))
        context = draw(st.sampled_from(CONTEXTS))
        dt = 0 if gap else dt
        run = next_quiet_ms(run, facts, quiet, context, dt)
        facts = quiet, context
        holders = draw(st.lists(st.integers(1, 4), max_size=3, unique=True))
        shares = tuple(Share(owner, draw(st.sampled_from([None, 0, 33, 50])), draw(st.sampled_from([None, 0, 7, 81_000]))) for owner in holders)  # fmt: skip
        rows.append(
            LedgerRow(
                ts_ms=now,
                dt_ms=dt,
                quiet=quiet,
                quiet_ms=run,
                context=context,
                busy_pm=None if quiet is None else draw(st.integers(0, 1000)),
                kappa_pm=draw(st.sampled_from([1000, 1000, 703])),
                unavailable=draw(st.sampled_from([False, False, False, True])),
                energy_mj=draw(st.sampled_from([None, 0, 1, 699_999])),
                shares=shares,
                work=draw(WORKS),
                fill=draw(FILLS),
            )
        )
    return rows


def observed(rows: list[LedgerRow], start: int, end: int, weight: Fraction = Fraction(1)) -> tuple[int, int]:
    """Weighted milliseconds and millijoules of the rows that say what the GPU did, counted the plain way."""
    ms = mj = 0
    for one in rows:
        known = one.unavailable or one.quiet is not None or one.context is Context.NONE
        begin, until = max(one.ts_ms - one.dt_ms, start), min(one.ts_ms, end)
        if known and until > begin:
            ms += capacity(begin, until, weight)
            origin, energy = one.ts_ms - one.dt_ms, one.energy_mj or 0
            mj += energy * (until - origin) // one.dt_ms - energy * (begin - origin) // one.dt_ms
    return ms, mj


@given(histories(), st.sampled_from(WEIGHTS), st.integers(0, 200_000), st.integers(1, 400_000))
@settings(max_examples=80, deadline=None)
def test_sums_are_exact_and_within_capacity(rows: list[LedgerRow], weight: Fraction, offset: int, length: int) -> None:
    start, end = START + offset, START + offset + length
    out = split(rows, start_ms=start, end_ms=end, weight=weight)
    assert (sum(one.ms for one in out), sum(one.energy_mj for one in out)) == observed(rows, start, end, weight)
    assert sum(one.ms for one in out) <= capacity(start, end, weight)
    assert all(one.ms >= 0 and one.energy_mj >= 0 and (one.ms or one.energy_mj) for one in out)
    assert len({(one.owner, one.bucket, one.cause, one.tier) for one in out}) == len(out)
    assert all(one.bucket is not Bucket.UNOBSERVED for one in out)


@given(histories(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_order_and_the_line_between_rows_and_look_ahead_do_not_matter(rows: list[LedgerRow], seed: int) -> None:
    start, end = START + 500, START + 60_000
    expected = split(rows, start_ms=start, end_ms=end)
    mixed = rows[:]
    random.Random(seed).shuffle(mixed)
    cut = len(mixed) // 2
    assert split(mixed[:cut], mixed[cut:], start_ms=start, end_ms=end) == expected
    assert split(rows, rows, start_ms=start, end_ms=end) == expected


@given(histories(), st.integers(1, 399_999))
@settings(max_examples=40, deadline=None)
def test_two_halves_hold_what_the_whole_holds(rows: list[LedgerRow], cut: int) -> None:
    end = START + 400_000
    whole = split(rows, start_ms=START, end_ms=end)
    halves = [*split(rows, start_ms=START, end_ms=START + cut), *split(rows, start_ms=START + cut, end_ms=end)]
    assert sum(one.ms for one in halves) == sum(one.ms for one in whole)
    assert sum(one.energy_mj for one in halves) == sum(one.energy_mj for one in whole)
    for key in {(one.owner, one.bucket) for one in [*whole, *halves]}:
        amounts = [sum(one.ms for one in part if (one.owner, one.bucket) == key) for part in (whole, halves)]
        assert abs(amounts[0] - amounts[1]) <= 2, key


@given(histories(), histories())
@settings(max_examples=40, deadline=None)
def test_what_is_named_stays_named_when_more_is_known(rows: list[LedgerRow], more: list[LedgerRow]) -> None:
    """Only provisional time changes its name later; all other buckets can only grow."""
    if not rows:
        return
    last = rows[-1]
    shifted: list[LedgerRow] = []
    run, facts = last.quiet_ms, (last.quiet, last.context)
    for one in more:
        run = next_quiet_ms(run, facts, one.quiet, one.context, one.dt_ms)
        facts = one.quiet, one.context
        ts = one.ts_ms - START + last.ts_ms
        facts_of_work = one.work._replace(sibling=False)
        shifted.append(replace(one, ts_ms=ts, quiet_ms=run, energy_mj=None, shares=(), work=facts_of_work))
    rows = [replace(one, work=one.work._replace(sibling=False)) for one in rows]  # which renames held idle time at 15 minutes
    start, end = START, last.ts_ms + 1
    before = split(rows, start_ms=start, end_ms=end)
    after = split(rows, shifted, start_ms=start, end_ms=end)
    for bucket in set(Bucket) - {Bucket.QUIET}:
        was = sum(one.ms for one in before if one.bucket is bucket)
        now = sum(one.ms for one in after if one.bucket is bucket)
        assert now >= was - 4, bucket


@given(st.none() | PM, PM, WORKS, FILLS)
def test_the_shares_of_an_active_row_sum_to_it_and_none_is_negative(
    busy: int | None, kappa: int, work: Work, fill: Fill | None
) -> None:
    shares = active(busy, kappa, work, fill)
    assert sum(share for _, share in shares) == UNIT and all(share > 0 for _, share in shares)
    assert len({name for name, _ in shares}) == len(shares)


@given(st.integers(0, 27), WORKS)
def test_the_shares_of_a_quiet_row_sum_to_it_and_none_is_negative(name: int, work: Work) -> None:
    shares = still(name, work)
    assert sum(share for _, share in shares) == UNIT and all(share > 0 for _, share in shares)


@given(st.dictionaries(st.integers(0, 20), st.integers(0, 10**12), max_size=12), st.integers(1, 10**6))
def test_largest_remainder_hands_out_all_and_is_off_by_less_than_one(amounts: dict[int, int], unit: int) -> None:
    out = largest_remainder(amounts, unit)
    assert sum(out.values()) == sum(amounts.values()) // unit
    assert all(abs(out[key] * unit - amount) < unit for key, amount in amounts.items())


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_divide_is_exact_and_near(amount: int, weights: list[int]) -> None:
    parts = divide(amount, weights)
    assert sum(parts) == amount
    assert all(abs(part - amount * weight / sum(weights)) < 1 + amount * 1e-9 for part, weight in zip(parts, weights))
