"""Where the columns of a GPU's row stand at each width."""

from __future__ import annotations

from functools import lru_cache

from gpuwatch.dataclass import dataclass, replace
from gpuwatch.view.types import View


@dataclass(frozen=True, slots=True)
class Places:
    """Where the columns of one layout stand; -1: not there. ``bar`` and ``memory_bar`` are (first column, cells)."""

    index: int
    index_right: bool
    bar: tuple[int, int]
    activity: int
    percent_sign: bool
    memory_bar: tuple[int, int]
    memory: int
    memory_total: bool
    power: int
    power_limit: bool
    temperature: int
    strip: int
    cells: int
    state: int
    user: int
    user_limit: int
    heads: tuple[tuple[int, str, bool], ...]
    """(column, title, right-aligned) of the heads that are not the time axis."""
    kilowatts: bool = False
    """Three cells do not hold four digits: where a GPU may draw 1000 W, narrow layouts show kW with one decimal."""

    @property
    def tick(self) -> int:
        """The column of the state's tick, one before its word."""
        return self.state - 1


@lru_cache(maxsize=8)
def wide_places(width: int, cells: int) -> Places:
    """From 120 columns on, boxed; ``width`` is the panel's."""
    strip_at = 54
    state = strip_at + cells + 2
    heads = ((3, "#", True), (6, "", False), (23, "Memory GiB", False), (47, "Power W", True), (51, "°C", True))
    return Places(3, True, (6, 10), 20, True, (23, 8), 38, True, 43, True, 51, strip_at, cells, state, state + 11, width - 3, heads)


@lru_cache(maxsize=8)
def middle_places(width: int, cells: int) -> Places:
    """100 to 119 columns, boxed: no memory bar, no power limit, no temperature."""
    heads = ((3, "#", True), (5, "", False), (25, "Memory GiB", True), (30, "W", True))
    return Places(3, True, (5, 6), 15, True, (0, 0), 25, True, 30, False, -1, 32, cells, 34 + cells, 45 + cells, width - 3, heads)


@lru_cache(maxsize=8)
def narrow_places(width: int, cells: int) -> Places:
    """Below 100 columns, without a border."""
    cells = min(cells, width - 35)
    heads = ((0, "#", False), (5, "", True), (9, "GiB", True), (13, "W", True), (17, "°C", True))
    state = 20 + cells
    return Places(0, False, (0, 0), 5, False, (0, 0), 9, False, 13, False, 17, 19, cells, state, state + 10, width - 1, heads)


def half_places(left: int, right: int, cells: int) -> Places:
    """One of two columns of GPUs (more than eight): numbers and as much of the strip as fits."""
    cells = max(0, min(cells, right - left - 30))
    heads = tuple((left + x, title, True) for x, title in ((1, "#"), (6, ""), (10, "GiB"), (14, "W"), (17, "°C")))
    state = left + 20 + cells
    return Places(
        left + 1, True, (0, 0), left + 6, False, (0, 0), left + 10, False, left + 14, False, left + 17, left + 19, cells, state, -1, right, heads
    )  # fmt: skip


@lru_cache(maxsize=8)
def halves(left: int, right: int, cells: int) -> tuple[Places, Places]:
    """Two columns of equal strips between two columns of the sheet (inclusive)."""
    middle = (left + right + 1) // 2
    cells = min(cells, middle - left - 31)
    return half_places(left, middle - 1, cells), half_places(middle, right, cells)


def scaled(places: Places, view: View) -> Places:
    """The layout with power in the unit that fits all GPUs of ``view``."""
    peak = max((max(gpu.power_watts or 0.0, gpu.power_limit_watts or 0.0) for gpu in view.gpus), default=0.0)
    return replace(places, kilowatts=True) if peak >= 999.5 and not places.power_limit else places
