"""What the user has chosen (sort, filter, selection, pause): the only state of the screen; everything else is the View."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import tzinfo

from gpuwatch.dataclass import dataclass, field
from gpuwatch.tui.palette import Look
from gpuwatch.view.types import DetailView, View

WIDE = 200
"""From this width on the GPUs' strips have 75 cells and a column of panels stands at the right."""
CELLS, WIDE_CELLS = 45, 75
INTERVALS = (1.0, 2.0, 5.0, 10.0)
"""Seconds between two pictures that ``+`` and ``-`` choose from."""


@dataclass(slots=True)
class TableState:
    """Selection and scroll position of one table. The selection follows its row, not its place."""

    selected: Hashable | None = None
    index: int = 0
    top: int = 0
    page: int = 1
    move: int = 0
    """Rows to move at the next drawing; a key handler adds to it."""

    def settle(self, keys: Sequence[Hashable], page: int) -> range:
        """Apply the pending move for rows ``keys`` of which ``page`` fit; returns the indices of the rows to draw."""
        self.page = max(1, page)
        if not keys:
            self.selected, self.index, self.top, self.move = None, 0, 0, 0
            return range(0)
        if self.selected is not None and not (self.index < len(keys) and keys[self.index] == self.selected):
            # The row moved (a new sort order) or ended; then its old place keeps the selection.
            self.index = next((i for i, key in enumerate(keys) if key == self.selected), self.index)
        self.index = min(len(keys) - 1, max(0, self.index + self.move))
        self.move = 0
        self.selected = keys[self.index]
        self.top = min(max(self.top, self.index - self.page + 1), self.index, max(0, len(keys) - self.page))
        return range(self.top, min(len(keys), self.top + self.page))

    def go_to(self, index: int) -> None:
        """Select the row at ``index`` at the next drawing (any number: it is clamped)."""
        self.move = index - self.index


@dataclass(slots=True)
class SignalDialog:
    """To whom a signal may be sent (as it stood on the screen when asked), and which one is chosen."""

    pid: int
    start_ms: int
    start_known: bool
    user: str
    command: str
    choice: int = 0


@dataclass(slots=True)
class ManualPage:
    """What a rule is, in its own words, and the first line of it that is shown."""

    rule: str
    text: str
    top: int = 0


@dataclass(slots=True)
class UiState:
    """Choices that outlive a refresh; one object for the whole program."""

    interval: float = 1.0
    paused: bool = False
    slow_link: bool = False
    read_only: bool = False
    sort: str = "waste"
    reverse: bool = False
    filter: str = ""
    filter_open: bool = False
    tree: bool = False
    show_all: bool = False
    first_steps: bool = True
    focus: str = "processes"
    """Which table of the overview the movement keys act on: ``processes``, ``gpus`` or ``throughput``."""
    workload: tuple[int, int, int] | None = None
    """The workload that is shown: root pid, root start, port."""
    below_workload: str = "1"
    """The screen that it was opened from, and that Esc shows again."""
    gpu: int = 0
    """Position of the GPU that the GPU screen shows, in the View's order."""
    zoom: int = 1
    """Which span the GPU screen shows (``screens.gpu.SPANS``)."""
    write: bool = False
    """The GPU screen shows what is written over the links, not what is read."""
    flat: bool = False
    """The process screen without its tree."""
    unfolded: bool = False
    """The process screen with each of many equal children on its own row."""
    user: str = ""
    """The process screen shows this user's processes only."""
    open_process: bool = False
    """The process screen shows the selected process alone."""
    open_finding: bool = False
    """Where the waste screen has room for one of both, it shows the selected finding, not the list."""
    show_muted: bool = False
    """The waste screen lists muted findings below the open ones."""
    mute_asked: bool = False
    """The open question for how long the selected finding shall not be told."""
    manual: ManualPage | None = None
    """The open manual page of a rule."""
    signal: SignalDialog | None = None
    """The open question whether to send a signal."""
    notice: str = ""
    """One line about what a key just did; the next key takes it away."""
    tables: dict[str, TableState] = field(default_factory=dict)

    def table(self, name: str) -> TableState:
        """The state of the table of that name, made on first use."""
        return self.tables.setdefault(name, TableState())


@dataclass(frozen=True, slots=True)
class Context:
    """All that a screen's ``draw`` may look at."""

    view: View | None
    width: int
    height: int
    look: Look
    ui: UiState
    tz: tzinfo | None = None
    active: str = "1"
    keys: tuple[tuple[str, str], ...] = ()
    """The keys that do something on this screen now, for its footer: (key, word)."""
    problem: str = ""
    """Why there is no View or an old one, in one sentence."""
    detail: DetailView | None = None
    """The latest answer to what the shown screen asked beside the View; look whether it answers the present question."""
