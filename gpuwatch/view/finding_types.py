"""What a screen can show of the rules: findings, what came of them, what was not judged."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Basis, Bucket, Confidence, Severity


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One measured fact behind a finding, as people read it."""

    what: str
    measured: str
    limit: str
    source: str


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding of the rules as it stood at the instant. Costs of findings overlap and are never added up."""

    rule: str
    title: str
    """One sentence with a number; ``name`` says it in two to four words."""
    gpu_indices: tuple[int, ...]
    waste_gpus: float | None
    """What it wastes now, in GPUs; None: no amount."""
    since_ms: int
    evidence: str
    """The evidence, and what to try first, in one line each."""
    advice: str
    finding_id: int = 0
    name: str = ""
    severity: Severity = Severity.NOTICE
    confidence: Confidence = Confidence.MEDIUM
    basis: Basis = Basis.INFERRED
    bucket: Bucket | None = None
    subject: str = ""
    user: str = ""
    command: str = ""
    pids: tuple[int, ...] = ()
    workload_id: int | None = None
    facts: tuple[EvidenceView, ...] = ()
    how: str = ""
    try_first: tuple[str, ...] = ()
    then: str = ""
    gain: str = ""
    gain_source: str = ""
    wrong_if: tuple[str, ...] = ()
    cost_gpu_seconds: float | None = None
    cost_energy_joules: float | None = None
    cost_money: float | None = None
    """None without a price."""
    last_ms: int | None = None
    muted: bool = False
    sql: str = ""
    currency: str = ""
    """Of ``cost_money``; empty without a price."""


@dataclass(frozen=True, slots=True)
class ResolvedView:
    """A finding that cleared, and what came of it: means of its bucket 30 minutes before and after."""

    rule: str
    name: str
    user: str
    gpu_indices: tuple[int, ...]
    ended_ms: int
    effect: str
    """One line: "overhead 11.4 -> 4.9 %", "16.9 GPU-h, 00:00 to 08:33", or why it could not be measured."""
    saved_gpus: float | None
    """GPUs less wasted than before (below 0: more); None: not measured (yet)."""
    before_ratio: float | None
    after_ratio: float | None
    cost_gpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class NotEvaluatedView:
    """What a rule could not judge, why, and what would enable it."""

    rule: str
    where: str
    signal: str
    enable: str


@dataclass(frozen=True, slots=True)
class WasteView:
    """The Waste screen at an instant. ``rules`` = open + clear + not evaluated (rules, not subjects)."""

    findings: tuple[FindingView, ...]
    muted: tuple[FindingView, ...]
    resolved: tuple[ResolvedView, ...]
    not_evaluated: tuple[NotEvaluatedView, ...]
    rules: int
    rules_open: int
    rules_clear: int
    rules_not_evaluated: int
    known: bool = True
    """False where what rules said is not kept: an instant of the past, or no rule has run yet."""


@dataclass(frozen=True, slots=True)
class FindingHistory:
    """How a finding grew: per cell the highest share that its first evidence measured (``None``: not observed)."""

    finding_id: int
    start_ms: int
    end_ms: int
    cells: tuple[float | None, ...]
    now: float | None
