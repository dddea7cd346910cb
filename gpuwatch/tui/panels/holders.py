"""Who held one GPU: one row a process over the same axis as the lanes, and the instances of a sliced GPU."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from posixpath import basename

from rich.style import Style

from gpuwatch.dataclass import dataclass
from gpuwatch.format import GIB, clock_minute, gib, percent_sign
from gpuwatch.names import State
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.palette import STATES, Look
from gpuwatch.tui.panels.gpus import users_text
from gpuwatch.tui.panels.lanes import Place
from gpuwatch.tui.state import Context
from gpuwatch.view.types import DetailView, GpuView, Holder, View

SYSTEM = ("dcgm-exporter", "nv-hostengine", "nvidia-persistenced", "nvidia-smi", "Xorg", "Xwayland", "gnome-shell", "kwin_wayland")
"""Programs that belong to the machine: they hold a GPU but do no work on it."""

_LAUNCHERS = ("accelerate", "bash", "conda", "deepspeed", "env", "launch", "mpirun", "nice", "nohup", "numactl", "poetry", "python", "run", "serve", "sh", "srun", "sudo", "time", "torchrun", "uv")  # fmt: skip


def short_command(command: str) -> str:
    """What a command runs, in one word: ``python -m sglang.launch --x`` -> ``sglang.launch``, ``torchrun train.py`` -> ``train``."""
    words = command.split()
    if not words:
        return ""
    for number, word in enumerate(words):
        name = basename(word).rstrip(":")
        if not name or word.startswith("-") or "=" in word:
            continue
        if (name.rstrip("0123456789.") or name) in _LAUNCHERS and number + 1 < len(words):
            continue
        stem, dot, ending = name.rpartition(".")
        return stem if dot and stem and ending in ("py", "sh") else name
    return basename(words[0])


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where pid (right), user and command stand in front of the cells."""

    pid: int
    user: int
    command: int
    limit: int


def _columns(place: Place, holders: Sequence[Holder]) -> _Columns:
    pid = place.name + max([5, *(len(str(holder.pid)) for holder in holders)]) - 1
    room = place.value - pid - 2
    user = max(4, min(room // 2 - 1, max((width_of(holder.user) for holder in holders), default=4)))
    return _Columns(pid, pid + 2, pid + 3 + user, place.value)


def draw_heads(sheet: Sheet, y: int, place: Place, holders: Sequence[Holder], gib_at: int) -> None:
    """The titles in front of the cells and behind them (the axis between them is drawn by the caller)."""
    dim, columns = sheet.look.dim, _columns(place, holders)
    sheet.right(y, columns.pid, "PID", dim)
    sheet.put(y, columns.user, "User", dim)
    if columns.limit + 1 - columns.command >= 7:
        sheet.put(y, columns.command, "Command", dim)
    if gib_at >= 0:
        sheet.right(y, gib_at, "GiB", dim)


def draw_holders(
    sheet: Sheet, context: Context, view: View, detail: DetailView, gpu: GpuView, place: Place, top: int, bottom: int, gib_at: int
) -> int:
    """Rows ``top`` to ``bottom`` (exclusive); returns how many holders are drawn."""
    look, holders = context.look, detail.holders
    if not holders:
        sheet.put(top, place.name, cut(nobody_text(gpu, detail, context), place.x + place.cells - place.name), look.dim)
        return 0
    columns = _columns(place, holders)
    table = context.ui.table("holders")
    visible = table.settle([(holder.pid, holder.start_ms) for holder in holders], bottom - top)
    living = {(process.pid, process.start_ms) for process in view.processes}
    for y, number in enumerate(visible, top):
        holder = holders[number]
        grey = short_command(holder.command) in SYSTEM
        style = look.dim if grey or (holder.pid, holder.start_ms) not in living else look.fg
        sheet.right(y, columns.pid, str(holder.pid), look.dim if grey else style)
        sheet.put(y, columns.user, cut(holder.user or "?", columns.command - 1 - columns.user), style)
        sheet.put(y, columns.command, cut(short_command(holder.command) or "?", columns.limit + 1 - columns.command), style)
        state_line(sheet, y, place.x, holder.cells, grey=grey)
        if gib_at >= 0:
            sheet.right(y, gib_at, _gib(holder.peak_bytes), style)
        sheet.hits[y] = ("holders", number)
        if len(holders) > 1 and number == table.index:
            sheet.ground(y, place.name - (1 if place.name else 0), place.x - 1, "sel")
    return len(visible)


def _gib(size: float | None) -> str:
    """In four cells."""
    return gib(size, 1 if (size or 0.0) < 99.95 * GIB else 0)


def nobody_text(gpu: GpuView, detail: DetailView, context: Context) -> str:
    """Why there is no row."""
    if gpu.users == ("?",):
        return "holder unknown (other users hidden)"
    if gpu.mig_enabled:
        return "its instances are held, not the GPU itself"
    if detail.gpu is None:
        return "reading …"
    return f"nobody held it since {clock_minute(detail.gpu.span.start_ms, context.tz)}"


def state_line(sheet: Sheet, y: int, x: int, cells: Sequence[State | None], *, grey: bool = False) -> None:
    """``━`` in the colour of each cell's state, ``·`` where the process was not there."""
    look = sheet.look
    marks = [(_mark(look, state), _style(look, state, grey)) for state in cells]
    for style, run in groupby(marks, key=lambda pair: pair[1]):
        x = sheet.put(y, x, "".join(mark for mark, _ in run), style)


def _mark(look: Look, state: State | None) -> str:
    if state is None:
        return look.glyphs.dot
    if state is State.NO_DATA:
        return " "
    kind = STATES[state]
    if look.ascii:
        return kind.ascii_mark if kind.ascii_mark not in (" ", ".") else "-"
    return kind.plain_mark if look.plain and kind.plain_mark and kind.plain_mark != " " else "━"


def _style(look: Look, state: State | None, grey: bool) -> Style:
    if state is None or grey or state is State.NO_DATA:
        return look.style("free")
    return look.white if look.plain and state is State.HELD_IDLE else look.mark(state)


def draw_instances(sheet: Sheet, view: View, detail: DetailView, place: Place, top: int, bottom: int, gib_at: int) -> int:
    """One row an instance of a sliced GPU: number, profile, activity, states, user; returns how many."""
    look = sheet.look
    states = {history.gpu_uuid: history.states for history in detail.instances}
    instances = [gpu for gpu in view.gpus if gpu.parent_uuid == detail.request.gpu_uuid]
    for y, gpu in zip(range(top, bottom), instances):
        at = sheet.put(y, place.name, f"└{gpu.gpu_index} ", look.white)
        at = sheet.put(y, at, cut(gpu.mig_profile, 8) + " ", look.fg)
        ratio = gpu.sm_active_ratio if gpu.sm_active_ratio is not None else gpu.utilization_ratio
        value = percent_sign(ratio, 0, gpu.missing.get("sm_active_ratio"))
        sheet.right(y, place.value, value, look.dim if ratio is None else look.white)
        user = users_text(gpu.users, place.value - 4 - at)
        if user:
            sheet.put(y, at, user, look.fg)
        state_line(sheet, y, place.x, states.get(gpu.gpu_uuid, ()))
        if gib_at >= 0:
            sheet.right(y, gib_at, _gib(gpu.memory_used_bytes), look.fg)
    return min(len(instances), bottom - top)
