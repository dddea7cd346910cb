"""The running App: keys, screens, filter, selection, and that only changed cells are painted again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from support.sample_view import sample_view
from support.tui import mounted, text_of
from support.tui_views import first_run, no_gpu
from textual.binding import Binding
from textual.command import CommandPalette
from textual.pilot import Pilot

from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.guard import waiting_writes
from gpuwatch.tui.screens.help import HelpScreen
from gpuwatch.tui.screens.registry import INNER, SCREENS
from gpuwatch.view.types import View

Play = Callable[[GpuwatchApp, Pilot[int]], Awaitable[None]]


def play(script: Play, view: View | None = None, size: tuple[int, int] = (120, 40), **options: object) -> None:
    """Run ``script`` on an App that shows ``view``."""

    async def go() -> None:
        async with mounted(view or sample_view(), size, **options) as (app, pilot):
            await script(app, pilot)

    asyncio.run(go())


def test_what_stands_on_the_screen_is_the_sheet() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        assert app.screen.sheet is not None  # type: ignore[attr-defined]
        assert text_of(app) == app.screen.sheet.text()  # type: ignore[attr-defined]
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert text_of(app) == app.screen.sheet.text()  # type: ignore[attr-defined]
        assert text_of(app).splitlines()[23].endswith("? help q quit")

    play(script)


def test_digits_switch_screens_and_escape_comes_back() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        for digit, kind in SCREENS.items():
            await pilot.press(digit)
            await pilot.pause()
            assert isinstance(app.screen, kind)
            assert f" {digit} {kind.NAME} " in text_of(app).splitlines()[-1]
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, SCREENS["1"])
        assert len(app.screen_stack) == 1

    play(script)


def test_the_selection_moves_pages_and_stays_inside() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        table = app.ui.table("processes")
        seen = [table.index]
        for key in ("down", "j", "up", "k", "k", "end", "pageup", "home", "pagedown"):
            await pilot.press(key)
            seen.append(table.index)
        assert seen == [0, 1, 2, 1, 0, 0, 9, 0, 0, 9]

    play(script)


def test_a_click_selects_its_row() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.click(offset=(30, 30))
        await pilot.pause()
        assert app.ui.table("processes").index == 2

    play(script)


def test_a_click_on_a_screens_name_goes_there() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.click(offset=(30, 39))
        await pilot.pause()
        assert isinstance(app.screen, SCREENS["4"])

    play(script)


def test_enter_opens_the_selected_process() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("down", "down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, SCREENS["3"])
        assert "pid 51877" in text_of(app)

    play(script)


def test_the_filter_takes_letters_that_are_keys_elsewhere() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"jqs")
        assert (app.ui.filter, app.ui.filter_open) == ("jqs", True)
        assert "No process matches “jqs”. Esc clears." in text_of(app)
        await pilot.press("backspace", "backspace", *"upyter", "enter")
        await pilot.pause()
        assert (app.ui.filter, app.ui.filter_open) == ("jupyter", False)
        assert "1 of " in text_of(app) and "dcgm-exporter" not in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.ui.filter == "" and "dcgm-exporter" in text_of(app)

    play(script)


def test_sort_tree_all_and_pause() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("s")
        assert "sort GPU ▲" in text_of(app)
        await pilot.press("r")
        assert "sort GPU ▼" in text_of(app)
        await pilot.press("t")
        assert "Processes · tree" in text_of(app) and "└ bash run_vit.sh" in text_of(app)
        await pilot.press("t", "a")
        assert "a GPU only" in text_of(app)
        await pilot.press("space")
        assert "paused" in text_of(app) and "LIVE" not in text_of(app)

    play(script)


def test_escape_hides_the_first_steps() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        assert "First steps" in text_of(app)
        await pilot.press("escape")
        assert "First steps" not in text_of(app)

    play(script, first_run())


def test_c_goes_through_all_looks_and_back() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        seen = []
        for _ in range(8):
            seen.append((app.look.tier, app.look.ascii))
            await pilot.press("c")
            await pilot.pause()
            assert text_of(app) == app.screen.sheet.text()  # type: ignore[attr-defined]
        assert len(set(seen)) == 8
        assert (app.look.tier, app.look.ascii) == seen[0]

    play(script)


def test_every_key_is_in_the_help() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        text = text_of(app)
        for binding in (*app.BINDINGS, *SCREENS["1"].BINDINGS):
            assert isinstance(binding, Binding)
            assert binding.system or (binding.tooltip or binding.description) in text
        await pilot.press("question_mark")
        await pilot.pause()
        assert not isinstance(app.screen, HelpScreen)

    play(script)


def test_every_binding_has_an_action_and_every_footer_key_a_binding() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        for kind in (*SCREENS.values(), *INNER.values(), HelpScreen):
            screen = kind()
            for binding in (*kind.BINDINGS, *app.BINDINGS):
                assert isinstance(binding, Binding)
                name = binding.action.split("(")[0]
                owner = app if name.startswith("app.") or binding in app.BINDINGS else screen
                assert hasattr(owner, f"action_{name.removeprefix('app.')}"), binding
            assert len(screen.footer_keys()) <= len(kind.BINDINGS)

    play(script)


def test_the_palette_offers_screens_and_quit() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "Go to Overview" in titles and "Quit" in titles and len(set(titles)) == len(titles)
        await pilot.press("ctrl+p")
        await pilot.pause()
        assert isinstance(app.screen, CommandPalette)
        app.show(sample_view())  # a View that comes while the palette is open is drawn when it closes
        await pilot.press("escape")
        await pilot.pause()

    play(script)


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130), ("ctrl+q", 0)])
def test_leaving_has_an_exit_code(key: str, code: int) -> None:
    app = GpuwatchApp(__import__("gpuwatch.tui", fromlist=["TuiOptions"]).TuiOptions(), "truecolor")

    async def go() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(key)
            await pilot.pause()

    asyncio.run(go())
    assert app.return_value == code


def test_copy_takes_the_selected_row() -> None:
    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("y")
        assert app.copied == app.clipboard == "48213 bob jupyter kernel 9f2e"

    play(script)


# ------------------------------------------------------------------------------------------------------ a slow terminal


def test_the_writer_queue_can_be_seen() -> None:
    """Fails when an upgrade of Textual renames what the draw guard looks at; then the guard is off and must be mended."""
    from textual.drivers._writer_thread import WriterThread

    class Driver:
        _writer_thread = WriterThread(__import__("io").StringIO())

    class Holder:
        _driver = Driver()

    assert waiting_writes(Holder()) == 0  # type: ignore[arg-type]
    Driver._writer_thread.write("x")
    assert waiting_writes(Holder()) == 1  # type: ignore[arg-type]
    assert waiting_writes(object()) is None  # type: ignore[arg-type]
    assert "_writer_thread" in __import__("inspect").getsource(__import__("textual.drivers.linux_driver", fromlist=["x"]))
    assert "self._driver" in __import__("inspect").getsource(__import__("textual.app", fromlist=["x"]))


def test_drawing_waits_while_the_terminal_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuwatch.tui import guard

    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        monkeypatch.setattr(guard, "waiting_writes", lambda app: 30)
        before = text_of(app)
        for _ in range(3):
            app.show(replace(sample_view(), at_ms=sample_view().at_ms + 5000))
        assert text_of(app) == before
        monkeypatch.setattr(guard, "waiting_writes", lambda app: 0)
        app.repaint()
        await pilot.pause()
        assert "14:32:12" in text_of(app)

    play(script)


def test_slow_link_is_said_after_three_skipped_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuwatch.tui import guard

    draw = guard.DrawGuard(object())  # type: ignore[arg-type]
    monkeypatch.setattr(guard, "waiting_writes", lambda app: 30)
    assert [draw.may_draw() for _ in range(4)] == [False] * 4 and draw.slow_link
    monkeypatch.setattr(guard, "waiting_writes", lambda app: 0)
    assert draw.may_draw() and draw.slow_link
    assert draw.may_draw() and not draw.slow_link
    draw.suspended = True
    assert not draw.may_draw()


def test_escape_hides_the_first_steps_for_good_and_only_where_they_are() -> None:
    told: list[str] = []

    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("slash", "t", "escape")
        assert told == [] and "First steps" in text_of(app)
        await pilot.press("escape", "escape")
        assert told == ["hidden"] and "First steps" not in text_of(app)

    play(script, first_run(), hide_first_steps=lambda: told.append("hidden"))

    async def old(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("escape")
        assert told == ["hidden"]

    play(old, sample_view(), hide_first_steps=lambda: told.append("again"))

    async def dismissed(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        assert "First steps" not in text_of(app) and "hide steps" not in text_of(app)

    play(dismissed, first_run(), first_steps=False)


def test_r_asks_for_a_gpu_where_there_is_none_and_says_what_happens() -> None:
    asked: list[int] = []

    def retry() -> str:
        asked.append(1)
        return "The recorder starts anew."

    async def script(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("r")
        assert asked == [1] and "The recorder starts anew." in text_of(app)
        await pilot.press("down")
        assert "The recorder starts anew." not in text_of(app)
        assert app.ui.reverse is False

    play(script, no_gpu(), retry=retry)

    async def with_gpus(app: GpuwatchApp, pilot: Pilot[int]) -> None:
        await pilot.press("r")
        assert asked == [1] and app.ui.reverse is True

    play(with_gpus, retry=retry)
