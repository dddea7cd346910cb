"""When a subject is too young to be judged: the first minutes of a process are imports, loading and compiling."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene

PATIENCE_SECONDS = 300.0
"""Princeton's notes wait 300 s (S12), SageMaker's rules about 8 minutes (S16)."""
_AT_ONCE = frozenset({"A1", "I1", "I3"})
"""These are about nobody, about the start itself, and about the end."""


def waits(rule: Rule) -> bool:
    """Whether a rule is patient. Those about hardware are not: an error is one in the first minute as well."""
    return not rule.code.startswith("F") and rule.code not in _AT_ONCE


def too_young(subject: GpuSubject | JobSubject | None, scene: Scene, patience: float) -> bool:
    """Whether patient rules wait: of a job until its root is old enough, of a GPU until one of its holders is."""
    if subject is None:
        return False
    if isinstance(subject, JobSubject):
        started_ms = subject.facts.root_start_ms
        return started_ms > 0 and scene.t_ms - started_ms < patience * 1000
    holders = scene.holders(subject)
    return bool(holders) and max(scene.age_seconds(process) for process in holders) < patience
