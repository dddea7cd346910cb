"""A stored GPU row as the ledger reads it: the one place where columns become facts, for the recorder, the live view and past logs.

A reading that cannot be (more than all of the time, a negative power) counts as the nearest that can, so that the ledger always sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuwatch.ledger.facts import fill
from gpuwatch.ledger.types import NO_WORK, AnyShare, Fill, LedgerRow, Work
from gpuwatch.names import Cause, Context

SIGNALS = ("tensor_active_pm", "dram_active_pm", "fp32_active_pm", "fp64_active_pm", "mfu_pm", "power_fraction_pm")
"""What tells, beside SM activity, how full busy time was."""
WORK = ("overhead_pm", "input_pm", "host_pm", "peers_pm", "demand_pm", "redone_pm", "inferred_cause", "sibling")
"""What trainings, servers and findings said of the row's time."""
BUSY = ("graphics_active_pm", "utilization_pm", "sm_active_pm")
"""The busy share is the first of these that is known."""
COLUMNS = (
    *("dt_ms", "quiet", "context", "quiet_ms", "kappa_pm", "unavailable"),
    *("utilization_pm", "graphics_active_pm", "sm_active_pm", "power_mw", "energy_mj"),
    *SIGNALS,
    *WORK,
)
"""Columns of ``gpu_sample`` in the order of :func:`row`."""

_CONTEXT: dict[int | None, Context | None] = {None: None, **{int(context): context for context in Context}}
_QUIET: dict[int | None, bool | None] = {None: None, 0: False, 1: True}
_CAUSES = {int(cause): cause for cause in Cause}
_NO_SIGNALS, _NO_WORK = (None,) * len(SIGNALS), (None,) * len(WORK)


def row(ts_ms: int, values: Sequence[Any], shares: tuple[AnyShare, ...] = (), *, whole: bool = True) -> LedgerRow:
    """The row that ends at ``ts_ms``; ``values`` are those of :data:`COLUMNS`, a tuple.

    Energy is from the counter, else from the power reading. Not ``whole``: a MIG instance or a sliced board, whose energy belongs to
    none of them alone.
    """
    dt, quiet, context, quiet_ms, kappa, unavailable, utilization, busy, sm, power, energy = values[:11]
    if busy is None:
        busy = utilization if utilization is not None else sm
    if busy is not None and not 0 <= busy <= 1000:
        busy = share_pm(busy)
    if not whole:
        energy = None
    elif energy is None and power is not None:
        energy = power * dt // 1000
    signals, facts = values[11:17], values[17:]
    return LedgerRow(
        ts_ms,
        dt,
        _QUIET[quiet],
        quiet_ms,
        _CONTEXT[context],
        busy,
        kappa,
        bool(unavailable),
        energy,
        shares,
        NO_WORK if facts == _NO_WORK else work_of(facts),
        None if sm is None and signals == _NO_SIGNALS else fill_of(busy, kappa, sm, signals),
    )


def work_of(facts: Sequence[int | None]) -> Work:
    """The facts of work, from the columns of :data:`WORK`."""
    overhead, input_, host, peers, demand, redone = (0 if value is None else share_pm(value) for value in facts[:6])
    inferred, sibling = facts[6:]
    found = Work(overhead, input_, host, peers, demand, redone, _CAUSES.get(inferred or 0, Cause.NONE), bool(sibling))
    return NO_WORK if found == NO_WORK else found


def fill_of(busy_pm: int | None, kappa_pm: int, sm_pm: int | None, signals: Sequence[int | None]) -> Fill | None:
    """How full the busy time was, from the columns of :data:`SIGNALS`."""
    tensor, dram, fp32, fp64, mfu, power = signals
    return fill(
        busy_pm, kappa_pm, sm_pm=sm_pm, tensor_pm=tensor, dram_pm=dram, fp32_pm=fp32, fp64_pm=fp64, mfu_pm=mfu, power_pm=power
    )


def share_pm(value: int) -> int:
    """A share of time in per mille that can be: 0 to 1000."""
    return 0 if value < 0 else min(value, 1000)
