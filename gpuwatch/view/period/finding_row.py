"""What rules found in the span of a report, and what they could not judge."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Basis, Severity

NOT_JUDGED = "not_judged"
"""Why a report has no findings: no rule has judged its span."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding that held at some time of the span. Costs of findings overlap: they explain the ledger and are never added up.

    ``state``: ``open`` at the end of the span, ``muted`` (open, and somebody does not want to be told), ``ended``, or ``resolved``
    (ended, and its bucket was measured before and after: ``saved_gpus`` is the difference, which may be 0 or worse).
    """

    host: str
    finding_id: int
    rule: str
    name: str
    severity: Severity
    basis: Basis
    """What its amount rests on; unless it is measured, it is an upper bound."""
    state: str
    title: str
    user: str
    command: str
    gpus: tuple[tuple[str, int], ...]
    """(host, index)."""
    since_ms: int
    ended_ms: int | None
    """When it cleared, within the span."""
    cost_gpu_ms: int | None
    """In the span; ``None``: a cause without an amount."""
    total_cost_gpu_ms: int | None
    """From its start to its end, or to the last time that it was told."""
    evidence: str
    advice: str
    gain: str
    effect: str
    before_ratio: float | None
    after_ratio: float | None
    saved_gpus: float | None


@dataclass(frozen=True, slots=True)
class NotEvaluatedRow:
    """A rule that could not judge a subject when the report was made."""

    host: str
    rule: str
    where: str
    signal: str
    enable: str


@dataclass(frozen=True, slots=True)
class Advice:
    """All that rules say of a span. ``rules`` is how many judged at last, ``rules_not_evaluated`` those that missed a signal."""

    findings: tuple[FindingRow, ...] = ()
    not_evaluated: tuple[NotEvaluatedRow, ...] = ()
    rules: int = 0
    rules_not_evaluated: int = 0
    judged: bool = False
    """Whether rules have judged any of it."""
