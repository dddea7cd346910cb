"""What every screen shares: a canvas, the keys that all have, and the way from a View to a painted sheet.

A new screen is one module: a subclass with ``NAME``, ``DIGIT``, a ``draw(context) -> Sheet`` and its own BINDINGS (a binding with
a description and ``show=True`` appears in the footer; all of them in the help), plus its line in ``screens/registry.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.panel import Canvas
from gpuwatch.tui.panels.page import draw_page
from gpuwatch.tui.state import Context

if TYPE_CHECKING:
    from gpuwatch.tui.app import GpuwatchApp
    from gpuwatch.view.finding_types import FindingView
    from gpuwatch.view.types import DetailRequest

KEY_SIGNS = {"slash": "/", "question_mark": "?", "enter": "⏎", "escape": "Esc", "comma": ",", "full_stop": ".", "less_than_sign": "<", "greater_than_sign": ">", "plus": "+", "minus": "-"}  # fmt: skip


class PanelScreen(Screen[None]):
    """A screen that is drawn as one sheet."""

    NAME: ClassVar[str] = ""
    DIGIT: ClassVar[str] = ""
    TABLE: ClassVar[str] = "processes"
    """Which table the movement keys act on."""
    DEFAULT_CSS = "PanelScreen { background: ansi_default; overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = []
    AUTO_FOCUS = None

    def __init__(self) -> None:
        super().__init__()
        self.canvas = Canvas()
        self.sheet: Sheet | None = None

    @property
    def gpuwatch(self) -> GpuwatchApp:
        """The program's own App."""
        return cast("GpuwatchApp", self.app)

    def compose(self) -> ComposeResult:
        """Only the canvas, already drawn."""
        self.repaint()
        yield self.canvas

    def draw(self, context: Context) -> Sheet:
        """The whole screen for ``context``; pure but for table positions. Subclasses override ``body``, seldom this."""
        return draw_page(context, self.body)

    def body(self, sheet: Sheet, context: Context) -> None:
        """Rows 1 to height - 2."""
        raise NotImplementedError

    def repaint(self) -> None:
        """Draw and send what changed."""
        size = self.app.size
        if size.width < 1 or size.height < 1:
            return
        self.sheet = self.draw(self.gpuwatch.context(self, size.width, size.height))
        self.canvas.show(self.sheet, self.gpuwatch.link)
        if self.is_current or not self.is_attached:
            self.gpuwatch.ask(self.request())

    def request(self) -> DetailRequest | None:
        """What this screen, as drawn last, wants to know beside the View; asked after each drawing."""
        return None

    def finding(self) -> FindingView | None:
        """The finding that explains what this screen shows: ``4`` goes to it."""
        return None

    def back(self) -> bool:
        """Esc: close what is open inside this screen; False when nothing is."""
        return False

    def out(self) -> None:
        """Esc where nothing is open and there is no screen to go back to."""

    def footer_keys(self) -> tuple[tuple[str, str], ...]:
        """(key, word) of this screen's shown bindings, in their order."""
        out = []
        for binding in self.BINDINGS:
            if isinstance(binding, Binding) and binding.show and binding.description:
                out.append((sign_of(binding), binding.description))
        return tuple(out)

    def on_screen_resume(self) -> None:
        """Shown again: draw with the latest View."""
        self.gpuwatch.ask_cells()
        self.repaint()

    def on_resize(self, event: events.Resize) -> None:
        """Another size: other columns, perhaps other strips. Starting up Textual says the same size three times."""
        self.gpuwatch.ask_cells()
        if self.sheet is None or (self.sheet.width, self.sheet.height) != tuple(self.app.size):
            self.repaint()

    def on_click(self, event: events.Click) -> None:
        """Select the row that was clicked; a screen's name in the footer switches to it."""
        hit = self.sheet.hit(int(event.screen_y), int(event.screen_x)) if self.sheet is not None else None
        match hit:
            case ("screens", tuple() as ends, _):
                digit = next((digit for end, digit in ends if event.screen_x < end), None)
                if digit is not None:
                    self.gpuwatch.action_go(digit)
            case (str() as table, int() as index):
                self.gpuwatch.ui.table(table).go_to(index)
                self.gpuwatch.ui.focus = table if table in ("gpus", "throughput") else "processes"
                self.repaint()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows down."""
        self.move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows up."""
        self.move(-3)

    @property
    def table_name(self) -> str:
        """The table that the movement keys act on now."""
        return self.TABLE

    def move(self, rows: int) -> None:
        """Move the selection of this screen's table."""
        self.gpuwatch.ui.table(self.table_name).move += rows
        self.repaint()

    def on_key(self, event: events.Key) -> None:
        """Typing goes into the filter while it is open, and opens it.

        A binding runs only after the keys that came with it in one burst were looked at: ``/`` must not wait for that, or what is
        pasted behind it would act as commands.
        """
        if self.gpuwatch.type_filter(event):
            event.stop()
            event.prevent_default()
        elif event.key == "slash" and self._has_filter and not self.gpuwatch.ui.filter_open:
            self.gpuwatch.action_open_filter()
            event.stop()
            event.prevent_default()

    @property
    def _has_filter(self) -> bool:
        return any(isinstance(binding, Binding) and binding.action == "app.open_filter" for binding in self.BINDINGS)


def sign_of(binding: Binding) -> str:
    """How a binding's first key is written."""
    if binding.key_display:
        return binding.key_display
    key = binding.key.split(",")[0]
    return KEY_SIGNS.get(key, key)
