"""CSV that is data for a spreadsheet too, and the very same data when it is read again."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.report import sheet
from gpuwatch.text import sheet_safe, sheet_unsafe

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1+1", "''-2")


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_calculate_gets_a_mark(text: str) -> None:
    assert sheet_safe(text) == "'" + text and sheet_unsafe(sheet_safe(text)) == text


@pytest.mark.parametrize("text", ["", "alice", "a=b", "'quoted'", "5 - 3", "node-07", "é"])
def test_ordinary_text_stays(text: str) -> None:
    assert sheet_safe(text) == text and sheet_unsafe(text) == text


@given(st.text(alphabet="'=+-@\t\ra,\"\n;é", max_size=6))
def test_every_text_comes_back(text: str) -> None:
    assert sheet_unsafe(sheet_safe(text)) == text
    assert sheet_safe(text).lstrip("'")[:1] not in tuple("=+-@\t\r") or sheet_safe(text).startswith("'")


def test_numbers_are_not_touched_and_nothing_is_an_empty_cell() -> None:
    out = io.StringIO()
    count = sheet.write(out, ["user", "a", "b", "c"], [("=x", -1.5, None, -3), ('comma, "quote"\nline', 0.1, 2**60, None)])
    assert count == 2
    assert out.getvalue() == 'user,a,b,c\n\'=x,-1.5,,-3\n"comma, ""quote""\nline",0.1,1152921504606846976,\n'
    assert next(csv.reader(io.StringIO(out.getvalue()))) == ["user", "a", "b", "c"]
