"""What the counters of one training process have grown by since it was read before.

All that is told over time adds up to what the process counted: whole milliseconds and shares are taken of the totals, not of the
differences. The phase that runs gets its time up to the moment of reading, so that one that hangs grows each second; what lies between
the last snapshot and the begin of that phase is told with the next snapshot.
"""

from __future__ import annotations

from typing import Any

from gpuwatch.collectors.training import layout
from gpuwatch.collectors.training.reader import Counters
from gpuwatch.names import Phase
from gpuwatch.training import PHASE_SECONDS

_NS_A_MS = 1_000_000
_PHASE_FIELDS = {Phase.STARTING: "starting_seconds", **PHASE_SECONDS}
LOOP_FIELDS = frozenset(PHASE_SECONDS.values())
"""The phases of the loop itself."""
_IDLE_FIELDS = {
    Phase.DATA: "gpu_idle_data_seconds",
    Phase.CHECKPOINT: "gpu_idle_checkpoint_seconds",
    Phase.EVAL: "gpu_idle_eval_seconds",
}
_COUNT_FIELDS = (
    *(
        "rank_steps_total",
        "micro_batches_total",
        "tokens_total",
        "counted_tokens_total",
        "nonpad_tokens_total",
        "eval_tokens_total",
    ),
    *("samples_total", "checkpoints_total", "compilations_total", "alloc_retries_total", "out_of_memory_total"),
    *("probed_steps_total", "drained_steps_total"),
)
_TIME_FIELDS = (*_PHASE_FIELDS.values(), *_IDLE_FIELDS.values(), "gpu_idle_other_seconds")
Totals = list[int | None]
"""Totals since the process was armed, ``None`` for what it does not count: of ``_COUNT_FIELDS``, or whole milliseconds of ``_TIME_FIELDS``."""


def counts(counters: Counters, replicas: int) -> Totals:
    """The counts of one snapshot: of what ``replicas`` ranks see alike, one rank's share."""
    known = counters.known
    tokens, samples = known & layout.SNAP_TOKENS, known & layout.SNAP_SAMPLES
    padding = tokens and known & layout.SNAP_NONPAD
    allocator, probe = known & layout.SNAP_ALLOCATOR, known & layout.SNAP_PROBE
    return [
        counters.steps,
        counters.micro_batches,
        counters.tokens // replicas if tokens else None,
        counters.counted_tokens // replicas if padding else None,
        counters.nonpad_tokens // replicas if padding else None,
        counters.eval_tokens // replicas if tokens else None,
        counters.samples // replicas if samples else None,
        counters.checkpoints,
        counters.compilations,
        counters.alloc_retries if allocator else None,
        counters.out_of_memory if allocator else None,
        counters.probed_steps if probe else None,
        counters.drained_steps if probe else None,
    ]


def times(counters: Counters, phase: Phase | None, since_ns: int, now_ns: int) -> Totals:
    """The times of one snapshot, with that of the phase that runs up to ``now_ns``."""
    found: Totals = [counters.phases[one] // _NS_A_MS for one in _PHASE_FIELDS]
    if phase in _PHASE_FIELDS:
        more = now_ns - max(counters.at_ns, since_ns)
        found[phase] = (counters.phases[phase] + max(0, more)) // _NS_A_MS
    if not counters.known & layout.SNAP_PROBE:
        return [*found, None, None, None, None]
    idle = counters.idle
    named = [idle[one] for one in _IDLE_FIELDS]
    return [*found, *(time // _NS_A_MS for time in named), (sum(idle) - sum(named)) // _NS_A_MS]


class Growth:
    """The memory between two readings; of what is not told for a while that of the last time it was. ``begin_at`` (ns of CLOCK_MONOTONIC): all counts are 0 there; else the first reading tells none."""

    def __init__(self, begin_at: int | None = None) -> None:
        self._counters: Counters | None = None
        self._known = begin_at is not None
        self._counts: Totals = [0] * len(_COUNT_FIELDS)
        self._times: Totals = [0] * len(_TIME_FIELDS)
        self._at_ms = (begin_at or 0) // _NS_A_MS
        self._replicas = 1

    def next(self, counters: Counters, phase: Phase | None, since_ns: int, now_ns: int, replicas: int) -> dict[str, Any]:
        """Fields of the sample at ``now_ns``; none where it is a first reading, or the counters have gone back."""
        before = self._counters
        restarted = before is not None and before is not counters and went_back(before, counters)
        if before is not None and replicas != self._replicas:
            self._counts = counts(before, replicas)
        known, self._known = self._known and not restarted, True
        self._counters, self._replicas = counters, replicas
        had, spent, at_ms = self._counts, self._times, self._at_ms
        has = counts(counters, replicas)
        self._counts = has if restarted else [was if total is None else total for was, total in zip(had, has)]
        spends = self._times = times(counters, phase, since_ns, now_ns)
        self._at_ms = now_ms = now_ns // _NS_A_MS
        if not known or now_ms <= at_ms:
            return {}
        fields: dict[str, Any] = {"attached_seconds": (now_ms - at_ms) / 1000}
        for name, total, was in zip(_COUNT_FIELDS, has, had):
            if total is not None:
                grown = total - (was or 0)
                fields[name] = max(0, grown)
        for at, (name, total, was) in enumerate(zip(_TIME_FIELDS, spends, spent)):
            if total is None:
                spends[at] = was
                continue
            grown = total - (was or 0)
            if grown < 0:  # the two looks at a running phase did not fall on the same side of a snapshot
                spends[at], grown = was, 0
            fields[name] = grown / 1000
        return fields


def went_back(before: Counters, now: Counters) -> bool:
    """Whether the process has begun to count anew: it ran itself again."""
    return now.seq < before.seq or now.steps < before.steps or now.tokens < before.tokens or now.samples < before.samples
