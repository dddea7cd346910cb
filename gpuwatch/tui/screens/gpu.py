"""Screen 2: what one GPU did, who held it, where its time went (design 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType

from gpuwatch.format import clock, clock_minute, duration, gpu_hours, short_model, since, state_word, watts
from gpuwatch.names import State
from gpuwatch.record import dataclass
from gpuwatch.tui.draw.bars import state_at
from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels import gpu_ledger
from gpuwatch.tui.panels.gpus import label_among, users_text
from gpuwatch.tui.panels.holders import draw_heads, draw_holders, draw_instances
from gpuwatch.tui.panels.lanes import LaneKind, Place, axis, draw_lane, kinds_for, narrow_kinds
from gpuwatch.tui.panels.no_gpu import draw_no_gpu
from gpuwatch.tui.panels.starting import draw_starting
from gpuwatch.tui.parts import split
from gpuwatch.tui.screens.base import PanelScreen
from gpuwatch.tui.state import Context
from gpuwatch.view.types import DetailRequest, DetailView, GpuHistory, GpuView, View

Words = list[tuple[str, Style]]

SPANS = ((900, "15 min"), (3_600, "60 min"), (86_400, "24 h"), (604_800, "7 d"))
"""What ``z`` goes through: seconds and words."""
COUNTED_APART = "Its time is counted in its instances: , . shows each."
FINEST_SECONDS = 5
"""Slow values are read once in so many seconds: finer cells would have holes."""


def cells_in(room: int, seconds: int) -> int:
    """The most cells that fit into ``room`` and divide the span into whole seconds (from a day on, whole minutes)."""
    unit = 60 if seconds >= 86_400 else 1
    units = seconds // unit
    return next((n for n in range(min(room, seconds // FINEST_SECONDS), 0, -1) if units % n == 0), 1)


def place_for(width: int, seconds: int) -> tuple[Place, int]:
    """Where the lanes stand on a screen of that width, and the column of the last digit behind them (-1: no room)."""
    if width < 100:
        return Place(0, 18, 20, cells_in(width - 20, seconds)), -1
    cells = cells_in(width - 7 - (31 if width >= 160 else 23), seconds)
    x = width - 7 - cells
    return Place(2, x - 2, x, cells), width - 3


@dataclass(frozen=True, slots=True)
class Rows:
    """Heights of the three boxed panels and of a lane; ``spaced``: a blank row between pairs of lanes."""

    lanes: int
    lane: int
    spaced: bool
    holders: int
    ledger: int


def rows_for(height: int, holders: int) -> Rows:
    """Share ``height`` rows (without header, footer and the two title rows), the lanes as high as the others allow."""
    for ledger, least in ((8, 6), (8, 5), (8, 4), (6, 4), (3, 4)):
        for lane, spaced in ((4, True), (3, True), (2, True), (2, False), (1, True), (1, False)):
            lanes = 8 * lane + 3 * spaced + 3
            rest = height - ledger - lanes
            if rest >= least and (lane <= 2 or rest >= min(holders + 3, 12)):
                return Rows(lanes, lane, spaced, rest, ledger)
    return Rows(max(3, height - 7), 1, False, 4, 3)


class GpuScreen(PanelScreen):
    """One GPU."""

    NAME = "GPUs"
    DIGIT = "2"
    TABLE = "holders"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("comma", "other(-1)", "previous GPU", show=False),
        Binding("full_stop", "other(1)", "other GPU", tooltip="next GPU"),
        Binding("enter", "open_holder", "process", tooltip="the selected process"),
        Binding("v", "direction", "read or written on the links", show=False),
        Binding("z", "zoom", "zoom", tooltip="15 min, 60 min, 24 h, 7 d"),
        Binding("space", "app.pause", "pause", tooltip="keep this picture; the recording goes on"),
    ]

    def body(self, sheet: Sheet, context: Context) -> None:
        """By width: lanes of one row without borders below 100."""
        view = context.view
        assert view is not None
        if view.recording.last_tick_ms is None:
            draw_starting(sheet, context, view)
            return
        if not view.gpus:
            draw_no_gpu(sheet, context, view)
            return
        gpu = chosen(context, view)
        detail = answer(context, gpu)
        if context.width < 100 or context.height < 28:
            _narrow(sheet, context, view, gpu, detail)
        else:
            _boxed(sheet, context, view, gpu, detail)

    def request(self) -> DetailRequest | None:
        """The past of the chosen GPU in as many cells as this width has."""
        app = self.gpuwatch
        if app.view is None or not app.view.gpus:
            return None
        context = app.context(self, app.size.width, app.size.height)
        return request_for(context, chosen(context, app.view))

    def action_other(self, step: int) -> None:
        """Another GPU, around the end."""
        view = self.gpuwatch.view
        if view is not None and view.gpus:
            self.gpuwatch.ui.gpu = (self.gpuwatch.ui.gpu + step) % len(view.gpus)
            self.repaint()

    def action_zoom(self) -> None:
        """The next span."""
        self.gpuwatch.ui.zoom = (self.gpuwatch.ui.zoom + 1) % len(SPANS)
        self.repaint()

    def action_direction(self) -> None:
        """What is read over the links, or what is written."""
        self.gpuwatch.ui.write = not self.gpuwatch.ui.write
        self.repaint()

    def action_open_holder(self) -> None:
        """The selected holder on the process screen."""
        selected = self.gpuwatch.ui.table("holders").selected
        if isinstance(selected, tuple):
            self.gpuwatch.open_process(*selected)


def chosen(context: Context, view: View) -> GpuView:
    """The GPU that the user looks at; the last one when there are fewer now."""
    return view.gpus[min(context.ui.gpu, len(view.gpus) - 1)]


def request_for(context: Context, gpu: GpuView) -> DetailRequest:
    """What this screen wants to know about ``gpu``."""
    seconds = SPANS[context.ui.zoom][0]
    cells = place_for(context.width, seconds)[0].cells
    return DetailRequest(gpu.gpu_uuid, cells, seconds // cells)


def answer(context: Context, gpu: GpuView) -> DetailView:
    """The detail that belongs to the present question, or an empty one until it is there."""
    request = request_for(context, gpu)
    detail = context.detail
    return detail if detail is not None and detail.request == request else DetailView(request)


# ------------------------------------------------------------------------------------------------------------ the title


def title_of(gpu: GpuView, view: View) -> str:
    """``GPU 7``; ``GPU 0:2`` is instance 2 of GPU 0."""
    return f"GPU {label_among(view, gpu.gpu_uuid)}"


def instances_of(gpu: GpuView, view: View) -> list[GpuView]:
    """The MIG instances that it is sliced into."""
    return [other for other in view.gpus if other.parent_uuid == gpu.gpu_uuid]


def why(gpu: GpuView) -> str:
    """What lowered its clocks, or how long it has had no work."""
    limit, default = gpu.power_limit_watts, gpu.power_limit_default_watts
    if limit is not None and default is not None and limit < default - 0.5:
        return f"power limit {watts(limit)} W, default {watts(default)} W"
    if gpu.state is State.THROTTLED:
        return f"clocks lowered by {reason_of(gpu)}" if reason_of(gpu) else "clocks lowered"
    if gpu.state is State.HELD_IDLE:
        return f"no work for {duration(gpu.quiet_seconds)}"
    return ""


_REASONS = ((0x60, "heat"), (0x80, "the power brake"), (0x8, "the hardware"), (0x4, "the power limit"), (0x2, "a lock"))
"""NVML's clock event reasons (nvmlClocksEventReason bits): thermal, hardware brake, hardware slowdown, power limit, locked clocks."""


def reason_of(gpu: GpuView) -> str:
    """The strongest reason why clocks are lowered now."""
    mask = gpu.clock_event_reasons or 0
    return next((word for bits, word in _REASONS if mask & bits), "")


def draw_title(sheet: Sheet, context: Context, view: View, gpu: GpuView) -> None:
    """Rows 1 and 2: state, since when and why, who holds it; what kind of GPU it is. Groups that do not fit are dropped whole."""
    look, width = context.look, context.width
    left = 0 if width < 100 else 1
    at = sheet.put(1, left, title_of(gpu, view), look.white)
    slices = instances_of(gpu, view)
    if slices:
        at = sheet.put(1, at + 2, f"sliced into {len(slices)} instance{'' if len(slices) == 1 else 's'}", look.white)
    else:
        at = state_at(sheet, 1, at + 2, gpu.state, state_word(gpu.state, gpu.quiet_seconds))
    hint: Words = [(", .", look.acc), (" other GPU   ", look.dim), ("z", look.acc), (" zoom", look.dim)]
    hinted = width >= 100 and len(view.gpus) > 1
    room = width - 2 - (words_width(hint) + 3 if hinted else 0)
    groups = ["", ""] if slices else [why(gpu), _held_by(gpu, room - at - 3)]
    if at + 23 + sum(len(group) for group in groups) > room:
        groups[0] = ""  # who holds it says more than why its clocks are low, which the lanes show too
    if gpu.state_since_ms is not None and not slices:
        here = clock(gpu.state_since_ms, context.tz) if view.at_ms - gpu.state_since_ms < 86_400_000 else since(gpu.state_since_ms, view.at_ms, context.tz)  # fmt: skip
        groups.insert(0, f"since {here}")
    _groups(sheet, 1, at + 2, room, groups, look.fg)
    if hinted:
        sheet.words_right(1, width - 2, hint)
    _groups(sheet, 2, left, width - 1, facts(gpu), look.dim)


def _groups(sheet: Sheet, y: int, x: int, room: int, groups: Sequence[str], style: Style) -> None:
    text = ""
    for group in groups:
        longer = f"{text} · {group}" if text and group else text or group
        if group and x + len(longer) <= room:
            text = longer
    sheet.put(y, x, text, style)


def _held_by(gpu: GpuView, room: int) -> str:
    if gpu.users == ("?",):
        return "holder unknown (other users hidden)"
    if gpu.users:
        return f"held by {users_text(gpu.users, max(4, min(24, room - 8)))}"
    return "nobody holds it" if gpu.state is State.FREE else ""


def facts(gpu: GpuView) -> list[str]:
    """Model, UUID, bus and link, ECC, persistence: what is known of them."""
    known = gpu.details
    link = f" gen {known['pcie_generation_max']} x{known['pcie_width_max']}" if known.get("pcie_generation_max") and known.get("pcie_width_max") else ""  # fmt: skip
    bus = str(known.get("pci_bus_id") or "").lower()
    out = [
        f"MIG {gpu.mig_profile}" if gpu.mig_profile else "",
        cut(short_model(gpu.name) if len(gpu.name) > 40 else gpu.name.replace("NVIDIA ", ""), 40),
        gpu.gpu_uuid[: 12 if gpu.gpu_uuid.startswith("GPU-") else 16],
        f"PCI {bus.removeprefix('0000') if bus.startswith('00000000') else bus}{link}" if bus else "",
        "" if known.get("ecc_enabled") is None else "ECC on" if known["ecc_enabled"] else "ECC off",
        "" if known.get("persistence_mode") is None else "persistence on" if known["persistence_mode"] else "persistence off",
        f"{known['nvlink_count']} NVLinks" if known.get("nvlink_count") else "",
        "MIG on" if gpu.mig_enabled else "",
    ]
    return [group for group in out if group]


# ------------------------------------------------------------------------------------------------------------ 100 and on


def _boxed(sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView) -> None:
    rows = rows_for(context.height - 4, max(len(detail.holders), len(instances_of(gpu, view))))
    place, gib_at = place_for(context.width, SPANS[context.ui.zoom][0])
    draw_title(sheet, context, view, gpu)
    y = 3
    _lanes(sheet, context, gpu, detail, y, rows, place)
    y += rows.lanes
    _holders(sheet, context, view, gpu, detail, y, rows.holders, place, gib_at)
    y += rows.holders
    box(sheet, y, y + rows.ledger - 1, "Where this GPU's time went", note=gpu_ledger.note_of(context, detail.ledger))
    if instances_of(gpu, view):
        sheet.put(y + 1, 2, COUNTED_APART, context.look.fg)
    elif detail.ledger is not None and rows.ledger >= 3:
        gpu_ledger.draw_gpu_ledger(sheet, context, view, gpu, detail.ledger, detail.today, y + 1, rows.ledger - 2)
    elif rows.ledger >= 3:
        sheet.put(y + 1, 2, _nothing_yet(context), context.look.dim)


def _nothing_yet(context: Context) -> str:
    return "reading …" if context.detail is None or not context.ui.paused else "paused"


def span_note(history: GpuHistory, context: Context) -> str:
    """``13:32 to 14:32 · 40 s a cell, its maximum``."""
    seconds = history.cell_seconds
    cell = f"{seconds // 60} min" if seconds % 60 == 0 and seconds >= 120 else f"{seconds} s"
    days = history.span.end_ms - history.span.start_ms > 86_400_000
    first = since(history.span.start_ms, history.span.end_ms, context.tz) if days else clock_minute(history.span.start_ms, context.tz)  # fmt: skip
    text = f"{first} to {clock_minute(history.span.end_ms, context.tz)} · {cell} a cell, its maximum"
    return f"{text} · in part minute values" if history.from_minutes and seconds < 60 else text


def _lanes(sheet: Sheet, context: Context, gpu: GpuView, detail: DetailView, top: int, rows: Rows, place: Place) -> None:
    look, history = context.look, detail.gpu
    word = SPANS[context.ui.zoom][1]
    bottom = top + rows.lanes - 1
    note = [(span_note(history, context), look.dim)] if history else []
    foot: Words = []
    if history and any(history.throttled):
        reason = reason_of(gpu)
        foot = [("! = " if look.plain or look.ascii else "violet = ", look.dim), (f"clocks lowered{f' by {reason}' if reason else ''}", look.dim)]  # fmt: skip
    box(sheet, top, bottom, f"Last {word}", note=note, foot=foot)
    if history is None:
        sheet.put(top + 1, 2, _nothing_yet(context), look.dim)
        return
    y = top + 1
    for number, kind in enumerate(kinds_for(history, context.ui.write)):
        if y + rows.lane > bottom - 1:
            break
        draw_lane(sheet, y, place, kind, history, gpu, rows.lane)
        y += rows.lane + (rows.spaced and number % 2 == 1 and number < 7)
    axis(sheet, bottom - 1, place.x, history, context.tz)


def _holders(
    sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView, top: int, rows: int, place: Place, gib_at: int
) -> None:
    look, history = context.look, detail.gpu
    bottom = top + rows - 1
    sliced = bool(instances_of(gpu, view))
    foot = "colour = state while the process held the GPU"
    if look.plain or look.ascii:
        foot = "mark = state while the process held the GPU"
    more = len(detail.holders) - (rows - 3)
    if more > 0 and not sliced:
        foot = f"{len(detail.holders)} held it, ↑↓ · {foot}"
    title = "Its instances" if sliced else "Who held it"
    box(sheet, top, bottom, title, foot=[(foot, look.dim)] if detail.holders and not sliced else [])
    if history is not None:
        axis(sheet, top + 1, place.x, history, context.tz, now=False)
        if sliced:
            sheet.put(top + 1, 2, "Instance", look.dim)
            sheet.right(top + 1, gib_at, "GiB", look.dim)
            draw_instances(sheet, view, detail, place, top + 2, bottom, gib_at)
        else:
            draw_heads(sheet, top + 1, place, detail.holders, gib_at)
            draw_holders(sheet, context, view, detail, gpu, place, top + 2, bottom, gib_at)


# ------------------------------------------------------------------------------------------------------------- below 100


def _narrow(sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView) -> None:
    """One-row lanes, holders and the eight-part bar."""
    look, history = context.look, detail.gpu
    last, place = context.height - 1, place_for(context.width, SPANS[context.ui.zoom][0])[0]
    draw_title(sheet, context, view, gpu)
    small = context.height < 24
    kinds: Sequence[LaneKind] = kinds_for(history, context.ui.write) if history else ()
    ledger_rows = 2 if small else 6
    ledger_at = last - ledger_rows
    held = max(3, min(6, len(detail.holders)))
    shown = kinds if ledger_at - 5 - len(kinds) >= held else narrow_kinds(kinds)
    holders_at = 4 + max(len(shown), 1)
    _band_head(sheet, 3, f"Last {SPANS[context.ui.zoom][1]}", look)
    if history is not None:
        axis(sheet, 3, place.x, history, context.tz)
        for y, kind in enumerate(shown[: ledger_at - 4], 4):
            draw_lane(sheet, y, place, kind, history, gpu, 1)
    else:
        sheet.put(4, 0, _nothing_yet(context), look.dim)
    if holders_at + 1 < ledger_at:
        _narrow_holders(sheet, context, view, gpu, detail, holders_at, ledger_at, place)
    _narrow_ledger(sheet, context, view, gpu, detail, ledger_at, ledger_rows)


def _band_head(sheet: Sheet, y: int, title: str, look: object) -> None:
    sheet.ground(y, 0, sheet.width - 1, "bar")
    sheet.put(y, 0, title, sheet.look.title)


def _narrow_holders(
    sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView, top: int, bottom: int, place: Place
) -> None:
    sliced = bool(instances_of(gpu, view))
    _band_head(sheet, top, "Its instances" if sliced else "Who held it", context.look)
    hint = f"{len(detail.holders)} held it, ↑↓" if len(detail.holders) > bottom - top - 1 else ""
    if detail.holders and not sliced:
        sheet.right(top, context.width - 1, hint or "⏎ process", context.look.dim)
    if detail.gpu is None:
        return
    if sliced:
        draw_instances(sheet, view, detail, place, top + 1, bottom, -1)
    else:
        draw_holders(sheet, context, view, detail, gpu, place, top + 1, bottom, -1)


def _narrow_ledger(sheet: Sheet, context: Context, view: View, gpu: GpuView, detail: DetailView, top: int, rows: int) -> None:
    look, ledger, today = context.look, detail.ledger, detail.today
    _band_head(sheet, top, "Where its time went", look)
    if instances_of(gpu, view):
        sheet.put(top + 1, 0, COUNTED_APART, look.fg)
        return
    if ledger is None:
        sheet.put(top + 1, 0, _nothing_yet(context), look.dim)
        return
    note = gpu_ledger.note_of(context, ledger)
    if words_width(note) + 22 <= context.width:
        sheet.words_right(top, context.width - 1, note)
    ledger_bar(sheet, top + 1, 0, context.width, split(ledger))
    if rows < 6:
        return
    sheet.put(top + 2, 0, "today", look.dim)
    if today is not None:
        ledger_bar(sheet, top + 3, 0, context.width, split(today))
        sheet.words(top + 2, 6, [(f"{gpu_hours(today.capacity_ms)} GPU·h", look.dim)])
    sheet.words(top + 4, 0, gpu_ledger.wait_words(context, ledger, context.width))
    sheet.words(top + 5, 0, gpu_ledger.sum_words(context, view, gpu, ledger, today, context.width))
