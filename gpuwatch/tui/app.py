"""The Textual shell: screens, keys, palette, suspend and exit. It holds the latest View and asks the shown screen to draw it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.signal import Signal

from gpuwatch.tui.advice import Advice
from gpuwatch.tui.guard import DrawGuard, Link, paint_once
from gpuwatch.tui.journey import Journey
from gpuwatch.tui.opening import Opening
from gpuwatch.tui.options import TuiOptions
from gpuwatch.tui.palette import TIERS, ColorTier, Look
from gpuwatch.tui.rows import SORTS
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.screens.help import HelpScreen
from gpuwatch.tui.screens.registry import INNER, SCREENS
from gpuwatch.tui.source import Feeder
from gpuwatch.tui.state import CELLS, INTERVALS, WIDE, WIDE_CELLS, Context, UiState
from gpuwatch.tui.themes import register_theme
from gpuwatch.view.types import DetailRequest, DetailView, View

SETTLE_SECONDS = 0.01


class GpuwatchApp(Journey, Opening, Advice, App[int]):
    """One program, one screen at a time, one View."""

    TITLE = "gpuwatch"
    ENABLE_COMMAND_PALETTE = True
    AUTO_FOCUS = None
    CSS = "Screen { background: ansi_default; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(digit, f"go('{digit}')", screen.NAME, show=False) for digit, screen in SCREENS.items()),
        Binding("down,j", "move(1)", "next row", show=False, key_display="↓ j"),
        Binding("up,k", "move(-1)", "previous row", show=False, key_display="↑ k"),
        Binding("pagedown", "page(1)", "a page down", show=False, key_display="PgDn"),
        Binding("pageup", "page(-1)", "a page up", show=False, key_display="PgUp"),
        Binding("home", "edge(-1)", "first row", show=False, key_display="Home"),
        Binding("end", "edge(1)", "last row", show=False, key_display="End"),
        Binding(
            "escape",
            "out",
            "clear the filter, go back",
            show=False,
            tooltip="clear the filter, hide the first steps, go back",
            key_display="Esc",
        ),
        Binding("left", "step(-1)", "20 s back", show=False, tooltip="one cell of the strips back in time", key_display="←"),
        Binding("right", "step(1)", "20 s on", show=False, tooltip="one cell of the strips on, up to now", key_display="→"),
        Binding("shift+left", "step(-10)", "200 s back", show=False, tooltip="ten cells back", key_display="shift+←"),
        Binding("shift+right", "step(10)", "200 s on", show=False, tooltip="ten cells on", key_display="shift+→"),
        Binding("L", "live", "live", show=False, tooltip="from the past back to now; End does it too", key_display="L"),
        Binding("y", "copy_row", "copy the selected row", show=False),
        Binding("c", "cycle_look", "colours and glyphs", show=False),
        Binding("plus,equals_sign", "interval(1)", "draw less often", show=False, key_display="+"),
        Binding("minus", "interval(-1)", "draw more often", show=False, key_display="-"),
        Binding("ctrl+p", "command_palette", "all commands by name", show=False, key_display="ctrl+p", priority=True),
        Binding("ctrl+z", "suspend_process", "to the shell; fg comes back", show=False, key_display="ctrl+z"),
        Binding("question_mark", "help", "this help", show=False),
        Binding("q", "leave(0)", "quit", show=False),
        Binding("ctrl+c", "leave(130)", "quit", show=False, key_display="ctrl+c", priority=True, system=True),
        Binding("ctrl+q", "leave(0)", "quit", show=False, key_display="ctrl+q", priority=True, system=True),
    ]

    def __init__(self, options: TuiOptions, tier: ColorTier, feeder: Feeder | None = None) -> None:
        super().__init__(ansi_color=True)
        self.options = options
        self.feeder = feeder
        self.look = Look(tier, ascii_only=options.ascii_only)
        self.ui = UiState(interval=options.interval, read_only=options.read_only, first_steps=options.first_steps)
        self.view: View | None = None
        self.detail: DetailView | None = None
        self.problem = ""
        self.copied = ""
        self.below_help: PanelScreen = SCREENS["1"]()
        self._panels = {"1": self.below_help}
        self.guard = DrawGuard(self)
        self.link = Link(self, self.guard)
        self._redraw_later = False
        self._opening = ExitStack()
        self.animation_level = "none"
        register_theme(self, tier)

    # -------------------------------------------------------------------------------------------------- life

    def on_load(self) -> None:
        """Hold the first pictures back until the layout stands: Textual would paint the same one four times."""
        self._opening.enter_context(self.batch_update())

    def on_mount(self) -> None:
        """Show the first screen and begin to listen to the feeder."""
        self.app_suspend_signal.subscribe(self, self._suspended)
        self.app_resume_signal.subscribe(self, self._resumed)
        self.set_timer(SETTLE_SECONDS, self._settled)
        self.take_latest()

    def _settled(self) -> None:
        first = self._panels["1"].canvas
        if first.size != self.size and self.is_running:
            self.set_timer(SETTLE_SECONDS, self._settled)
        else:
            self._opening.close()
            paint_once(self.screen)
            gc.freeze()
            gc.enable()

    def get_default_screen(self) -> Screen[Any]:
        """The overview is the screen below all others."""
        latest = self.feeder.take() if self.feeder is not None else None
        if latest is not None:
            self.view, self.problem = latest
        return self._panels["1"]

    def waker(self) -> Callable[[], None]:
        """A function for another thread that makes this App take the latest View; call it on the event loop."""
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(self.take_latest, context=context)
            except RuntimeError:
                return  # the loop is closed: the program is leaving

        return wake

    def take_latest(self) -> None:
        """Fetch what the feeder has and draw it."""
        latest = self.feeder.take() if self.feeder is not None else None
        if latest is None:
            return
        if self.feeder is not None:
            self.detail = self.feeder.detail
        if self.ui.paused:
            self.repaint()
        else:
            self.show(*latest)

    def show(self, view: View | None, problem: str = "") -> None:
        """Draw ``view``; without one keep the last and say why."""
        if view is not None:
            self.view = view
        self.problem = problem
        self.repaint()

    def repaint(self) -> None:
        """Draw the shown screen, unless the terminal is still busy with the last picture; then soon."""
        if not self.guard.may_draw():
            self.ui.slow_link = self.guard.slow_link
            if not self._redraw_later:
                self._redraw_later = True
                self.set_timer(0.5, self._later)
            return
        self.ui.slow_link = self.guard.slow_link
        if isinstance(self.screen, PanelScreen):
            self.screen.repaint()

    def _later(self) -> None:
        self._redraw_later = False
        if self.screen_stack:  # none is left while the program ends
            self.repaint()

    def _suspended(self, _: Signal[Any] | App[Any]) -> None:
        self.guard.suspended = True

    def _resumed(self, _: Signal[Any] | App[Any]) -> None:
        self.guard.suspended = False
        self.repaint()
        self.screen.refresh()  # the terminal shows another page now: all of it has to be painted

    # ------------------------------------------------------------------------------------------- for screens

    def context(self, screen: PanelScreen, width: int, height: int) -> Context:
        """All that ``screen`` may look at."""
        return Context(
            self.view,
            width,
            height,
            self.look,
            self.ui,
            self.options.tz,
            screen.DIGIT,
            screen.footer_keys(),
            self.problem,
            self.detail,
        )

    def ask_cells(self) -> None:
        """Tell the feeder how many cells the strips have at this width."""
        cells = WIDE_CELLS if self.size.width >= WIDE else CELLS
        if self.feeder is not None and self.feeder.cells != cells:
            self.feeder.cells = cells
            self.feeder.hurry()

    def ask(self, request: DetailRequest | None) -> None:
        """Tell the feeder what the shown screen wants to know beside the View."""
        if self.feeder is not None:
            self.feeder.ask(request)

    def type_filter(self, event: events.Key) -> bool:
        """Take a key for the open filter; False when it is closed or the key is none of its."""
        ui = self.ui
        if not ui.filter_open or isinstance(self.screen, HelpScreen):
            return False
        if event.key == "enter":
            ui.filter_open = False
        elif event.key == "backspace":
            ui.filter = ui.filter[:-1]
        elif event.key == "ctrl+u":
            ui.filter = ""
        elif event.character and event.is_printable:
            ui.filter = (ui.filter + event.character)[:64]
        else:
            return False
        self.repaint()
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While the filter is typed, letters are text: only these keys keep their meaning."""
        if self.ui.filter_open and not isinstance(self.screen, HelpScreen):
            return action in ("out", "move", "page", "edge", "suspend_process", "command_palette") or parameters == (130,)
        return True

    # ---------------------------------------------------------------------------------------------- actions

    def shown_digit(self) -> str:
        """The digit of the screen that is shown, or that lies below the help."""
        return self.screen.DIGIT if isinstance(self.screen, PanelScreen) else self.below_help.DIGIT

    def action_go(self, digit: str) -> None:
        """Switch to a screen; each is made once and kept. The overview lies below all others, one of them above it at most."""
        if digit not in self._panels:
            self._panels[digit] = (SCREENS | INNER)[digit]()
            self.install_screen(self._panels[digit], digit)
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        if digit == "4" and isinstance(self.screen, PanelScreen):
            self.select_finding(self.screen.finding())
        overview, wanted = self._panels["1"], self._panels[digit]
        if self.screen is wanted:
            return
        if self.screen is overview:
            self.push_screen(wanted)
        elif wanted is overview:
            self.pop_screen()
        else:
            self.switch_screen(wanted)

    def action_out(self) -> None:
        """Close the help, else clear the filter, else hide the first steps, else the overview."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        elif isinstance(self.screen, PanelScreen) and self.screen.back():
            self.repaint()
        elif self.ui.filter_open or self.ui.filter:
            self.ui.filter, self.ui.filter_open = "", False
            self.repaint()
        elif self.screen is self._panels["1"]:
            self.screen.out()
        else:
            self.action_go("1")

    def action_help(self) -> None:
        """The keys of the shown screen."""
        if isinstance(self.screen, PanelScreen) and not isinstance(self.screen, HelpScreen):
            self.below_help = self.screen
            self.push_screen(HelpScreen())

    def action_move(self, rows: int) -> None:
        """Move the selection."""
        if isinstance(self.screen, PanelScreen):
            self.screen.move(rows)

    def action_page(self, pages: int) -> None:
        """Move the selection by what fits on the screen."""
        if isinstance(self.screen, PanelScreen):
            self.screen.move(pages * self.ui.table(self.screen.table_name).page)

    def action_edge(self, direction: int) -> None:
        """Select the first or the last row; in the past the end is now."""
        if direction > 0 and self.feeder is not None and self.feeder.at_ms is not None:
            self.action_live()
            return
        self.action_move(direction * 1_000_000)

    def action_open_filter(self) -> None:
        """Type words that rows must contain."""
        self.ui.filter_open = True
        self.repaint()

    def action_cycle_sort(self) -> None:
        """Sort by the next column."""
        names = list(SORTS)
        self.ui.sort = names[(names.index(self.ui.sort) + 1) % len(names)]
        self.ui.reverse = False
        self.repaint()

    def action_sort_by(self, name: str) -> None:
        """Sort by one column."""
        self.ui.sort, self.ui.reverse = name, False
        self.repaint()

    def action_reverse(self) -> None:
        """Turn the order around."""
        self.ui.reverse = not self.ui.reverse
        self.repaint()

    def action_toggle_tree(self) -> None:
        """Processes under their parents, or flat."""
        self.ui.tree = not self.ui.tree
        self.repaint()

    def action_toggle_all(self) -> None:
        """All watched processes, or those that work with a GPU."""
        self.ui.show_all = not self.ui.show_all
        self.repaint()

    def action_pause(self) -> None:
        """Keep this picture; the recording goes on."""
        self.ui.paused = not self.ui.paused
        if self.feeder is not None:
            self.feeder.paused = self.ui.paused
            if not self.ui.paused:
                self.feeder.hurry()
        self.repaint()

    def action_interval(self, step: int) -> None:
        """Draw less or more often; the recording keeps its own rhythm."""
        nearest = min(range(len(INTERVALS)), key=lambda i: abs(INTERVALS[i] - self.ui.interval))
        self.ui.interval = INTERVALS[max(0, min(len(INTERVALS) - 1, nearest + step))]
        if self.feeder is not None:
            self.feeder.interval = self.ui.interval
        self.repaint()

    def action_cycle_look(self) -> None:
        """The next set of colours; after the last one the other glyphs. Under NO_COLOR only the glyphs change."""
        tier, ascii_only = self.look.tier, self.look.ascii
        following = TIERS.index(tier) + 1
        if self.no_color or following == len(TIERS):
            ascii_only = not ascii_only
        self.look = Look(tier if self.no_color else TIERS[following % len(TIERS)], ascii_only=ascii_only)
        self.repaint()

    def action_copy_row(self) -> None:
        """The selected process as text to the clipboard, and once more on leaving (many terminals block the first)."""
        key = self.ui.table("processes").selected
        if self.view is None or not isinstance(key, tuple):
            return
        process = next((p for p in self.view.processes if (p.pid, p.start_ms) == key[:2]), None)
        if process is not None:
            self.copied = f"{process.pid} {process.user} {process.command or process.name}"
            self.copy_to_clipboard(self.copied)

    def action_leave(self, code: int) -> None:
        """Restore the terminal and end."""
        if self.feeder is not None:
            self.feeder.stop()
        self.exit(code)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What ctrl+p offers."""
        for digit, kind in SCREENS.items():
            yield SystemCommand(f"Go to {kind.NAME}", f"screen {digit}", lambda digit=digit: self.action_go(digit))
        for name, (word, _, _) in SORTS.items():
            yield SystemCommand(f"Sort by {word}", "processes", lambda name=name: self.action_sort_by(name))
        yield SystemCommand("Reverse the order", "processes", self.action_reverse)
        yield SystemCommand("Tree or flat list", "processes", self.action_toggle_tree)
        yield SystemCommand("All processes or GPU only", "processes", self.action_toggle_all)
        yield SystemCommand("Filter", "processes", self.action_open_filter)
        yield SystemCommand("Pause or go on", "the picture", self.action_pause)
        yield SystemCommand("Colours and glyphs", "the next set", self.action_cycle_look)
        yield SystemCommand("Help", "all keys", self.action_help)
        yield SystemCommand("Quit", "leave gpuwatch", lambda: self.action_leave(0))
