"""What a training run has cost so far: GPU time, energy, money, and how much of it made steps."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import NOTHING, duration, number, percent_sign, power_sum, rate
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.server_words import whole
from gpuwatch.tui.panels.training_words import has_ended, small_rate
from gpuwatch.tui.state import Context
from gpuwatch.view.training_types import TrainingView

Words = list[tuple[str, Style]]
Fact = tuple[str, str, str, str]
"""Label, value, unit, what stands beside it."""
HOUR_MS, KILOWATT_HOUR = 3_600_000, 3.6e6


def facts_of(training: TrainingView) -> list[Fact]:
    """The rows that can be filled, the most important first."""
    return [fact for fact in (*_spent(training), _lost(training), *_spread(training)) if fact is not None]


def _spent(training: TrainingView) -> list[Fact | None]:
    """GPU time with its money, energy, price of tokens."""
    run, currency = training.run, money_sign(training)
    out: list[Fact | None] = []
    if run is not None and run.gpu_seconds is not None:
        hours = run.gpu_seconds / 3600
        cost = "" if training.cost is None else f"≈ {currency}{whole(training.cost, 2 if training.cost < 999.5 else 0)}"
        out.append(("GPU time", whole(hours, 2 if hours < 99.95 else 0), "GPU·h", cost))
    energy = run.energy_joules if run is not None else None
    token, unit = training.energy_per_token_joules, "J/token"
    side = "" if token is None else f"{whole(token, 3 if token < 0.0995 else 2 if token < 9.995 else 0)} {unit}"
    if not side:
        side = (
            "shared GPU"
            if training.shared_gpu
            else ""
            if training.power_watts is None
            else f"{power_sum(training.power_watts)} now"
        )
    if energy is not None:
        hours = energy / KILOWATT_HOUR
        out.append(("energy", whole(hours, 2 if hours < 99.95 else 0) if hours >= 0.005 else "<0.01", "kWh", side))
    elif side:
        out.append(("energy", NOTHING, "kWh", side))
    if training.cost_per_million_tokens is not None:
        price = training.cost_per_million_tokens
        out.append(("price", whole(price, 2 if price < 99.95 else 0), f"{currency}/M tokens", training.price))
    return out


def _lost(training: TrainingView) -> Fact | None:
    """GPU time since its last checkpoint of a run that did not finish."""
    run = training.run
    if run is None or not run.lost_gpu_seconds:
        return None
    since = "since its checkpoint" if run.last_checkpoint_ms is not None else "no checkpoint seen"
    hours = run.lost_gpu_seconds / 3600
    return "lost, up to", whole(hours, 2) if hours < 999 else rate(hours), "GPU·h", since


def _spread(training: TrainingView) -> list[Fact | None]:
    """Goodput, checkpoint and eval, padding, compilations."""
    out: list[Fact | None] = []
    first = training.first_step_seconds
    started = "" if first is None else f"first step {_length(first)}"
    if training.goodput_ratio is not None:
        beside = "it stands still" if training.stalled and not has_ended(training) else started
        out.append(("goodput", percent_sign(training.goodput_ratio), "of the run", beside))
    elif first is not None:
        out.append(("first step", _length(first), "", "after the start"))
    checkpoint, evals = training.checkpoint_ratio, training.eval_ratio
    if checkpoint is not None:
        out.append(("checkpoint", _share(checkpoint), "of the run", "" if evals is None else f"eval {_share(evals)}"))
    elif evals is not None:
        out.append(("eval", _share(evals), "of the run", ""))
    if training.padding_ratio is not None:
        net = training.nonpad_tokens_per_second
        out.append(("padding", _share(training.padding_ratio), "of tokens", "" if net is None else f"{small_rate(net)} tok/s net"))
    if training.compilations_total:
        out.append(("compiled", number(training.compilations_total), "times", ""))
    return out


def money_sign(training: TrainingView) -> str:
    """``$``, else the currency's three letters."""
    return "$" if training.currency in ("", "USD") else f"{cut(training.currency, 3)} "


def _length(seconds: float) -> str:
    return f"{number(seconds, 1)} s" if seconds < 9.95 else duration(seconds)


def _share(ratio: float) -> str:
    """A small share of a run with one decimal; measured nothing is ``0``."""
    return "0" if ratio == 0 else "<0.1%" if ratio < 0.0005 else percent_sign(ratio, 1 if ratio < 0.0995 else 0)


def draw_cost(sheet: Sheet, context: Context, training: TrainingView, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge: label l68, value r84, unit l86, beside l98 at 120 columns."""
    look, right = context.look, context.width - 1
    note = "the whole run" if has_ended(training) else "this run so far"
    box(sheet, top, top + rows - 1, "Cost", left=left, note=[(note, look.dim)])
    facts = facts_of(training)
    if not facts:
        sheet.put(top + 1, left + 2, "nothing of it is known yet", look.dim)
    for y, (label, value, unit, beside) in zip(range(top + 1, top + rows - 1), facts):
        lost = label.startswith("lost")
        sheet.put(y, left + 2, label, look.dim)
        sheet.right(y, left + 18, value, look.dim if value == NOTHING else look.amber if lost else look.white)
        at = sheet.put(y, left + 20, unit, look.fg)
        start = max(left + 32, at + 2)
        if beside and start + width_of(beside) <= right - 1:
            sheet.put(y, start, beside, look.dim)


def line_of(context: Context, training: TrainingView) -> list[Words]:
    """The cost in one line."""
    look = context.look
    groups: list[Words] = []
    for label, value, unit, beside in facts_of(training):
        if value == NOTHING:
            continue
        name = f"{label} " if label not in ("GPU time", "energy", "price") else ""
        words: Words = [(name, look.dim), (value, look.amber if label.startswith("lost") else look.white), (f" {unit}" if unit else "", look.dim)]  # fmt: skip
        if label in ("GPU time", "energy") and beside:
            words.append((f" {beside}", look.dim))
        groups.append([word for word in words if word[0]])
    return [[("Cost ", look.dim), *groups[0]], *groups[1:]] if groups else [[("Cost ", look.dim), (NOTHING, look.dim)]]
