"""How one rule went on one subject: when it may be told, when it has cleared, how long it must wait before it is told again."""

from __future__ import annotations

from collections import deque

from gpuwatch.dataclass import dataclass, field
from gpuwatch.rules.rule import Rule

_LEAST_MS = 60_000
"""Nothing is told and cleared within a minute."""
_MOST_CLEARING_MS = 120_000
"""Rules look back over windows of their own: what they say has been smoothed already."""
_UNKNOWN_MS = 600_000
_MOST_DELAY_MS = 4 * 3_600_000


@dataclass(slots=True)
class Course:
    """Kept for as long as the subject is there. ``raised_ms`` 0: not open."""

    window_ms: int
    clears_ms: int
    judged: deque[tuple[int, bool]] = field(default_factory=deque)
    raised_ms: int = 0
    unknown_ms: int = 0
    """Since when a signal is missing; 0: none is."""
    delay_ms: int = 0
    not_before_ms: int = 0

    def judge(self, t_ms: int, holds: bool) -> None:
        """The rule could tell."""
        self.unknown_ms = 0
        self.judged.append((t_ms, holds))
        while self.judged[0][0] <= t_ms - self.clears_ms and len(self.judged) > 2:
            self.judged.popleft()

    def miss(self, t_ms: int) -> None:
        """The rule could not tell."""
        self.unknown_ms = self.unknown_ms or t_ms

    def may_open(self, t_ms: int, *, at_once: bool) -> bool:
        """Whether it is told now: it held at the look before as well, and enough time has gone since it cleared."""
        if t_ms < self.not_before_ms:
            return False
        return at_once or (len(self.judged) > 1 and all(holds for _, holds in list(self.judged)[-2:]))

    def has_cleared(self, t_ms: int) -> bool:
        """Whether it has held in less than half of the looks for long enough."""
        if t_ms - self.raised_ms < _LEAST_MS:
            return False
        recent = [holds for at_ms, holds in self.judged if at_ms > max(t_ms - self.clears_ms, self.raised_ms)]
        return bool(recent) and not recent[-1] and sum(recent) * 2 < len(recent)

    def is_lost(self, t_ms: int) -> bool:
        """Whether a signal has been missing for too long to go on believing it."""
        return self.unknown_ms > 0 and t_ms - self.unknown_ms >= max(self.window_ms, _UNKNOWN_MS)

    def opened(self, t_ms: int) -> None:
        """It is told."""
        self.raised_ms = t_ms

    def cleared(self, t_ms: int) -> None:
        """It is over; before it is told again one window must pass, then two, up to four hours."""
        self.raised_ms, self.unknown_ms = 0, 0
        self.delay_ms = min(max(2 * self.delay_ms, self.window_ms), _MOST_DELAY_MS)
        self.not_before_ms = t_ms + self.delay_ms


def course_of(rule: Rule) -> Course:
    """A new one."""
    window = round(rule.window * 1000)
    return Course(window, min(window // 2, _MOST_CLEARING_MS))
