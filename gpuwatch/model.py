"""What gpuwatch knows: who (entities) and what (samples). Standard library only; imports only ``names``, ``measure`` and ``training``
(what is known of trainings, which lies there).

Sample fields carry base units (ratios 0-1, bytes, watts, joules, hertz, seconds) under their public names: the same name is used
in SQL views, JSON, CSV and OpenMetrics. ``None`` is "not measured" and stays so to the pixel; the reason travels in
``Batch.missing``. The metadata of a field says how it is kept (an integer in ``column`` = round(value * scale)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from gpuwatch.dataclass import dataclass, field
from gpuwatch.measure import KIB, MIB, WORK, measure
from gpuwatch.names import Latency, Missing, Quality, ServerState, Severity
from gpuwatch.training import Run, Trainer, TrainingSample


@dataclass(frozen=True, slots=True)
class Host:
    """A machine. ``machine_id`` is its stable identity (hashed /etc/machine-id, or the boot id where there is none).

    ``timezone`` is its IANA zone where that is known (empty: only the offset is); its days begin at that zone's midnight.
    """

    machine_id: str
    hostname: str
    boot_id: str = ""
    cpu_count: int | None = None
    memory_total_bytes: int | None = None
    kernel: str = ""
    driver_version: str = ""
    cuda_version: str = ""
    utc_offset_seconds: int = 0
    simulated: bool = False
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU or MIG instance, identified by UUID, never by index. Values that the driver does not give are ``None``.

    ``compute_fraction`` is 1 for a whole GPU and the instance's share of SM slices for a MIG instance.
    ``memory_reserved_bytes`` is what the driver keeps for itself (NVML ``MemoryInfo_v2.reserved``).
    """

    uuid: str
    index: int
    name: str
    parent_uuid: str = ""
    mig_profile: str = ""
    mig_enabled: bool = False
    compute_fraction: float = 1.0
    memory_total_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    power_limit_watts: float | None = None
    power_limit_default_watts: float | None = None
    power_limit_max_watts: float | None = None
    sm_clock_max_hertz: int | None = None
    memory_clock_max_hertz: int | None = None
    pci_bus_id: str = ""
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    nvlink_count: int | None = None
    architecture: str = ""
    compute_capability: str = ""
    serial: str = ""
    ecc_enabled: bool | None = None
    persistence_mode: bool | None = None
    gpm_supported: bool | None = None
    temperature_limit_celsius: int | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A process = (host, pid, start time). Texts are cleaned and redacted at the collector's edge.

    ``start_ms`` is unix milliseconds; ``start_known`` is False when it was only first seen then (the pid is not visible in
    /proc). ``parent_pid``/``parent_start_ms`` link to the process above when that is watched too. ``role`` says why it is
    watched: ``gpu``, ``ancestor``, ``worker``, ``ml`` (an ML process on the CPU).
    """

    pid: int
    start_ms: int
    name: str
    start_known: bool = True
    parent_pid: int = 0
    parent_start_ms: int = 0
    uid: int | None = None
    user: str = ""
    command: str = ""
    container: str = ""
    job: str = ""
    workload_pid: int = 0
    workload_start_ms: int = 0
    role: str = "gpu"
    visible_gpus: str = ""
    """``CUDA_VISIBLE_DEVICES`` of a process on a GPU; empty if it is not set or not readable."""

    @property
    def key(self) -> tuple[int, int]:
        """(pid, start_ms): what identifies a process on its host."""
        return self.pid, self.start_ms


@dataclass(frozen=True, slots=True)
class Workload:
    """A process tree that does one job; identity = (root pid, root start, port or 0) on its host."""

    root_pid: int
    root_start_ms: int
    port: int = 0
    kind: Literal["training", "inference", "other"] = "other"
    name: str = ""
    model: str = ""
    engine: str = ""
    engine_version: str = ""
    user: str = ""
    job: str = ""


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Which family, route or formula gives a field of ``InferenceSample`` (or ``ttft``, ``itl``, ``e2e``, ``queue``), and how."""

    field: str
    quality: Quality
    source: str


@dataclass(frozen=True, slots=True)
class Server:
    """What is known of the server of an inference workload; the first three fields are the workload's key.

    For a server elsewhere, which only the configuration names, ``root_pid`` is 0 and ``root_start_ms`` a number made of its URL.
    ``url`` holds no credentials. ``verified`` is False for an engine whose page was never seen by the makers of its table.
    ``scrape_seconds`` is the time that one look takes, ``interval_seconds`` the time between two looks. Limits that the server does
    not tell are ``None``. A new object only where something worth telling has changed.
    """

    root_pid: int
    root_start_ms: int
    port: int
    state: ServerState
    detail: str = ""
    hint: str = ""
    url: str = ""
    engine: str = ""
    engine_version: str = ""
    served_model: str = ""
    verified: bool = True
    max_model_tokens: int | None = None
    max_running_requests: int | None = None
    kv_cache_tokens: int | None = None
    interval_seconds: float = 0.0
    scrape_seconds: float | None = None
    page_bytes: int | None = None
    fields: tuple[FieldSource, ...] = ()

    @property
    def key(self) -> tuple[int, int, int]:
        """(root_pid, root_start_ms, port): the workload's identity on its host."""
        return self.root_pid, self.root_start_ms, self.port


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one instant, in one cleaned line."""

    ts_ms: int
    kind: str
    detail: str
    severity: Severity = Severity.INFO
    gpu_uuid: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU over the time since its previous sample."""

    gpu_uuid: str
    unavailable: bool = False
    """The GPU is there but cannot be used or read: lost, needs a reset."""
    utilization_ratio: float | None = measure("utilization_pm", "ratio", 1000, "gauge", "utilization", "Share of time in which at least one kernel was resident", "NVML nvmlDeviceGetSamples (mean since the last tick), else nvmlDeviceGetUtilizationRates.gpu; MIG instance: GPM metric 1")  # fmt: skip
    memory_utilization_ratio: float | None = measure("memory_utilization_pm", "ratio", 1000, "gauge", "utilization", "Share of time in which device memory was read or written", "NVML nvmlDeviceGetSamples (mean since the last tick), else nvmlDeviceGetUtilizationRates.memory")  # fmt: skip
    encoder_utilization_ratio: float | None = measure("encoder_pm", "ratio", 1000, "gauge", "codec", "Video encoder utilization", "NVML nvmlDeviceGetEncoderUtilization")  # fmt: skip
    decoder_utilization_ratio: float | None = measure("decoder_pm", "ratio", 1000, "gauge", "codec", "Video decoder utilization", "NVML nvmlDeviceGetDecoderUtilization")  # fmt: skip
    graphics_active_ratio: float | None = measure("graphics_active_pm", "ratio", 1000, "gauge", "gpm", "Share of time in which any compute or graphics work was active", "NVML GPM metric 1")  # fmt: skip
    sm_active_ratio: float | None = measure("sm_active_pm", "ratio", 1000, "gauge", "gpm", "Share of time x SMs with at least one warp", "NVML GPM metric 2")  # fmt: skip
    sm_occupancy_ratio: float | None = measure("sm_occupancy_pm", "ratio", 1000, "gauge", "gpm", "Active warps relative to the maximum", "NVML GPM metric 3")  # fmt: skip
    tensor_active_ratio: float | None = measure("tensor_active_pm", "ratio", 1000, "gauge", "gpm", "Share of time x SMs with tensor instructions", "NVML GPM metric 5")  # fmt: skip
    dram_active_ratio: float | None = measure("dram_active_pm", "ratio", 1000, "gauge", "gpm", "Device memory bandwidth in use, of its peak", "NVML GPM metric 10")  # fmt: skip
    fp64_active_ratio: float | None = measure("fp64_active_pm", "ratio", 1000, "gauge", "gpm", "FP64 pipe activity", "NVML GPM metric 11")  # fmt: skip
    fp32_active_ratio: float | None = measure("fp32_active_pm", "ratio", 1000, "gauge", "gpm", "FP32 pipe activity", "NVML GPM metric 12")  # fmt: skip
    fp16_active_ratio: float | None = measure("fp16_active_pm", "ratio", 1000, "gauge", "gpm", "FP16 pipe activity", "NVML GPM metric 13")  # fmt: skip
    memory_used_bytes: float | None = measure("memory_used_mib", "bytes", MIB, "gauge", "memory", "Device memory in use without the driver's reserve", "NVML nvmlDeviceGetMemoryInfo_v2.used, else v1")  # fmt: skip
    power_watts: float | None = measure("power_mw", "watts", 1000, "gauge", "power", "Board power", "NVML field 186 (instant), else nvmlDeviceGetPowerUsage")  # fmt: skip
    power_limit_watts: float | None = measure("power_limit_mw", "watts", 1000, "gauge", "power_limit", "Power limit in force", "NVML field 190, else nvmlDeviceGetEnforcedPowerLimit")  # fmt: skip
    energy_joules: float | None = measure("energy_mj", "joules", 1000, "delta", "energy", "Energy used since the previous row", "NVML field 83, else nvmlDeviceGetTotalEnergyConsumption (difference)")  # fmt: skip
    temperature_celsius: float | None = measure("temperature_c", "celsius", 1, "gauge", "temperature", "GPU core temperature", "NVML nvmlDeviceGetTemperature")  # fmt: skip
    memory_temperature_celsius: float | None = measure("memory_temperature_c", "celsius", 1, "gauge", "memory_temperature", "Device memory temperature", "NVML field 82")  # fmt: skip
    sm_clock_hertz: float | None = measure("sm_clock_mhz", "hertz", 1e-6, "gauge", "clock", "SM clock", "NVML nvmlDeviceGetClockInfo(SM)")  # fmt: skip
    memory_clock_hertz: float | None = measure("memory_clock_mhz", "hertz", 1e-6, "gauge", "clock", "Memory clock", "NVML nvmlDeviceGetClockInfo(MEM)")  # fmt: skip
    pcie_rx_bytes: float | None = measure("pcie_rx_kib", "bytes", KIB, "delta", "pcie", "Bytes received over PCIe since the previous row", "NVML field 198 (difference), else GPM metric 21")  # fmt: skip
    pcie_tx_bytes: float | None = measure("pcie_tx_kib", "bytes", KIB, "delta", "pcie", "Bytes sent over PCIe since the previous row", "NVML field 197 (difference), else GPM metric 20")  # fmt: skip
    nvlink_rx_bytes: float | None = measure("nvlink_rx_kib", "bytes", KIB, "delta", "nvlink", "Bytes received over all NVLinks since the previous row", "NVML field 139 (difference), else GPM metric 60")  # fmt: skip
    nvlink_tx_bytes: float | None = measure("nvlink_tx_kib", "bytes", KIB, "delta", "nvlink", "Bytes sent over all NVLinks since the previous row", "NVML field 138 (difference), else GPM metric 61")  # fmt: skip
    clock_event_reasons: int | None = measure("clock_event_reasons", "mask", 1, "state", "reasons", "Reasons for the present clocks, NVML bit mask", "NVML nvmlDeviceGetCurrentClocksEventReasons")  # fmt: skip
    power_throttled_seconds: float | None = measure("power_throttled_ms", "seconds", 1000, "delta", "throttle", "Time since the previous row with clocks lowered by a power limit", "NVML fields 74 and 271 (difference in ns, the larger)")  # fmt: skip
    thermal_throttled_seconds: float | None = measure("thermal_throttled_ms", "seconds", 1000, "delta", "throttle", "Time since the previous row with clocks lowered by heat", "NVML fields 75, 269 and 270 (difference in ns, the largest)")  # fmt: skip
    performance_state: int | None = measure("performance_state", "state", 1, "state", "pstate", "Performance state, 0 (highest) to 15", "NVML nvmlDeviceGetPerformanceState")  # fmt: skip
    process_count: int | None = measure("process_count", "count", 1, "state", "processes", "Compute processes that the driver lists", "NVML nvmlDeviceGetComputeRunningProcesses_v3")  # fmt: skip
    ecc_uncorrected_total: int | None = measure("ecc_uncorrected", "total", 1, "counter", "ecc", "Uncorrected ECC errors since the driver was loaded", "NVML field 4, else nvmlDeviceGetTotalEccErrors(UNCORRECTED, VOLATILE)")  # fmt: skip
    pcie_link_generation: int | None = measure("pcie_generation", "count", 1, "state", "pcie_link", "Generation of the PCIe link now", "NVML nvmlDeviceGetCurrPcieLinkGeneration")  # fmt: skip
    pcie_link_width: int | None = measure("pcie_width", "count", 1, "state", "pcie_link", "Lanes of the PCIe link now", "NVML nvmlDeviceGetCurrPcieLinkWidth")  # fmt: skip
    nvlink_active_count: int | None = measure("nvlink_active", "count", 1, "state", "nvlink_state", "NVLinks that are up", "NVML nvmlDeviceGetNvLinkState")  # fmt: skip
    overhead_ratio: float | None = measure("overhead_pm", "ratio", 1000, "state", "work", "Share of the time in which its training started, compiled, wrote a checkpoint or evaluated", WORK)  # fmt: skip
    input_ratio: float | None = measure("input_pm", "ratio", 1000, "state", "work", "Share of the time in which its training waited for data", WORK)  # fmt: skip
    host_ratio: float | None = measure("host_pm", "ratio", 1000, "state", "work", "Share of the time in which its training ran the loop's own code on the CPU", WORK)  # fmt: skip
    peers_ratio: float | None = measure("peers_pm", "ratio", 1000, "state", "work", "Share of the time in which only another rank of its job waited for data, wrote or evaluated", WORK)  # fmt: skip
    demand_ratio: float | None = measure("demand_pm", "ratio", 1000, "state", "work", "1 while its inference server has no request, else 0", WORK)  # fmt: skip
    redone_ratio: float | None = measure("redone_pm", "ratio", 1000, "state", "work", "Share of its server's tokens that were drafted and rejected", WORK)  # fmt: skip
    mfu_ratio: float | None = measure("mfu_pm", "ratio", 1000, "state", "work", "Model FLOPs utilization of its training over the last minute, of the achievable peak", WORK)  # fmt: skip
    power_fraction_ratio: float | None = measure("power_fraction_pm", "ratio", 1000, "state", "power_fraction", "(power - idle floor) / (limit - idle floor)", WORK)  # fmt: skip
    sibling_active: int | None = measure("sibling", "flag", 1, "state", "sibling", "1 if another GPU of the same job was active", WORK)  # fmt: skip
    inferred_cause: int | None = measure("inferred_cause", "state", 1, "state", "inferred", "Why it waits by an open finding: 1 peers, 2 input, 3 host, 4 transfer, 5 demand", WORK)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process on one GPU (``gpu_uuid``), or its host side (``gpu_uuid == ""``), over the time since its previous sample.

    ``start_ms`` 0 means that the source knows the pid alone (the driver does); the recorder joins it to the process that has
    that pid now. The recorder merges the host side into the row of the process' first GPU.
    """

    pid: int
    start_ms: int = 0
    gpu_uuid: str = ""
    kind: Literal["compute", "graphics", "mps", ""] = ""
    gpu_memory_bytes: float | None = measure("gpu_memory_mib", "bytes", MIB, "gauge", "gpu_memory", "Device memory held by the process on this GPU", "NVML nvmlDeviceGetComputeRunningProcesses_v3.usedGpuMemory")  # fmt: skip
    sm_utilization_ratio: float | None = measure("sm_pm", "ratio", 1000, "gauge", "sm", "Share of time in which a kernel of the process was resident", "NVML nvmlDeviceGetProcessUtilization.smUtil")  # fmt: skip
    memory_utilization_ratio: float | None = measure("memory_pm", "ratio", 1000, "gauge", "sm", "Memory utilization caused by the process", "NVML nvmlDeviceGetProcessUtilization.memUtil")  # fmt: skip
    cpu_ratio: float | None = measure("cpu_pm", "ratio", 1000, "gauge", "cpu", "CPU time per second; 1 is one core", "/proc/PID/stat utime + stime")  # fmt: skip
    rss_bytes: float | None = measure("rss_mib", "bytes", MIB, "gauge", "rss", "Resident host memory", "/proc/PID/stat rss")  # fmt: skip
    read_bytes: float | None = measure("read_kib", "bytes", KIB, "delta", "io", "Bytes read from storage since the previous row", "/proc/PID/io read_bytes")  # fmt: skip
    write_bytes: float | None = measure("write_kib", "bytes", KIB, "delta", "io", "Bytes written to storage since the previous row", "/proc/PID/io write_bytes")  # fmt: skip
    thread_cpu_ratio: float | None = measure("thread_cpu_pm", "ratio", 1000, "state", "threads", "CPU time per second of its busiest thread; looked at only where the process uses about one core", "/proc/PID/task/*/stat")  # fmt: skip
    cpu_throttled_ratio: float | None = measure("cpu_throttled_pm", "ratio", 1000, "state", "cgroup", "Share of its control group's periods in which it was throttled", "cgroup cpu.stat nr_throttled / nr_periods")  # fmt: skip
    run_state: int | None = measure("run_state", "state", 1, "state", "run_state", "State of the process, the code of its letter: R 82, S 83, D 68, T 84, Z 90", "/proc/PID/stat state")  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostSample:
    """The host over the time since the previous sample."""

    cpu_ratio: float | None = measure("cpu_pm", "ratio", 1000, "gauge", "cpu", "CPU in use, of all cores", "/proc/stat")
    iowait_ratio: float | None = measure("iowait_pm", "ratio", 1000, "gauge", "cpu", "CPU idle while I/O was pending, of all cores", "/proc/stat iowait")  # fmt: skip
    memory_used_bytes: float | None = measure("memory_used_mib", "bytes", MIB, "gauge", "memory", "Host memory in use: MemTotal - MemAvailable", "/proc/meminfo")  # fmt: skip
    swap_used_bytes: float | None = measure("swap_used_mib", "bytes", MIB, "gauge", "memory", "Swap in use", "/proc/meminfo")
    load_average: float | None = measure("load_cent", "count", 100, "gauge", "load", "Load average over one minute", "/proc/loadavg")  # fmt: skip
    disk_read_bytes: float | None = measure("disk_read_kib", "bytes", KIB, "delta", "disk", "Bytes read from block devices since the previous row", "/proc/diskstats")  # fmt: skip
    disk_write_bytes: float | None = measure("disk_write_kib", "bytes", KIB, "delta", "disk", "Bytes written to block devices since the previous row", "/proc/diskstats")  # fmt: skip
    network_receive_bytes: float | None = measure("network_receive_kib", "bytes", KIB, "delta", "network", "Bytes received on all interfaces but loopback", "/proc/net/dev")  # fmt: skip
    network_transmit_bytes: float | None = measure("network_transmit_kib", "bytes", KIB, "delta", "network", "Bytes sent on all interfaces but loopback", "/proc/net/dev")  # fmt: skip
    process_count: int | None = measure("process_count", "count", 1, "gauge", "processes", "Processes on the host", "/proc")
    steal_ratio: float | None = measure("steal_pm", "ratio", 1000, "gauge", "steal", "CPU taken by the hypervisor, of all cores", "/proc/stat steal")  # fmt: skip
    cpu_pressure_ratio: float | None = measure("psi_cpu_pm", "ratio", 1000, "gauge", "psi", "Share of time in which some task waited for a CPU", "/proc/pressure/cpu some avg10")  # fmt: skip
    io_pressure_ratio: float | None = measure("psi_io_pm", "ratio", 1000, "gauge", "psi", "Share of time in which some task waited for I/O", "/proc/pressure/io some avg10")  # fmt: skip
    memory_pressure_ratio: float | None = measure("psi_memory_pm", "ratio", 1000, "gauge", "psi", "Share of time in which all tasks waited for memory", "/proc/pressure/memory full avg10")  # fmt: skip
    swap_in_bytes: float | None = measure("swap_in_kib", "bytes", KIB, "delta", "swap_in", "Bytes swapped in since the previous row", "/proc/vmstat pswpin")  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecorderSample:
    """What watching costs: the recorder's own process, and one driver, over the time since the previous sample."""

    cpu_seconds: float | None = measure("cpu_us", "seconds", 1e6, "delta", "own", "CPU time of the recorder", "time.process_time")
    rss_bytes: float | None = measure("rss_kib", "bytes", KIB, "gauge", "own", "Resident memory of the recorder", "/proc/self/statm")  # fmt: skip
    driver_seconds: float | None = measure("driver_us", "seconds", 1e6, "delta", "own", "Time spent inside driver calls", "monotonic clock around NVML calls")  # fmt: skip
    driver_calls_total: int | None = measure("driver_calls", "total", 1, "delta", "own", "Driver calls made", "count of NVML calls")  # fmt: skip
    written_bytes: float | None = measure("written_kib", "bytes", KIB, "delta", "own", "Bytes written by the recorder", "/proc/self/io wchar")  # fmt: skip


@dataclass(frozen=True, slots=True)
class InferenceSample:
    """One inference server over the time since its previous good reading.

    Counts are differences, ``None`` at the first reading and after a break; ``Server.fields`` says where each comes from.
    ``interval_seconds`` is the present time between two readings if it is longer than the collector's own.
    """

    root_pid: int
    root_start_ms: int = 0
    port: int = 0
    interval_seconds: float = 0.0
    output_tokens_total: float | None = measure("output_tokens", "total", 1, "delta", "tokens", "Tokens generated (decode)", "server metrics")  # fmt: skip
    prefill_tokens_total: float | None = measure("prefill_tokens", "total", 1, "delta", "tokens", "Prompt tokens computed", "server metrics")  # fmt: skip
    cached_tokens_total: float | None = measure("cached_tokens", "total", 1, "delta", "tokens", "Prompt tokens taken from the prefix cache", "server metrics")  # fmt: skip
    requests_total: float | None = measure("requests", "total", 1, "delta", "requests", "Requests ended", "server metrics")  # fmt: skip
    preemptions_total: float | None = measure("preemptions", "total", 1, "delta", "requests", "Requests preempted", "server metrics")  # fmt: skip
    running_requests: float | None = measure("running_milli", "count", 1000, "gauge", "queue", "Requests running", "server metrics")  # fmt: skip
    waiting_requests: float | None = measure("waiting_milli", "count", 1000, "gauge", "waiting", "Requests waiting", "server metrics")  # fmt: skip
    kv_cache_ratio: float | None = measure("kv_cache_pm", "ratio", 1000, "gauge", "kv", "KV cache in use", "server metrics")  # fmt: skip
    kv_cache_fullest_ratio: float | None = measure("kv_cache_fullest_pm", "ratio", 1000, "gauge", "kv", "KV cache in use, of the fullest engine behind the server", "server metrics")  # fmt: skip
    server_state: int | None = measure("server_state", "state", 1, "state", "state", "What the server tells: 1 up, 2 starting, 3 metrics off, 4 key needed, 5 unreachable, 6 other namespace, 7 port unknown, 8 foreign page, 9 page too large, 10 no metrics", "server metrics")  # fmt: skip
    window_seconds: float | None = measure("window_ms", "seconds", 1000, "delta", "window", "True time between the two readings that the counts lie between", "server metrics")  # fmt: skip
    prompt_tokens_total: float | None = measure("prompt_tokens", "total", 1, "delta", "prompt", "Prompt tokens of requests, cached ones included", "server metrics")  # fmt: skip
    prefix_query_tokens_total: float | None = measure("prefix_query_tokens", "total", 1, "delta", "prefix", "Prompt tokens that were looked up in the prefix cache", "server metrics")  # fmt: skip
    prefix_hit_tokens_total: float | None = measure("prefix_hit_tokens", "total", 1, "delta", "prefix", "Prompt tokens that were found there", "server metrics")  # fmt: skip
    drafts_total: float | None = measure("drafts", "total", 1, "delta", "speculation", "Drafts of speculative decoding", "server metrics")  # fmt: skip
    draft_tokens_total: float | None = measure("draft_tokens", "total", 1, "delta", "speculation", "Tokens drafted", "server metrics")  # fmt: skip
    accepted_tokens_total: float | None = measure("accepted_tokens", "total", 1, "delta", "speculation", "Drafted tokens that were accepted", "server metrics")  # fmt: skip
    finished_stop_total: float | None = measure("finished_stop", "total", 1, "delta", "finished", "Requests ended by a stop token or string", "server metrics")  # fmt: skip
    finished_length_total: float | None = measure("finished_length", "total", 1, "delta", "finished", "Requests ended by their length limit", "server metrics")  # fmt: skip
    finished_aborted_total: float | None = measure("finished_aborted", "total", 1, "delta", "finished", "Requests aborted by the client", "server metrics")  # fmt: skip
    finished_error_total: float | None = measure("finished_error", "total", 1, "delta", "finished", "Requests that failed", "server metrics")  # fmt: skip
    flops_total: float | None = measure("gflop", "total", 1e-09, "delta", "flops", "Floating-point operations per GPU, as the server estimates", "server metrics")  # fmt: skip
    ttft_count_total: float | None = measure("ttft_count", "total", 1, "delta", "ttft", "Times to first token that were measured", "server metrics")  # fmt: skip
    ttft_sum_seconds: float | None = measure("ttft_sum_us", "seconds", 1000000.0, "delta", "ttft", "Times to first token, added up", "server metrics")  # fmt: skip
    itl_count_total: float | None = measure("itl_count", "total", 1, "delta", "itl", "Times between tokens that were measured", "server metrics")  # fmt: skip
    itl_sum_seconds: float | None = measure("itl_sum_us", "seconds", 1000000.0, "delta", "itl", "Times between tokens, added up", "server metrics")  # fmt: skip
    e2e_count_total: float | None = measure("e2e_count", "total", 1, "delta", "e2e", "Times of whole requests that were measured", "server metrics")  # fmt: skip
    e2e_sum_seconds: float | None = measure("e2e_sum_us", "seconds", 1000000.0, "delta", "e2e", "Times of whole requests, added up", "server metrics")  # fmt: skip
    queue_count_total: float | None = measure("queue_count", "total", 1, "delta", "queue_time", "Times in the queue that were measured", "server metrics")  # fmt: skip
    queue_sum_seconds: float | None = measure("queue_sum_us", "seconds", 1000000.0, "delta", "queue_time", "Times in the queue, added up", "server metrics")  # fmt: skip


OPEN_US = 10**15
"""The upper bound of a bucket without one (``le="+Inf"``)."""


@dataclass(frozen=True, slots=True)
class LatencyCounts:
    """How many more observations each bucket of one histogram of a server holds than at the previous reading.

    ``buckets``: (lower bound in microseconds, upper bound or ``OPEN_US``, count), exclusive of each other and only where the
    count is not 0: an observation v lies in the bucket with lower < v <= upper.
    """

    root_pid: int
    root_start_ms: int
    port: int
    latency: Latency
    buckets: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ExtraSample:
    """A plugin's own metric: declared by name and unit, kept narrow."""

    name: str
    unit: str
    value: float
    gpu_uuid: str = ""
    pid: int = 0


MissingKey = tuple[str, str, str]
"""(entity kind: ``host|gpu|process|workload``, entity key: uuid, ``pid:start_ms`` or ``""``, field name)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one collector learned at one grid second.

    ``t`` is the grid second (unix), ``monotonic_ns`` the true instant of reading, ``duration_ns`` how long reading took, ``driver_calls``
    and ``driver_ns`` what it cost the driver. ``error`` is one clear line when nothing could be read; the rest is then empty. ``gpus``,
    ``processes`` list every entity that exists now (``None``: not looked at this time); ``servers``,
    ``trainers``, ``runs`` those of which something is new.
    """

    collector: str
    t: int
    monotonic_ns: int = 0
    duration_ns: int = 0
    driver_calls: int = 0
    driver_ns: int = 0
    host: Host | None = None
    gpus: Sequence[Gpu] | None = None
    processes: Sequence[Process] | None = None
    workloads: Sequence[Workload] | None = None
    gpu_samples: Sequence[GpuSample] = ()
    process_samples: Sequence[ProcessSample] = ()
    host_sample: HostSample | None = None
    training_samples: Sequence[TrainingSample] = ()
    inference_samples: Sequence[InferenceSample] = ()
    latency_counts: Sequence[LatencyCounts] = ()
    servers: Sequence[Server] = ()
    trainers: Sequence[Trainer] = ()
    runs: Sequence[Run] = ()
    extra_samples: Sequence[ExtraSample] = ()
    events: Sequence[Event] = ()
    missing: Mapping[MissingKey, Missing] = field(default_factory=dict)
    error: str | None = None
    hint: str | None = None
