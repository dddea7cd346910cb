"""The findings of the rules at an instant: the same of now and of any past one. Costs and amounts are those of that minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass, field, replace
from gpuwatch.ledger.ratios import WASTE
from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.prices import SECONDS_PER_HOUR, Prices
from gpuwatch.rules.document import finding_of
from gpuwatch.rules.mutes import fits
from gpuwatch.rules.types import Finding
from gpuwatch.store import findings as stored
from gpuwatch.store.findings import FindingRow, MuteRow
from gpuwatch.store.window import Window
from gpuwatch.view.finding_types import EvidenceView, FindingView

FRESH_MS = 180_000
"""Without a tick for so long nobody judges, and what was found before is no longer known to hold."""
JOULES_PER_KWH = 3.6e6
TOLD_LATER = "(as told later)"
"""Behind words of after the instant that is shown: the store keeps the last ones alone."""

Pids = Callable[[FindingRow, Sequence[int]], tuple[int, ...]]
"""The processes that a finding is about, by its row and the GPUs (gpu_ids)."""


@dataclass(slots=True)
class _Live:
    """What the live end has read: each finding's text once, and only what is open or new again."""

    open: set[int]
    newest_id: int
    parsed: dict[int, tuple[str, Finding | None]] = field(default_factory=dict)


def findings_at(
    window: Window, at_ms: int, *, live: bool, prices: Prices | None = None, pids: Pids | None = None
) -> tuple[FindingView, ...]:
    """The findings that are open at an instant and had been told by then, muted ones too (``muted``), ranked.

    Args:
        window: the store, at its live end or over the instant.
        at_ms: unix milliseconds.
        live: whether the instant is the end of the recording.
        prices: for money; without one there is none.
        pids: names the processes; without it the one that the store names.
    """
    if not stored.knows_findings(window):
        return ()
    rows, parsed = _open(window, at_ms, live=live)
    if not rows or not _observed(window, at_ms):
        return ()
    gpus, mutes = window.gpus(), [mute for mute in stored.mutes(window) if mute.holds(at_ms)]
    found = []
    for row in rows:
        view = finding_view(row, _parsed(row, parsed), gpus, prices or Prices(), at_ms=at_ms, pids=pids)
        then = view if live else _as_of(window, view, at_ms, gpus, prices or Prices())
        if then is not None:
            found.append(replace(then, muted=True) if _muted(row, mutes) else then)
    return ranked(found)


def _open(window: Window, at_ms: int, *, live: bool) -> tuple[list[FindingRow], dict[int, tuple[str, Finding | None]]]:
    if not live:
        return stored.open_at(window, at_ms), {}
    kept: _Live | None = window.memo.get("findings")
    if kept is None or stored.newest_id(window) < kept.newest_id:
        rows = stored.open_at(window, at_ms)
        kept = window.memo["findings"] = _Live(set(), stored.newest_id(window))
    else:
        rows = stored.newer(window, kept.open, kept.newest_id)
        kept.newest_id = max(kept.newest_id, *(row.finding_id for row in rows)) if rows else kept.newest_id
        rows = [row for row in rows if row.ended_ms is None or row.ended_ms > at_ms]
    kept.open = {row.finding_id for row in rows}
    kept.parsed = {key: value for key, value in kept.parsed.items() if key in kept.open}
    return rows, kept.parsed


def _parsed(row: FindingRow, parsed: dict[int, tuple[str, Finding | None]]) -> Finding | None:
    known = parsed.get(row.finding_id)
    if known is None or known[0] != row.detail:
        known = parsed[row.finding_id] = (row.detail, finding_of(row.detail))
    return known[1]


def _observed(window: Window, at_ms: int) -> bool:
    first, last = window.tick_range(at_ms - FRESH_MS, at_ms)
    return first <= last


def _muted(row: FindingRow, mutes: Sequence[MuteRow]) -> bool:
    return any(fits(mute.mute, row.rule, row.subject, row.command) for mute in mutes)


def ranked(found: Sequence[FindingView]) -> tuple[FindingView, ...]:
    """What puts results or hardware at risk first, then by waste, severity and cost."""

    def rank(one: FindingView) -> tuple[float, ...]:
        waste = -1.0 if one.waste_gpus is None else one.waste_gpus
        return (
            -(one.severity is Severity.CRITICAL),
            -waste,
            -one.severity,
            -(one.cost_gpu_seconds or 0.0),
            one.since_ms,
            one.finding_id,
        )

    return tuple(sorted(found, key=rank))


# ------------------------------------------------------------------------------------------------------------- one row


def finding_view(
    row: FindingRow,
    told: Finding | None,
    gpus: Mapping[int, Mapping[str, Any]],
    prices: Prices,
    *,
    at_ms: int,
    pids: Pids | None = None,
) -> FindingView:
    """A row as it stands in the store. Where its text was erased, the rule's name and the numbers remain."""
    ids = gpu_ids(row, told)
    cost = None if row.cost_gpu_ms is None else row.cost_gpu_ms / 1000
    energy = None if row.cost_energy_mj is None else row.cost_energy_mj / 1000
    seen = pids(row, ids) if pids else ()
    cost_money = money(cost, energy, ids, gpus, prices, at_ms)
    texts = {}
    if told is not None:
        texts = {name: getattr(told, name) for name in ("bucket", "how", "try_first", "then", "gain", "gain_source", "wrong_if")}
        texts["how"] = _how(told)
        texts["facts"] = tuple(EvidenceView(*each) for each in told.evidence)
    return FindingView(
        rule=row.rule,
        title=row.title,
        gpu_indices=indices(ids, gpus),
        waste_gpus=None if row.waste_pm is None else row.waste_pm / 1000,
        since_ms=row.started_ms,
        evidence=row.evidence,
        advice=row.advice,
        finding_id=row.finding_id,
        name=told.name if told else row.rule.replace("-", " "),
        severity=Severity(row.severity),
        confidence=told.confidence if told else Confidence.MEDIUM,
        basis=Basis(row.basis) if row.basis else Basis.INFERRED,
        subject=row.subject,
        user=row.user,
        command=row.command,
        pids=seen or tuple(pid for pid in (row.pid or row.root_pid,) if pid),
        workload_id=row.workload_id or None,
        cost_gpu_seconds=cost,
        cost_energy_joules=energy,
        cost_money=cost_money,
        currency=prices.currency if cost_money is not None else "",
        last_ms=row.last_ms,
        sql=row.sql,
        **texts,
    )


def _how(told: Finding) -> str:
    """How the amount is computed; where the ledger books that time to no waste, that it is the finding's own."""
    if not told.waste_gpus or told.bucket is None or told.bucket in WASTE:
        return told.how
    word = told.bucket.label.replace("_", " ").replace("sm", "SM")
    how = f"{told.how.rstrip('.')}. " if told.how else ""
    return f"{how}The finding's own estimate: the ledger books this time as {word}, which is no part of its waste."


def parsed_text(row: FindingRow) -> Finding | None:
    """The whole finding behind a row; ``None`` where its text was erased."""
    return finding_of(row.detail)


def gpu_ids(row: FindingRow, told: Finding | None) -> tuple[int, ...]:
    """The GPUs of a finding."""
    return told.gpus if told and told.gpus else (row.gpu_id,) if row.gpu_id else ()


def indices(ids: Sequence[int], gpus: Mapping[int, Mapping[str, Any]]) -> tuple[int, ...]:
    """Their indices; an instance has that of its board."""
    return tuple(sorted({int(gpus[i]["gpu_index"]) for i in ids if i in gpus}))


def _as_of(
    window: Window, view: FindingView, at_ms: int, gpus: Mapping[int, Mapping[str, Any]], prices: Prices
) -> FindingView | None:
    """A finding as it stood at a past instant; ``None`` where it had not been told yet.

    Its words are those of the last time that it was told, and say so; amount and cost are those of that minute. How much energy it
    had cost by then is not kept.
    """
    told_s = stored.first_minute(window, view.finding_id)
    if told_s is None:
        return view
    if told_s * 1000 > at_ms:
        return None
    if view.last_ms is not None and view.last_ms <= at_ms:
        return view
    minute = stored.minute_at(window, view.finding_id, at_ms)
    if minute is None:
        return view
    ids = [i for i, row in gpus.items() if int(row["gpu_index"]) in view.gpu_indices]
    cost = None if minute.cost_gpu_ms is None else minute.cost_gpu_ms / 1000
    cost_money = money(cost, None, ids, gpus, prices, at_ms)
    return replace(
        view,
        title=f"{view.title} {TOLD_LATER}",
        waste_gpus=None if minute.waste_pm is None else minute.waste_pm / 1000,
        cost_gpu_seconds=cost,
        cost_energy_joules=None,
        cost_money=cost_money,
        currency=prices.currency if cost_money is not None else "",
    )


def money(
    gpu_seconds: float | None,
    joules: float | None,
    ids: Sequence[int],
    gpus: Mapping[int, Mapping[str, Any]],
    prices: Prices,
    at_ms: int,
) -> float | None:
    """What the GPU time (and, where energy has a price, the energy) cost at an instant's prices; GPUs of several prices by their mean.

    ``None`` where a part that has a price cannot be told.
    """
    if not prices.known or gpu_seconds is None:
        return None
    cost = 0.0
    if prices.gpus:
        each = [prices.gpu_hour(gpus[i]["name"], at_ms) for i in ids if i in gpus]
        known = [price for price in each if price is not None]
        if not known or len(known) < len(each):
            return None
        cost += gpu_seconds / SECONDS_PER_HOUR * sum(known) / len(known)
    if prices.kwh is not None:
        if joules is None:
            return None
        cost += joules / JOULES_PER_KWH * prices.kwh
    return cost
