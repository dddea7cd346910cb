"""Bars and strips: nothing that is there is lost in drawing, nothing is drawn twice."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sample_report import sample_report as make_sample

from gpuwatch.dataclass import replace
from gpuwatch.names import Bucket
from gpuwatch.report.ink import Look
from gpuwatch.report.lines import Line, fit, size, wrapped
from gpuwatch.report.period_blocks import at_least_one, stacked
from gpuwatch.report.period_strip import cells_of, resampled, strip
from gpuwatch.view.period.ledger import Sums, ledger
from gpuwatch.view.period.types import Lane, Strip

sample_report = cache(make_sample)
HOUR_MS = 3_600_000


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=14), st.integers(1, 100))
def test_what_is_there_has_a_cell_while_there_is_room(values: list[int], room: int) -> None:
    found = at_least_one(values, room)
    there = sum(1 for value in values if value)
    assert sum(found) == (room if there else 0)
    if there <= room:
        assert all(cells > 0 for cells, value in zip(found, values, strict=True) if value)
    assert all(cells == 0 for cells, value in zip(found, values, strict=True) if not value)


@given(
    st.dictionaries(st.sampled_from([b for b in Bucket if b]), st.integers(0, 10**10), min_size=1),
    st.integers(14, 80),
    st.integers(1, 5),
)
def test_an_owners_bar_is_as_wide_as_its_column(parts: dict[Bucket, int], width: int, times: int) -> None:
    sums: Sums = {(bucket, 0, 0): (ms, 0) for bucket, ms in parts.items()}
    made = ledger(sums)
    for look in (Look(), Look("truecolor"), Look(ascii=True)):
        bar = stacked(made, width, made.capacity_gpu_ms * times, look)
        assert size(bar) == width
        assert {style for text, style in bar if text.strip()} == {b.label for b, ms in parts.items() if ms}


@given(st.lists(st.integers(1, 48), min_size=1, max_size=168), st.integers(1, 200))
def test_a_lanes_cells_take_every_column_once(lengths: list[int], room: int) -> None:
    """Columns of any length, as at a change of clocks."""
    edges = [0]
    for length in lengths:
        edges.append(edges[-1] + length * HOUR_MS)
    grid = cells_of(Strip(3600, tuple(edges), ()), room)
    taken = [0.0] * len(lengths)
    for cell in grid:
        assert sum(weight for _, weight in cell) == pytest.approx(edges[-1] / room)
        for column, weight in cell:
            taken[column] += weight
    assert taken == pytest.approx([float(length * HOUR_MS) for length in lengths])


def lane(shares: dict[Bucket, tuple[int, ...]], busy: tuple[int | None, ...]) -> Lane:
    return replace(sample_report().strip.lanes[0], shares_pm=shares, busy_pm=busy)  # type: ignore[union-attr]


def test_the_largest_share_gives_the_mark_and_work_counts_as_one() -> None:
    shares = {Bucket.WAIT: (400, 0), Bucket.EFFECTIVE: (300, 0), Bucket.STALLED_SM: (300, 0), Bucket.UNOBSERVED: (0, 1000)}
    grid = cells_of(Strip(3600, (0, HOUR_MS, 2 * HOUR_MS), ()), 2)
    first, second = resampled(lane(shares, (600, None)), grid)
    assert (first.most, first.busy) == (Bucket.EFFECTIVE, 0.6)
    assert (second.most, second.busy) == (Bucket.UNOBSERVED, None)


def test_unobserved_time_does_not_lower_the_height() -> None:
    shares = {Bucket.EFFECTIVE: (1000, 0), Bucket.UNOBSERVED: (0, 1000)}
    (cell,) = resampled(lane(shares, (1000, None)), cells_of(Strip(3600, (0, 2 * HOUR_MS, 3 * HOUR_MS), ()), 1))
    assert cell.busy == 1.0 and cell.most is Bucket.EFFECTIVE


def test_a_gpu_that_did_not_count_yet_is_empty_not_free() -> None:
    (cell,) = resampled(lane({Bucket.UNALLOCATED: (0,)}, (None,)), cells_of(Strip(3600, (0, HOUR_MS), ()), 1))
    assert cell.most is None


@pytest.mark.parametrize("hours", [1, 5, 24, 47, 49, 167, 169, 720])
def test_a_strip_of_any_length_fits_and_has_times_on_its_axis(hours: int) -> None:
    sample = sample_report()
    assert sample.strip is not None
    start = sample.strip.edges_ms[0]
    columns = min(hours, 168)
    edges = tuple(start + hours * HOUR_MS * n // columns for n in range(columns + 1))
    lanes = [replace(each, shares_pm={Bucket.WAIT: (1000,) * columns}, busy_pm=(500,) * columns) for each in sample.strip.lanes]
    for width in (60, 80, 160):
        drawn = strip(replace(sample, strip=Strip(3600, edges, tuple(lanes))), width, Look())
        assert max(map(size, drawn)) <= width
        assert drawn[1][0][0].strip(), "an axis without a time says nothing"
        assert ("Dec" in drawn[1][0][0]) is (hours == 720), "in a month a weekday and a number are no date"


# ------------------------------------------------------------------------------------------------------------------ lines


@given(st.text(alphabet="ab \xa0é你-", max_size=120), st.integers(8, 40))
def test_wrapping_keeps_every_word_and_the_width(text: str, width: int) -> None:
    found = wrapped(text, width, indent=2, first="- ")
    assert all(size(each) <= width for each in found)
    joined = "".join(part for each in found for part, _ in each)
    assert "".join(joined.split()) == "-" + "".join(text.split())


@given(st.lists(st.text(alphabet="ab你", max_size=6), max_size=5), st.integers(0, 20))
def test_a_fitted_line_is_never_wider(parts: list[str], width: int) -> None:
    of: Line = [(part, "") for part in parts]
    assert size(fit(of, width)) <= width
