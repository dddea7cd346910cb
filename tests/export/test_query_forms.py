"""``gpuwatch query`` in its three forms: whatever SQL can answer is printed, and nothing of it is lost."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from gpuwatch.commands.query import write

COLUMNS = ["b", "big", "inf", "n", "f", "a", "a", "a_2"]
ROW: list[Any] = [b"\x00\xff", 2**63 - 1, float("-inf"), None, "=1+1", "one", "two", "three"]


def written(form: str) -> str:
    out = io.StringIO()
    write(out, form, COLUMNS, [ROW], simulated=False)
    return out.getvalue()


def test_json_is_json_and_keeps_every_column() -> None:
    found = json.loads(written("json"), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert found["columns"] == ["b", "big", "inf", "n", "f", "a", "a_2", "a_2_2"]
    row = found["rows"][0]
    assert row == {"b": "00ff", "big": 2**63 - 1, "inf": None, "n": None, "f": "=1+1", "a": "one", "a_2": "two", "a_2_2": "three"}


def test_csv() -> None:
    head, row = csv.reader(io.StringIO(written("csv")))
    assert head == COLUMNS and row == ["00ff", str(2**63 - 1), "-inf", "", "'=1+1", "one", "two", "three"]


def test_a_table_has_a_dash_for_null_and_no_control_characters() -> None:
    out = io.StringIO()
    write(out, "table", ["a", "b"], [[None, "x\x1b[31m"], [b"\x01", "y"]], simulated=False)
    assert out.getvalue().split() == ["a", "b", "–", "x·[31m", "01", "y"]


def test_a_very_wide_answer_is_one_line_a_row() -> None:
    out = io.StringIO()
    write(out, "table", [f"c{n}" for n in range(500)], [list(range(500))], simulated=False)
    assert out.getvalue().count("\n") == 2 and out.getvalue().split()[500:] == [str(n) for n in range(500)]
