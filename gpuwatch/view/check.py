"""Verdicts of commands: from the findings that a recorder stored, or by judging the rows that are kept once more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpuwatch.dataclass import replace
from gpuwatch.errors import GpuwatchError
from gpuwatch.names import Severity
from gpuwatch.prices import Prices
from gpuwatch.rules.document import said_of, said_text
from gpuwatch.rules.mutes import fits
from gpuwatch.rules.types import OpenFinding
from gpuwatch.store import connection
from gpuwatch.store import findings as stored
from gpuwatch.store.findings import FindingRow
from gpuwatch.store.window import Window
from gpuwatch.view.check_types import CheckView
from gpuwatch.view.finding_types import FindingView, WasteView
from gpuwatch.view.findings import FRESH_MS, finding_view, findings_at, parsed_text, ranked
from gpuwatch.view.types import View
from gpuwatch.view.waste import judged, resolved

if TYPE_CHECKING:
    from gpuwatch.store.replay_rules import Terms

NOW_MS = 600_000
"""To judge now from rows alone, so much is judged, after the hour before was looked at: what holds now is told within it."""


def check_view(
    window: Window,
    *,
    now_ms: int,
    start_ms: int | None,
    fail_on: Severity,
    prices: Prices,
    terms: Callable[[], Terms],
    other: Callable[[], Terms] | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
    again: bool = False,
) -> CheckView:
    """What is found at the end of a recording, or was at some time since ``start_ms``.

    Args:
        window: the store.
        now_ms: the present, unix milliseconds.
        start_ms: start of the span; ``None``: now alone.
        fail_on: the least severity that fails.
        prices: for money.
        terms: makes the rules and limits in force, where rows are judged: what is stored needs no rules to be loaded.
        other: makes those with other limits; then rows are judged by both.
        limits: what is other in them, to be told.
        again: judge rows although findings are stored.

    Raises:
        GpuwatchError: nothing was recorded in the span, or the store is too old to be judged, or damaged.
    """
    host, last_ms = window.host(), _last_ms(window)
    if host is None or last_ms is None:
        raise GpuwatchError("nothing was ever recorded in this store", "start a recorder with: gpuwatch record")
    past = window.recording()
    made = CheckView(host["hostname"], now_ms, now_ms, fail_on, (), simulated=bool(past and past.simulated))
    said = stored.said(window) if stored.knows_findings(window) else None
    if start_ms is None and other is None:
        if now_ms - last_ms > FRESH_MS and not made.simulated:
            raise GpuwatchError(
                "nobody records on this host: nothing can be judged now",
                "gpuwatch record, or judge what was recorded: gpuwatch check --since 24h",
            )
        if said is not None and last_ms - said.t_ms <= FRESH_MS and not again:
            return _now(window, made, last_ms, prices)
    begin_ms = last_ms - NOW_MS if start_ms is None else start_ms
    if begin_ms >= last_ms:
        raise GpuwatchError("nothing was recorded in that span", "name an earlier start, as in: gpuwatch check --since 7d")
    made = replace(made, start_ms=begin_ms, end_ms=max(now_ms, last_ms))
    if said is not None and not again and other is None:
        return _stored(window, made, prices)
    found, muted, ended = _replayed(window, begin_ms, last_ms, terms(), prices)
    if other is None:
        if start_ms is None:
            found = tuple(one for one in found if one.finding_id not in ended)
            made = replace(made, start_ms=made.end_ms)
        return replace(made, findings=found, muted=muted, ended=ended, replayed=True)
    tried, muted, ended = _replayed(window, begin_ms, last_ms, other(), prices)
    return replace(made, findings=tried, muted=muted, ended=ended, replayed=True, before=found, limits=dict(limits or {}))


def _last_ms(window: Window) -> int | None:
    """The end of what is recorded; None: nothing is."""
    newest = window.last_tick()
    if newest is not None:
        return newest[1]
    host = window.host()
    return int(host["last_ms"]) if host else None


def _now(window: Window, made: CheckView, at_ms: int, prices: Prices) -> CheckView:
    found = findings_at(window, at_ms, live=True, prices=prices)
    told = tuple(one for one in found if not one.muted)
    return replace(made, start_ms=at_ms, end_ms=at_ms, findings=told, muted=len(found) - len(told))


def _stored(window: Window, made: CheckView, prices: Prices) -> CheckView:
    gpus, mutes = window.gpus(), stored.mutes(window)
    found, ended, muted = [], {}, 0
    for row in stored.touching(window, made.start_ms, made.end_ms):
        last = made.end_ms if row.ended_ms is None else min(made.end_ms, row.ended_ms)
        if any(mute.holds(last) and fits(mute.mute, row.rule, row.subject, row.command) for mute in mutes):
            muted += 1
            continue
        found.append(finding_view(row, parsed_text(row), gpus, prices, at_ms=last))
        if row.ended_ms is not None:
            ended[row.finding_id] = row.ended_ms
    return replace(made, findings=ranked(found), ended=ended, muted=muted)


def _replayed(
    window: Window, start_ms: int, end_ms: int, terms: Terms, prices: Prices
) -> tuple[tuple[FindingView, ...], int, dict[int, int]]:
    """Findings, how many more are muted, and when findings cleared. Ids are those of this answer alone."""
    from gpuwatch.store.replay_rules import findings as replayed

    found, ended, muted = [], {}, 0
    with _explained(window):
        told = replayed(window.connection, window.host_id, start_ms, end_ms, terms)
    for number, one in enumerate(told, 1):
        if one.muted:
            muted += 1
            continue
        found.append(_view(window, one, number, prices, one.ended_ms or end_ms))
        if one.ended_ms is not None:
            ended[number] = one.ended_ms
    return ranked(found), muted, ended


@contextmanager
def _explained(window: Window) -> Iterator[None]:
    """Rows are read without the window: what fails there is told in one line all the same."""
    try:
        yield
    except sqlite3.Error as error:
        raise connection.explain(error, window.path or ":memory:") from error


def _view(window: Window, one: OpenFinding, number: int, prices: Prices, at_ms: int) -> FindingView:
    return finding_view(_row(window, one, number), one.finding, window.gpus(), prices, at_ms=at_ms)


def _row(window: Window, one: OpenFinding, number: int) -> FindingRow:
    """As it would stand in the store."""
    from gpuwatch.store.finding_rows import evidence_line

    finding = one.finding
    who = window.identities([one.proc_id]).get(one.proc_id) if one.proc_id else None
    values: dict[str, Any] = {
        **dict.fromkeys(FindingRow._fields),
        "finding_id": number,
        "rule": one.rule,
        "gpu_id": finding.gpus[0] if finding.gpus else 0,
        "workload_id": one.workload_id,
        "started_ms": one.started_ms,
        "last_ms": one.last_ms,
        "ended_ms": one.ended_ms,
        "severity": int(finding.severity),
        "title": finding.title,
        "evidence": evidence_line(finding),
        "advice": finding.try_first[0] if finding.try_first else "",
        "cost_gpu_ms": None if finding.waste_gpus is None else round(one.cost_gpu_seconds * 1000),
        "subject": one.subject,
        "gpus": "",
        "command": one.command,
        "detail": "",
        "effect": "",
        "sql": finding.sql,
        "basis": int(finding.basis),
        "waste_pm": None if finding.waste_gpus is None else round(finding.waste_gpus * 1000),
        "proc_id": one.proc_id,
        "pid": who.pid if who else 0,
        "user": who.user if who else "",
        "workload": "",
        "root_pid": 0,
        "root_start_ms": 0,
    }
    return FindingRow(**values)


def tried(terms: Terms, limits: Mapping[str, float]) -> Terms:
    """The same rules under other limits."""
    return replace(terms, limits={**terms.limits, **limits})


def judged_waste(window: Window, view: View, terms: Terms, prices: Prices, resolved_ms: int) -> WasteView:
    """What a Waste screen shows, judged from the rows that are kept, where no recorder has done so; nothing is written."""
    from gpuwatch.store.looks import looks
    from gpuwatch.store.replay_rules import WARM_MS

    at_ms, db, host_id = view.at_ms, window.connection, window.host_id
    engine, facts = terms.engine(), terms.facts(db, host_id)
    with _explained(window):
        for look in looks(db, host_id, at_ms - NOW_MS - WARM_MS, at_ms):
            engine.add(look, facts.facts(look), judge=look.t_ms > at_ms - NOW_MS)
    found = [_view(window, one, 0, prices, at_ms) for one in engine.open.values()]
    said = said_of(said_text(at_ms, engine.rules, engine.standings))
    return judged(ranked(found), (), resolved(window, at_ms - resolved_ms, at_ms, live=True), said)
