"""Findings on their way into the store: what the engine tells becomes rows, minutes and events in the recorder's next transaction.

What a finding costs in energy is its share of the GPUs' own energy: of the whole span when it is told, minute by minute from then
on. A finding whose text was erased cannot go on: it ends where it was last seen.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Confidence, Severity
from gpuwatch.rules.document import finding_of, finding_text
from gpuwatch.rules.types import Change, Finding, OpenFinding
from gpuwatch.rules.words import span
from gpuwatch.store.columns import insert_sql
from gpuwatch.store.ledger_rows import process_owners
from gpuwatch.store.writer import StoreWriter

MINUTE_S = 60
OPENED, CLEARED, MUTED = "finding_opened", "finding_cleared", "finding_muted"
"""Kinds of events."""
CONFIDENCE_PM = {Confidence.LOW: 500, Confidence.MEDIUM: 750, Confidence.HIGH: 900}
"""How often findings of this kind are right, at least: what each kind was tried for."""
_STATE = ("last_ms", "ended_ms", "severity", "confidence_pm", "title", "evidence", "advice", "cost_gpu_ms", "cost_energy_mj", "gpus", "gpu_id", "detail", "sql", "basis", "waste_pm")  # fmt: skip
_WHO = ("finding_id", "host_id", "rule", "subject", "owner_id", "workload_id", "command", "started_ms")
_INSERT = insert_sql("finding", (*_WHO, *_STATE))
_TEXTS = ("title", "evidence", "advice", "detail", "sql")
_UPDATE = (  # what was erased, since somebody was forgotten, is not said again
    "UPDATE finding SET "
    + ",".join(f"{name}=CASE WHEN detail='' THEN {name} ELSE ? END" if name in _TEXTS else f"{name}=?" for name in _STATE)
    + " WHERE finding_id=?"
)
_END = "UPDATE finding SET ended_ms=last_ms WHERE finding_id=?"
_MINUTE = insert_sql("finding_minute", ("finding_id", "t", "measured_pm", "waste_pm", "cost_gpu_ms"))
_EVENT = insert_sql("event", ("event_id", "ts_ms", "host_id", "gpu_id", "proc_id", "kind", "severity", "detail"))
_OPEN = (
    "SELECT f.finding_id, f.rule, f.subject, f.detail, f.started_ms, f.last_ms, f.workload_id, coalesce(o.proc_id, 0), f.command, "
    "coalesce(f.cost_gpu_ms, 0), f.cost_energy_mj, (SELECT min(t) FROM finding_minute m WHERE m.finding_id=f.finding_id) "
    "FROM finding f LEFT JOIN owner o ON o.owner_id=f.owner_id WHERE f.host_id=? AND f.ended_ms IS NULL ORDER BY f.finding_id"
)
_TOLD = (
    "SELECT f.rule, f.subject, f.detail, f.started_ms, f.last_ms, f.ended_ms, "
    "(SELECT min(t) FROM finding_minute m WHERE m.finding_id=f.finding_id) "
    "FROM finding f WHERE f.host_id=? AND f.ended_ms>? ORDER BY f.finding_id"
)
_DAY_MS = 86_400_000
_DRAWN = "SELECT sum(energy_used_mj), sum(obs_ms) FROM gpu_minute WHERE t>=? AND t<? AND energy_src>0 AND gpu_id IN ({})"
_LATELY_S = 240


@dataclass(slots=True)
class _Cost:
    """What was booked of a finding."""

    gpu_ms: int = 0
    energy_mj: int | None = None


class FindingRows:
    """Writes the findings of one host through the recorder's writer."""

    def __init__(self, writer: StoreWriter, host_id: int) -> None:
        self._writer, self._host_id = writer, host_id
        self._costs: dict[int, _Cost] = {}

    @property
    def _db(self) -> sqlite3.Connection:
        return self._writer.connection

    def known(self) -> list[OpenFinding]:
        """The findings that are open in the store."""
        out = []
        for row in self._db.execute(_OPEN, (self._host_id,)).fetchall():
            finding_id, rule, subject, text, started_ms, last_ms, workload_id, proc_id, command, cost_ms, energy_mj, told = row
            finding = finding_of(text)
            if finding is None:
                self._writer.later(_END, finding_id)
                continue
            self._costs[finding_id] = _Cost(cost_ms, energy_mj)
            raised_ms = started_ms if told is None else max(started_ms, told * 1000)
            who = (workload_id, proc_id, command, cost_ms / 1000)
            out.append(OpenFinding(rule, subject, finding, started_ms, raised_ms, last_ms, *who, finding_id=finding_id))
        return out

    def told(self, now_ms: int) -> list[OpenFinding]:
        """The findings that have cleared within a day, in the order in which they were told."""
        out = []
        for rule, subject, text, started_ms, last_ms, ended_ms, told in self._db.execute(_TOLD, (self._host_id, now_ms - _DAY_MS)):
            if subject and (finding := finding_of(text)) is not None:
                raised_ms = started_ms if told is None else max(started_ms, told * 1000)
                out.append(OpenFinding(rule, subject, finding, started_ms, raised_ms, last_ms, ended_ms=ended_ms))
        return out

    def end(self, findings: Iterable[OpenFinding]) -> None:
        """Findings of rules that judge no more end where they were last seen."""
        for found in findings:
            self._writer.later(_END, found.finding_id)

    def take(self, changes: Iterable[Change], t_ms: int) -> None:
        """Keep what the engine told at a look."""
        for what, found in changes:
            if what == "unmuted":
                continue
            if what == "muted":
                self._tell(MUTED, found, t_ms, Severity.INFO, f"{where(found.finding, self._db)} ({found.rule}) was muted")
                continue
            if not found.finding_id:
                self._open(found, t_ms)
            else:
                self._writer.later(_UPDATE, *self._state(found, t_ms), found.finding_id)
            if what == "cleared":
                lasted = span(max(0, (found.ended_ms or t_ms) - found.started_ms) / 1000)
                text = f"{where(found.finding, self._db)} ({found.rule}) has cleared after {lasted}"
                self._tell(CLEARED, found, t_ms, Severity.INFO, text)
                self._costs.pop(found.finding_id, None)
            else:
                waste, cost = found.finding.waste_gpus, round(found.cost_gpu_seconds * 1000)
                minute = (found.finding_id, t_ms // 1000 // MINUTE_S * MINUTE_S)
                self._writer.later(_MINUTE, *minute, _pm(found.finding.measured), _pm(waste), cost)

    def _open(self, found: OpenFinding, t_ms: int) -> None:
        found.finding_id = self._writer.take_id("finding")
        owner = process_owners(self._db, [found.proc_id]).get(found.proc_id, 0) if found.proc_id else 0
        who = (
            found.finding_id,
            self._host_id,
            found.rule,
            found.subject,
            owner,
            found.workload_id,
            found.command,
            found.started_ms,
        )
        self._writer.later(_INSERT, *who, *self._state(found, t_ms))
        if not found.muted:
            self._tell(OPENED, found, t_ms, found.finding.severity, f"{where(found.finding, self._db)} ({found.rule})")

    def _tell(self, kind: str, found: OpenFinding, t_ms: int, severity: Severity, detail: str) -> None:
        gpu = found.finding.gpus[0] if len(found.finding.gpus) == 1 else None
        event = (self._writer.take_id("event"), t_ms, self._host_id, gpu, found.proc_id or None, kind, int(severity), detail)
        self._writer.later(_EVENT, *event)

    def _state(self, found: OpenFinding, t_ms: int) -> tuple[object, ...]:
        """The values of ``_STATE``."""
        finding, cost = found.finding, self._cost(found, t_ms)
        return (
            found.last_ms,
            found.ended_ms,
            int(finding.severity),
            CONFIDENCE_PM[finding.confidence],
            finding.title,
            evidence_line(finding),
            finding.try_first[0] if finding.try_first else "",
            cost.gpu_ms,
            cost.energy_mj,
            ",".join(map(str, indices(self._db, finding.gpus))),
            finding.gpus[0] if finding.gpus else 0,
            finding_text(finding),
            finding.sql,
            int(finding.basis),
            _pm(finding.waste_gpus),
        )

    def _cost(self, found: OpenFinding, t_ms: int) -> _Cost:
        """What it has cost by now; the energy of what is new goes by what its GPUs have drawn."""
        cost = self._costs.get(found.finding_id)
        now_ms = round(found.cost_gpu_seconds * 1000)
        whole = cost is None
        first_s = found.started_ms // 1000 if whole else t_ms // 1000 - _LATELY_S
        if cost is None:
            cost = self._costs[found.finding_id] = _Cost()
        more_ms, cost.gpu_ms = now_ms - cost.gpu_ms, now_ms
        gpus = found.finding.gpus
        if more_ms > 0 and gpus:
            sql = _DRAWN.format(",".join("?" * len(gpus)))
            energy_mj, observed_ms = self._db.execute(sql, (first_s // MINUTE_S * MINUTE_S, t_ms // 1000, *gpus)).fetchone()
            if observed_ms:
                share = more_ms / observed_ms
                cost.energy_mj = (cost.energy_mj or 0) + round(energy_mj * (min(1.0, share) if whole else share))
        return cost


def evidence_line(finding: Finding) -> str:
    """The evidence in one line."""
    return " · ".join(f"{each.what} {each.measured}" for each in finding.evidence)


def indices(db: sqlite3.Connection, gpu_ids: Sequence[int]) -> list[int]:
    """The indices of GPUs, in order."""
    rows = db.execute(f"SELECT gpu_index FROM gpu WHERE gpu_id IN ({','.join('?' * len(gpu_ids))}) ORDER BY gpu_index", gpu_ids)
    return [row[0] for row in rows]


def where(finding: Finding, db: sqlite3.Connection) -> str:
    """What it is and where, without anybody's name: "held idle on GPU 3"."""
    known = indices(db, finding.gpus)
    return f"{finding.name} on GPU{'s' if len(known) > 1 else ''} {', '.join(map(str, known))}" if known else finding.name


def _pm(value: float | None) -> int | None:
    return None if value is None else round(1000 * value)
