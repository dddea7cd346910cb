"""The rows of one thing in ten seconds become its look: a GPU, a process, a rank, a server, the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.ledger.facts import HARDWARE_SLOWDOWN, HW_THERMAL, POWER_BRAKE, SW_POWER_CAP, SW_THERMAL
from gpuwatch.names import Context, ServerState
from gpuwatch.rules.looks import GpuLook, HostLook, ProcessLook, ServerLook, TrainingLook
from gpuwatch.store.look_numbers import (
    Part,
    Rows,
    added,
    clock,
    energy,
    first_known,
    highest,
    highest_clock,
    hundredths,
    last,
    last_amount,
    lowest_clock,
    mean,
    numbers,
    rate,
    ratio,
    rounded,
    share,
    spread,
    total,
    whole,
)

_APPLICATION_CLOCKS = 0x2
_MIB, _KIB, _MEGA = 1 / 1024**2, 1 / 1024, 1e-6
_CONTEXTS = {int(context): context for context in Context}
_STATES = {int(state): state for state in ServerState}
_LETTERS = {ord(letter): letter for letter in "RSDTZ"}

_GPU = (
    Part("utilization", "utilization_pm", ratio, 1000),
    Part("sm", "sm_active_pm", ratio, 1000),
    Part("tensor", "tensor_active_pm", ratio, 1000),
    Part("dram", "dram_active_pm", ratio, 1000),
    Part("fp64", "fp64_active_pm", ratio, 1000),
    Part("fp32", "fp32_active_pm", ratio, 1000),
    Part("occupancy", "sm_occupancy_pm", ratio, 1000),
    Part("memory_used", "memory_used_mib", rounded, _MIB),
    Part("power", "power_mw", mean, 1000),
    Part("power_limit", "power_limit_mw", rounded, 1000),
    Part("power_fraction", "power_fraction_pm", ratio, 1000),
    Part("temperature", "temperature_c", hundredths),
    Part("sm_clock", "sm_clock_mhz", clock, _MEGA),
    Part("sm_clock_min", "sm_clock_mhz", lowest_clock, _MEGA),
    Part("sm_clock_max", "sm_clock_mhz", highest_clock, _MEGA),
    Part("kappa", "kappa_pm", ratio, 1000),
    Part("thermal", "clock_event_reasons", share(SW_THERMAL | HW_THERMAL)),
    Part("slowdown", "clock_event_reasons", share(HARDWARE_SLOWDOWN | POWER_BRAKE)),
    Part("power_cap", "clock_event_reasons", share(SW_POWER_CAP)),
    Part("clocks_set", "clock_event_reasons", share(_APPLICATION_CLOCKS)),
    Part("thermal_seconds", "thermal_throttled_ms", total, 1000),
    Part("power_seconds", "power_throttled_ms", total, 1000),
    Part("pcie_rx", "pcie_rx_kib", rate, _KIB),
    Part("pcie_tx", "pcie_tx_kib", rate, _KIB),
    Part("pcie_generation", "pcie_generation", last),
    Part("pcie_width", "pcie_width", last),
    Part("nvlink_active", "nvlink_active", last),
    Part("ecc_uncorrected", "ecc_uncorrected", last),
    Part("performance_state", "performance_state", last),
    Part("mfu", "mfu_pm", ratio, 1000),
)
_HOST = (
    Part("cpu", "cpu_pm", ratio, 1000),
    Part("iowait", "iowait_pm", ratio, 1000),
    Part("steal", "steal_pm", ratio, 1000),
    Part("load", "load_cent", mean, 100),
    Part("cpu_pressure", "psi_cpu_pm", ratio, 1000),
    Part("io_pressure", "psi_io_pm", ratio, 1000),
    Part("memory_pressure", "psi_memory_pm", ratio, 1000),
    Part("memory_used", "memory_used_mib", mean, _MIB),
    Part("swap_in", "swap_in_kib", rate, _KIB),
    Part("disk_read", "disk_read_kib", rate, _KIB),
    Part("disk_write", "disk_write_kib", rate, _KIB),
)
_TRAINING = (
    Part("attached", "attached_ms", total, 1000),
    Part("steps", "steps", total),
    Part("rank_steps", "rank_steps", total),
    Part("tokens", "tokens", total),
    Part("samples", "samples", total),
    Part("data", "data_wait_ms", total, 1000),
    Part("forward", "forward_ms", total, 1000),
    Part("backward", "backward_ms", total, 1000),
    Part("optimizer", "optimizer_ms", total, 1000),
    Part("checkpoint", "checkpoint_ms", total, 1000),
    Part("evaluation", "eval_ms", total, 1000),
    Part("compiling", "compile_ms", total, 1000),
    Part("other", "other_ms", total, 1000),
    Part("starting", "starting_ms", total, 1000),
    Part("compilations", "compilations", total),
    Part("checkpoints", "checkpoints", total),
    Part("alloc_retries", "alloc_retries", total),
    Part("out_of_memory", "out_of_memory", total),
    Part("allocated", "allocated_mib", mean, _MIB),
    Part("reserved", "reserved_mib", mean, _MIB),
    Part("allocated_peak", "allocated_peak_mib", highest, _MIB),
    Part("inactive_split", "inactive_split_mib", mean, _MIB),
    Part("phase", "phase", last),
    Part("phase_age", "phase_age_ms", last_amount, 1000),
    Part("step_number", "step_number", last),
)
_SERVER = (
    Part("window", "window_ms", total, 1000),
    Part("running", "running_milli", mean, 1000),
    Part("waiting", "waiting_milli", mean, 1000),
    Part("kv_cache", "kv_cache_pm", ratio, 1000),
    Part("kv_cache_fullest", "kv_cache_fullest_pm", ratio, 1000),
    Part("requests", "requests", total),
    Part("preemptions", "preemptions", total),
    Part("output_tokens", "output_tokens", total),
    Part("prefill_tokens", "prefill_tokens", total),
    Part("prompt_tokens", "prompt_tokens", total),
    Part("cached_tokens", "cached_tokens", total),
    Part("prefix_queries", "prefix_query_tokens", total),
    Part("prefix_hits", "prefix_hit_tokens", total),
    Part("drafts", "drafts", total),
    Part("draft_tokens", "draft_tokens", total),
    Part("accepted_tokens", "accepted_tokens", total),
    Part("failed", "finished_error", total),
    Part("itl_sum", "itl_sum_us", total, 1_000_000),
    Part("itl_count", "itl_count", total),
    Part("ttft_sum", "ttft_sum_us", total, 1_000_000),
    Part("ttft_count", "ttft_count", total),
    Part("queue_sum", "queue_sum_us", total, 1_000_000),
    Part("queue_count", "queue_count", total),
)
_OF_HOST = (
    Part("cpu", "cpu_pm", hundredths, 1000),
    Part("thread_cpu", "thread_cpu_pm", hundredths, 1000),
    Part("cpu_throttled", "cpu_throttled_pm", ratio, 1000),
    Part("rss", "rss_mib", rounded, _MIB),
    Part("read", "read_kib", rate, _KIB),
    Part("write", "write_kib", rate, _KIB),
    Part("run_state", "run_state", last),
)


def _columns(parts: Sequence[Part], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*more, *(part.column for part in parts))))


GPU_COLUMNS = _columns(_GPU, "quiet", "quiet_ms", "context", "unavailable", "sibling", "graphics_active_pm", "energy_mj", "nvlink_rx_kib", "nvlink_tx_kib")  # fmt: skip
PROCESS_COLUMNS = _columns(_OF_HOST, "gpu_memory_mib", "sm_pm")
TRAINING_COLUMNS = _columns(_TRAINING)
SERVER_COLUMNS = _columns(_SERVER, "server_state")
HOST_COLUMNS = _columns(_HOST)


def gpu_look(rows: Rows) -> GpuLook:
    """Ten seconds of a GPU."""
    columns, dt = rows.columns, rows.dt
    quiet, activity = columns["quiet"], columns["utilization_pm"]
    context = last(rows, columns["context"], 1)
    return GpuLook(
        ms=whole(rows.ms),
        known_ms=whole(sum(ms for is_quiet, ms in zip(quiet, dt) if is_quiet is not None)),
        quiet_ms=whole(sum(ms for is_quiet, ms in zip(quiet, dt) if is_quiet)),
        quiet_run_ms=columns["quiet_ms"][-1] or 0,
        context=None if context is None else _CONTEXTS.get(context),
        unavailable=bool(columns["unavailable"][-1]),
        sibling=any(columns["sibling"]),
        utilization_bins=spread(rows, activity),
        busy=ratio(rows, first_known(columns["graphics_active_pm"], activity, columns["sm_active_pm"]), 1000),
        energy_joules=energy(rows),
        nvlink=rate(rows, added(columns["nvlink_rx_kib"], columns["nvlink_tx_kib"]), _KIB),
        **numbers(rows, _GPU),
    )


def training_look(rows: Rows) -> TrainingLook:
    """Ten seconds of a rank."""
    return TrainingLook(ms=rows.ms, **numbers(rows, _TRAINING))


def server_look(rows: Rows) -> ServerLook:
    """Ten seconds of a server, without its waiting times."""
    state = last(rows, rows.columns["server_state"], 1)
    return ServerLook(ms=rows.ms, state=None if state is None else _STATES.get(state), **numbers(rows, _SERVER))


def host_look(rows: Rows) -> HostLook:
    """Ten seconds of the host."""
    return HostLook(ms=rows.ms, **numbers(rows, _HOST))


class Processes:
    """Makes the looks of processes. One that says what the look before it said is that same object: most processes hardly change."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[tuple[Any, ...], ProcessLook]] = {}

    def look(self, proc_id: int, by_gpu: Mapping[int, Rows]) -> ProcessLook:
        """Ten seconds of a process, of whose rows the first has what is known of its host side."""
        on = tuple(
            (gpu_id, rounded(rows, rows.columns["gpu_memory_mib"], _MIB), ratio(rows, rows.columns["sm_pm"], 1000))
            for gpu_id, rows in by_gpu.items()
            if gpu_id
        )
        first = _host_side(by_gpu)
        own = tuple(part.how(first, first.columns[part.column], part.scale) for part in _OF_HOST)
        said = (whole(max(rows.ms for rows in by_gpu.values())), on, own)
        found = self._before.get(proc_id)
        if found is None or found[0] != said:
            cpu, thread_cpu, throttled, rss, read, write, state = own
            gpus = found[1].gpus if found is not None and found[0][1] == on else {gpu_id: (memory, sm) for gpu_id, memory, sm in on}
            look = ProcessLook(said[0], gpus, cpu, thread_cpu, throttled, rss, read, write, _LETTERS.get(int(state or 0), ""))
            found = self._before[proc_id] = (said, look)
        return found[1]

    def keep(self, proc_ids: Mapping[int, Any]) -> None:
        """Forget all but these."""
        if len(self._before) > 2 * len(proc_ids):
            self._before = {proc_id: found for proc_id, found in self._before.items() if proc_id in proc_ids}


def _host_side(by_gpu: Mapping[int, Rows]) -> Rows:
    """The rows that have the host side of a process: those of its first GPU, or those on none."""
    for rows in by_gpu.values():
        if any(value is not None for name in ("cpu_pm", "rss_mib", "run_state") for value in rows.columns[name]):
            return rows
    return next(iter(by_gpu.values()))
