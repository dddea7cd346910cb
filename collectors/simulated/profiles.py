"""What the simulated device classes are and which measures their drivers do not give."""

from __future__ import annotations

from gpuwatch.dataclass import dataclass

GIB = 1024**3

_PCIE_COUNTERS = frozenset({"pcie_rx_bytes", "pcie_tx_bytes"})
_NVLINK = frozenset({"nvlink_rx_bytes", "nvlink_tx_bytes"})
_LINKS = frozenset({"pcie_link_generation", "pcie_link_width", "nvlink_active_count"})
_UTILIZATION = frozenset({"utilization_ratio", "memory_utilization_ratio"})
_CODEC = frozenset({"encoder_utilization_ratio", "decoder_utilization_ratio"})
_THROTTLE = frozenset({"power_throttled_seconds", "thermal_throttled_seconds"})
GPM = frozenset(
    {
        "graphics_active_ratio",
        "sm_active_ratio",
        "sm_occupancy_ratio",
        "tensor_active_ratio",
        "dram_active_ratio",
        "fp64_active_ratio",
        "fp32_active_ratio",
        "fp16_active_ratio",
    }
)
MIG_PARENT = _UTILIZATION | _CODEC | GPM | {"nvlink_active_count"}
"""A GPU in MIG mode gives no utilization and no NVLinks; its instances have the fill signals."""
MIG_PARENT_WITHOUT_GPM = _NVLINK
"""Nor link traffic, whose fields are then off: only GPM has it."""
MIG_DEVICE = (
    _CODEC | _PCIE_COUNTERS | _NVLINK | _LINKS | _THROTTLE
    | {"power_watts", "power_limit_watts", "energy_joules", "temperature_celsius", "memory_temperature_celsius"}
    | {"sm_clock_hertz", "memory_clock_hertz", "clock_event_reasons", "performance_state"}
    | {"memory_utilization_ratio", "ecc_uncorrected_total"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    """One device class. Memory in bytes, power in watts, clocks in MHz; 0 where the class has no such value."""

    name: str
    architecture: str
    compute_capability: str
    memory: int
    reserved: int
    power_limit: int
    idle_watts: int
    sm_clock: int
    memory_clock: int
    idle_clock: int
    nvlinks: int
    gpm: bool
    pcie_generation: int
    pcie_width: int = 16
    ecc: bool | None = True
    missing: frozenset[str] = frozenset()


PROFILES = {
    "hopper-h100": Profile("NVIDIA H100 80GB HBM3", "Hopper", "9.0", 85520809984, 502267904, 700, 72, 1980, 2619, 345, 18, True, 5),
    "hopper-h200": Profile("NVIDIA H200", "Hopper", "9.0", 150754820096, 643825664, 700, 78, 1980, 3201, 345, 18, True, 5),
    "blackwell-b200": Profile("NVIDIA B200", "Blackwell", "10.0", 192265846784, 754974720, 1000, 140, 1965, 3996, 120, 18, True, 5),
    "ampere-a100": Profile(
        "NVIDIA A100-SXM4-80GB", "Ampere", "8.0", 85899345920, 800063488, 500, 60, 1410, 1593, 210, 12, False, 4,
        missing=_PCIE_COUNTERS,
    ),
    "ada-l40s": Profile(
        "NVIDIA L40S", "Ada", "8.9", 48305799168, 638582784, 350, 36, 2520, 9001, 210, 0, False, 4,
        missing=_PCIE_COUNTERS | _NVLINK | {"nvlink_active_count", "memory_temperature_celsius"},
    ),
    "gb10": Profile(
        "NVIDIA GB10", "Blackwell", "12.1", 0, 0, 0, 5, 3003, 0, 208, 0, False, 1, 1, None,
        missing=_PCIE_COUNTERS | _NVLINK | _CODEC
        | {"power_throttled_seconds", "nvlink_active_count", "memory_used_bytes", "memory_utilization_ratio", "power_limit_watts", "memory_clock_hertz", "memory_temperature_celsius", "ecc_uncorrected_total"},
    ),
}  # fmt: skip

MIG_CLASS = {
    "hopper-h100": "hopper-h100-mig-parent",
    "hopper-h200": "hopper-h200-mig-parent",
    "ampere-a100": "ampere-a100-mig-parent",
}
"""The driver profile of a class with MIG on; the device facts stay those of the plain class."""


def profile_of(name: str) -> Profile:
    """The class by its name, with or without the suffix of a MIG parent."""
    return PROFILES[name.removesuffix("-mig-parent")]
