"""Sums per cell and label out of columns: what :mod:`gpuwatch.view.coarse` asks SQLite for, where rows do not lie in its tables."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from gpuwatch.ledger.types import HOLD_MS, UNUSED_MS
from gpuwatch.names import Context, State
from gpuwatch.view.track import THROTTLED_BELOW_PM

LONG_ROW_MS = 5000
"""Rows from this length on reach over cells and are told one by one."""
Columns = Mapping[str, Sequence[Any]]
Sum = tuple[Any, ...]
"""gpu_id, cell, begin, end, state, start of the quiet run, whether its holder is unknown and another GPU of the job worked, three sums."""
_WAITING, _THROTTLED, _BUSY, _QUIET = int(State.WAITING), int(State.THROTTLED), int(State.BUSY), int(State.QUIET)
_HELD, _IDLE, _FREE = int(State.HELD_IDLE), int(State.IDLE_UNATTRIBUTED), int(State.FREE)
_UNAVAILABLE, _NO_DATA, _UNUSED = int(State.UNAVAILABLE), int(State.NO_DATA), int(State.UNUSED)


def sums(gpus: Mapping[int, Columns], cell_ms: int) -> tuple[list[Sum], list[Sum]]:
    """Per GPU, cell, state and quiet run: milliseconds, height x milliseconds and milliseconds with a height; and the long rows."""
    short: list[Sum] = []
    slow: list[Sum] = []
    for gpu_id, columns in gpus.items():
        times, lengths = columns["ts_ms"], columns["dt_ms"]
        keys, heights = _labels(columns), first_known(columns["sm_active_pm"], columns["utilization_pm"])
        if lengths and (min(lengths) < 1 or max(lengths) >= LONG_ROW_MS):
            rows = list(zip(times, lengths, keys, heights, strict=True))
            slow += [_long(gpu_id, *row) for row in rows if row[1] >= LONG_ROW_MS]
            rows = [row for row in rows if 0 < row[1] < LONG_ROW_MS]
            times, lengths, keys, heights = zip(*rows, strict=True) if rows else ((), (), (), ())
        at = 0
        while at < len(times):
            cell = (times[at] - 1) // cell_ms
            end = bisect_right(times, (cell + 1) * cell_ms, at)
            for key, ms, height, height_ms in _cell(lengths[at:end], keys[at:end], heights[at:end]):
                short.append((gpu_id, cell, cell * cell_ms, times[end - 1], *key, ms, height, height_ms))
            at = end
    return short, slow


def _long(gpu_id: int, ts: int, dt: int, key: Sum, height: int | None) -> Sum:
    return (gpu_id, 0, ts - dt, ts, *key, dt, None if height is None else height * dt, None if height is None else dt)


def _cell(lengths: Sequence[int], keys: Sequence[Sum], heights: Sequence[int | None]) -> list[tuple[Sum, int, int, int]]:
    """The sums of one cell by key."""
    found = set(keys)
    if len(found) == 1 and None not in heights:
        ms = sum(lengths)
        return [(keys[0], ms, sum(map(int.__mul__, heights, lengths)), ms)]  # type: ignore[arg-type]
    out: dict[Sum, list[int]] = {key: [0, 0, 0] for key in found}
    for key, ms, height in zip(keys, lengths, heights, strict=True):
        total = out[key]
        total[0] += ms
        if height is not None:
            total[1] += height * ms
            total[2] += ms
    if any(key[2] for key in found):  # a run is of an unknown holder if that is so in any of its rows
        for key in [key for key in found if key[2]]:
            for part, amount in enumerate(out.pop((*key[:2], 0, key[3]), ())):
                out[key][part] += amount
    return [(key, *total) for key, total in out.items()]  # type: ignore[misc]


def first_known(first: Sequence[int | None], *others: Sequence[int | None]) -> Sequence[int | None]:
    """In each row the first value that there is, as SQL's ``coalesce``."""
    for other in others:
        if None not in first:
            return first
        first = [b if a is None else a for a, b in zip(first, other, strict=True)]
    return first


def _labels(columns: Columns) -> Sequence[Sum]:
    """(state, start of the quiet run, holder unknown, beside work) of each row, as ``coarse._STATE`` and the columns after it."""
    quiet, contexts = columns["quiet"], columns["context"]
    busy = first_known(columns["graphics_active_pm"], columns["utilization_pm"], columns["sm_active_pm"])
    names = _busy(busy, columns["kappa_pm"])
    blind = [context is None for context in contexts] if None in contexts else None
    rows = len(names)
    if quiet.count(0) == rows and not any(columns["unavailable"]):
        plain = {state: (state, None, 0, 0) for state in (_WAITING, _THROTTLED, _BUSY)}
        if blind is None:
            return [plain[name] for name in names]
        return list(zip(names, repeat(None), map(int, blind), repeat(0), strict=False))
    facts = (quiet, contexts, columns["quiet_ms"], columns["unavailable"], columns["ts_ms"], columns["sibling"])
    return [_label(name, *known) for name, *known in zip(names, *facts, strict=True)]


def _busy(busy: Sequence[int | None], kappa: Sequence[int]) -> list[int]:
    """What each row is called if it is active."""
    if min(kappa, default=1000) >= THROTTLED_BELOW_PM:
        return [_WAITING if value is not None and value < 500 else _BUSY for value in busy]
    return [
        _WAITING if value is not None and value < 500 else _THROTTLED if clock < THROTTLED_BELOW_PM else _BUSY
        for value, clock in zip(busy, kappa, strict=True)
    ]


def _label(
    active: int, quiet: int | None, context: int | None, quiet_ms: int, unavailable: int, ts: int, sibling: int | None
) -> Sum:
    state = active
    if unavailable:
        state = _UNAVAILABLE
    elif quiet and sibling and quiet_ms >= UNUSED_MS:
        state = _UNUSED
    elif context == Context.NONE and quiet != 0:
        state = _FREE
    elif quiet is None:
        state = _NO_DATA
    elif quiet:
        state = _QUIET if quiet_ms < HOLD_MS else _IDLE if context is None else _HELD
    beside = int(bool(quiet and sibling and context != Context.NONE and not unavailable))
    return state, ts - quiet_ms if quiet else None, int(context is None), beside


def long_runs(gpus: Mapping[int, Columns]) -> dict[tuple[int, int], int]:
    """Quiet runs that reached five minutes, by GPU and where they began, and how long they became."""
    out: dict[tuple[int, int], int] = {}
    for gpu_id, columns in gpus.items():
        if max(columns["quiet_ms"], default=0) >= HOLD_MS:
            for ts, quiet_ms, quiet in zip(columns["ts_ms"], columns["quiet_ms"], columns["quiet"], strict=True):
                if quiet and quiet_ms >= HOLD_MS:
                    run = gpu_id, ts - quiet_ms
                    out[run] = max(out.get(run, 0), quiet_ms)
    return out
