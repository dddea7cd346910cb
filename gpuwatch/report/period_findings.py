"""A report's tables of what rules found: by what it cost in the span, what came of what cleared, and what was not judged."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch import format as fmt
from gpuwatch.format import NOTHING
from gpuwatch.names import Basis
from gpuwatch.report.period_figures import Figures
from gpuwatch.report.period_tables import Head, Table
from gpuwatch.report.period_words import Times, on
from gpuwatch.view.period.finding_row import FindingRow
from gpuwatch.view.period.types import Report
from gpuwatch.view.waste import effect_words

MOST = 12
"""So many rows of a kind are told; the JSON has all."""
_STATES = ("open", "muted", "ended", "resolved")


def finding_tables(report: Report, figures: Figures) -> list[Table]:
    """The tables; none where no rule has judged the span."""
    if not report.rules and not report.findings:
        return []
    resolved = [row for row in report.findings if row.state == "resolved"]
    return [_costs(report, figures), *([_resolved(resolved, report)] if resolved else [])]


def _costs(report: Report, figures: Figures) -> Table:
    """A row for each rule and user: findings of one rule on several GPUs or jobs do not overlap, those of several rules may."""
    groups: dict[tuple[str, str, str], list[FindingRow]] = {}
    for row in report.findings:
        groups.setdefault((row.rule, row.name, row.user), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: -_cost(item[1]))[:MOST]
    many = len(report.span.hosts) > 1
    columns = [
        Head("finding", [name for (_, name, _), _ in ordered], "left"),
        Head("user", [user or NOTHING for (_, _, user), _ in ordered], "left", name=True),
        Head("GPU-h", [_hours(rows, figures) for _, rows in ordered]),
        Head("times", [str(len(rows)) for _, rows in ordered], drop=2),
        Head("at the end", [_state(rows) for _, rows in ordered], "left", drop=3),
        Head(
            "GPUs",
            [on(sorted({place for row in rows for place in row.gpus}), many) for _, rows in ordered],
            "left",
            drop=4,
            name=many,
        ),
        Head("rule", [rule for (rule, _, _), _ in ordered], "left", drop=1),
    ]
    below = ["Findings explain the ledger: their hours may overlap and are never added up."] if len(ordered) > 1 else []
    if len(groups) > MOST:
        below.append(f"… {len(groups) - MOST} more with --json")
    missed = _missed(report)
    return Table(
        "Findings by cost",
        columns if ordered else [],
        "may overlap",
        " ".join(("Rules found nothing in this span.", *missed)),
        below=[*below, *missed],
    )


def _missed(report: Report) -> list[str]:
    if not report.rules:
        return []
    counted = f"{report.rules_not_evaluated} of {fmt.counted(report.rules, 'rule')} cannot be judged now"
    return [f"{counted}: gpuwatch waste says what would enable them."] if report.rules_not_evaluated else []


def _cost(rows: Sequence[FindingRow]) -> int:
    known = [row.cost_gpu_ms for row in rows if row.cost_gpu_ms is not None]
    return sum(known) if known else -1


def _hours(rows: Sequence[FindingRow], figures: Figures) -> str:
    """Of estimates what it is at most."""
    cost = _cost(rows)
    most = "" if all(row.basis is Basis.MEASURED for row in rows) else "≤ "
    return NOTHING if cost < 0 else most + figures.time.shown(cost)


def _state(rows: Sequence[FindingRow]) -> str:
    """``2 open, 1 resolved``."""
    counts = {state: sum(row.state == state for row in rows) for state in _STATES}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _resolved(rows: Sequence[FindingRow], report: Report) -> Table:
    """What cleared and was measured, the largest saving first; no effect and worse are told, too."""
    times = Times(report.span)
    ordered = sorted(rows, key=lambda row: -(row.saved_gpus or 0.0))[:MOST]
    columns = [
        Head("finding", [row.name for row in ordered], "left"),
        Head("user", [row.user or NOTHING for row in ordered], "left", name=True),
        Head("saves GPU-h a day", [_saved(row) for row in ordered]),
        Head("cleared", [times.stamp(row.ended_ms) if row.ended_ms is not None else NOTHING for row in ordered], "left", drop=1),
        Head("before and after", [effect_words(row.effect) for row in ordered], "left", drop=2),
    ]
    below = [f"… {len(rows) - MOST} more with --json"] if len(rows) > MOST else []
    return Table("Resolved", columns, "measured: 30 min before and after", below=below)


def _saved(row: FindingRow) -> str:
    if row.saved_gpus is None:
        return NOTHING
    per_day = fmt.number(row.saved_gpus * 24, 1)
    return "no effect" if per_day.strip(fmt.MINUS) == "0.0" or row.effect.startswith("no effect") else per_day
