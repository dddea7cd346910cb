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

_NS_A_MS = 1_000_000
_PHASE_FIELDS = {
    Phase.STARTING: "starting_seconds",
    Phase.DATA: "data_wait_seconds",
    Phase.FORWARD: "forward_seconds",
    Phase.BACKWARD: "backward_seconds",
    Phase.OPTIMIZER: "optimizer_seconds",
    Phase.CHECKPOINT: "checkpoint_seconds",
    Phase.EVAL: "eval_seconds",
    Phase.COMPILE: "compile_seconds",
    Phase.OTHER: "other_seconds",
}
LOOP_FIELDS = frozenset(_PHASE_FIELDS.values()) - {"starting_seconds"}
"""The phases of the loop itself."""
_IDLE_FIELDS = {
    Phase.DATA: "gpu_idle_data_seconds",
    Phase.CHECKPOINT: "gpu_idle_checkpoint_seconds",
    Phase.EVAL: "gpu_idle_eval_seconds",
}
Totals = dict[str, int | None]
"""Field of ``TrainingSample`` -> total since the process was armed: whole milliseconds of ``_seconds``, else the count."""


def totals(counters: Counters, replicas: int) -> Totals:
    """The totals of one snapshot: of what ``replicas`` ranks see alike one rank's share, ``None`` for what the process does not count."""
    known = counters.known
    tokens = bool(known & layout.SNAP_TOKENS)
    padding = tokens and bool(known & layout.SNAP_NONPAD)
    allocator, probe = bool(known & layout.SNAP_ALLOCATOR), bool(known & layout.SNAP_PROBE)
    found: Totals = {
        "rank_steps_total": counters.steps,
        "micro_batches_total": counters.micro_batches,
        "tokens_total": counters.tokens // replicas if tokens else None,
        "counted_tokens_total": counters.counted_tokens // replicas if padding else None,
        "nonpad_tokens_total": counters.nonpad_tokens // replicas if padding else None,
        "eval_tokens_total": counters.eval_tokens // replicas if tokens else None,
        "samples_total": counters.samples // replicas if known & layout.SNAP_SAMPLES else None,
        "checkpoints_total": counters.checkpoints,
        "compilations_total": counters.compilations,
        "alloc_retries_total": counters.alloc_retries if allocator else None,
        "out_of_memory_total": counters.out_of_memory if allocator else None,
        "probed_steps_total": counters.probed_steps if probe else None,
        "drained_steps_total": counters.drained_steps if probe else None,
    }
    for phase, name in _PHASE_FIELDS.items():
        found[name] = counters.phases[phase] // _NS_A_MS
    idle = counters.idle
    for phase, name in _IDLE_FIELDS.items():
        found[name] = idle[phase] // _NS_A_MS if probe else None
    rest = sum(idle) - sum(idle[phase] for phase in _IDLE_FIELDS)
    found["gpu_idle_other_seconds"] = rest // _NS_A_MS if probe else None
    return found


class Growth:
    """The memory between two readings. ``begin_at`` (ns of CLOCK_MONOTONIC): all counts are 0 there; else the first reading tells none."""

    def __init__(self, begin_at: int | None = None) -> None:
        self._counters: Counters | None = None
        self._before: Totals | None = None if begin_at is None else {}
        self._at_ms = (begin_at or 0) // _NS_A_MS
        self._replicas = 1

    def next(self, counters: Counters, phase: Phase | None, since_ns: int, now_ns: int, replicas: int) -> dict[str, Any]:
        """Fields of the sample at ``now_ns``; none where it is a first reading, or the counters have gone back."""
        restarted = self._counters is not None and _went_back(self._counters, counters)
        if self._before and replicas != self._replicas and self._counters is not None and not restarted:
            again = totals(self._counters, replicas)
            self._before |= {name: again[name] for name in again if not name.endswith("_seconds")}
        self._counters, self._replicas = counters, replicas
        now = totals(counters, replicas)
        self._run_on(now, counters, phase, since_ns, now_ns)
        before, self._before = self._before, now
        now_ms, at_ms = now_ns // _NS_A_MS, self._at_ms
        self._at_ms = now_ms
        if before is None or restarted or now_ms <= at_ms:
            return {}
        fields: dict[str, Any] = {"attached_seconds": (now_ms - at_ms) / 1000}
        for name, total in now.items():
            if total is None:
                continue
            grown = total - (before.get(name) or 0)
            if name.endswith("_seconds"):
                if grown < 0:  # the two looks at a running phase did not fall on the same side of a snapshot
                    now[name], grown = before[name], 0
                fields[name] = grown / 1000
            else:
                fields[name] = max(0, grown)
        return fields

    @staticmethod
    def _run_on(now: Totals, counters: Counters, phase: Phase | None, since_ns: int, now_ns: int) -> None:
        name = _PHASE_FIELDS.get(phase) if phase is not None else None
        if name is not None:
            more = now_ns - max(counters.at_ns, since_ns)
            now[name] = (counters.phases[phase or 0] + max(0, more)) // _NS_A_MS


def _went_back(before: Counters, now: Counters) -> bool:
    return now.seq < before.seq or now.steps < before.steps or now.tokens < before.tokens or now.samples < before.samples
