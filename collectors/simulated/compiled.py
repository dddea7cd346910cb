"""A compiled scenario: the table that the fake driver reads too, and what no driver knows (ages, parents, workloads, the past)."""

from __future__ import annotations

from functools import cached_property

from gpuwatch.collectors.simulated.flat import Device, FlatTable, Series
from gpuwatch.collectors.simulated.plans import PastPlan, Plan, ProcessPlan
from gpuwatch.collectors.simulated.profiles import profile_of
from gpuwatch.dataclass import dataclass

IDLE_REASON = 0x1
"""NVML's bit for a GPU that runs nothing."""


@dataclass(slots=True)
class Person:
    """One process of the scenario, with what the flat table does not hold. ``parent`` is a slot."""

    slot: str
    plan: ProcessPlan
    parent: str
    past: bool


@dataclass
class Scenario:
    """A compiled scenario: the table that the fake driver reads too, and the rest of the truth."""

    plan: Plan
    seed: int
    table: FlatTable
    people: dict[str, Person]
    past: dict[str, list[PastPlan]]
    """Place of a whole GPU -> its past, as blocks that count back from time 0."""

    @cached_property
    def sources(self) -> dict[str, dict[str, Series]]:
        """Place -> quantity -> series; ``free.I`` and ``free.I.J`` are a GPU and an instance with nothing on it (for the past)."""
        out: dict[str, dict[str, Series]] = {}
        for (place, quantity), series in self.table.gpu.items():
            out.setdefault(place, {})[quantity] = series
        devices = {str(device.index): device for device in self.table.devices}
        for place in [*out]:
            free = _free(devices[place.partition(".")[0]], out[place])
            out[f"free.{place}"] = {name: Series([0], [value]) for name, value in free.items()}
        return out


def _free(device: Device, own: dict[str, Series]) -> dict[str, int]:
    """The values of a device with nothing on it."""
    profile = profile_of(device.profile)
    idle = {
        "power_mw": profile.idle_watts * 1000,
        "temp": 31,
        "memtemp": 38,
        "sm_clock": profile.idle_clock,
        "reasons": IDLE_REASON,
        "pcie_gen": own["pcie_gen"].values[0] if "pcie_gen" in own else 0,
    }
    idle["mem_clock"] = device.mem_clock_max
    idle |= {quantity: own[quantity].values[0] for quantity in ("pcie_width", "nvlinks_up") if quantity in own}
    return {quantity: idle.get(quantity, 0) for quantity in own}
