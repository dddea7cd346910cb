"""The ledger's one function: every rule of the buckets, and that it always adds up."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from gpuwatch.ledger import capacity, split
from gpuwatch.ledger.types import HOLD_MS, NOBODY, BucketRow, LedgerRow, Share
from gpuwatch.names import Bucket, Cause, Context, Tier

MINUTE = 60_000
T0 = 1_763_130_720_000


def row(second: int, *, quiet: bool | None = True, run: int | None = None, dt: int = 1000, **more: object) -> LedgerRow:
    """A row that ends ``second`` seconds after T0; ``run`` is its quiet run in seconds."""
    base = LedgerRow(
        ts_ms=T0 + second * 1000,
        dt_ms=dt,
        quiet=quiet,
        quiet_ms=(run or 0) * 1000,
        context=Context.PROCESS,
        busy_pm=1000 if quiet is False else 0,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def quiet_rows(first: int, last: int, *, start: int = 0, **more: object) -> list[LedgerRow]:
    """Seconds ``first``..``last`` quiet, in a run that began at second ``start``."""
    return [row(second, run=second - start, **more) for second in range(first, last + 1)]


def active_rows(first: int, last: int, **more: object) -> list[LedgerRow]:
    return [row(second, quiet=False, **more) for second in range(first, last + 1)]


def minute(rows: list[LedgerRow], look_ahead: list[LedgerRow] = [], number: int = 0) -> list[BucketRow]:  # noqa: B006
    return split(rows, look_ahead, start_ms=T0 + number * MINUTE, end_ms=T0 + (number + 1) * MINUTE)


def as_ms(buckets: list[BucketRow]) -> dict[Bucket, int]:
    out: dict[Bucket, int] = {}
    for bucket in buckets:
        out[bucket.bucket] = out.get(bucket.bucket, 0) + bucket.ms
    return out


def test_nothing_recorded_is_nothing_listed() -> None:
    assert minute([]) == []


def test_a_free_gpu_is_unallocated_and_belongs_to_nobody() -> None:
    rows = quiet_rows(1, 60, context=Context.NONE, shares=(Share(7, 0, 10),), energy_mj=100_000)
    assert minute(rows) == [BucketRow(NOBODY, Bucket.UNALLOCATED, Cause.NONE, Tier.N, MINUTE, 6_000_000)]


def test_an_unavailable_gpu_is_unavailable_whatever_else_is_said() -> None:
    assert as_ms(minute(quiet_rows(1, 60, unavailable=True))) == {Bucket.UNAVAILABLE: MINUTE}


@pytest.mark.parametrize("context", [Context.PROCESS, Context.MEMORY_ONLY])
def test_a_run_that_reaches_five_minutes_is_held_idle_from_its_start(context: Context) -> None:
    first = quiet_rows(1, 60, context=context)
    assert as_ms(minute(first, quiet_rows(61, 299, context=context))) == {Bucket.QUIET: MINUTE}
    assert as_ms(minute(first, quiet_rows(61, 300, context=context))) == {Bucket.HELD_IDLE: MINUTE}


def test_a_run_that_ends_before_five_minutes_was_a_wait() -> None:
    look_ahead = [*quiet_rows(61, 299), row(300, quiet=False)]
    assert minute(quiet_rows(1, 60), look_ahead) == [BucketRow(NOBODY, Bucket.WAIT, Cause.UNEXPLAINED, Tier.N, MINUTE, 0)]


def test_the_run_before_the_span_counts_without_its_rows() -> None:
    assert as_ms(minute(quiet_rows(1, 60, start=-240))) == {Bucket.HELD_IDLE: MINUTE}


def test_a_gap_ends_the_run() -> None:
    rows = [*quiet_rows(1, 20), *quiet_rows(31, 60, start=31)]
    rows[20] = replace(rows[20], dt_ms=0)
    later = quiet_rows(61, 330, start=31)
    assert as_ms(minute(rows, later[:-1])) == {Bucket.WAIT: 20_000, Bucket.QUIET: 29_000}
    assert as_ms(minute(rows, [*later, *quiet_rows(331, 331, start=31)])) == {Bucket.WAIT: 20_000, Bucket.HELD_IDLE: 29_000}


def test_a_process_on_a_free_gpu_starts_a_new_run() -> None:
    rows = [*quiet_rows(1, 30, start=-3600, context=Context.NONE), *quiet_rows(31, 59, start=30), row(60, quiet=False)]
    assert as_ms(minute(rows)) == {Bucket.UNALLOCATED: 30_000, Bucket.WAIT: 29_000, Bucket.BUSY_UNKNOWN: 1_000}


def test_a_holder_that_becomes_invisible_does_not_end_the_run() -> None:
    rows = [*quiet_rows(1, 30), *quiet_rows(31, 60, context=Context.MEMORY_ONLY)]
    assert as_ms(minute(rows, quiet_rows(61, 300))) == {Bucket.HELD_IDLE: MINUTE}


def test_unknown_holders_short_pause_between_active_rows_is_a_wait() -> None:
    rows = [*active_rows(1, 10, context=None), *quiet_rows(11, 50, start=10, context=None), *active_rows(51, 60, context=None)]
    assert as_ms(minute(rows)) == {Bucket.WAIT: 40_000, Bucket.BUSY_UNKNOWN: 20_000}


def test_unknown_holders_pause_after_a_gap_is_idle_unattributed() -> None:
    rows = [*quiet_rows(1, 50, context=None), *active_rows(51, 60, context=None)]
    assert as_ms(minute(rows)) == {Bucket.IDLE_UNATTRIBUTED: 50_000, Bucket.BUSY_UNKNOWN: 10_000}


def test_unknown_holders_long_run_is_idle_unattributed_and_a_young_one_has_no_name_yet() -> None:
    rows = quiet_rows(1, 60, context=None)
    assert as_ms(minute(rows)) == {Bucket.QUIET: MINUTE}
    assert as_ms(minute(rows, quiet_rows(61, 300, context=None))) == {Bucket.IDLE_UNATTRIBUTED: MINUTE}


def test_without_utilization_only_a_free_gpu_is_known() -> None:
    rows = quiet_rows(1, 60, quiet=None, busy_pm=None)
    assert minute(rows) == []
    assert as_ms(minute([replace(one, context=Context.NONE) for one in rows])) == {Bucket.UNALLOCATED: MINUTE}


def test_active_time_runs_down_the_waterfall() -> None:
    rows = active_rows(1, 60, busy_pm=800, kappa_pm=850, energy_mj=1000)
    assert minute(rows) == [
        BucketRow(NOBODY, Bucket.WAIT, Cause.UNEXPLAINED, Tier.N, 12_000, 12_000),
        BucketRow(NOBODY, Bucket.THROTTLED, Cause.NONE, Tier.N, 7_200, 7_200),
        BucketRow(NOBODY, Bucket.BUSY_UNKNOWN, Cause.NONE, Tier.N, 40_800, 40_800),
    ]


def test_running_time_belongs_to_those_who_use_the_sms_and_quiet_time_to_those_who_hold_memory() -> None:
    shares = (Share(1, 60, 30_000), Share(2, 20, 10_000), Share(3, 0, 0))
    running = minute(active_rows(1, 60, shares=shares))
    assert {one.owner: one.ms for one in running} == {1: 45_000, 2: 15_000}
    held = minute(quiet_rows(1, 60, start=-3600, shares=shares))
    assert {one.owner: one.ms for one in held} == {1: 45_000, 2: 15_000}


def test_unknown_use_is_shared_equally() -> None:
    shares = (Share(1, None, None), Share(2, None, None), Share(3, 0, 0))
    assert {one.owner: one.ms for one in minute(active_rows(1, 60, shares=shares))} == {1: 20_000, 2: 20_000, 3: 20_000}


def test_a_row_over_the_edge_is_cut_there_and_nothing_is_lost() -> None:
    rows = [row(59, quiet=False, dt=59_000, energy_mj=590), row(61, quiet=False, dt=2000, energy_mj=21)]
    assert as_ms(minute(rows)) == as_ms(minute(rows[:1], rows[1:])) == {Bucket.BUSY_UNKNOWN: MINUTE}
    first, second = minute(rows), minute(rows, number=1)
    assert (first[0].energy_mj, second[0].energy_mj, second[0].ms) == (600, 11, 1000)


def test_rows_that_overlap_or_repeat_never_make_more_than_there_is() -> None:
    rows = active_rows(1, 60, dt=3000)
    assert as_ms(minute([*rows, *rows])) == {Bucket.BUSY_UNKNOWN: MINUTE}


def test_mig_time_is_weighted_and_instances_sum_to_the_gpu() -> None:
    rows = active_rows(1, 60)
    parts = [Fraction(3, 7), Fraction(3, 7), Fraction(1, 7)]
    sums = [sum(one.ms for one in split(rows, start_ms=T0, end_ms=T0 + MINUTE, weight=part)) for part in parts]
    assert sums == [capacity(T0, T0 + MINUTE, part) for part in parts]
    assert abs(sum(sums) - MINUTE) < len(parts)
    assert split(rows, start_ms=T0, end_ms=T0 + MINUTE, weight=Fraction(0)) == []


def test_idle_of_a_square_wave_is_exact() -> None:
    rows = [row(second, quiet=second % 100 >= 37, run=second % 100 - 36 if second % 100 >= 37 else 0) for second in range(1, 3601)]
    total: dict[Bucket, int] = {}
    for number in range(60):
        for bucket, ms in as_ms(minute(rows[max(0, number * 60 - 1) :], number=number)).items():
            total[bucket] = total.get(bucket, 0) + ms
    quiet = sum(1 for one in rows if one.quiet) * 1000
    assert total == {Bucket.WAIT: quiet, Bucket.BUSY_UNKNOWN: 3_600_000 - quiet}
    assert HOLD_MS > 63_000


def test_the_last_run_of_a_recording_is_open() -> None:
    rows = [*active_rows(1, 50), *quiet_rows(51, 60, start=50)]
    assert as_ms(minute(rows)) == {Bucket.BUSY_UNKNOWN: 50_000, Bucket.QUIET: 10_000}
