"""Heat, power, clocks, links, errors (F1 to F7)."""

from __future__ import annotations

from gpuwatch.rules.hardware.pcie_link_degraded import pcie_link_degraded
from gpuwatch.rules.hardware.thermal_throttle import thermal_throttle
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (thermal_throttle, pcie_link_degraded)
