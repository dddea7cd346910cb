"""What a rule is: a function over one subject whose docstring is its manual page, with its name and how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from gpuwatch.dataclass import dataclass
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.limits import Limit, of_rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.types import Verdict

About = Literal["gpu", "job", "host"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the catalogue. ``code`` is its number in the study (A2); ``window`` the seconds that it looks back over."""

    id: str
    code: str
    about: About
    phase: int
    severity: Severity
    """The highest that it gives on its usual evidence."""
    confidence: Confidence
    window: float
    check: Callable[[Any, Scene], Verdict]
    limits: tuple[Limit, ...]
    bucket: Bucket | None = None
    on: bool = True
    """False: off unless the configuration names it."""
    confirms_at_once: bool = False
    """Needs no second look before it is told (an error that has happened)."""

    @property
    def manual(self) -> str:
        """Its page: the docstring of the function."""
        return self.check.__doc__ or ""


def rule(
    id: str,
    code: str,
    about: About,
    *,
    phase: int,
    severity: Severity,
    confidence: Confidence,
    window: float,
    limits: tuple[tuple[str, float, str, str, str], ...] = (),
    bucket: Bucket | None = None,
    on: bool = True,
    confirms_at_once: bool = False,
) -> Callable[[Callable[[Any, Scene], Verdict]], Rule]:
    """Make a :class:`Rule` of a function ``(subject, scene) -> Verdict``; the subject is a GPU, a job, or None for the host."""

    def made(check: Callable[[Any, Scene], Verdict]) -> Rule:
        own = of_rule(id, *limits)
        return Rule(id, code, about, phase, severity, confidence, window, check, own, bucket, on, confirms_at_once)

    return made


__all__ = ["Basis", "GpuSubject", "JobSubject", "Rule", "Scene", "rule"]
