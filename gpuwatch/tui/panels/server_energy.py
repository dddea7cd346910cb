"""What an inference server costs in watts and money for what it makes, and how its requests ended."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.format import GIB, NOTHING, about, gib, number, percent_sign, power_sum, rate
from gpuwatch.tui.draw.bars import bar
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.server_words import NOT_TOLD, is_old, mark, per_second, whole
from gpuwatch.tui.panels.workload_title import gpus_text
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import gpus_of, members
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import GpuView, View, WorkloadView

Words = list[tuple[str, Style]]
Fact = tuple[str, str, str, str]
"""Label, value, unit, how."""
ENDED = (
    ("stop token", "finished_stop", "busy"),
    ("length limit", "finished_length", "waiting"),
    ("aborted by client", "finished_aborted", "neutral"),
    ("error", "finished_error", "held"),
)


def facts_of(view: View, work: WorkloadView, server: InferenceView) -> list[Fact]:
    """The rows that can be filled: energy, yield, price, load, memory, tokens a GPU, MFU."""
    gpus, sign = gpus_of(view, work), mark(server, "output_tokens_total")
    out = [_energy(server)]
    made = server.output_tokens_per_joule
    if made is not None:
        out.append(("yield", sign + whole(made, 2 if made < 0.995 else 1 if made < 99.95 else 0), "tokens/J", ""))
    cost = server.cost_per_million_output_tokens
    if cost is not None:
        currency = cut(server.currency, 3) if server.currency not in ("", "USD") else "$"
        out.append(("price", sign + whole(cost, 2 if cost < 99.995 else 0), f"{currency}/M output tokens", server.price))
    load = _load(gpus)
    if load is not None:
        out.append(load)
    held = [hold.gpu_memory_bytes for process in members(view, work) for hold in process.holds]
    known = [size for size in held if size is not None]
    if known:
        total = sum(gpu.memory_total_bytes or 0.0 for gpu in gpus)
        place = f"of {gib(total, 0)} on {gpus_text(view, gpus)}" if total else ""
        out.append(("memory", gib(sum(known), 1 if sum(known) < 999.5 * GIB else 0), "GiB", place))
    if server.tokens_per_second_per_gpu is not None and len(gpus) > 1:
        out.append(("a GPU", per_second(server, server.tokens_per_second_per_gpu, "output_tokens_total"), "decode tok/s", f"over {gpus_text(view, gpus)}"))  # fmt: skip
    if server.mfu_ratio is not None:
        out.append(("MFU", f"~{percent_sign(server.mfu_ratio)}", "of dense BF16 peak", "by the server's count of operations"))
    return out


def _energy(server: InferenceView) -> Fact:
    energy, power, sign = server.energy_per_output_token_joules, server.power_watts, mark(server, "output_tokens_total")
    if energy is not None:
        made = per_second(server, server.output_tokens_per_second, "output_tokens_total")
        how = f"{power_sum(power)} ÷ {made} tok/s" if power is not None and server.output_tokens_per_second else ""
        return "energy", sign + whole(energy, 2 if energy < 9.995 else 1 if energy < 999.5 else 0), "J/output token", how
    if server.shared_gpu:
        return "energy", NOTHING, "shared GPU", "" if power is None else f"{power_sum(power)} with others"
    if power is None:
        return "energy", NOTHING, "J/output token", "power not known"
    none = server.output_tokens_per_second is not None and server.output_tokens_per_second == 0
    return "energy", NOTHING, "J/output token", f"{power_sum(power)}, {'no token' if none else 'tokens not known'}"


def _load(gpus: Sequence[GpuView]) -> Fact | None:
    sm = [gpu.sm_active_ratio for gpu in gpus if gpu.sm_active_ratio is not None]
    util = [gpu.utilization_ratio for gpu in gpus if gpu.utilization_ratio is not None]
    if gpus and len(sm) == len(gpus):
        how = []
        for word, values in (
            ("bandwidth", [gpu.dram_active_ratio for gpu in gpus]),
            ("tensor", [gpu.tensor_active_ratio for gpu in gpus]),
        ):
            known = [value for value in values if value is not None]
            if known:
                how.append(f"{word} {percent_sign(sum(known) / len(known))}")
        return "load", percent_sign(sum(sm) / len(sm)), "SM active", ", ".join(how)
    if gpus and len(util) == len(gpus):
        return "load", percent_sign(sum(util) / len(util)), "GPU util", ""
    return None


def sentence_of(view: View, work: WorkloadView, server: InferenceView) -> str:
    """Whose energy it is."""
    gpus = gpus_of(view, work)
    if not gpus:
        return "It holds no GPU here." if work.root_pid else "It runs elsewhere: its GPUs are not seen here."
    names = gpus_text(view, gpus)
    several = len(gpus) > 1
    if server.shared_gpu:
        return f"{names} also {'have' if several else 'has'} other work: energy is not told apart"
    if server.energy_per_output_token_joules is not None:
        return f"{names} only {'serve' if several else 'serves'} this model: energy is attributed in full"
    return ""


def draw_energy(sheet: Sheet, context: Context, view: View, work: WorkloadView, server: InferenceView, top: int, rows: int, right: int) -> None:  # fmt: skip
    """The boxed panel in columns 0 to ``right``: value r15, unit l17, how l36."""
    look, bottom = context.look, top + rows - 1
    facts = facts_of(view, work, server)
    title = "Energy and price" if any(label == "price" for label, *_ in facts) else "Energy"
    box(sheet, top, bottom, title, right=right)
    inside = rows - 2
    sentence = sentence_of(view, work, server)
    shown = facts[: inside - (1 if sentence and inside > 3 else 0)]
    for y, (label, value, unit, how) in enumerate(shown, top + 1):
        sheet.put(y, 2, label, look.dim)
        sheet.right(y, 15, value, look.dim if value == NOTHING or is_old(server) else look.white)
        at = sheet.put(y, 17, unit, look.fg)
        start = max(36, at + 2)
        if how and start + width_of(how) <= right - 1:
            sheet.put(y, start, how, look.dim)
    if sentence and len(shown) < inside:
        sheet.put(top + 1 + len(shown), 2, cut(sentence, right - 3), look.dim)


def draw_ended(sheet: Sheet, context: Context, server: InferenceView, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge: counts r110, shares r117 at 120 columns."""
    look, right, inside = context.look, context.width - 1, rows - 2
    span = server.finished_seconds
    counts = [getattr(server, field) for _, field, _ in ENDED]
    known = any(value is not None for value in counts)
    told = known or any(f"{field}_total" in server.quality for _, field, _ in ENDED)
    note = NOT_TOLD if not told else f"last {'60 min' if span > 3_570 else about(span)}" if span else ""
    box(sheet, top, top + rows - 1, "Requests ended", left=left, note=[(note, look.dim)] if note else ())
    all_of_them = sum(value for value in counts if value is not None)
    y = top + 1
    for (name, _, ink), value in zip(ENDED, counts):
        if y > top + inside:
            break
        style = look.dim if value is None else look.white if value else look.style("free_text")
        sheet.put(y, left + 2, name, look.fg)
        bar(
            sheet,
            y,
            left + 21,
            right - left - 37,
            value / all_of_them if value is not None and all_of_them else None,
            look.style(ink),
        )
        sheet.right(y, right - 9, _count(value), style)
        sheet.right(y, right - 2, share_text(value, all_of_them), look.dim if value else look.style("free_text"))
        y += 1
    if y <= top + inside:
        sheet.put(y, left + 2, "sum", look.dim)
        sheet.right(y, right - 9, _count(all_of_them if known else None), look.white if known else look.dim)
        y += 1
    if y <= top + inside:
        sheet.put(y, left + 2, cut("aborts and errors never count as goodput", right - left - 3), look.dim)


def _count(value: int | None) -> str:
    """In seven cells."""
    return number(value) if value is None or value < 999_999.5 else rate(value)


def share_text(value: int | None, total: int) -> str:
    """``95.5%``; exactly nothing is ``0``."""
    if value is None or (value and not total):
        return NOTHING
    return "0" if value == 0 else "<0.1%" if value / total < 0.0005 else percent_sign(value / total, 1)
