"""The findings of a span: what each cost within it, by its minutes, and what came of those that cleared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpuwatch.names import Basis, Severity
from gpuwatch.rules.document import finding_of
from gpuwatch.rules.mutes import fits
from gpuwatch.store import findings as stored
from gpuwatch.store.findings import MuteRow
from gpuwatch.store.window import Window
from gpuwatch.view.findings import FRESH_MS, gpu_ids
from gpuwatch.view.period.finding_row import Advice, FindingRow, NotEvaluatedRow
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.waste import DAY_MS


def advice(parts: Iterable[HostPart], now_ms: int) -> Advice:
    """What rules say of the spans of these hosts, the costliest first."""
    found: list[FindingRow] = []
    missed: list[NotEvaluatedRow] = []
    rules: dict[str, bool] = {}
    judged = False
    for part in parts:
        window, host_id = part.window, part.host.host_id
        if not stored.knows_findings(window):
            continue
        start_ms, end_ms = part.start_s * 1000, part.end_s * 1000
        said = stored.said(window, host_id)
        rows = stored.touching(window, start_ms, end_ms, host_id)
        judged = judged or bool(rows) or (said is not None and said.t_ms >= start_ms)
        mutes = stored.mutes(window, host_id) if rows else []
        found += [_row(window, row, part.host.name, part.gpus, (start_ms, end_ms), mutes) for row in rows]
        if said is not None and now_ms - said.t_ms <= FRESH_MS and now_ms - end_ms <= DAY_MS:
            missed += [NotEvaluatedRow(part.host.name, *each) for each in said.missed]
            for rule, word in said.rules.items():
                rules[rule] = rules.get(rule, False) or word == "not_evaluated"
    found.sort(key=lambda row: (-(row.cost_gpu_ms or -1), -row.severity, row.since_ms, row.finding_id))
    return Advice(tuple(found), tuple(missed), len(rules), sum(rules.values()), judged)


def _row(
    window: Window,
    row: stored.FindingRow,
    host: str,
    gpus: Mapping[int, Mapping[str, Any]],
    span: tuple[int, int],
    mutes: Iterable[MuteRow],
) -> FindingRow:
    told = finding_of(row.detail)
    ended_ms = row.ended_ms if row.ended_ms is not None and row.ended_ms <= span[1] else None
    measured = ended_ms is not None and bool(row.effect) and row.saved_gpu_ms_day is not None
    places = sorted({(host, int(gpus[i]["gpu_index"])) for i in gpu_ids(row, told) if i in gpus})
    muted = any(mute.holds(span[1]) and fits(mute.mute, row.rule, row.subject, row.command) for mute in mutes)
    return FindingRow(
        host=host,
        finding_id=row.finding_id,
        rule=row.rule,
        name=told.name if told else row.rule.replace("-", " "),
        severity=Severity(row.severity),
        basis=Basis(row.basis) if row.basis else Basis.INFERRED,
        state=("resolved" if measured else "ended") if ended_ms is not None else "muted" if muted else "open",
        title=row.title,
        user=row.user,
        command=row.command,
        gpus=tuple(places),
        since_ms=row.started_ms,
        ended_ms=ended_ms,
        cost_gpu_ms=cost_within(window, row, *span),
        total_cost_gpu_ms=row.cost_gpu_ms,
        evidence=row.evidence,
        advice=row.advice,
        gain=told.gain if told else "",
        effect=row.effect if ended_ms is not None else "",
        before_ratio=None if row.before_pm is None or ended_ms is None else row.before_pm / 1000,
        after_ratio=None if row.after_pm is None or not measured else row.after_pm / 1000,
        saved_gpus=row.saved_gpu_ms_day / DAY_MS if measured and row.saved_gpu_ms_day is not None else None,
    )


def cost_within(window: Window, row: stored.FindingRow, start_ms: int, end_ms: int) -> int | None:
    """GPU milliseconds that a finding cost in ``[start_ms, end_ms)``: what it had cost by the end less what it had by the start.

    Before it was told, and where its minutes are no longer kept, its cost has grown evenly.
    """
    if row.cost_gpu_ms is None:
        return None
    return max(0, _cost_by(window, row, end_ms) - _cost_by(window, row, start_ms))


def _cost_by(window: Window, row: stored.FindingRow, at_ms: int) -> int:
    whole, last_ms = row.cost_gpu_ms or 0, row.ended_ms or row.last_ms
    if at_ms <= row.started_ms:
        return 0
    if at_ms >= last_ms:
        return whole
    minute = stored.minute_at(window, row.finding_id, at_ms)
    if minute is not None and minute.cost_gpu_ms is not None:
        return minute.cost_gpu_ms
    first = stored.first_minute(window, row.finding_id)
    if (
        first is not None
        and (told := stored.minute_at(window, row.finding_id, first * 1000)) is not None
        and told.cost_gpu_ms is not None
    ):
        whole, last_ms = told.cost_gpu_ms, first * 1000
    return round(whole * min(1.0, (at_ms - row.started_ms) / max(1, last_ms - row.started_ms)))
