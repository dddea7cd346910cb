"""What the command line decides for the screen; plain values, so that it can be made without importing Textual."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Literal

from gpuwatch.dataclass import dataclass

Colors = Literal["auto", "truecolor", "256", "16", "none"]


@dataclass(frozen=True, slots=True)
class MuteWish:
    """Findings of a rule that shall not be told: on one subject, or of one command line; ``until_ms`` None: for ever.

    ``lift``: tell them again, whatever muted them.
    """

    rule: str
    subject: str = ""
    command: str = ""
    until_ms: int | None = None
    lift: bool = False


@dataclass(frozen=True, slots=True)
class TuiOptions:
    """``interval`` in seconds; ``tz`` for every clock time (None: UTC); ``on_hangup`` runs before the program dies with its terminal."""

    read_only: bool = False
    ascii_only: bool = False
    colors: Colors = "auto"
    interval: float = 1.0
    tz: tzinfo | None = None
    mouse: bool = True
    on_hangup: Callable[[], None] | None = None
    signal: Callable[[int, int, int], None] | None = None
    """Sends (pid, start in unix milliseconds, signal number); raises ``GpuwatchError`` when it must not. None: signals are off."""
    signal_off: str = ""
    """Why ``signal`` is None, in one short sentence."""
    first_steps: bool = True
    """Whether a new recording shows the first steps; ``hide_first_steps`` remembers that they were dismissed."""
    hide_first_steps: Callable[[], None] | None = None
    at_ms: int | None = None
    """The instant to show first (unix milliseconds); ``None``: now."""
    retry: Callable[[], str] | None = None
    """Asks the driver again where there was no GPU; returns at once, with one line about what will happen."""
    mute: Callable[[MuteWish], None] | None = None
    """Keeps a mute (or lifts one); raises ``GpuwatchError`` when it cannot. None: nothing can be muted."""
    mute_off: str = ""
    """Why ``mute`` is None, in one short sentence."""
    explain: Callable[[str], str] | None = None
    """The manual page of a rule by its id; empty for one that is not known."""


def tier_of(colors: Colors, environ: Mapping[str, str]) -> Literal["truecolor", "256", "16", "none"]:
    """The colour tier of a terminal: an option wins, then NO_COLOR, then COLORTERM and TERM."""
    if colors != "auto":
        return colors
    if environ.get("NO_COLOR"):
        return "none"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if "256color" in environ.get("TERM", "") else "16"
