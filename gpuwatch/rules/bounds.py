"""The limits of a rule on one subject, easier to meet while its finding is open: near a limit findings do not come and go."""

from __future__ import annotations

from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene

_EASE = 0.15


class Bounds:
    """``least`` for what must be at least a limit, ``most`` for what must be below one; ``plain`` is the limit itself."""

    def __init__(self, scene: Scene, rule: str, subject: GpuSubject | JobSubject) -> None:
        self._limits, self._rule = scene.limits, rule
        self._ease = _EASE if scene.is_open(rule, subject) else 0.0

    def plain(self, name: str) -> float:
        return self._limits.of(self._rule, name)

    def least(self, name: str) -> float:
        return self.plain(name) * (1 - self._ease)

    def most(self, name: str) -> float:
        return self.plain(name) * (1 + self._ease)
