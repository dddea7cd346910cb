"""An hour of minutes in fewer or more columns: means keep their sum, the worst minute is never lost, a hole stays a hole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.tui.panels.hour import mean_of, worst_of

CELLS = st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=60)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(1, 120))
def test_the_mean_of_the_columns_is_the_mean_of_the_cells(cells: list[float], columns: int) -> None:
    found = [value for value in mean_of(cells, columns) if value is not None]
    assert len(found) == columns
    assert sum(found) / columns == pytest.approx(sum(cells) / len(cells), rel=1e-6, abs=1e-6)


@given(CELLS, st.integers(1, 120))
def test_the_worst_cell_is_in_some_column_and_nothing_is_made_up(cells: list[float | None], columns: int) -> None:
    found = worst_of(cells, columns)
    assert len(found) == min(columns, len(cells))
    assert max((value for value in found if value is not None), default=None) == max(
        (v for v in cells if v is not None), default=None
    )
    assert {value for value in found if value is not None} <= set(cells)


def test_a_hole_stays_a_hole_and_a_zero_a_zero() -> None:
    assert mean_of((6.0, 6.0, None, None, 0.0, 0.0), 3) == (6.0, None, 0.0)
    assert mean_of((6.0, 6.0, None, None, 0.0, 0.0), 4) == (6.0, 6.0, 0.0, 0.0)
    assert mean_of((1.0, None), 4) == (1.0, 1.0, None, None)
    assert worst_of((1.0, 3.0, None, None, 0.0, 0.0), 3) == (3.0, None, 0.0)
    assert mean_of((), 5) == worst_of((), 5) == ()
