"""What a reader must know before the figures, in sentences; and what the words of a report mean."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from gpuwatch.format import covered, gpu_hours
from gpuwatch.names import Bucket
from gpuwatch.store.period import PeriodHost
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.types import Ledger, Quality, ReportSpan

_WHY = {
    "off": "the recorder was off",
    "crash": "the recorder had crashed",
    "stall": "the collector stalled",
    "suspend": "the host was suspended",
    "clock": "the clock was changed",
    "driver": "the driver did not answer",
    "no_signal": "the driver does not tell whether they worked",
    "unknown": "nothing says why",
}

_NO_ROWS = "the log has no rows then"
"""What ``off`` is of a past log: it has no recorder."""

_TOLD_MS = 180_000
"""Unobserved time that is told in a note: what shows as 0.1 GPU-hours, and at least 0.05 %."""

_LATE_MS = 120_000

DEFINITIONS: Mapping[str, str] = {
    "capacity": "time x GPUs from when each was first seen; a MIG instance counts as its share of the board",
    "observed": "time for which there are rows; what is not observed is neither idle nor busy",
    "allocated": "somebody holds the GPU: a compute process is seen, or more memory is in use than the driver's own",
    "held idle": "held and quiet (utilization under 5\xa0%, SM activity under 2\xa0%) for five minutes or more, counted from the start",
    "unused": "allocated, and nothing of the holder's has ever run on it",
    "free": "nobody holds the GPU",
    "idle ?": "quiet, and whether anybody holds the GPU cannot be known",
    "idle": "held idle + unused + free + idle ?",
    "wait": "held and not busy, less than five minutes at a time",
    "lost": "throttled, done again, or overhead",
    "throttled": "of busy time with lowered clocks the part that they cost; the column throttled h counts all of that time",
    "busy, quality unknown": "busy, and no signal says how well the GPU was filled",
    "efficiency": "allocation x running x fill: effective of observed GPU time; a range where fill is not measured",
    "utilization": "share of time in which at least one kernel was resident, over the time in which it was measured",
    "energy": "of observed time, by the energy counter where there is one, else power x time",
}


def when(ms: int, tz: tzinfo | None) -> str:
    """``2026-11-09 14:00``."""
    return datetime.fromtimestamp(ms / 1000, tz).strftime("%Y-%m-%d %H:%M")


def notes(
    parts: Sequence[HostPart], others: Sequence[PeriodHost], span: ReportSpan, whole: Ledger, found: Quality, tz: tzinfo | None
) -> tuple[str, ...]:
    """Most important first. ``others`` are hosts that have nothing in the span."""
    out = [*_nothing(parts, others, span, tz), *_later(parts, span, tz)]
    if whole.capacity_gpu_ms and not whole.observed_gpu_ms:
        out.append("Nothing was observed in this span.")
    missed = whole.buckets_gpu_ms[Bucket.UNOBSERVED]
    if missed >= _TOLD_MS and missed * 2000 >= whole.capacity_gpu_ms:
        whys = {**_WHY, "off": _NO_ROWS} if all(part.host.imported for part in parts) else _WHY
        reasons = [f"{whys[word]} ({gpu_hours(ms)})" for word, ms in found.unobserved_gpu_ms.items() if ms >= 180_000]
        why = f": {', '.join(reasons)}" if reasons else ""
        share = covered(missed / whole.capacity_gpu_ms, 1)
        out.append(f"{gpu_hours(missed)} of {gpu_hours(whole.capacity_gpu_ms)} GPU-hours ({share}) were not observed{why}.")
    if parts and all(part.host.imported for part in parts):
        out.append("All of this comes from imported logs: whatever they do not hold, such as users, is not known.")
    elif any(part.host.imported for part in parts):
        names = ", ".join(part.host.name for part in parts if part.host.imported)
        out.append(f"Imported logs, with what they hold: {names}.")
    if found.provisional_gpu_ms:
        out.append("The last 16 minutes of the recording are provisional: a quiet run that goes on may still be named held idle.")
    return tuple(out)


def _nothing(parts: Sequence[HostPart], others: Sequence[PeriodHost], span: ReportSpan, tz: tzinfo | None) -> list[str]:
    out = []
    fresh = [
        host.name for host in others if host.fresh and span.asked_start_ms <= host.last_ms and host.first_ms < span.asked_end_ms
    ]
    if fresh:
        out.append(f"No whole minute of {', '.join(fresh)} is stored yet; single rows are in gpuwatch status.")
    elif span.asked_start_ms >= span.made_ms:
        out.append(f"The span begins in the future: it is {when(span.made_ms, tz)} now.")
    elif not parts:
        out.append(f"Nothing was recorded from {when(span.asked_start_ms, tz)} to {when(span.asked_end_ms, tz)}.")
    for host in others:
        if host.name in fresh:
            continue
        end_ms = max(host.last_ms, host.first_ms)
        since, until = when(host.first_ms, tz).replace(" ", "T"), when(end_ms + 59_999, tz).replace(" ", "T")
        asked = f"--host {shlex.quote(host.name)} --since {since} --until {until}"
        told = f"{when(host.first_ms, tz)} to {when(end_ms, tz)}: ask for that with {asked}"
        out.append(f"The imported log of {host.name} covers {told}" if host.imported else f"{host.name} was recorded from {told}")
    for part in parts:
        if not part.gpus:
            out.append(f"No GPU was seen on {part.host.name}.")
    return out


def _later(parts: Sequence[HostPart], span: ReportSpan, tz: tzinfo | None) -> list[str]:
    out = []
    for part in parts:
        first, last = part.span_s[0] * 1000, part.span_s[1] * 1000
        late = first - span.asked_start_ms >= _LATE_MS
        if part.host.imported and (late or span.asked_end_ms - last >= _LATE_MS):
            told = f"{when(part.host.first_ms, tz)} to {when(part.host.last_ms, tz)}"
            out.append(f"The imported log of {part.host.name} covers {told}: nothing before or after is counted.")
        elif late:
            of = f" of {part.host.name}" if len(parts) > 1 else ""
            out.append(f"The recording{of} begins at {when(first, tz)}: what was before is not counted.")
    return out
