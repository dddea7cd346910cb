"""The training runs of a report as a table, with the answers that it is for: experiments per GPU-day, and what failed ones cost."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch import format as fmt
from gpuwatch.format import NOTHING
from gpuwatch.names import RunOutcome
from gpuwatch.report.period_figures import KWH_MJ, Figures, Scale
from gpuwatch.report.period_tables import Head, Table
from gpuwatch.report.period_words import Times, on
from gpuwatch.view.period.run_row import Experiments, RunRow
from gpuwatch.view.period.types import Report

DAY_MS = 86_400_000
TOP = 10
"""So many runs, those with most GPU time, stand in a report that is about something else."""
EMPTY = "No training run is recorded in this span. Start one with: gpuwatch run -- COMMAND"


def runs_table(report: Report, figures: Figures) -> Table:
    """All runs in the order of their start; in a report about something else those that held most."""
    rows, many, times = report.training, len(report.span.hosts) > 1, Times(report.span)
    if report.by != "run" and len(rows) > TOP:
        most = sorted(rows, key=lambda row: -row.ledger.capacity_gpu_ms)[:TOP]
        rows = tuple(row for row in rows if row in most)
    units = {unit for row in rows if (unit := _unit(row))}
    alike = units.pop() if len(units) == 1 else "" if units else "tokens"
    energy = Scale.of(KWH_MJ, max((row.ledger.energy_mj or 0 for row in report.training), default=0))
    columns = [
        Head("run", [row.name or row.model or row.command or "(no name)" for row in rows], "left", name=True),
        Head("user", [row.user or "(not known)" for row in rows], "left", name=True, drop=5),
        Head("commit", [row.git_commit[:7] or NOTHING for row in rows], "left", drop=6),
        Head("start", [times.stamp(row.started_ms) for row in rows], "left", drop=4),
        Head("first step", [_seconds(row.first_step_seconds) for row in rows], drop=7),
        Head("length", [_length(row, report) for row in rows], drop=3),
        Head("end", [_end(row) for row in rows], "left"),
        Head("GPUs", [on(row.gpus, many) for row in rows], "left", drop=8, name=many),
        Head("GPU-h", [figures.time.shown(row.ledger.capacity_gpu_ms) for row in rows]),
        Head(alike or "counted", [_amount(row, alike) for row in rows], drop=2),
        Head(f"{'tok' if alike == 'tokens' else alike}/s" if alike else "a second", [_rate(row, alike) for row in rows]),
        Head("kWh", [energy.shown(row.ledger.energy_mj) for row in rows], drop=9),
        Head("lost h", [_lost(row, figures) for row in rows], drop=1),
    ]
    priced = [row for row in rows if row.cost is not None]
    if priced:
        columns.append(Head(priced[0].currency, [NOTHING if row.cost is None else fmt.number(row.cost, 2) for row in rows]))
    more = len(report.training) - len(rows)
    below = [f"… {fmt.number(more)} more with --by run"] if more > 0 else []
    if report.experiments is not None:
        below += answers(report.experiments, figures, report.training)
    return Table("Training runs", columns, "GPU time, tokens and energy of the span", EMPTY, below=below)


def answers(found: Experiments, figures: Figures, rows: Sequence[RunRow]) -> list[str]:
    """How many experiments, how they ended, what failed ones cost, how long the first step takes."""
    out = [_headline(found), _outcomes(found)]
    failed = found.outcomes[RunOutcome.FAILED] + found.outcomes[RunOutcome.DIED]
    if failed:
        money = f" ({_money(found)})" if found.failed_cost is not None else ""
        lost = found.failed_lost_gpu_ms
        since = "" if lost is None else f", at most {figures.time.shown(lost)} of it since their last checkpoints"
        out.append(f"Runs that failed or died held {figures.time.shown(found.failed_gpu_ms)} GPU-h{money}{since}.")
    if found.first_step_seconds is not None:
        out.append(
            f"Median time to the first step: {_seconds(found.first_step_seconds)} ({fmt.counted(found.first_steps, 'run')})."
        )
    if any(row.cut for row in rows):
        out.append("A run that began before the span, or goes on behind it, is counted up to its border.")
    if any(row.lost_gpu_ms is not None for row in rows):
        out.append(
            "lost h: GPU time since the last checkpoint (else the first step) of a run that failed, died or was stopped; at most that was lost."
        )
    return out


def _headline(found: Experiments) -> str:
    began = f"{fmt.counted(found.started, 'run')} began"
    if found.started_per_gpu_day is None:
        return f"{began}; no GPU was seen, so there are no experiments per GPU-day."
    out = f"{_few(found.started_per_gpu_day)} experiments per GPU-day: {began} in {_few(found.capacity_gpu_ms / DAY_MS)} GPU-days of capacity"
    if found.started_per_run_gpu_day is not None:
        out += f"; {_few(found.started_per_run_gpu_day)} per GPU-day that runs held ({_few(found.run_gpu_ms / DAY_MS)})"
    return f"{out}."


def _outcomes(found: Experiments) -> str:
    order = (RunOutcome.FINISHED, RunOutcome.FAILED, RunOutcome.STOPPED, RunOutcome.DIED, RunOutcome.UNKNOWN, RunOutcome.RUNNING)
    words = {RunOutcome.UNKNOWN: "with an unknown end", RunOutcome.RUNNING: "still running"}
    told = [f"{found.outcomes[each]} {words.get(each, each.label)}" for each in order if found.outcomes[each]]
    total = sum(found.outcomes.values())
    return f"{fmt.counted(total, 'run')} in the span: {', '.join(told)}."


def _few(value: float) -> str:
    """Three digits or so: ``0.42``, ``3.0``, ``128``."""
    return fmt.number(value, 0 if value >= 99.5 else 1 if value >= 9.95 else 2)


def _money(found: Experiments) -> str:
    cost = found.failed_cost or 0.0
    amount = f"{cost:.2f}"
    told = f"{amount} {found.currency}" if found.currency[-1:].isalpha() else f"{found.currency}{amount}"
    return f"{told} at {found.price}"


def _seconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{fmt.number(seconds, 1)} s" if seconds < 59.95 else fmt.duration(seconds)


def _length(row: RunRow, report: Report) -> str:
    end_ms = row.ended_ms if row.ended_ms is not None else report.span.end_ms
    return fmt.duration(max(0, end_ms - row.started_ms) / 1000)


def _end(row: RunRow) -> str:
    """``finished``, ``failed (exit 1)``, ``died (signal 9)``."""
    code = row.exit_code
    if row.outcome is RunOutcome.RUNNING or not code:
        return row.outcome.label
    return f"{row.outcome.label} ({f'signal {-code}' if code < 0 else f'exit {code}'})"


def _unit(row: RunRow) -> str:
    """What is counted of it; empty if nothing is."""
    return "tokens" if row.tokens_total is not None else "samples" if row.samples_total is not None else ""


def _amount(row: RunRow, alike: str) -> str:
    """What it counted; with its unit where runs differ in it."""
    unit = _unit(row)
    value: int | None = getattr(row, f"{unit}_total") if unit else None
    return fmt.glyph(row.missing.get("tokens_total")) if value is None else fmt.rate(value) + ("" if alike else f" {unit}")


def _rate(row: RunRow, alike: str) -> str:
    unit = _unit(row)
    value: float | None = getattr(row, f"{unit}_per_second") if unit else None
    return fmt.glyph(row.missing.get("tokens_per_second")) if value is None else fmt.rate(value) + ("" if alike else f" {unit}/s")


def _lost(row: RunRow, figures: Figures) -> str:
    return "" if row.lost_gpu_ms is None else f"≤ {figures.time.shown(row.lost_gpu_ms)}"
