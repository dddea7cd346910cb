"""What one GPU did over time: lanes of one quantity each over a common axis, so that a dip can be followed from lane to lane.

A cell shows the maximum of its samples; its block has seven levels a row (the topmost level of a lane stays empty, so that two
lanes do not fuse). Two curves are never drawn into one chart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import groupby

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import WEEKDAYS, clock_minute, gib, megahertz, number, percent, watts
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import Look
from gpuwatch.view.types import GpuHistory, GpuView, Lane

NVLINK_BYTES = 25e9
"""Bytes per second and direction of one link from NVLink 2 to 4; the fifth generation (Blackwell) has twice that."""


@dataclass(frozen=True, slots=True)
class LaneKind:
    """How a quantity is named and drawn; ``lowered``: violet while clocks are lowered."""

    quantity: str
    name: str
    short: str
    ink: str
    unit: str
    scale: Callable[[float], str]
    text: Callable[[float], str]
    lowered: bool = False


def _gigabytes(rate: float) -> str:
    return number(rate / 1e9, 1 if rate < 99.95e9 else 0)


def _whole_gigabytes(rate: float) -> str:
    return number(rate / 1e9)


_SM = LaneKind("sm_active_ratio", "SM active", "SM active", "busy", "%", percent, percent)
_UTIL = LaneKind("utilization_ratio", "GPU util", "GPU util", "busy", "%", percent, percent)
_TENSOR = LaneKind("tensor_active_ratio", "tensor active", "tensor active", "busy", "%", percent, percent)
_MEMORY = LaneKind("memory_used_bytes", "memory used", "memory", "memory", " GiB", lambda v: gib(v, 0), gib)
_DRAM = LaneKind("dram_active_ratio", "memory bandwidth", "bandwidth", "memory", "%", percent, percent)
_POWER = LaneKind("power_watts", "power", "power", "neutral", " W", watts, watts, True)
_CLOCK = LaneKind("sm_clock_hertz", "SM clock", "SM clock", "neutral", " MHz", megahertz, megahertz, True)
_PCIE = tuple(
    LaneKind(f"pcie_{way}_bytes_per_second", f"PCIe {word}", "PCIe", "neutral", " GB/s", _whole_gigabytes, _gigabytes)
    for way, word in (("rx", "read"), ("tx", "write"))
)
_NVLINK = tuple(
    LaneKind(f"nvlink_{way}_bytes_per_second", f"NVLink {word}", "NVLink", "neutral", " GB/s", _whole_gigabytes, _gigabytes)
    for way, word in (("rx", "read"), ("tx", "write"))
)


def kinds_for(history: GpuHistory, write: bool) -> tuple[LaneKind, ...]:
    """The eight lanes in their order, in four pairs; the older utilization counter where SM activity is not measured."""
    by_name = {lane.name: lane for lane in history.lanes}
    sm = by_name.get(_SM.quantity)
    measured = sm is not None and (sm.now is not None or any(cell is not None for cell in sm.cells))
    return (_SM if measured else _UTIL, _TENSOR, _MEMORY, _DRAM, _POWER, _CLOCK, _PCIE[write], _NVLINK[write])


def narrow_kinds(kinds: Sequence[LaneKind]) -> tuple[LaneKind, ...]:
    """The five that matter most: activity, tensor, memory, power, clock."""
    return tuple(kinds[i] for i in (0, 1, 2, 4, 5)) if len(kinds) > 5 else tuple(kinds)


def top_of(lane: Lane, gpu: GpuView) -> float | None:
    """The top of a lane's scale: what the GPU says, what its links can do, else the next 1, 2 or 5 above the largest value."""
    if lane.scale_max:
        return lane.scale_max
    links = gpu.details.get("nvlink_count")
    if lane.name.startswith("nvlink") and isinstance(links, int) and links > 0:
        return links * NVLINK_BYTES * (2 if gpu.details.get("architecture") == "Blackwell" else 1)
    peak = max((cell for cell in (*lane.cells, lane.now) if cell is not None), default=None)
    if not peak:
        return None
    step = 10.0 ** (len(f"{peak:.0f}") - 1)
    return next((step * factor for factor in (1, 2, 5) if step * factor >= peak), step * 10)


def levels(cells: Sequence[float | None], top: float | None, rows: int, per_row: int) -> list[int | None]:
    """Each cell's height in steps of ``per_row`` a row, one step below full; 0 for a measured nothing, at least 1 for anything."""
    most = rows * per_row - 1
    return [
        None if value is None else 0 if value <= 0 or not top else max(1, min(most, round(value / top * most))) for value in cells
    ]


def _column(look: Look, level: int | None, row: int, per_row: int) -> str:
    """The mark of one cell in ``row`` (0: the lowest)."""
    if level is None:
        return " "
    if level == 0:
        return look.glyphs.dot if row == 0 else " "
    inside = min(per_row, level - row * per_row)
    if inside <= 0:
        return " "
    return "#" if look.ascii and inside == per_row else _blocks(look)[inside - 1]


def _blocks(look: Look) -> str:
    return look.glyphs.heights if look.ascii else "▁▂▃▄▅▆▇█"


def chart(
    sheet: Sheet,
    y: int,
    x: int,
    lane: Lane,
    top: float | None,
    rows: int,
    style: Style,
    lowered: Sequence[bool] = (),
) -> None:
    """The cells of a lane in ``rows`` rows from row ``y``; where ``lowered`` is set they stand violet on a violet tint."""
    look = sheet.look
    per_row = len(_blocks(look))
    found = levels(lane.cells, top, rows, per_row)
    violet = look.white if look.plain else look.style("throttled", "tint_throttled")
    floor = look.style("free_text")
    marks = [*lowered, *[False] * (len(found) - len(lowered))]
    for row in range(rows):
        texts = [_column(look, level, row, per_row) for level in found]
        if 0 < row == rows - 1 and (look.plain or look.ascii):
            # Without violet the topmost row says it, at the price of half the steps.
            texts = ["!" if down and level is not None else text for text, down, level in zip(texts, marks, found)]
        styles = [violet if down else floor if level == 0 else style for down, level in zip(marks, found)]
        at = x
        for same, run in groupby(zip(texts, styles), key=lambda pair: pair[1]):
            at = sheet.put(y + rows - 1 - row, at, "".join(text for text, _ in run), same)


# ------------------------------------------------------------------------------------------------------------ one lane


@dataclass(frozen=True, slots=True)
class Place:
    """Where lanes stand: names from ``name``, values to ``value``, ``cells`` cells from ``x``."""

    name: int
    value: int
    x: int
    cells: int


def draw_lane(sheet: Sheet, y: int, place: Place, kind: LaneKind, history: GpuHistory, gpu: GpuView, rows: int) -> None:
    """One lane in ``rows`` rows: its name, the value of now, the scale (from two rows on), its cells or why there are none."""
    look = sheet.look
    lane = next((lane for lane in history.lanes if lane.name == kind.quantity), None)
    name = kind.name if rows > 1 or place.value - place.name > 18 else kind.short
    empty = lane is None or (lane.now is None and all(cell is None for cell in lane.cells))
    if lane is None or empty and lane.missing is not None:
        sheet.put(y, place.name, name, look.dim)
        why = "not supported on this GPU" if lane is None or lane.missing is None else lane.missing.label.replace("_", " ")
        why = "not supported on this GPU" if why == "not supported" else why
        sheet.put(y + (rows - 1) // 2, place.x + max(0, (place.cells - len(why)) // 2), why, look.style("free_text"))
        return
    top = top_of(lane, gpu)
    lowered = kind.lowered and bool(history.throttled) and history.throttled[-1]
    value = "–" if lane.now is None else kind.text(lane.now) + kind.unit
    style = look.dim if lane.now is None else look.style("throttled", "bg", True) if lowered else look.white
    scale = "" if top is None else f"0 to {kind.scale(top)}{'%' if kind.unit == '%' else ''}"
    fits = len(name) + 1 + len(value) <= place.value + 1 - place.name
    if not fits and rows == 1:
        name, fits = kind.short, True
    sheet.put(y, place.name, name, look.fg)
    sheet.right(y if fits else y + 1, place.value, value, style)
    if rows > 1 and scale:
        if fits:
            sheet.right(y + 1, place.value, scale, look.style("free_text"))
        elif len(scale) + 1 + len(value) <= place.value + 1 - place.name:
            sheet.put(y + 1, place.name, scale, look.style("free_text"))
    chart(sheet, y, place.x, lane, top, rows, look.style(kind.ink), history.throttled if kind.lowered else ())


# ------------------------------------------------------------------------------------------------------------ the axis

_STEPS = (60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)


def _ticks(history: GpuHistory, tz: tzinfo | None) -> Iterator[tuple[int, str]]:
    """(cell, text) of each round local time, as many as have room."""
    cell_ms = history.cell_seconds * 1000
    count = len(history.states)
    start_ms = history.span.start_ms
    step = next((s for s in _STEPS if s * 1000 / cell_ms >= 11), _STEPS[-1]) * 1000
    offset = datetime.fromtimestamp(start_ms / 1000, tz).astimezone(tz).utcoffset()
    shift = 0 if offset is None else round(offset.total_seconds() * 1000)
    at = -(-(start_ms + shift) // step) * step - shift
    while (cell := (at - start_ms) // cell_ms) < count:
        text = WEEKDAYS[datetime.fromtimestamp(at / 1000, tz).weekday()] if step >= 86_400_000 else clock_minute(at, tz)
        yield cell, text
        at += step


def axis(sheet: Sheet, y: int, x: int, history: GpuHistory, tz: tzinfo | None, *, now: bool = True) -> None:
    """Local times under (or over) the cells, ``now`` at their end."""
    dim = sheet.look.dim
    count = len(history.states)
    end = x + count - (5 if now else 0)
    ticks = list(_ticks(history, tz))
    if ticks and ticks[0][0] >= 7 and history.cell_seconds < 900:
        ticks.insert(0, (0, clock_minute(history.span.start_ms, tz)))
    at = x
    for cell, text in ticks:
        if x + cell >= at and x + cell + len(text) <= end:
            at = sheet.put(y, x + cell, text, dim) + 1
    if now and count >= 3:
        sheet.right(y, x + count - 1, sheet.look.now, dim)
