"""What the configuration says of the rules, as the advisor takes it."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field


@dataclass(frozen=True, slots=True)
class AdviceSettings:
    """Which rules judge, and by which limits."""

    enabled: bool = True
    reserve: tuple[str, ...] = ()
    """GPUs that are kept free on purpose: indices or UUIDs."""
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    """Rules that are off by default and are to judge."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """``{"rule.limit": value}`` in place of the table's default."""
    patience_seconds: float = 300.0
    """So young a process is not judged."""
    effect_seconds: int = 1800
    """So much time before and after a finding has cleared is compared."""
    at_once: bool = False
    """Judge the time before the start too, at the price of the recorder's own: for a demo, whose history nobody judged."""

    def reserves(self, index: int, uuid: str) -> bool:
        """Whether this GPU is one of those that are kept free."""
        return str(index) in self.reserve or uuid in self.reserve

    def judges(self, rule: str, on: bool) -> bool:
        """Whether a rule judges; ``on``: whether it does by default."""
        return rule not in self.off and (on or rule in self.on)
