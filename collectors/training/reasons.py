"""Why a number of a training is not there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from gpuwatch.collectors.training import layout
from gpuwatch.collectors.training.ranks import Key, Rank
from gpuwatch.collectors.training.run import RunState
from gpuwatch.model import MissingKey
from gpuwatch.names import Missing

_NO_AGENT = ("steps_total", "tokens_total", "samples_total", "data_wait_seconds", "loss", "phase")
_COUNTED = (
    (layout.SNAP_TOKENS, ("tokens_total",)),
    (layout.SNAP_SAMPLES, ("samples_total",)),
    (layout.SNAP_NONPAD, ("nonpad_tokens_total",)),
    (layout.SNAP_LOSS, ("loss",)),
    (layout.SNAP_ALLOCATOR, ("allocated_bytes", "reserved_bytes")),
    (layout.SNAP_PROBE, ("probed_steps_total",)),
)


def reasons(
    states: Iterable[RunState], ranks: Collection[Rank], before: Mapping[MissingKey, Missing]
) -> Mapping[MissingKey, Missing]:
    """Of each training without an agent and a log that it has none, of each other what none of its processes counts.

    The same object as ``before`` where nothing has changed.
    """
    known: dict[Key, int] = {}
    for rank in ranks:
        if rank.counters is not None and rank.counters.steps:
            known[rank.root] = known.get(rank.root, 0) | rank.counters.known
    found: dict[MissingKey, Missing] = {}
    for state in states:
        if state.over:
            continue
        entity = f"{state.key[0]}:{state.key[1]}:0"
        if state.key in known:
            for flag, names in _COUNTED:
                if not known[state.key] & flag:
                    found |= {("workload", entity, name): Missing.NOT_SUPPORTED for name in names}
        elif not state.told and not state.awaited:
            found |= {("workload", entity, name): Missing.NOT_ATTACHED for name in _NO_AGENT}
    return before if found == before else found
