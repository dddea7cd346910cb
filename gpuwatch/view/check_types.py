"""What ``gpuwatch check`` found: of now or of a span, as stored or judged again by other limits."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Severity
from gpuwatch.view.finding_types import FindingView


@dataclass(frozen=True, slots=True)
class CheckView:
    """A verdict: it fails if a finding is at ``fail_on`` or above. Muted findings are counted and do not fail."""

    host: str
    start_ms: int
    end_ms: int
    """Equal to ``start_ms``: the instant alone."""
    fail_on: Severity
    findings: tuple[FindingView, ...]
    """Those that count, gravest and costliest first; with other limits those that come of them."""
    muted: int = 0
    ended: Mapping[int, int] = field(default_factory=dict)
    """finding_id -> when it cleared, for those that did within the span."""
    replayed: bool = False
    """Judged again from rows, not read from what a recorder found."""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """``rule.limit`` -> (in force, tried); empty: no other limits were asked for."""
    before: tuple[FindingView, ...] = ()
    """With other limits: what the present ones give."""
    simulated: bool = False

    @property
    def failed(self) -> bool:
        """Whether the exit code is 1."""
        return any(finding.severity >= self.fail_on for finding in self.findings)
