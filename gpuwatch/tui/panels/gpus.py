"""The GPUs: one row each with activity, memory, power, temperature, 15 minutes of states, the state's word and who holds it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.format import NOTHING, celsius, gib, gib_of, number, percent, percent_sign, stale, state_word, watts
from gpuwatch.names import State
from gpuwatch.tui.draw.bars import bar, state_at, strip
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.gpu_places import Places, halves, middle_places, narrow_places, scaled, wide_places
from gpuwatch.tui.state import CELLS, Context
from gpuwatch.view.types import GpuView, View

THERMAL_REASONS = 0x20 | 0x40
"""Clock event reasons: software and hardware thermal slowdown (NVML's nvmlClocksEventReason bits)."""


def has_activity(view: View) -> bool:
    """Whether every GPU that says anything measures SM activity; otherwise all show the older utilization counter."""
    spoken = [gpu for gpu in view.gpus if gpu.utilization_ratio is not None or gpu.sm_active_ratio is not None]
    return bool(spoken) and all(gpu.sm_active_ratio is not None for gpu in spoken)


def activity(gpu: GpuView, sm_active: bool) -> float | None:
    """The ratio that the row's bar stands for."""
    return gpu.sm_active_ratio if sm_active else gpu.utilization_ratio


def draw_heads(sheet: Sheet, y: int, places: Places, sm_active: bool) -> None:
    """Titles and the time axis of one column of GPUs."""
    dim = sheet.look.dim
    short = not places.percent_sign
    for x, title, right in places.heads:
        if not title:
            title = ("SM %" if sm_active else "GPU%") if short else ("SM active" if sm_active else "GPU util")
        if title == "W" and places.kilowatts:
            title = "kW"
        if right:
            sheet.right(y, x, title, dim)
        else:
            sheet.put(y, x, title, dim)
    _axis(sheet, y, places, dim)
    sheet.put(y, places.state + (1 if sheet.look.ascii else 0), "State", dim)
    if places.user >= 0:
        sheet.put(y, places.user, "User", dim)


def _axis(sheet: Sheet, y: int, places: Places, style: Style) -> None:
    """``−15 min   −10   −5   now`` over a strip of 20-second cells."""
    cells, left = places.cells, places.strip
    if cells < 12:
        return
    minutes = cells // 3
    at = sheet.put(y, left, f"−{minutes} min", style)
    for mark in range(minutes - minutes % 5 - (5 if minutes % 5 == 0 else 0), 0, -5):
        x = left + cells - mark * 3
        text = f"−{mark}"
        if x > at + 1 and x + len(text) < left + cells - 4:
            at = sheet.put(y, x, text, style)
    sheet.right(y, left + cells - 1, sheet.look.now, style)


def label_of(gpu: GpuView) -> str:
    """The GPU's index; a MIG instance stands under its GPU as ``└1``."""
    return f"└{gpu.gpu_index}" if gpu.parent_uuid else str(gpu.gpu_index)


def label_among(view: View, gpu_uuid: str) -> str:
    """A GPU's index, or ``0:2`` for instance 2 of GPU 0; ``–`` for one that is not in the View."""
    gpu = next((gpu for gpu in view.gpus if gpu.gpu_uuid == gpu_uuid), None)
    if gpu is None:
        return NOTHING
    parent = next((other for other in view.gpus if other.gpu_uuid == gpu.parent_uuid), None) if gpu.parent_uuid else None
    return str(gpu.gpu_index) if parent is None else f"{parent.gpu_index}:{gpu.gpu_index}"


def draw_gpu(sheet: Sheet, y: int, gpu: GpuView, places: Places, sm_active: bool, interval: float) -> None:
    """One GPU's row."""
    look = sheet.look
    old = gpu.age_seconds is None or gpu.age_seconds > max(3 * interval, 3.0)
    value, plain = (look.dim, look.dim) if old else (look.white, look.fg)
    state_style = look.state(gpu.state)
    idle = gpu.state is State.HELD_IDLE
    label = label_of(gpu)
    if places.index_right:
        sheet.right(y, places.index, label, look.white)
    else:
        sheet.put(y, places.index, label, look.white)
    ratio = activity(gpu, sm_active)
    if places.bar[1]:
        bar(sheet, y, *places.bar, ratio, look.faint if old else look.mark(gpu.state))
    reason = gpu.missing.get("sm_active_ratio" if sm_active else "utilization_ratio")
    text = (percent_sign if places.percent_sign else percent)(ratio, 0, reason)
    sheet.right(
        y, places.activity, text, look.dim if ratio is None else state_style if idle and ratio < 0.005 and not old else value
    )
    _memory(sheet, y, gpu, places, plain)
    profile_to = _profile(sheet, y, gpu, places)
    if not profile_to:
        _power(sheet, y, gpu, places, plain, old)
    hot = bool((gpu.clock_event_reasons or 0) & THERMAL_REASONS) and not old
    if places.temperature > profile_to:
        text = celsius(gpu.temperature_celsius, gpu.missing.get("temperature_celsius"))
        sheet.right(y, places.temperature, text, look.style("throttled", "bg", True) if hot else plain)
    if places.cells:
        strip(sheet, y, places.strip, gpu.strip[-places.cells :])
    _state_and_user(sheet, y, gpu, places, old)


def _memory(sheet: Sheet, y: int, gpu: GpuView, places: Places, style: Style) -> None:
    look = sheet.look
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    reason = gpu.missing.get("memory_used_bytes")
    if places.memory_bar[1]:
        bar(sheet, y, *places.memory_bar, used / total if used is not None and total else None, look.style("memory"))
    if not places.memory_total:
        sheet.right(y, places.memory, gib(used, 0, reason), style)
        return
    text = gib_of(used, total, reason)
    if len(text) > 7:
        text = f"{gib(used, 0, reason)}/{gib(total, 0)}"
    sheet.right(y, places.memory, text, style)


def _profile(sheet: Sheet, y: int, gpu: GpuView, places: Places) -> int:
    """The profile of a MIG instance in the columns of power, which no instance has; returns its last column, 0: not drawn."""
    text = gpu.mig_profile.partition("+")[0]
    end = places.power + 4 if places.power_limit else places.temperature
    if not text or gpu.power_watts is not None or end + 1 - len(text) < places.memory + 2:
        return 0
    sheet.right(y, end, text, sheet.look.dim)
    return end


def _power(sheet: Sheet, y: int, gpu: GpuView, places: Places, style: Style, old: bool) -> None:
    look = sheet.look
    limit, default = gpu.power_limit_watts, gpu.power_limit_default_watts
    lowered = limit is not None and default is not None and limit < default - 0.5 and not old
    reason = gpu.missing.get("power_watts")
    text = watts(gpu.power_watts, reason).replace(" ", "")
    if places.kilowatts:
        text = number(None if gpu.power_watts is None else gpu.power_watts / 1000, 1, reason)
    sheet.right(y, places.power, text, look.style("throttled", "bg", True) if lowered else style)
    if places.power_limit and limit is not None:
        sheet.put(y, places.power + 1, f"/{watts(limit)}".replace(" ", ""), look.style("throttled") if lowered else look.dim)


def _state_and_user(sheet: Sheet, y: int, gpu: GpuView, places: Places, old: bool) -> None:
    look = sheet.look
    end = places.user_limit
    if old:
        word = "no data" if gpu.age_seconds is None else stale(gpu.age_seconds)
        at = sheet.put(y, places.state, cut(word, end + 1 - places.state), look.dim)
    elif places.percent_sign:
        at = state_at(sheet, y, places.tick, gpu.state, state_word(gpu.state, gpu.quiet_seconds))
    else:
        at = sheet.put(y, places.state, state_word(gpu.state, gpu.quiet_seconds), look.state(gpu.state))
    user = users_text(gpu.users, end + 1 - places.user)
    if user and places.user >= 0 and at < places.user:
        sheet.put(y, places.user, user, look.dim if old else look.fg)


def users_text(users: Sequence[str], room: int) -> str:
    """The largest holder and how many more; the name is cut, the count is not."""
    if not users:
        return ""
    more = f" +{len(users) - 1}" if len(users) > 1 else ""
    return cut(users[0], room - len(more)) + more if room - len(more) >= 3 else cut(users[0], room)


def draw_gpus(sheet: Sheet, context: Context, view: View, top: int, rows: int, right: int, columns: int, cells: int) -> None:
    """The boxed panel of ``rows`` rows in columns 0 to ``right``, the GPUs in one or two ``columns``."""
    look = context.look
    sm_active = has_activity(view)
    note = []
    if view.recording.simulated:
        note = [("SIMULATED", look.amber), (f" scenario {view.recording.scenario}" if view.recording.scenario else "", look.dim)]
    per_column = rows - 3
    shown = visible_gpus(context, view, per_column * columns)
    reading = f"height = {'SM active' if sm_active else 'GPU util'} · colour = state"
    if look.ascii:
        reading = f"_.-=+*# height = {'SM active' if sm_active else 'GPU util'} · ~ waiting · ! throttled · x held idle"
    elif look.plain:
        reading = "height = busy · ░ waiting · ! throttled · × held idle"
    if len(shown) < len(view.gpus):
        reading = f"{len(view.gpus) - len(shown)} more: 2 shows each GPU · {reading}"
    box(sheet, top, top + rows - 1, "GPUs", right=right, note=note, foot=[(reading, look.dim)])
    if columns == 2:
        layouts = list(halves(2, right - 1, cells))
    else:
        layouts = [wide_places(right + 1, cells) if right >= 119 else middle_places(right + 1, cells)]
    layouts = [scaled(places, view) for places in layouts]
    for places in layouts:
        draw_heads(sheet, top + 1, places, sm_active)
    for i, position in enumerate(shown):
        y, places = top + 2 + i % per_column, layouts[i // per_column]
        draw_gpu(sheet, y, view.gpus[position], places, sm_active, view.recording.interval_seconds)
        edge = right - 1 if places is layouts[-1] else layouts[1].index - 2
        mark_row(sheet, context, y, position, 1 if places is layouts[0] else places.index - 1, edge, alone=columns == 1)


def visible_gpus(context: Context, view: View, room: int) -> range:
    """The positions of the GPUs to draw: the table scrolls with its selection."""
    return context.ui.table("gpus").settle([gpu.gpu_uuid for gpu in view.gpus], room)


def mark_row(sheet: Sheet, context: Context, y: int, position: int, left: int, right: int, *, alone: bool) -> None:
    """A ground under the selected GPU while keys move among the GPUs; a click where one GPU has the row ``alone``."""
    if context.ui.focus == "gpus" and position == context.ui.table("gpus").index:
        sheet.ground(y, left, right, "sel")
    if alone:
        sheet.hits[y] = ("gpus", position)


def draw_gpus_narrow(sheet: Sheet, context: Context, view: View, top: int, rows: int) -> None:
    """Below 100 columns: heads and ``rows`` - 1 rows of GPUs, in two columns when one does not hold them all."""
    sm_active = has_activity(view)
    per_column, width = rows - 1, context.width
    layouts = [narrow_places(width, CELLS)]
    if len(view.gpus) > per_column:
        layouts = list(halves(0, width - 1, CELLS))
    layouts = [scaled(places, view) for places in layouts]
    room = per_column * len(layouts)
    shown = visible_gpus(context, view, room if len(view.gpus) <= room else room - 1)
    for places in layouts:
        draw_heads(sheet, top, places, sm_active)
    for i, position in enumerate(shown):
        y, places = top + 1 + i % per_column, layouts[i // per_column]
        draw_gpu(sheet, y, view.gpus[position], places, sm_active, view.recording.interval_seconds)
        left, right = (0, width - 1) if len(layouts) == 1 else (0, layouts[1].index - 2) if places is layouts[0] else (layouts[1].index - 1, width - 1)  # fmt: skip
        mark_row(sheet, context, y, position, left, right, alone=len(layouts) == 1)
    if len(shown) < len(view.gpus):
        sheet.put(top + per_column, layouts[-1].index, f"{len(view.gpus) - len(shown)} more: 2 shows each", context.look.dim)
