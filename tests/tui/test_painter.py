"""Cells written directly: whatever happens in between, the terminal shows what a full repaint would show."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.style import Style
from support.sample_view import sample_view
from support.tui_painted import Page, Watched, watched
from support.tui_program import Source
from textual.command import CommandPalette

from gpuwatch.tui.draw.cells import Cells, narrow, spread
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.painter import REST, Painter, Pen, step
from gpuwatch.tui.palette import ASCII, UNICODE, Look
from gpuwatch.tui.screens.help import HelpScreen
from gpuwatch.tui.state import WIDE, WIDE_CELLS

Play = Callable[[Watched], Awaitable[None]]
TIERS = ("truecolor", "256", "16", "none")


def play(script: Play, size: tuple[int, int] = (120, 40), tier: Any = "truecolor", **options: Any) -> None:
    """Run ``script`` on an App in a pyte terminal."""

    async def go() -> None:
        async with watched(sample_view(), size, tier, **options) as shown:
            await script(shown)

    asyncio.run(go())


def moving(shown: Watched, mode: str = "busy") -> Callable[[], str]:
    """A function that shows the next View and returns what that sent at once."""
    source = Source(mode)

    def following() -> str:
        shown.sent()
        shown.app.show(source.build(None, WIDE_CELLS if shown.app.size.width >= WIDE else 45))
        return shown.sent()

    return following


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_refreshes_leave_what_a_full_repaint_leaves(
    size: tuple[int, int], tier: str, ascii_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tier == "none":
        monkeypatch.setenv("NO_COLOR", "1")

    async def script(shown: Watched) -> None:
        assert await shown.same()
        following = moving(shown)
        for _ in range(8):
            sent = following()
            assert 0 < len(sent) < 7000
            assert shown.stands() == shown.repainted()
        assert await shown.same() and shown.sent() == ""

    play(script, size, tier, ascii_only=ascii_only)


def test_every_screen_and_what_lies_over_it() -> None:
    async def script(shown: Watched) -> None:
        app, pilot, following = shown.app, shown.pilot, moving(shown)
        for key in ("2", "3", "1", "question_mark", "question_mark", "3", "enter", "escape", "1", "slash", "j", "escape", "t", "s", "end", "home"):  # fmt: skip
            await pilot.press(key)
            following()
            assert await shown.same(), key
        await pilot.press("ctrl+p")
        await pilot.pause(0.1)
        assert isinstance(app.screen, CommandPalette)
        assert not app.link.free(app.screen_stack[0].canvas)  # type: ignore[attr-defined]
        following()
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert await shown.same()
        assert following() and await shown.same()
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        following()
        await pilot.press("escape")
        assert await shown.same()

    play(script)


def test_under_a_message_textual_paints() -> None:
    async def script(shown: Watched) -> None:
        following = moving(shown)
        assert following()
        shown.app.notify("a message", timeout=60)
        await shown.pilot.pause(0.05)
        assert not shown.app.link.free(shown.app.screen.canvas)  # type: ignore[attr-defined]
        assert following() == ""
        assert await shown.same()
        assert any("a message" in "".join(cell[0] for cell in row) for row in shown.stands())
        shown.app.clear_notifications()
        await shown.pilot.pause(0.05)
        assert following() and await shown.same()

    play(script)


def test_resizes_in_between() -> None:
    async def script(shown: Watched) -> None:
        following = moving(shown)
        for size in ((80, 24), (200, 60), (59, 20), (100, 30), (120, 40)):
            following()
            await shown.resize(*size)
            following()
            assert await shown.same(), size
            assert following() or size[0] < 60
            assert shown.stands() == shown.repainted()

    play(script)


def test_other_colours_and_glyphs_in_between() -> None:
    async def script(shown: Watched) -> None:
        following = moving(shown)
        for _ in range(8):
            await shown.pilot.press("c")
            following()
            assert await shown.same()
            assert following() and await shown.same()

    play(script)


def test_nothing_is_written_while_suspended_or_while_a_picture_is_held_back() -> None:
    async def script(shown: Watched) -> None:
        app, following = shown.app, moving(shown)
        app._suspended(app)
        assert following() == ""
        app._resumed(app)
        assert await shown.same()
        with app.batch_update():
            assert following() == ""
        assert await shown.same()

    play(script)


def test_nothing_is_written_while_the_queue_is_long() -> None:
    async def script(shown: Watched) -> None:
        queue, following = shown.driver._writer_thread._queue, moving(shown)
        for _ in range(5):
            queue.put("")
        assert following() == ""
        queue.queue.clear()
        assert following() and await shown.same()

    play(script)


def test_a_picture_that_is_due_when_the_program_has_ended_is_not_drawn() -> None:
    async def end() -> None:
        async with watched(sample_view()) as shown:
            app = shown.app
        assert not app.screen_stack
        app._later()

    asyncio.run(end())


@pytest.mark.parametrize("name", ["_writer_thread", "_batch_count", "_compositor"])
def test_without_a_private_name_textual_paints(name: str) -> None:
    """As after an upgrade that renames what ``guard`` looks at."""

    async def script(shown: Watched) -> None:
        following = moving(shown)
        holder: Any = {"_writer_thread": shown.driver, "_batch_count": shown.app, "_compositor": shown.app.screen}[name]
        kept = getattr(holder, name)
        delattr(holder, name)
        try:
            assert following() == ""
        finally:
            setattr(holder, name, kept)
        assert await shown.same()
        assert following()

    play(script)


def test_the_private_names_are_there() -> None:
    """Fails when an upgrade of Textual renames what the direct way needs; then Textual paints everything and this must be mended."""

    async def script(shown: Watched) -> None:
        assert shown.app.link.free(shown.app.screen.canvas)  # type: ignore[attr-defined]
        assert isinstance(shown.app._sync_available, bool)

    play(script)


def test_a_clock_costs_sixty_bytes() -> None:
    async def script(shown: Watched) -> None:
        view = sample_view()
        for second in range(1, 9):
            shown.sent()
            shown.app.show(replace(view, at_ms=view.at_ms + second * 1000))
            assert 0 < len(shown.sent()) <= 60

    play(script)


def test_frames_are_shown_at_once_where_the_terminal_can() -> None:
    async def script(shown: Watched) -> None:
        following = moving(shown)
        shown.app._sync_available = True
        assert re.fullmatch(r"\x1b\[\?2026h.+\x1b\[H\x1b\[\?2026l", following(), re.DOTALL)

    play(script)


# ------------------------------------------------------------------------------------------------------------- cells


def test_cells_of_every_kind_of_text() -> None:
    assert list(spread("ab", 2)) == ["a", "b"]
    assert list(spread("a龍b", 4)) == ["a", "龍", "", "b"]
    assert list(spread("e\u0301x", 2)) == ["e\u0301", "x"]
    assert list(spread("龍\u0301", 2)) == ["龍\u0301", ""]
    assert "".join(spread("🇩🇪 x", 4)) == "🇩🇪 x"


def test_narrow_characters_take_one_cell_and_all_marks_are_narrow() -> None:
    assert [chr(c) for c in range(0x20, 0x3000) if narrow(chr(c)) and cell_len(chr(c)) != 1] == []
    for glyphs in (UNICODE, ASCII):
        assert all(narrow(getattr(glyphs, name)) for name in glyphs.__slots__)


LOOKS = {tier: Look(tier) for tier in TIERS}  # type: ignore[arg-type]
WORDS = st.text(st.sampled_from("ab 龍字━▌x. "), min_size=1, max_size=6)
PLACED = st.lists(st.tuples(st.integers(0, 30), WORDS, st.sampled_from(["fg", "dim", "white", "busy", "amber"])), max_size=8)
GROUNDS = st.sampled_from([None, "sel", "bar"])


def line(look: Look, placed: list[tuple[int, str, str]], ground: str | None) -> Sheet:
    """A sheet of one line; texts that do not fit are left out."""
    sheet = Sheet(40, 1, look)
    if ground:
        sheet.ground(0, 0, 39, ground)
    at = 0
    for gap, text, ink in placed:
        x = at + gap % 7
        if x + 12 <= sheet.width:
            style = getattr(look, ink) if hasattr(look, ink) else look.style(ink)
            at = sheet.put(0, x, text, style)
    return sheet


@pytest.mark.parametrize("tier", TIERS)
@settings(max_examples=40, deadline=None)
@given(drawings=st.lists(st.tuples(PLACED, GROUNDS), min_size=2, max_size=5))
def test_any_line_becomes_any_other(tier: str, drawings: list[tuple[list[tuple[int, str, str]], str | None]]) -> None:
    look = LOOKS[tier]
    sheets = [line(look, *drawing) for drawing in drawings]
    painter, page = Painter(ColorSystem.TRUECOLOR), Page(40, 1)
    at = Cells([None] * 40, [look.ground] * 40)  # type: ignore[list-item]
    for sheet in sheets:
        wanted = sheet.cells(0)
        page.feed(painter.frame([(0, at, wanted)]))
        at = wanted
        whole = Page(40, 1)
        whole.feed("".join(segment.style.render(segment.text) for segment in sheet.segments(0) if segment.style))
        assert page.cells() == whole.cells()
        assert painter.frame([(0, wanted, sheet.cells(0))]) == ""


PENS = st.builds(Pen, st.sampled_from(["39", "31", "38;5;4"]), st.sampled_from(["49", "41"]), st.booleans(), st.booleans(), st.booleans())  # fmt: skip


@given(before=PENS, after=PENS)
def test_a_step_makes_one_pen_of_another(before: Pen, after: Pen) -> None:
    def applied(pen: Pen, codes: str) -> Pen:
        for code in re.findall(r"38;5;\d+|\d+", codes):
            match code:
                case "1" | "2" | "7":
                    pen = pen._replace(**{{"1": "bold", "2": "dim", "7": "reverse"}[code]: True})
                case "22":
                    pen = pen._replace(bold=False, dim=False)
                case "27":
                    pen = pen._replace(reverse=False)
                case _ if code.startswith("4"):
                    pen = pen._replace(ground=code)
                case _:
                    pen = pen._replace(ink=code)
        return pen

    assert applied(before, step(before, after)) == after
    assert step(after, after) == ""


@given(
    changes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 11), st.sampled_from(["x", "━", "龍"])), min_size=1, max_size=12)
)
def test_cells_of_many_lines_land_where_they_belong(changes: list[tuple[int, int, str]]) -> None:
    style = LOOKS["truecolor"].fg
    lines = [([" "] * 12, [" "] * 12) for _ in range(6)]
    for y, x, text in changes:
        if text != "龍":
            lines[y][1][x] = text
        elif x < 10:
            lines[y][1][x : x + 2] = ["龍", ""]
    for _, new in lines:  # a character that was written over in half
        for x, text in enumerate(new):
            if (text == "" and new[x - 1] != "龍") or (text == "龍" and (x == 11 or new[x + 1] != "")):
                new[x] = "."
    page, whole = Page(12, 6), Page(12, 6)
    painter = Painter(ColorSystem.TRUECOLOR)
    page.feed(painter.frame((y, Cells(old, [style] * 12), Cells(new, [style] * 12)) for y, (old, new) in enumerate(lines)))
    whole.feed("".join(f"\x1b[{y + 1};1H{''.join(new)}" for y, (_, new) in enumerate(lines)))
    assert page.screen.display == whole.screen.display


def test_without_colours_only_attributes_are_sent() -> None:
    painter = Painter(None)
    style = Style(color="red", bgcolor="blue", bold=True)
    wanted, before = Cells(["x"], [style]), Cells([" "], [Style()])
    assert painter.frame([(0, before, wanted)]) == "\x1b[1;1H\x1b[1mx\x1b[m"
    assert REST.blank == ("49", False)


@st.composite
def _lines(draw: st.DrawFn) -> list[tuple[int, str, str]]:
    """Texts side by side on a line of 40 cells: (column, text, ink)."""
    out, at = [], 0
    while (at := at + draw(st.integers(0, 6))) < 34:
        text = draw(st.sampled_from(("a", "bb", "日", "é─", "100%", "e\u0301x")))
        out.append((at, text, draw(st.sampled_from(("fg", "dim", "busy")))))
        at += cell_len(text)
    return draw(st.permutations(out))


@settings(max_examples=300, deadline=None)
@given(st.lists(_lines(), min_size=2, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_cells_that_follow_the_last_ones_equal_those_made_anew(
    lines: list[list[tuple[int, str, str]]], grounds: list[bool]
) -> None:
    look = Look()
    last, cells = None, None
    for puts, ground in zip(lines, grounds):
        sheet = Sheet(40, 1, look)
        for x, text, ink in puts:
            sheet.put(0, x, text, look.style(ink))
        if ground:
            sheet.ground(0, 1, 20, "sel")
        fresh = sheet.cells(0)
        cells = fresh if last is None or cells is None else sheet.cells_after(0, last, cells)
        assert (list(cells.texts), list(cells.styles)) == (list(fresh.texts), list(fresh.styles))
        assert not sheet.faults
        last = sheet
