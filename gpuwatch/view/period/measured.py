"""From the store's sums to what was measured: means over the time in which each quantity was told, in base units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from gpuwatch.measure import MIB
from gpuwatch.names import Missing
from gpuwatch.store.archive.hist import METRICS, percentile
from gpuwatch.store.period_sums import USE, merge_use
from gpuwatch.view.period.types import Quantiles, Use

_AT = {name: number for number, name in enumerate(USE)}
Values = tuple[int | None, ...]
"""The store's sums in the order of ``USE``."""
NO_VALUES: Values = (None,) * len(USE)
SOURCES = {0: "none", 1: "counter", 2: "power", 3: "mixed"}
QUANTITIES = ("utilization_ratio", "sm_active_ratio", "memory_used_bytes", "power_watts")
METRIC_NUMBERS = tuple(number for number, metric in METRICS.items() if metric.name in QUANTITIES)
BASE = {
    "utilization_max_ratio": "utilization_ratio",
    "quiet_seconds": "utilization_ratio",
    "memory_used_max_bytes": "memory_used_bytes",
    "power_max_watts": "power_watts",
    "temperature_max_celsius": "temperature_celsius",
    "throttled_seconds": "clock_event_reasons",
}
"""Field of a report -> the sample's field that it is made from."""
MEASURED = (
    *("utilization_ratio", "utilization_max_ratio", "sm_active_ratio", "tensor_active_ratio", "dram_active_ratio"),
    *("memory_used_bytes", "memory_used_max_bytes", "power_watts", "power_max_watts", "temperature_max_celsius"),
    *("quiet_seconds", "throttled_seconds", "energy_joules"),
)


def merged(sums: Iterable[Values]) -> Values:
    """The sums of several GPUs or cells as one."""
    out = NO_VALUES
    for each in sums:
        out = each if out is NO_VALUES else merge_use(out, each)
    return out


def energy_source(sums: Values) -> int:
    """0 none, 1 counter, 2 integrated power, 3 both."""
    return sums[_AT["energy_src"]] or 0


def observed_ms(sums: Values) -> int:
    """Time with rows."""
    return sums[_AT["obs_ms"]] or 0


def use(sums: Values, total_bytes: Iterable[int | None], reasons: Mapping[str, Missing]) -> Use:
    """What was measured. ``total_bytes``: the memory of each GPU; ``reasons``: why fields of its samples are missing."""

    def of(name: str) -> int | None:
        return sums[_AT[name]]

    def mean(name: str, over: str, scale: float) -> float | None:
        value, known = of(name), of(over)
        return value / known / scale if value is not None and known else None

    def top(name: str, scale: float) -> float | None:
        value = of(name)
        return None if value is None else value / scale

    def seconds(name: str, known: str) -> float | None:
        return (of(name) or 0) / 1000 if of(known) else None

    totals = set(total_bytes)
    total = totals.pop() if len(totals) == 1 else None
    values: dict[str, float | None] = {
        "utilization_ratio": mean("utilization_pm_ms", "utilization_obs_ms", 1000),
        "utilization_max_ratio": top("utilization_pm_max", 1000),
        "sm_active_ratio": mean("sm_active_pm_ms", "gpm_obs_ms", 1000),
        "tensor_active_ratio": mean("tensor_active_pm_ms", "gpm_obs_ms", 1000),
        "dram_active_ratio": mean("dram_active_pm_ms", "gpm_obs_ms", 1000),
        "memory_used_bytes": mean("memory_used_mib_ms", "memory_obs_ms", MIB),
        "memory_used_max_bytes": top("memory_used_mib_max", MIB),
        "power_watts": mean("power_mw_ms", "power_obs_ms", 1000),
        "power_max_watts": top("power_mw_max", 1000),
        "temperature_max_celsius": top("temperature_c_max", 1),
        "quiet_seconds": seconds("quiet_ms", "quiet_known_ms"),
        "throttled_seconds": seconds("throttled_ms", "reasons_obs_ms"),
        "energy_joules": (of("energy_used_mj") or 0) / 1000 if energy_source(sums) else None,
    }
    other = Missing.NOT_SUPPORTED if observed_ms(sums) else Missing.STALE
    missing = {name: reasons.get(BASE.get(name, name), other) for name, value in values.items() if value is None}
    return Use(
        observed_seconds=observed_ms(sums) / 1000,
        memory_total_bytes=None if total is None else float(total),
        missing=missing,
        **values,
    )


def quantiles(bins: Mapping[int, Mapping[int, int]], observed: int) -> dict[str, Quantiles]:
    """Metric number -> bins, as percentiles by public name; ``observed`` is the row's own time in milliseconds."""
    out = {}
    for number, weights in bins.items():
        metric = METRICS[number]
        p50, p95 = percentile(weights, 0.50), percentile(weights, 0.95)
        if p50 is not None and p95 is not None and observed:
            scale, most = (
                metric.measure.scale,
                1.0 if metric.name.endswith("_ratio") else math.inf,
            )  # the middle of a bin may lie above 1
            share = min(1.0, sum(weights.values()) / observed)
            out[metric.name] = Quantiles(min(most, p50 / scale), min(most, p95 / scale), share)
    return {name: out[name] for name in QUANTITIES if name in out}
