"""What a window knows of findings, of how they grew, of mutes and of what rules said last. Values are the store's integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Severity
from gpuwatch.rules.document import Said, said_key, said_of
from gpuwatch.rules.types import Mute

if TYPE_CHECKING:
    from gpuwatch.store.window import Window

ADVICE_SCHEMA = 5
"""Older stores have no findings of rules."""


class FindingRow(NamedTuple):
    """A row of ``finding`` with who it is about."""

    finding_id: int
    rule: str
    gpu_id: int
    workload_id: int
    started_ms: int
    last_ms: int
    ended_ms: int | None
    severity: int
    confidence_pm: int | None
    title: str
    evidence: str
    advice: str
    cost_gpu_ms: int | None
    cost_energy_mj: int | None
    before_pm: int | None
    after_pm: int | None
    subject: str
    gpus: str
    command: str
    detail: str
    effect: str
    sql: str
    basis: int
    waste_pm: int | None
    saved_gpu_ms_day: int | None
    proc_id: int
    pid: int
    user: str
    workload: str
    root_pid: int
    root_start_ms: int


class MinuteRow(NamedTuple):
    """How a finding stood at the start of a minute (``t``: unix seconds)."""

    finding_id: int
    t: int
    measured_pm: int | None
    waste_pm: int | None
    cost_gpu_ms: int | None


class MuteRow(NamedTuple):
    """A mute as it stands in the store."""

    mute_id: int
    rule: str
    subject: str
    command: str
    reason: str
    made_ms: int
    until_ms: int | None
    lifted_ms: int | None

    @property
    def mute(self) -> Mute:
        """What it mutes."""
        return Mute(self.rule, self.subject, self.command, self.until_ms, self.reason)

    def holds(self, at_ms: int) -> bool:
        """Whether it is in force at an instant."""
        ends = [ms for ms in (self.until_ms, self.lifted_ms) if ms is not None]
        return self.made_ms <= at_ms and all(at_ms < ms for ms in ends)


def _kinds(names: Sequence[str], texts: Sequence[str], none: Sequence[str]) -> tuple[tuple[type, object], ...]:
    """Each column's type, and what stands for a value that has another one."""
    return tuple((str, "") if name in texts else (int, None if name in none else 0) for name in names)


_TEXTS = (
    "rule",
    "title",
    "evidence",
    "advice",
    "subject",
    "gpus",
    "command",
    "detail",
    "effect",
    "sql",
    "user",
    "workload",
    "reason",
)
_NONE = ("ended_ms", "confidence_pm", "cost_gpu_ms", "cost_energy_mj", "before_pm", "after_pm", "waste_pm", "saved_gpu_ms_day", "measured_pm", "until_ms", "lifted_ms")  # fmt: skip
_FINDING, _GROWN = _kinds(FindingRow._fields, _TEXTS, _NONE), _kinds(MinuteRow._fields, _TEXTS, _NONE)
_MUTE_KINDS = _kinds(MuteRow._fields, _TEXTS, _NONE)
_SEVERITIES, _BASES = frozenset(Severity), frozenset(Basis)


def _typed(row: Iterable[object], kinds: Sequence[tuple[type, object]]) -> list[Any]:
    """A row's values; what somebody wrote by hand, of another type than its column's, is missing."""
    return [value if isinstance(value, kind) else other for value, (kind, other) in zip(row, kinds, strict=True)]


def _finding(row: Iterable[object]) -> FindingRow:
    found = FindingRow._make(_typed(row, _FINDING))
    if found.severity in _SEVERITIES and (not found.basis or found.basis in _BASES):
        return found
    severity = found.severity if found.severity in _SEVERITIES else int(Severity.NOTICE)
    return found._replace(severity=severity, basis=found.basis if found.basis in _BASES else 0)


_OWN = FindingRow._fields[: FindingRow._fields.index("proc_id")]
_SELECT = (
    f"SELECT {', '.join('f.' + name for name in _OWN)}, coalesce(o.proc_id, 0), coalesce(p.pid, 0), "
    "coalesce(nullif(u.name, ''), v.name, ''), coalesce(w.name, ''), coalesce(w.root_pid, 0), coalesce(w.root_start_ms, 0) "
    "FROM finding f LEFT JOIN owner o ON o.owner_id=f.owner_id LEFT JOIN user_account u ON u.user_id=o.user_id "
    "LEFT JOIN process p ON p.proc_id=o.proc_id LEFT JOIN workload w ON w.workload_id=f.workload_id "
    "LEFT JOIN user_account v ON v.user_id=w.user_id "
)
_MINUTE = f"SELECT {', '.join(MinuteRow._fields)} FROM finding_minute "


def knows_findings(window: Window) -> bool:
    """Whether the store has the tables of rules; asked once."""
    known = window.memo.get("knows_findings")
    if known is None:
        known = window.memo["knows_findings"] = int(window.rows("PRAGMA user_version", ())[0][0]) >= ADVICE_SCHEMA
    return bool(known)


def _rows(window: Window, where: str, values: Sequence[object]) -> list[FindingRow]:
    return [_finding(row) for row in window.rows(_SELECT + where, values)]


def open_at(window: Window, at_ms: int) -> list[FindingRow]:
    """The findings whose fact held at an instant, whether they had been told by then or not."""
    return _rows(
        window,
        "WHERE f.host_id=? AND f.started_ms<=? AND (f.ended_ms IS NULL OR f.ended_ms>?) ORDER BY f.finding_id",
        (window.host_id, at_ms, at_ms),
    )


def newer(window: Window, known: Iterable[int], newest_id: int) -> list[FindingRow]:
    """Those that are known already, and those that were stored after ``newest_id``."""
    ids = ",".join(str(int(i)) for i in known) or "-1"
    return _rows(
        window,
        f"WHERE f.host_id=? AND (f.finding_id IN ({ids}) OR f.finding_id>?) ORDER BY f.finding_id",
        (window.host_id, newest_id),
    )


def newest_id(window: Window) -> int:
    """The id of the finding that was stored last; 0: none."""
    return int(window.rows("SELECT coalesce(max(finding_id), 0) FROM finding", ())[0][0])


def ended_between(window: Window, start_ms: int, end_ms: int) -> list[FindingRow]:
    """The findings that cleared in ``(start_ms, end_ms]``, the newest first."""
    return _rows(
        window,
        "WHERE f.host_id=? AND f.ended_ms>? AND f.ended_ms<=? ORDER BY f.ended_ms DESC, f.finding_id DESC",
        (window.host_id, start_ms, end_ms),
    )


def touching(window: Window, start_ms: int, end_ms: int, host_id: int | None = None) -> list[FindingRow]:
    """The findings whose fact held at some time in ``[start_ms, end_ms)``, of the window's own host or another."""
    return _rows(
        window,
        "WHERE f.host_id=? AND f.started_ms<? AND (f.ended_ms IS NULL OR f.ended_ms>?) ORDER BY f.finding_id",
        (window.host_id if host_id is None else host_id, end_ms, start_ms),
    )


def finding(window: Window, finding_id: int) -> FindingRow | None:
    """One finding."""
    return next(iter(_rows(window, "WHERE f.finding_id=?", (finding_id,))), None)


def first_minute(window: Window, finding_id: int) -> int | None:
    """The first minute (unix seconds) that is kept of it: when it was told."""
    found = window.rows("SELECT min(t) FROM finding_minute WHERE finding_id=?", (finding_id,))[0][0]
    return None if found is None else int(found)


def minute_at(window: Window, finding_id: int, at_ms: int) -> MinuteRow | None:
    """How it stood at an instant: its newest minute up to then."""
    rows = window.rows(_MINUTE + "WHERE finding_id=? AND t<=? ORDER BY t DESC LIMIT 1", (finding_id, at_ms // 1000))
    return MinuteRow._make(_typed(rows[0], _GROWN)) if rows else None


def minutes(window: Window, finding_id: int, start_ms: int, end_ms: int) -> list[MinuteRow]:
    """How it grew in ``[start_ms, end_ms)``."""
    where = "WHERE finding_id=? AND t>=? AND t<? ORDER BY t"
    return [
        MinuteRow._make(_typed(row, _GROWN))
        for row in window.rows(_MINUTE + where, (finding_id, start_ms // 1000, -(-end_ms // 1000)))
    ]


def mutes(window: Window, host_id: int | None = None) -> list[MuteRow]:
    """All mutes of a host that were ever made and are kept; one that was edited into nonsense mutes nothing."""
    sql = f"SELECT {', '.join(MuteRow._fields)} FROM mute WHERE host_id=? ORDER BY mute_id"
    rows = window.rows(sql, (window.host_id if host_id is None else host_id,))
    return [MuteRow._make(row) for row in rows if list(row) == _typed(row, _MUTE_KINDS)]


def said(window: Window, host_id: int | None = None) -> Said | None:
    """What the rules said last; ``None`` where no rule has run."""
    rows = window.rows("SELECT value FROM meta WHERE key=?", (said_key(window.host_id if host_id is None else host_id),))
    return said_of(str(rows[0][0])) if rows else None
