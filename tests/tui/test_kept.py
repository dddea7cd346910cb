"""What drawing keeps from one picture to the next never shows old data: each field changes once, on a screen that has drawn before."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import pytest
from support.sample_view import sample_view

from gpuwatch.dataclass import fields, replace
from gpuwatch.names import Missing, State
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import Look
from gpuwatch.tui.panels.overview import draw_overview
from gpuwatch.tui.panels.page import draw_page
from gpuwatch.tui.state import Context, UiState
from gpuwatch.view.types import Cell, View


def draw(view: View, look: Look, size: tuple[int, int]) -> Sheet:
    return draw_page(Context(view, *size, look, UiState(), None, "1", ()), draw_overview)


def shown(sheet: Sheet) -> list[object]:
    return [(cells.texts, [str(style) for style in cells.styles]) for cells in map(sheet.cells, range(sheet.height))]


def other(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case IntEnum():
            return next(each for each in type(value) if each is not value)
        case int() | float():
            return type(value)(value * 2 + 1)
        case str():
            return value + "x"
        case tuple() if value and isinstance(value[0], Cell):
            return (Cell(0.5, State.THROTTLED), *value[1:-2], Cell(0.1, State.BUSY), value[-1])
        case tuple() if value and isinstance(value[0], str):
            return tuple(each + "x" for each in value)
    return None


def changes(view: View) -> Iterator[View]:
    """``view`` with one field of one of its records changed."""
    for place in ("gpus", "processes", "events"):
        records = getattr(view, place)
        for number in {0, len(records) - 1} if records else ():
            record = records[number]
            for name in (field.name for field in fields(record)):
                value = {name: next(iter(Missing))} if name == "missing" else other(getattr(record, name))
                changed = replace(record, **{name: value}) if value is not None else record
                yield replace(view, **{place: (*records[:number], changed, *records[number + 1 :])})
    for place in ("host", "recording", "ledger", "today"):
        record = getattr(view, place)
        for name in (field.name for field in fields(record)):
            value = other(getattr(record, name))
            if name == "parts":
                value = tuple(replace(part, ms=part.ms * (2 + i)) for i, part in enumerate(record.parts))
            if value is not None:
                yield replace(view, **{place: replace(record, **{name: value})})


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_every_field_that_changes_is_drawn_as_a_first_picture_would(size: tuple[int, int]) -> None:
    view, kept = sample_view(75 if size[0] >= 200 else 45), Look()
    last, seen = draw(view, kept, size), 0
    first = shown(last)
    cells = [last.cells(y) for y in range(last.height)]
    for changed in changes(view):
        sheet = draw(changed, kept, size)
        cells = [sheet.cells_after(y, last, before) for y, before in enumerate(cells)]
        fresh = shown(draw(changed, Look(), size))
        assert [(line.texts, [str(style) for style in line.styles]) for line in cells] == fresh
        assert not sheet.faults
        seen, last = seen + (fresh != first), sheet
    assert seen > 30
