"""Faults of single driver calls: which measures they take away, and why."""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.collectors.simulated.flat import Fault
from gpuwatch.collectors.simulated.profiles import GPM
from gpuwatch.names import Missing

CALLS = {
    "nvmlDeviceGetUtilizationRates": ("utilization_ratio", "memory_utilization_ratio"),
    "nvmlDeviceGetMemoryInfo": ("memory_used_bytes",),
    "nvmlDeviceGetMemoryInfo_v2": ("memory_used_bytes",),
    "nvmlDeviceGetPowerUsage": ("power_watts",),
    "nvmlDeviceGetEnforcedPowerLimit": ("power_limit_watts",),
    "nvmlDeviceGetTotalEnergyConsumption": ("energy_joules",),
    "nvmlDeviceGetTemperature": ("temperature_celsius",),
    "nvmlDeviceGetClockInfo": ("sm_clock_hertz", "memory_clock_hertz"),
    "nvmlDeviceGetCurrentClocksEventReasons": ("clock_event_reasons",),
    "nvmlDeviceGetPerformanceState": ("performance_state",),
    "nvmlDeviceGetComputeRunningProcesses_v3": ("process_count",),
    "nvmlDeviceGetTotalEccErrors": ("ecc_uncorrected_total",),
    "nvmlGpmSampleGet": tuple(sorted(GPM)),
}
"""Driver calls that a ``call`` fault can break, and the measures that need them."""
_REASON_OF_RETURN = {3: Missing.NOT_SUPPORTED, 4: Missing.NO_PERMISSION, 13: Missing.NOT_SUPPORTED, 26: Missing.NOT_SUPPORTED}


def broken_measures(faults: Iterable[Fault]) -> dict[str, Missing]:
    """Measures that ``call`` faults take away, with the reason of the returned code."""
    out: dict[str, Missing] = {}
    for fault in faults:
        if fault.kind == "call":
            for name in CALLS.get(fault.call, ()):
                out[name] = _REASON_OF_RETURN.get(fault.arg, Missing.DRIVER_ERROR)
    return out
