"""What limits a server, in one sentence without advice. Pure.

After the study of inference servers: a queue with a full KV cache is bound by memory, a queue with room in it and every place taken
by the batch limit; no queue, few requests and little power is an underloaded server; where most computed tokens are of prompts it
is bound by prefill.
"""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.format import counted, percent_sign

KV_FULL, KV_ROOM = 0.95, 0.8
PREFILL_BOUND = 0.8
FEW_RUNNING = 1 / 8
"""Of the places for running requests."""
LITTLE_POWER = 0.5
"""Of the power limit."""
THRASHING = 1 / 60
"""Preemptions a second that are worth telling: one a minute."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What the sentence is made from; ``None`` is unknown. ``power_ratio`` is of the power limit."""

    running: float | None
    waiting: float | None
    max_running: int | None
    kv_ratio: float | None
    preemptions_per_second: float | None
    prefill_per_second: float | None
    output_per_second: float | None
    hit_ratio: float | None
    power_ratio: float | None


def diagnosis(signs: Signs) -> str:
    """The sentence; empty when nothing stands out."""
    waiting = signs.waiting or 0.0
    if waiting >= 0.5:
        return _queue(signs, f"{waiting:.0f} waiting")
    if signs.kv_ratio is not None and signs.kv_ratio >= KV_FULL and (signs.preemptions_per_second or 0) >= THRASHING:
        return f"KV cache full, {_preempted(signs)}"
    computed = (signs.prefill_per_second or 0.0) + (signs.output_per_second or 0.0)
    if signs.prefill_per_second is not None and signs.output_per_second is not None and computed:
        share = signs.prefill_per_second / computed
        if share > PREFILL_BOUND:
            cached = f", {percent_sign(signs.hit_ratio)} of prompts from the cache" if signs.hit_ratio is not None else ""
            return f"prefill is {percent_sign(share)} of the computed tokens{cached}"
    return _underloaded(signs)


def _queue(signs: Signs, waiting: str) -> str:
    if signs.kv_ratio is not None and signs.kv_ratio >= KV_FULL:
        return f"KV cache full, {waiting}" + (f", {_preempted(signs)}" if (signs.preemptions_per_second or 0) >= THRASHING else "")
    full = signs.max_running is not None and signs.running is not None and signs.running >= signs.max_running
    if full and (signs.kv_ratio is None or signs.kv_ratio < KV_ROOM):
        room = f" with the KV cache at {percent_sign(signs.kv_ratio)}" if signs.kv_ratio is not None else ""
        taken = f"all {signs.max_running} places taken" if signs.max_running != 1 else "its one place is taken"
        return f"{taken}{room}, {waiting}"
    return waiting + (f", KV cache at {percent_sign(signs.kv_ratio)}" if signs.kv_ratio is not None else "")


def _preempted(signs: Signs) -> str:
    minute = round((signs.preemptions_per_second or 0.0) * 60)
    return f"{counted(minute, 'preemption')} a minute"


def _underloaded(signs: Signs) -> str:
    """Known only where the server says what it has room for and the GPU what it draws."""
    if signs.waiting is None or not signs.running or not signs.max_running or signs.power_ratio is None:
        return ""
    if signs.running > FEW_RUNNING * signs.max_running or signs.power_ratio >= LITTLE_POWER:
        return ""
    return f"{signs.running:.0f} of {signs.max_running} places taken, GPU power at {percent_sign(signs.power_ratio)}"
