"""``build_view(window, at)``: the one read model, by the same code for now and for any instant that is kept.

It is deterministic (everything about time is passed in) and cheap when called again on a growing store: only new rows are read.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from gpuwatch.format import duration
from gpuwatch.names import GapReason, Severity
from gpuwatch.store.facts import Recording
from gpuwatch.store.window import Window
from gpuwatch.view import entities, holdings
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.ledger import LedgerSums
from gpuwatch.view.live import Rows, rows_at, span_ms
from gpuwatch.view.notices import notices
from gpuwatch.view.terms import Terms
from gpuwatch.view.types import EventView, RecordingView, SourceView, SpanView, View
from gpuwatch.view.workloads import workload_views

if TYPE_CHECKING:
    from gpuwatch.store.findings import FindingRow

LAG_MS = 13_000
"""A recorder that nobody watches commits every 10 s: its newest row may be so old while it is alive."""
WATCHED_LAG_MS = 3_000


def build_view(
    window: Window,
    at_ms: int | None = None,
    *,
    now_ms: int,
    tz: tzinfo | None = None,
    cells: int = 45,
    cell_seconds: int = 20,
    holder_pid: int | None = None,
    lag_ms: int = LAG_MS,
    reason: str = "",
    terms: Terms | None = None,
) -> View:
    """Everything that is known at ``at_ms`` (unix milliseconds; ``None``: the end of the recording, or now if it has stopped).

    Args:
        window: the store to read.
        now_ms: the present, for ages; ``at_ms`` may be long before it.
        tz: whose midnight "today" starts at; ``None`` is the system's zone.
        cells, cell_seconds: the strips: so many cells of so many seconds, the last one running.
        holder_pid: pid of the recorder that holds the lease; ``None`` when nobody does.
        lag_ms: how old the newest row of a live recorder may be (``WATCHED_LAG_MS`` once it knows that somebody watches).
        reason: why the recording is not what it should be (in memory, a side file), in one line.
        terms: limits of waiting times and prices, from the configuration; ``None``: the limits by default, and no prices.

    Raises:
        StoreError: the store cannot be read.
    """
    terms = terms or Terms()
    with window.reading():
        recording = _recording(window, window.recording(), now_ms, holder_pid, lag_ms, reason)
        if at_ms is None:
            return _build(window, None, now_ms, tz, cells, cell_seconds, recording, lag_ms, terms)
        back_ms = span_ms(window, at_ms, live=False, cell_ms=cell_seconds * 1000, cells=cells)
        with _uncollected():
            past = window.over(at_ms, back_ms)
            with past.reading():
                return _build(past, at_ms, now_ms, tz, cells, cell_seconds, recording, lag_ms, terms)


@contextmanager
def _uncollected() -> Iterator[None]:
    """A jump makes tens of thousands of objects and no garbage: looking for it meanwhile is an eighth of the work."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _build(
    window: Window,
    at_ms: int | None,
    now_ms: int,
    tz: tzinfo | None,
    cells: int,
    cell_seconds: int,
    recording: RecordingView,
    lag_ms: int,
    terms: Terms,
) -> View:
    live = at_ms is None
    if at_ms is None:
        at_ms = _end(recording, now_ms, lag_ms)
    rows = rows_at(window, at_ms, live=live, cell_ms=cell_seconds * 1000, cells=cells)
    gpu_ids = rows.present()
    sums = LedgerSums(window, rows, gpu_ids, at_ms, recording.first_ms)
    waste, waste_span_ms = sums.waste_now()
    stale_ms = round(3000 * max(1.0, recording.interval_seconds))
    missing = entities.reasons(window, at_ms, live=live)
    moment = entities.Moment(window, rows, at_ms, now_ms if live else at_ms, stale_ms, missing, waste, waste_span_ms)
    gpus, states = entities.gpu_views(moment, gpu_ids, cells)
    sources = _sources(window, now_ms) if live else ()
    ledger = sums.last_minutes() if sums.gpu_ids else None
    workloads = workload_views(moment, round(recording.interval_seconds * 1000), terms, live=live)
    serving = any(work.inference is not None for work in workloads)
    return View(
        at_ms=at_ms,
        now_ms=now_ms,
        host=entities.host_view(moment),
        recording=recording,
        span=ledger.span if ledger else SpanView(at_ms - cells * cell_seconds * 1000, at_ms, None),
        gpus=gpus,
        processes=entities.process_views(moment, states),
        workloads=workloads,
        ledger=ledger,
        today=sums.since(midnight_ms(at_ms, tz)) if sums.gpu_ids else None,
        waste_now_gpus=sums.waste_gpus(waste, waste_span_ms) if sums.gpu_ids and waste_span_ms else None,
        findings=_findings(moment, terms, live=live),
        events=_events(window, at_ms, rows.gpus),
        sources=sources,
        notices=_notices(window, recording, sources, bool(gpus), serving, now_ms) if live else _why_empty(window, rows, at_ms),
        past=not live,
    )


def _findings(moment: entities.Moment, terms: Terms, *, live: bool) -> tuple[FindingView, ...]:
    """Those that are open and not muted. A store without any loads nothing for them."""
    window = moment.window
    if not window.memo.get("has_findings"):
        if not window.rows("SELECT 1 FROM finding LIMIT 1", ()):
            return ()
        window.memo["has_findings"] = True
    from gpuwatch.view.findings import findings_at

    def pids(row: FindingRow, gpu_ids: Sequence[int]) -> tuple[int, ...]:
        root = (row.root_pid, row.root_start_ms) if row.root_pid else (-1, row.proc_id)
        return holdings.pids(window, moment.rows, root, gpu_ids)

    found = findings_at(window, moment.at_ms, live=live, prices=terms.prices, pids=pids)
    return tuple(finding for finding in found if not finding.muted)


def _why_empty(window: Window, rows: Rows, at_ms: int) -> tuple[str, ...]:
    """Why there is nothing to show of an instant: other tiers know whether it was recorded."""
    if rows.last_tick:
        return ()
    gap = next((gap for gap in window.gaps(at_ms - 1, at_ms + 1) if not gap[0]), None)
    if gap is not None:
        return (
            f"Nothing was recorded then: {GapReason(gap[3]).label.replace('_', ' ')}, for {duration((gap[2] - gap[1]) / 1000)}.",
        )
    own, at_s = "AND gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id=?) LIMIT 1", at_ms // 1000
    minute = window.rows(f"SELECT 1 FROM gpu_minute WHERE t=? {own}", (at_s // 60 * 60, window.host_id))
    if minute or window.rows(f"SELECT 1 FROM gpu_hour WHERE t>? AND t<=? {own}", (at_s - 3600, at_s, window.host_id)):
        return ("The seconds of that time are no longer kept, only sums: gpuwatch report tells them.",)
    return ("Nothing was recorded then.",)


def _notices(
    window: Window, recording: RecordingView, sources: tuple[SourceView, ...], has_gpu: bool, serving: bool, now_ms: int
) -> tuple[str, ...]:
    sampled = window.path is None
    imported = window.host() if window.host_id < 0 else None  # the ids of past logs' hosts are negative
    return notices(
        recording,
        sources,
        has_gpu=has_gpu,
        now_ms=now_ms,
        sampled=sampled,
        serving=serving,
        outdated=window.outdated(),
        imported=imported["hostname"] if imported else "",
    )


def _end(recording: RecordingView, now_ms: int, lag_ms: int) -> int:
    """The newest instant of which all is known: the last tick, or now when the recording has stopped."""
    last_ms = recording.last_tick_ms
    if last_ms is None:
        return now_ms
    fresh = recording.simulated and now_ms - last_ms <= lag_ms
    return last_ms if recording.live or fresh or last_ms > now_ms else now_ms


def midnight_ms(at_ms: int, tz: tzinfo | None) -> int:
    """Unix milliseconds of the local midnight before ``at_ms`` (``None``: the system's zone)."""
    moment = datetime.fromtimestamp(at_ms / 1000, tz)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    midnight = round(start.timestamp() * 1000)
    if midnight > at_ms:  # a zone that skipped its midnight
        midnight = round((start - timedelta(hours=1)).timestamp() * 1000)
    return midnight


def _recording(
    window: Window, past: Recording | None, now_ms: int, holder_pid: int | None, lag_ms: int, reason: str
) -> RecordingView:
    if past is None:
        log = window.host() if window.host_id < 0 else None  # past logs have no session
        first_ms, last_ms = (log["first_ms"], log["last_ms"]) if log else (None, None)
        return RecordingView(False, holder_pid, last_ms, first_ms, 1.0, False, "", reason, imported=log is not None)
    newest = window.last_tick()
    last_ms = newest[1] if newest else None
    live = holder_pid is not None and last_ms is not None and now_ms - last_ms <= max(lag_ms, 3 * past.period_ms)
    return RecordingView(
        live=live,
        pid=holder_pid,
        last_tick_ms=last_ms,
        first_ms=past.first_ms,
        interval_seconds=past.period_ms / 1000,
        simulated=past.simulated,
        scenario=past.scenario,
        read_only_reason=reason,
    )


def _sources(window: Window, now_ms: int) -> tuple[SourceView, ...]:
    return tuple(
        SourceView(name, state, None if ok is None else max(0.0, (now_ms - ok) / 1000), detail, hint)
        for name, state, ok, detail, hint, _ in window.sources()
    )


def _events(window: Window, at_ms: int, gpus: Mapping[int, Mapping[str, Any]]) -> tuple[EventView, ...]:
    return tuple(
        EventView(ts, kind, Severity(severity), detail, gpus[gpu]["gpu_index"] if gpu is not None and gpu in gpus else None, pid)
        for ts, kind, severity, detail, gpu, pid in window.events(at_ms)
    )
