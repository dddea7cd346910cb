"""The live screen. ``run(source, options=TuiOptions())`` is all that the rest of the program uses; Textual is imported there, not here.

For authors of screens:

* A screen is a module in ``tui/screens/`` with a subclass of ``PanelScreen`` (``NAME``, ``DIGIT``, ``BINDINGS``, ``body``) and one
  line in ``screens/registry.py``. ``body(sheet, context)`` fills rows 1 to ``context.height - 2``; header and footer are drawn
  around it. It is a pure function of ``context``: the View, the size, the Look, the user's choices (``UiState``). No widgets.
* ``Sheet``: ``put(y, x, text, style)``, ``right(y, x_of_last_character, text, style)``, ``words(y, x, [(text, style), …])``,
  ``ground(y, x0, x1, "sel")`` for a selected row, ``hits[y] = (table, index)`` for clicks (``sides[y] = (x, …)`` from
  column ``x`` on). Columns and rows are absolute. Only foreign text is cut (``draw.line.cut``). A refresh sends only what differs.
* A screen that is opened from a row has no digit of its own: its line is in ``registry.INNER``, ``tui/opening.py`` opens it, its
  ``back()`` goes back there.
* Styles come from ``context.look``: ``fg dim white acc title amber faint``, ``style(ink, ground, bold)``, ``state(state)``,
  ``mark(state)``; glyphs from ``look.glyphs``. Marks: ``draw.bars.bar/strip/tick/state_at``, ``draw.frame.box``,
  ``draw.ledgerbar.ledger_bar/legend_row``, ``draw.columns``. Numbers: ``gpuwatch.format``. ``parts.split(ledger)`` gives parts
  with whole percents that sum to 100.
* Tables: ``rows.build_rows(view, Selection(...))`` (flat or tree, filtered, sorted) and ``ui.table(name).settle(keys, page)`` for
  selection and scrolling; format only the rows that it returns. Movement keys act on the table named by ``PanelScreen.TABLE``.
* Keys: ``Binding("t", "app.toggle_tree", "tree")`` in the screen's BINDINGS calls ``GpuwatchApp.action_toggle_tree``; without
  ``app.`` it calls the screen's own ``action_…``, which changes state and calls ``self.repaint()``. ``show=True`` with a
  description puts it in the footer; the tooltip, or else the description, is what the help says.
* More than the View (a past, a ledger of one GPU): override ``request()`` of the screen; the feeder's thread answers with each View,
  the answer is ``context.detail``. Draw it only if ``detail.request`` is the present question, else ``reading …``. ``back()`` closes
  what is open inside a screen before Esc leaves it.
* Tests: ``tests/support/tui.py`` has ``sheet_of(screen, view, size)``, ``faults`` and ``text_of(app)``; a screen must have no fault
  at any size and tier.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from gpuwatch.tui.options import TuiOptions, tier_of

if TYPE_CHECKING:
    from gpuwatch.tui.source import ViewSource

__all__ = ["TuiOptions", "run", "tier_of"]


def run(source: ViewSource, *, options: TuiOptions | None = None) -> int:
    """Show ``source`` until the user leaves; returns the exit code. The caller has checked that there is a terminal.

    The first View with values is drawn before Textual is imported; a later one is built in its thread meanwhile.
    """
    from gpuwatch.tui.early import FirstPicture, not_stopped
    from gpuwatch.tui.source import Feeder

    options = options or TuiOptions()
    tier = tier_of(options.colors, os.environ)
    wake_later = _LateWake()
    feeder = Feeder(source, wake_later)
    feeder.interval, feeder.at_ms = options.interval, options.at_ms
    feeder.start()
    for name in ("COLUMNS", "LINES"):  # Textual would believe them, and they may be another terminal's, or of another time
        os.environ.pop(name, None)
    if tier == "none":
        os.environ["NO_COLOR"] = "1"
    else:
        os.environ.pop("NO_COLOR", None)
        os.environ["TEXTUAL_COLOR_SYSTEM"] = {"truecolor": "truecolor", "256": "256", "16": "standard"}[tier]
    ascii_only = options.ascii_only or "utf" not in (getattr(sys.__stderr__, "encoding", None) or "").lower()
    if ascii_only != options.ascii_only:
        from gpuwatch.dataclass import replace

        options = replace(options, ascii_only=ascii_only)
    # Starting makes a million objects that live as long as the program. The collector stays off until the first picture
    # stands, and they stay out of its sight afterwards.
    gc.disable()
    with FirstPicture(options, tier) as picture:
        with not_stopped():
            picture.show(feeder)
            from gpuwatch.tui.live import run_app
        return run_app(feeder, wake_later, options, tier, picture)


class _LateWake:
    """A wake-up that does nothing until the event loop exists and says how to wake it."""

    def __init__(self) -> None:
        self.call: object = None

    def __call__(self) -> None:
        if callable(self.call):
            self.call()
