"""The two rows above one GPU's panels: its state, since when, why and whose; and what kind of GPU it is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.format import clock, counted, duration, short_model, since, state_word, watts
from gpuwatch.names import RunOutcome, State
from gpuwatch.tui.draw.bars import state_at
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.gpus import label_among, users_text
from gpuwatch.tui.panels.training_words import lasting, rank_name
from gpuwatch.tui.state import Context
from gpuwatch.view.types import GpuView, View

Words = list[tuple[str, Style]]

COUNTED_APART = "Its time is counted in its instances: , . shows each."


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
        at = sheet.put(1, at + 2, f"sliced into {counted(len(slices), 'instance')}", look.white)
    else:
        at = state_at(sheet, 1, at + 2, gpu.state, state_word(gpu.state, gpu.quiet_seconds))
    hint: Words = [(", .", look.acc), (" other GPU   ", look.dim), ("z", look.acc), (" zoom", look.dim)]
    hinted = width >= 100 and len(view.gpus) > 1
    room = width - 2 - (words_width(hint) + 3 if hinted else 0)
    groups = ["", "", ""] if slices else [why(gpu), _held_by(gpu, room - at - 3), trained_by(view, gpu)]
    if at + 23 + sum(len(group) for group in groups[:2]) > room:
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


def trained_by(view: View, gpu: GpuView) -> str:
    """``rank 0 of llama-8b``; what it hangs in, if it does."""
    if gpu.parent_uuid:
        return ""  # a rank names the whole GPU
    for work in view.workloads:
        training = work.training
        for rank in training.ranks if training is not None else ():
            if rank.gpu_index == gpu.gpu_index and rank.outcome is RunOutcome.RUNNING:
                hang = lasting(rank.phase, rank.phase_age_seconds) if training is not None and training.stalled else ""
                return f"{rank_name(rank)} of {cut(work.name, 20)}{f', {hang}' if hang else ''}"
    return ""


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
        counted(links, "NVLink") if isinstance(links := known.get("nvlink_count"), int) and links else "",
        "MIG on" if gpu.mig_enabled else "",
    ]
    return [group for group in out if group]
