"""Heat, power, clocks, links, errors (F1 to F7)."""

from __future__ import annotations

from gpuwatch.rules.hardware.clocks_locked_low import clocks_locked_low
from gpuwatch.rules.hardware.memory_errors_pending import memory_errors_pending
from gpuwatch.rules.hardware.pcie_link_degraded import pcie_link_degraded
from gpuwatch.rules.hardware.persistence_mode_off import persistence_mode_off
from gpuwatch.rules.hardware.power_cap_limited import power_cap_limited
from gpuwatch.rules.hardware.thermal_throttle import thermal_throttle
from gpuwatch.rules.hardware.xid_error import xid_error
from gpuwatch.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    thermal_throttle,
    power_cap_limited,
    clocks_locked_low,
    pcie_link_degraded,
    memory_errors_pending,
    xid_error,
    persistence_mode_off,
)
