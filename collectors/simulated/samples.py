"""Typed samples of a scenario over a span, with the units and the missing values of a real driver of that class.

Utilization, fill and power are exact means over the span, counters exact amounts; memory, heat and clocks are the values at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.entities import absent
from gpuwatch.collectors.simulated.flat import Series
from gpuwatch.collectors.simulated.people import Life, People
from gpuwatch.model import GpuSample, HostSample, ProcessSample

POWER_REASONS = 0x4
THERMAL_REASONS = 0x20 | 0x40

_MEANS = {"utilization_ratio": ("util", 100), "memory_utilization_ratio": ("memutil", 100), "power_watts": ("power_mw", 1000)}
_MEANS |= {"encoder_utilization_ratio": ("enc", 100), "decoder_utilization_ratio": ("dec", 100)}
_FILL = {
    "graphics_active_ratio": "gpm.1",
    "sm_active_ratio": "gpm.2",
    "sm_occupancy_ratio": "gpm.3",
    "tensor_active_ratio": "gpm.5",
    "dram_active_ratio": "gpm.10",
    "fp64_active_ratio": "gpm.11",
    "fp32_active_ratio": "gpm.12",
    "fp16_active_ratio": "gpm.13",
}
_AMOUNTS = {
    "pcie_rx_bytes": "pcie_rx_kib_s",
    "pcie_tx_bytes": "pcie_tx_kib_s",
    "nvlink_rx_bytes": "nvlink_rx_kib_s",
    "nvlink_tx_bytes": "nvlink_tx_kib_s",
}
_NOW = {"temperature_celsius": ("temp", 1), "memory_temperature_celsius": ("memtemp", 1)}
_NOW |= {"sm_clock_hertz": ("sm_clock", 1_000_000), "memory_clock_hertz": ("mem_clock", 1_000_000)}
_STATES = {"pcie_link_generation": "pcie_gen", "pcie_link_width": "pcie_width", "nvlink_active_count": "nvlinks_up"}


class Span(NamedTuple):
    """What a sample speaks for: scenario time [start, end) and its true length. A first sample has ``start`` None."""

    start: int | None
    end: int
    seconds: float


class Sampler:
    """Builds samples from a scenario; keeps nothing between calls."""

    def __init__(self, scenario: Scenario, people: People) -> None:
        self.table, self.people, self.sources = scenario.table, people, scenario.sources
        table = self.table
        self.uuids = {str(d.index): d.uuid for d in table.devices} | {i.place: i.uuid for i in table.instances}
        self.absent = {place: absent(place, table) for place in self.uuids}
        self.broken_time = {
            (place, mask): Series(series["reasons"].times, [int(bool(value & mask)) for value in series["reasons"].values])
            for place, series in self.sources.items()
            for mask in (POWER_REASONS, THERMAL_REASONS)
            if "reasons" in series
        }

    def gpu(self, place: str, span: Span, held: Sequence[int], compute: int) -> GpuSample:
        """One GPU or MIG device. ``held`` is the memory of its processes in bytes, ``compute`` how many of them compute."""
        table, source = self.table, self.people.source(place, span.end)
        series, end = self.sources.get(source, {}), span.end
        start = end if span.start is None else span.start
        out: dict[str, Any] = {}
        for name, (quantity, scale) in _MEANS.items():
            if quantity in series:
                out[name] = table.mean(series[quantity], start, end) / scale
        if span.start is not None:
            self._amounts(out, source, series, span)
        for name, (quantity, scale) in _NOW.items():
            if quantity in series:
                out[name] = float(table.at(series[quantity], end) * scale)
        for name, quantity in _STATES.items():
            if quantity in series:
                out[name] = table.at(series[quantity], end)
        if "reasons" in series:
            out["clock_event_reasons"] = table.at(series["reasons"], end)
            out["performance_state"] = table.at(series["pstate"], end)
            out["power_limit_watts"] = self.people.power_limit_mw(int(place), end) / 1000
        out["memory_used_bytes"] = float(
            sum(held) if end < 0 or "memory_used" not in series else table.at(series["memory_used"], end)
        )
        out["process_count"] = compute
        out["ecc_uncorrected_total"] = 0
        missing = self.absent[place]
        return GpuSample(self.uuids[place], **{name: value for name, value in out.items() if name not in missing})

    def _amounts(self, out: dict[str, Any], source: str, series: dict[str, Series], span: Span) -> None:
        """What only exists over a span: fill signals, energy, bytes, throttled time."""
        table, start, end = self.table, span.start or 0, span.end
        for name, quantity in _FILL.items():
            if quantity in series:
                out[name] = table.mean(series[quantity], start, end) / 1000
        if "util" not in series and "graphics_active_ratio" in out:
            out["utilization_ratio"] = out["graphics_active_ratio"]
        if "power_mw" in series:
            out["energy_joules"] = out["power_watts"] * span.seconds
        for name, quantity in _AMOUNTS.items():
            if quantity in series:
                out[name] = table.mean(series[quantity], start, end) * 1024 * span.seconds
        for name, mask in (("power_throttled_seconds", POWER_REASONS), ("thermal_throttled_seconds", THERMAL_REASONS)):
            if (source, mask) in self.broken_time:
                out[name] = table.mean(self.broken_time[source, mask], start, end) * span.seconds

    def process_on(self, life: Life, start_ms: int, place: str, span: Span, held: int) -> ProcessSample:
        """The GPU side of one process. ``start_ms`` is its absolute start."""
        table, start = self.table, span.end if span.start is None else span.start
        person = self.people.scenario.people[life.slot]
        source = self.people.source(place, span.end)
        sm: float | None = None
        memory: float | None = None
        own = table.process.get((life.slot, place, "sm")) if source == place else None
        load = self.sources.get(source, {}).get("util")
        if own is not None:
            sm = table.mean(own, start, span.end) / 100
            memory = table.mean(table.process[life.slot, place, "memutil"], start, span.end) / 100
        elif load is not None and "utilization_ratio" not in self.absent[place]:
            sm = table.mean(load, start, span.end) / 100 * person.plan.share
            memory = sm * 0.4
        kind = {"C": "compute", "G": "graphics", "M": "mps"}[person.plan.kind]
        return ProcessSample(life.pid, start_ms, self.uuids[place], kind, float(held), sm, memory)  # type: ignore[arg-type]

    def process_host(self, life: Life, start_ms: int, span: Span) -> ProcessSample:
        """The host side of one process; amounts and CPU only over a span."""
        values = self.people.host_values(life, span.end if span.start is None else span.start, span.end)
        plan, first = self.people.scenario.people[life.slot].plan, span.start is None
        return ProcessSample(
            life.pid,
            start_ms,
            cpu_ratio=None if first else values["cpu"] / 1000,
            rss_bytes=values["rss"],
            read_bytes=None if first else values["read_kib_s"] * 1024 * span.seconds,
            write_bytes=None if first else values["write_kib_s"] * 1024 * span.seconds,
            thread_cpu_ratio=None if first else plan.thread_cpu,
            cpu_throttled_ratio=None if first else plan.cpu_throttled,
            run_state=ord(plan.state),
        )

    def host(self, span: Span) -> HostSample:
        """The host over the span."""
        table, first = self.table, span.start is None
        start = span.end if span.start is None else span.start
        mean = {quantity: table.mean(series, start, span.end) for quantity, series in table.host.items()}

        def amount(quantity: str) -> float | None:
            return None if first else mean[quantity] * 1024 * span.seconds

        return HostSample(
            cpu_ratio=None if first else mean["cpu_pm"] / 1000,
            iowait_ratio=None if first else mean["iowait_pm"] / 1000,
            memory_used_bytes=mean["memory_used"],
            swap_used_bytes=mean["swap_used"],
            load_average=mean["load_cent"] / 100,
            disk_read_bytes=amount("disk_read_kib_s"),
            disk_write_bytes=amount("disk_write_kib_s"),
            network_receive_bytes=amount("network_receive_kib_s"),
            network_transmit_bytes=amount("network_transmit_kib_s"),
            process_count=round(mean["process_count"]),
            steal_ratio=None if first else mean["steal_pm"] / 1000,
            cpu_pressure_ratio=mean["psi_cpu_pm"] / 1000,
            io_pressure_ratio=mean["psi_io_pm"] / 1000,
            memory_pressure_ratio=mean["psi_memory_pm"] / 1000,
            swap_in_bytes=amount("swap_in_kib_s"),
        )
