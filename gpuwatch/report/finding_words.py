"""How text forms word a finding: places, amounts, costs. A number that is not known is left out, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from gpuwatch.format import NOTHING, gpu_hours, number, since
from gpuwatch.names import Severity
from gpuwatch.prices import Prices
from gpuwatch.report.table import Column, Paint, table
from gpuwatch.text import clean
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import View

STYLES = {Severity.CRITICAL: "held_idle", Severity.WARNING: "notice", Severity.NOTICE: "accent", Severity.INFO: "dim"}
JOULES_PER_KWH = 3.6e6


def place(indices: Sequence[int]) -> str:
    """``GPU 3``, ``GPU 2 3``, ``host`` where no GPU is meant."""
    return f"GPU {' '.join(map(str, indices))}" if indices else "host"


def amount(finding: FindingView) -> str:
    """``1.2 GPU``, ``up to 1.2 GPU`` unless it is measured, ``<0.1 GPU``, ``no cost``."""
    if finding.waste_gpus is None:
        return "no cost"
    if finding.waste_gpus < 0.05:
        return "<0.1 GPU" if finding.waste_gpus > 0 else "0 GPU"
    return f"{number(finding.waste_gpus, 1)} GPU"


def estimated(finding: FindingView) -> str:
    """``up to `` before every amount that is not measured."""
    return "" if finding.basis.label == "measured" or finding.waste_gpus is None else "up to "


def cost(finding: FindingView) -> str:
    """``7.1 GPU·h ≈ $18, 2.1 kWh``, ``up to`` before it unless it is measured; a part that is not known is left out."""
    if finding.cost_gpu_seconds is None:
        return NOTHING
    hours = gpu_hours(finding.cost_gpu_seconds * 1000)
    up_to = "" if finding.basis.label == "measured" or not finding.cost_gpu_seconds else "up to "
    words = f"{up_to}{'<0.1' if hours == '0.0' and finding.cost_gpu_seconds else hours} GPU·h"
    if finding.cost_money is not None:
        words += f" ≈ {Prices(finding.currency or '$').money(finding.cost_money)}"
    if finding.cost_energy_joules is not None:
        energy = number(finding.cost_energy_joules / JOULES_PER_KWH, 1)
        words += f", {'<0.1' if energy == '0.0' and finding.cost_energy_joules else energy} kWh"
    return words


def who(finding: FindingView) -> str:
    """``GPU 2 3 · carol · pid 51877 · python train.py``."""
    words = [place(finding.gpu_indices), finding.user]
    if finding.pids:
        words.append("pid " + ", ".join(map(str, finding.pids[:4])) + (" …" if len(finding.pids) > 4 else ""))
    return " · ".join(word for word in (*words, finding.command) if word)


TOLD = 3
"""So many findings stand in ``gpuwatch status``."""
_PAINTS = {Severity.CRITICAL: "held_idle", Severity.WARNING: "notice"}


def finding_lines(view: View, width: int, tz: tzinfo | None, paint: Paint) -> list[str]:
    """The first findings of a view, a line each, and how many there are: ``1.0 GPU  held idle  GPU 1  bob  since 11:11  ...``."""
    first = view.findings[:TOLD]
    columns = [
        Column(
            "Finding", [clean(one.name) for one in first], align="left", styles=[_PAINTS.get(one.severity, "") for one in first]
        ),
        Column("Waste", [f"{estimated(one)}{amount(one)}" for one in first]),
        Column("GPU", [" ".join(map(str, one.gpu_indices)) or NOTHING for one in first], align="left"),
        Column("since", [since(one.since_ms, view.at_ms, tz) for one in first], drop=2),
        Column("User", [clean(one.user) or NOTHING for one in first], align="left", drop=1),
        Column("Fact", [clean(one.title) for one in first], align="left"),
    ]
    lines = table(columns, width, paint)
    rest = len(view.findings) - len(first)
    more = f"{rest} more, and what to do: gpuwatch waste" if rest else "What to do: gpuwatch waste"
    return [*lines, paint(more, "dim")]
