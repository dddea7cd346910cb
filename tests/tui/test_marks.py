"""The small marks: lines, bars, strips, the ledger bar's labels, panel edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sample_view import ledger_15_minutes, ledger_today

from gpuwatch.names import State
from gpuwatch.text import clean
from gpuwatch.tui.draw.bars import bar, height_glyph, state_at, strip
from gpuwatch.tui.draw.check import faults
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.ledgerbar import cells_of, label, ledger_bar, legend_row
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.palette import ASCII, STATES, TIERS, UNICODE, Look
from gpuwatch.tui.parts import PARTS, Share, legend, split
from gpuwatch.view.types import Cell


def sheet(width: int = 40, height: int = 1, look: Look | None = None) -> Sheet:
    return Sheet(width, height, look or Look())


def test_a_line_fills_its_gaps_and_merges_equal_styles() -> None:
    out = sheet(20)
    out.put(0, 2, "ab", out.look.fg)
    out.put(0, 4, "cd", out.look.fg)
    out.right(0, 19, "7", out.look.white)
    assert out.strip(0).text == "  abcd             7"
    assert len(list(out.strip(0))) == 3
    assert faults(out) == []


def test_text_over_text_and_beyond_the_edge_is_a_fault() -> None:
    out = sheet(10)
    out.put(0, 2, "abc", out.look.fg)
    out.put(0, 4, "x", out.look.fg)
    out.put(0, 8, "long", out.look.fg)
    found = faults(out)
    assert any("written over" in fault for fault in found)
    assert any("leaves the sheet" in fault for fault in found)
    assert out.strip(0).text == "  abc     "


def test_a_ground_covers_text_and_blanks_alike() -> None:
    out = sheet(10)
    out.put(0, 3, "ab", out.look.dim)
    out.ground(0, 1, 8, "sel")
    backs = {segment.style.bgcolor.name for segment in out.strip(0) if segment.style is not None and segment.text.strip()}
    assert backs == {"#1d2a38"}
    assert [len(segment.text) for segment in out.strip(0)] == [1, 2, 6, 1]


def test_selection_without_colour_is_reversed() -> None:
    out = sheet(10, look=Look("none"))
    out.put(0, 3, "ab", out.look.dim)
    out.ground(0, 0, 9, "sel")
    assert all(segment.style is not None and segment.style.reverse and not segment.style.dim for segment in out.strip(0))


@given(st.text(max_size=60), st.integers(0, 30))
def test_cut_never_takes_more_cells_than_it_may(text: str, cells: int) -> None:
    text = clean(text)
    assert width_of(cut(text, cells)) <= cells or cells == 0
    if width_of(text) <= cells:
        assert cut(text, cells) == text


@given(st.text(max_size=80))
def test_foreign_text_never_leaves_its_place_or_brings_a_control(text: str) -> None:
    for look in (Look(), Look("16", ascii_only=True)):
        out = sheet(30, look=look)
        out.put(0, 5, cut(clean(text), 20), look.fg)
        assert faults(out) == []


@pytest.mark.parametrize(("ratio", "drawn"), [(0.0, "━━━━━━━━━━"), (0.31, "━━━━━━━━━━"), (0.87, "━━━━━━━━╸━"), (1.2, "━━━━━━━━━━")])
def test_a_bar_of_ten_has_twenty_steps(ratio: float, drawn: str) -> None:
    out = sheet(10)
    bar(out, 0, 0, 10, ratio, out.look.white)
    assert out.strip(0).text == drawn
    bright = sum(len(s.text) for s in out.strip(0) if s.style is out.look.white)
    assert bright == min(10, (round(ratio * 20) + 1) // 2)


def test_no_value_is_no_bar() -> None:
    out = sheet(10)
    bar(out, 0, 0, 10, None, out.look.white)
    assert out.strip(0).text.strip() == ""


def test_strip_says_free_idle_busy_and_nothing_apart() -> None:
    cells = [
        Cell(0.99, State.BUSY),
        Cell(0.0, State.HELD_IDLE),
        Cell(0.0, State.FREE),
        Cell(None, State.NO_DATA),
        Cell(0.5, State.WAITING),
    ]
    seen = {}
    for look in (Look(), Look("none"), Look(ascii_only=True), Look("none", ascii_only=True)):
        out = sheet(5, look=look)
        strip(out, 0, 0, cells)
        seen[look.tier, look.ascii] = out.strip(0).text
    assert seen == {
        ("truecolor", False): "▇▁· ▄",
        ("none", False): "▇×· ░",
        ("truecolor", True): "#x. ~",
        ("none", True): "#x. ~",
    }


def test_heights_are_seven_steps_and_never_a_full_block() -> None:
    look = Look()
    assert "".join(height_glyph(look, i / 6) for i in range(7)) == "▁▂▃▄▅▆▇"
    assert height_glyph(look, 5.0) == "▇"


def test_every_glyph_is_one_cell() -> None:
    for glyphs in (UNICODE, ASCII):
        for name in glyphs.__slots__:
            value = getattr(glyphs, name)
            assert width_of(value) == len(value), name
            assert len(value) == {"heights": 7, "corners": 4}.get(name, 1), name
    assert all(getattr(ASCII, name).isascii() for name in ASCII.__slots__)


def test_each_state_has_its_own_letter() -> None:
    assert set(STATES) == set(State)
    marks = [kind.ascii_mark for kind in STATES.values()]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize("tier", TIERS)
def test_all_styles_of_a_tier_can_be_made(tier: str) -> None:
    look = Look(tier)  # type: ignore[arg-type]
    for state in State:
        assert look.state(state) is look.state(state)
        assert look.mark(state) is not None
    if tier == "none":
        assert look.badge.color is None and look.badge.reverse


def test_a_state_is_always_also_a_word() -> None:
    out = sheet(20, look=Look("none", ascii_only=True))
    state_at(out, 0, 3, State.HELD_IDLE, "HELD IDLE")
    assert out.strip(0).text.rstrip() == "   x HELD IDLE"


# ------------------------------------------------------------------------------------------------------ the ledger's bar


def labels(width: int) -> list[str]:
    parts = split(ledger_today())
    return [label(share, cells) for share, cells in zip(parts, cells_of(parts, width), strict=True)]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (118, ["effective 28%", "under-filled 22%", "wait 14%", "2%", "held idle 17%", "3%", "free 13%", ""]),
        (72, ["effective 28%", "under 22%", "wait 14%", "", "held 17%", "", "free 13%", ""]),
        (48, ["eff 28%", "under 22%", "14%", "", "17%", "", "13%", ""]),
        (20, ["28%", "22%", "", "", "", "", "", ""]),
    ],
)
def test_labels_are_the_first_that_fits(width: int, expected: list[str]) -> None:
    assert labels(width) == expected


@given(st.lists(st.integers(0, 10**9), min_size=len(PARTS), max_size=len(PARTS)), st.integers(12, 200))
def test_whatever_is_there_has_a_cell_and_the_bar_is_full(amounts: list[int], width: int) -> None:
    parts = [Share(part, ms, 0) for part, ms in zip(PARTS, amounts, strict=True) if ms]
    cells = cells_of(parts, width)
    assert not parts or sum(cells) == width
    assert all(count >= 1 for count in cells)


def test_percentages_of_the_data_set() -> None:
    assert [(s.part.name, s.percent) for s in split(ledger_15_minutes())] == [
        ("effective", 30),
        ("under-filled", 23),
        ("wait", 19),
        ("lost", 3),
        ("held idle", 25),
    ]


def test_the_legend_names_the_eight_parts() -> None:
    assert [part.name for part in legend(ledger_15_minutes(), None)] == ["effective", "under-filled", "wait", "lost", "held idle", "unused", "free", "unknown"]  # fmt: skip


@pytest.mark.parametrize("width", [12, 20, 48, 95, 175])
def test_the_bar_and_its_legend_have_no_fault(width: int) -> None:
    for tier in TIERS:
        for ascii_only in (False, True):
            out = sheet(width, 2, Look(tier, ascii_only=ascii_only))
            ledger_bar(out, 0, 0, width, split(ledger_today()))
            legend_row(out, 1, 0, width, legend(ledger_today()))
            assert faults(out) == []


def test_without_colour_letters_tell_the_parts() -> None:
    out = sheet(48, look=Look("none"))
    ledger_bar(out, 0, 0, 48, split(ledger_today()))
    assert out.strip(0).text == "# eff 28% ## under 22% ~ 14% ~!x 17% xxu. 13% .?"


def test_a_note_that_does_not_fit_is_dropped_as_a_whole() -> None:
    out = sheet(30, 3)
    box(out, 0, 2, "Title", note=[("a note that is far too long for it", out.look.dim)])
    assert out.strip(0).text == "╭─ Title ────────────────────╮"
    assert faults(out) == []
