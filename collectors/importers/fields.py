"""What columns of logs mean: nvidia-smi's own names (with the units of its documentation), and the names that people write."""

from __future__ import annotations

import re

from gpuwatch.dataclass import NamedTuple, dataclass


class Field(NamedTuple):
    """``target`` is a field of ``GpuSample`` or ``Gpu``; ``unit`` that of a bare number ("" where a bare number says nothing);
    ``rank`` prefers one of several columns that fill the same target (0 first)."""

    target: str
    dimension: str
    unit: str
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file: what it is (``kind``: sample, static, who, time, reason, counter, unused) and its field."""

    text: str
    kind: str
    name: str
    field: Field | None = None


SAMPLE = {
    "utilization_gpu": Field("utilization_ratio", "ratio", "%"),
    "utilization_memory": Field("memory_utilization_ratio", "ratio", "%"),
    "utilization_encoder": Field("encoder_utilization_ratio", "ratio", "%"),
    "utilization_decoder": Field("decoder_utilization_ratio", "ratio", "%"),
    "memory_used": Field("memory_used_bytes", "bytes", "mib"),
    "power_draw_instant": Field("power_watts", "watts", "w"),
    "power_draw": Field("power_watts", "watts", "w", 1),
    "power_draw_average": Field("power_watts", "watts", "w", 2),
    "enforced_power_limit": Field("power_limit_watts", "watts", "w"),
    "power_limit": Field("power_limit_watts", "watts", "w", 1),
    "temperature_gpu": Field("temperature_celsius", "celsius", "c"),
    "temperature_memory": Field("memory_temperature_celsius", "celsius", "c"),
    "clocks_sm": Field("sm_clock_hertz", "hertz", "mhz"),
    "clocks_mem": Field("memory_clock_hertz", "hertz", "mhz"),
    "clocks_event_reasons_active": Field("clock_event_reasons", "mask", "mask"),
    "pstate": Field("performance_state", "pstate", "pstate"),
    "pcie_link_gen_current": Field("pcie_link_generation", "count", "count"),
    "pcie_link_width_current": Field("pcie_link_width", "count", "count"),
    "ecc_errors_uncorrected_volatile_total": Field("ecc_uncorrected_total", "count", "count"),
}
STATIC = {
    "memory_total": Field("memory_total_bytes", "bytes", "mib"),
    "memory_reserved": Field("memory_reserved_bytes", "bytes", "mib"),
    "power_default_limit": Field("power_limit_default_watts", "watts", "w"),
    "power_max_limit": Field("power_limit_max_watts", "watts", "w"),
    "clocks_max_sm": Field("sm_clock_max_hertz", "hertz", "mhz"),
    "clocks_max_mem": Field("memory_clock_max_hertz", "hertz", "mhz"),
    "pcie_link_gen_max": Field("pcie_generation_max", "count", "count"),
    "pcie_link_width_max": Field("pcie_width_max", "count", "count"),
    "compute_cap": Field("compute_capability", "text", "text"),
    "serial": Field("serial", "text", "text"),
    "name": Field("name", "text", "text"),
    "ecc_mode_current": Field("ecc_enabled", "flag", "flag"),
    "persistence_mode": Field("persistence_mode", "flag", "flag"),
    "mig_mode_current": Field("mig_enabled", "flag", "flag"),
}
COUNTERS = {
    "clocks_event_reasons_counters_sw_power_cap": Field("power_throttled_seconds", "seconds", "us"),
    "clocks_event_reasons_counters_hw_power_brake_slowdown": Field("power_throttled_seconds", "seconds", "us"),
    "clocks_event_reasons_counters_sw_thermal_slowdown": Field("thermal_throttled_seconds", "seconds", "us"),
    "clocks_event_reasons_counters_hw_thermal_slowdown": Field("thermal_throttled_seconds", "seconds", "us"),
}
REASONS = {
    "gpu_idle": 0x1, "applications_clocks_setting": 0x2, "sw_power_cap": 0x4, "hw_slowdown": 0x8, "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20, "hw_thermal_slowdown": 0x40, "hw_power_brake_slowdown": 0x80,
}  # fmt: skip
"""Bits of ``nvmlClocksEventReasons``."""
WHO = {"uuid": "uuid", "pci_bus_id": "bus", "index": "index", "gpu": "gpu", "hostname": "host", "timestamp": "time"}
WHO |= {"date": "date", "time": "clock"}

ALIASES = {
    "gpu_name": "name", "gpu_serial": "serial", "gpu_uuid": "uuid", "gpu_bus_id": "pci_bus_id", "bus_id": "pci_bus_id",
    "clocks_current_sm": "clocks_sm", "clocks_current_memory": "clocks_mem", "clocks_max_memory": "clocks_max_mem",
    "gpu_power_draw_average": "power_draw_average", "gpu_power_draw_instant": "power_draw_instant",
    "gpu_power_requested_limit": "power_limit", "gpu_power_current_limit": "enforced_power_limit",
    "gpu_power_default_limit": "power_default_limit", "gpu_power_max_limit": "power_max_limit", "kmd_version": "driver_version",
}  # fmt: skip
"""Other names of the same property in ``nvidia-smi --help-query-gpu``, of old drivers too."""
PEOPLE = {
    "utilization_gpu": "gpu_utilization gpu_util gpu_utilisation utilization utilisation util util_gpu gpu_usage gpu_load "
    "usage_gpu utilisation_gpu",
    "utilization_memory": "memory_utilization mem_utilization util_mem util_memory mem_util memory_util utilization_mem",
    "memory_used": "mem_used used_memory memory_usage mem_usage vram_used used_vram gpu_memory_used gpu_mem_used "
    "memory_used_gpu fb_used vram_usage",
    "memory_total": "mem_total total_memory vram_total gpu_memory_total gpu_mem_total fb_total",
    "power_draw": "power gpu_power power_usage watts power_gpu gpu_power_draw power_consumption",
    "power_limit": "gpu_power_limit power_cap",
    "temperature_gpu": "temperature temp gpu_temperature gpu_temp temp_gpu core_temp",
    "temperature_memory": "memory_temperature mem_temp mem_temperature memory_temp temp_mem hbm_temp",
    "clocks_sm": "sm_clock clock_sm clk_sm sm_clk sm_frequency",
    "clocks_mem": "memory_clock mem_clock clock_mem clock_memory clk_mem mem_clk clocks_memory",
    "index": "gpu_index gpu_id gpu_idx gpu_no gpu_num gpu_number device device_id device_index gpuid",
    "timestamp": "time_stamp datetime date_time ts unix_time unix_timestamp epoch timestamp_utc utc_time time_utc unix unixtime "
    "timestamp_s timestamp_ms ts_ms timestamp_unix local_time",
    "name": "gpu_model device_name product_name",
    "hostname": "host node host_name node_name",
    "uuid": "device_uuid",
    "pstate": "performance_state p_state perf",
}
_PEOPLE = {word: name for name, words in PEOPLE.items() for word in words.split()}

UNITS = {
    "ratio": {"%": 0.01, "percent": 0.01, "pct": 0.01, "perc": 0.01, "ratio": 1.0, "fraction": 1.0},
    "bytes": {"b": 1.0, "bytes": 1.0, "byte": 1.0, "kib": 2.0**10, "kb": 2.0**10, "mib": 2.0**20, "mb": 2.0**20, "gib": 2.0**30,
              "gb": 2.0**30, "mbytes": 2.0**20, "gbytes": 2.0**30, "mebibytes": 2.0**20},
    "watts": {"w": 1.0, "watt": 1.0, "watts": 1.0, "mw": 1e-3, "milliwatts": 1e-3, "kw": 1e3},
    "celsius": {"c": 1.0, "°c": 1.0, "celsius": 1.0, "degc": 1.0, "deg c": 1.0, "℃": 1.0, "º c": 1.0, "ºc": 1.0, "° c": 1.0},
    "hertz": {"mhz": 1e6, "ghz": 1e9, "khz": 1e3, "hz": 1.0, "hertz": 1.0},
    "seconds": {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "seconds": 1.0},
    "rate": {"mb/s": 1e6, "kb/s": 1e3, "gb/s": 1e9}, "share": {"%": 0.01},
    "count": {"count": 1.0}, "mask": {}, "pstate": {}, "text": {}, "flag": {},
}  # fmt: skip
"""Factor to the base unit. GPU tools print MB and GB for powers of two (nvidia-smi before 340, dmon, gpustat)."""
DECIMAL_NAMES = ("kb", "mb", "gb", "mbytes", "gbytes")
_BRACKETS = re.compile(r"\s*[\[(]\s*([^\])]*?)\s*[\])]\s*$")


def plain(text: str) -> str:
    """A header cell as a key: lower case, anything but letters and digits as one ``_``."""
    return re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")


def column(text: str) -> Column:
    """What a header cell is; ``kind`` is ``unused`` for one that says nothing that is kept."""
    text = text.strip().strip("\"'").lstrip("#\ufeff").strip()
    bracket = _BRACKETS.search(text)
    unit = bracket[1].lower() if bracket else ""
    base = text[: bracket.start()] if bracket else text
    if base.endswith("%"):
        base, unit = base[:-1], "%"
    key = plain(base)
    found = _known(text, key, unit)
    if found.kind == "unused" and "_" in key and not unit:
        stem, _, suffix = key.rpartition("_")
        other = _known(text, stem, suffix)
        if other.field is not None and suffix in UNITS[other.field.dimension]:
            return other
    return found


def _known(text: str, key: str, unit: str) -> Column:
    key = key.replace("clocks_throttle_reasons", "clocks_event_reasons")
    own = ALIASES.get(key, key)
    name = _PEOPLE.get(own, own)
    for kind, table in (("sample", SAMPLE), ("static", STATIC), ("counter", COUNTERS)):
        field = table.get(name)
        if field is not None:
            if not UNITS[field.dimension]:
                unit = field.unit
            elif not unit:
                unit = field.unit if own in table or field.dimension in ("count", "celsius") else ""
            elif unit not in UNITS[field.dimension]:
                unit = ""
            return Column(text, kind, name, field._replace(unit=unit))
    if name in WHO:
        return Column(text, "who", WHO[name])
    reason = name.removeprefix("clocks_event_reasons_")
    if reason != name and reason in REASONS:
        return Column(text, "reason", reason)
    return Column(text, "unused", key)
