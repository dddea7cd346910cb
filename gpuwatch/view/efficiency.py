"""The efficiency of a ledger in one line: its factors, its evidence and what nobody saw.

A range where only a part of the fill is measured; where nothing says how full busy time was (tier N), no figure of fill at all.
"""

from __future__ import annotations

from gpuwatch.format import percent, percent_range
from gpuwatch.names import Tier
from gpuwatch.view.types import LedgerView


def fill_text(ledger: LedgerView) -> str:
    """``51%``, ``23 to 73%``, or ``unknown``."""
    nothing = ledger.fill_low is None or (ledger.tier is Tier.N and not ledger.fill_low)
    return "unknown" if nothing else percent_range(ledger.fill_low, ledger.fill_high)


def efficiency_text(ledger: LedgerView) -> str:
    """``efficiency 23% (A 88 · R 55 · F 48), tier G, 3% unobserved``; A allocated, R running, F fill."""
    text = f"efficiency {percent_range(ledger.efficiency_low, ledger.efficiency_high)}"
    letters = [("A", ledger.allocated_ratio), ("R", ledger.running_ratio)]
    factors = [f"{letter} {percent(ratio)}" for letter, ratio in letters if ratio is not None]
    if ledger.running_ratio:
        if fill_text(ledger) != "unknown":
            factors.append(f"F {fill_text(ledger).removesuffix('%')}")
        text += f" ({' · '.join(factors)}), tier {ledger.tier.name}"
    elif factors:
        text += f" ({' · '.join(factors)})"
    coverage = ledger.span.coverage_ratio
    unseen = "" if coverage is None or coverage >= 0.995 else percent(1 - coverage)
    return f"{text}, {unseen}% unobserved" if unseen else text
