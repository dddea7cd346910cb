"""Sentences for the user about what is not as it should be: one line each, with what to try, most important first."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.format import duration
from gpuwatch.view.types import RecordingView, SourceView

DRIVERS = ("nvml", "simulated")
"""Collectors that find GPUs."""


def notices(
    recording: RecordingView,
    sources: Sequence[SourceView],
    *,
    has_gpu: bool,
    now_ms: int,
    sampled: bool = False,
    serving: bool = False,
    outdated: str = "",
    imported: str = "",
) -> tuple[str, ...]:
    """What to tell beside the numbers; empty when all is well.

    ``sampled``: a store in memory with one sample of this host. ``serving``: there are inference servers. ``outdated``: the store is of an older version.
    ``imported``: the name of the host that is shown, where the store has imported ones alone.
    """
    out = [sentence(said) for said in (recording.read_only_reason, outdated) if said]
    if not has_gpu:
        out.append(_no_gpu(sources))
    if sampled:
        rates = ", and rates of servers take two" if serving else ""
        out.append(f"This is one sample{rates}: nobody records on this host. Start with: gpuwatch record")
    elif imported:
        out.append(f"This store holds imported history only. See it with: gpuwatch report --host {imported} --since DATE")
    elif not recording.live and not recording.simulated:
        out.append(_not_recording(recording, now_ms))
    for source in sources:
        if source.state in ("error", "stalled") and (has_gpu or source.name not in DRIVERS):
            out.append(_trouble(source))
    return tuple(out)


def _no_gpu(sources: Sequence[SourceView]) -> str:
    for source in sources:
        if source.name in DRIVERS and (source.detail or source.hint):
            return _joined(f"No GPU: {source.detail or 'the driver does not answer'}", source.hint)
    return _joined("No GPU was found on this host", "gpuwatch doctor")


def _not_recording(recording: RecordingView, now_ms: int) -> str:
    if recording.last_tick_ms is None:
        return "Nothing is recorded yet. Start with: gpuwatch record"
    ago = duration((now_ms - recording.last_tick_ms) / 1000)
    if recording.pid is not None:
        return f"The recorder (pid {recording.pid}) has written nothing for {ago}. See: gpuwatch doctor"
    return f"Nobody records: the newest sample is {ago} old. Start with: gpuwatch record"


def _trouble(source: SourceView) -> str:
    if source.state == "stalled" and source.age_seconds is not None:
        return _joined(f"{source.name}: no answer for {duration(source.age_seconds)}", source.hint)
    return _joined(f"{source.name}: {source.detail or 'does not answer'}", source.hint)


def _joined(fact: str, hint: str) -> str:
    return sentence(fact) + (f" Try: {hint}" if hint else "")


def sentence(text: str) -> str:
    """The text with one full stop at its end."""
    return text.rstrip(". ") + "."
