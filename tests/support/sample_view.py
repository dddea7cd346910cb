"""The invented data set of the design pictures as a View: host node-07, 8 x H100, Fri 14 Nov 14:32:07 UTC."""

from __future__ import annotations

from collections.abc import Sequence

from support.sample_waste import sample_findings

from gpuwatch.format import shares
from gpuwatch.names import Bucket, Cause, Context, Missing, Severity, State, Tier
from gpuwatch.view.types import (
    Cell,
    EventView,
    GpuHold,
    GpuView,
    HostView,
    LedgerPart,
    LedgerView,
    ProcessView,
    RecordingView,
    SourceView,
    SpanView,
    View,
    WorkloadView,
)

NOW_MS = 1_763_130_727_000
"""Fri 14 Nov 2025 14:32:07 UTC."""
MIDNIGHT_MS = NOW_MS - 52_327_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
GIB = 1024**3
MEMORY_TOTAL = 85_520_809_984

_GPUS = (
    # state, SM, tensor, DRAM, GiB, W, limit, °C, user, since before now (s), waste
    (State.BUSY, 0.87, 0.44, 0.41, 71.2, 612, 700, 64, "alice", 1_580, 0.06),
    (State.BUSY, 0.88, 0.45, 0.42, 71.0, 618, 700, 66, "alice", 1_580, 0.06),
    (State.WAITING, 0.31, 0.12, 0.15, 44.8, 301, 700, 51, "carol", 22_087, 0.58),
    (State.WAITING, 0.29, 0.11, 0.14, 44.6, 296, 700, 50, "carol", 22_087, 0.58),
    (State.BUSY, 0.58, 0.20, 0.52, 74.9, 431, 700, 58, "svc", 1_400, 0.17),
    (State.HELD_IDLE, 0.0, 0.0, 0.0, 62.1, 118, 700, 38, "bob", 4_320, 1.0),
    (State.HELD_IDLE, 0.0, 0.0, 0.0, 38.4, 114, 700, 37, "bob", 4_320, 1.0),
    (State.THROTTLED, 0.91, 0.45, 0.41, 66.3, 399, 400, 83, "dave", 1_247, 0.19),
)
_PERCENTS = (  # effective, stalled SM, empty SM, wait, throttled, redone, overhead, held idle
    (51, 31, 6, 9, 0, 0, 3, 0),
    (51, 32, 5, 9, 0, 0, 3, 0),
    (24, 12, 6, 58, 0, 0, 0, 0),
    (23, 12, 6, 59, 0, 0, 0, 0),
    (48, 11, 24, 14, 0, 3, 0, 0),
    (0, 0, 0, 0, 0, 0, 0, 100),
    (0, 0, 0, 0, 0, 0, 0, 100),
    (40, 27, 9, 5, 19, 0, 0, 0),
)
_BUCKETS = (
    Bucket.EFFECTIVE,
    Bucket.STALLED_SM,
    Bucket.EMPTY_SM,
    Bucket.WAIT,
    Bucket.THROTTLED,
    Bucket.REDONE,
    Bucket.OVERHEAD,
    Bucket.HELD_IDLE,
)
_CAUSES = (Cause.PEERS, Cause.PEERS, Cause.INPUT, Cause.INPUT, Cause.DEMAND, Cause.NONE, Cause.NONE, Cause.UNEXPLAINED)
_TODAY = (  # GPU·h
    (Bucket.EFFECTIVE, 32.1),
    (Bucket.STALLED_SM, 18.0),
    (Bucket.EMPTY_SM, 8.1),
    (Bucket.WAIT, 16.5),
    (Bucket.THROTTLED, 0.4),
    (Bucket.REDONE, 1.1),
    (Bucket.OVERHEAD, 1.3),
    (Bucket.HELD_IDLE, 19.3),
    (Bucket.ALLOCATED_UNUSED, 3.1),
    (Bucket.UNALLOCATED, 15.6),
    (Bucket.UNOBSERVED, 0.8),
)


def gpu_uuid(index: int) -> str:
    """The invented UUID of a GPU."""
    return f"GPU-3f9c41d{index}-0000-4000-8000-00000000000{index}"


def _strip(index: int, cells: int) -> tuple[Cell, ...]:
    """A pattern with two dips (0, 1, 4), a square wave (2, 3), a floor (5, 6) or a lowered clock (7)."""
    state, height = _GPUS[index][0], _GPUS[index][1]
    out = []
    for i in range(75 - cells, 75):
        wobble = ((i * 7 + index * 3) % 5 - 2) * 0.02
        if index in (5, 6):
            out.append(Cell(0.0, State.HELD_IDLE))
        elif index in (2, 3):
            busy = (i + index) % 5 < 2
            out.append(Cell(0.88 + wobble, State.BUSY) if busy else Cell(0.12 + wobble, State.WAITING))
        elif index != 7 and i in ((44, 45, 63), (44, 45, 63), (), (), (50, 51, 68))[index]:
            out.append(Cell(0.15 + wobble, State.WAITING))
        else:
            out.append(Cell(height + wobble, State.BUSY if index == 7 and i < 13 else state))
    return tuple(out)


def _gpu(index: int, cells: int) -> GpuView:
    state, sm, tensor, dram, gib, power, limit, temperature, user, since, waste = _GPUS[index]
    hot = index == 7
    return GpuView(
        gpu_uuid=gpu_uuid(index),
        gpu_index=index,
        name="NVIDIA H100 80GB HBM3",
        parent_uuid="",
        mig_profile="",
        mig_enabled=False,
        compute_fraction=1.0,
        state=state,
        state_since_ms=NOW_MS - since * 1000,
        quiet_seconds=float(since) if state is State.HELD_IDLE else 0.0,
        context=Context.PROCESS,
        age_seconds=0.4,
        utilization_ratio=0.0 if sm == 0 else min(1.0, sm + 0.08),
        sm_active_ratio=sm,
        tensor_active_ratio=tensor,
        dram_active_ratio=dram,
        memory_used_bytes=gib * GIB,
        memory_total_bytes=float(MEMORY_TOTAL),
        power_watts=float(power),
        power_limit_watts=float(limit),
        power_limit_default_watts=700.0,
        temperature_celsius=float(temperature),
        memory_temperature_celsius=float(temperature + 9),
        sm_clock_hertz=1395e6 if hot else 1755e6 if sm else 345e6,
        sm_clock_max_hertz=1980e6,
        memory_clock_hertz=2619e6,
        clock_event_reasons=4 if hot else 0 if sm else 1,
        performance_state=0,
        process_count=2 if index == 4 else 1,
        users=("svc", "root") if index == 4 else (user,),
        strip=_strip(index, cells),
        waste_gpus=waste,
        details={
            "pci_bus_id": f"0000:{0x1B + 0x19 * index:02x}:00.0",
            "architecture": "Hopper",
            "compute_capability": "9.0",
            "serial": f"165032200{index}",
            "ecc_enabled": True,
            "persistence_mode": True,
            "pcie_generation_max": 5,
            "pcie_width_max": 16,
            "nvlink_count": 18,
            "gpm_supported": True,
        },
    )


def _seconds(text: str) -> int:
    days, _, clock = text.rpartition("d ")
    hours, minutes, seconds = (*(int(part) for part in clock.split(":")), 0)[:3]
    return int(days or 0) * 86_400 + hours * 3600 + minutes * 60 + seconds


def _process(
    pid: int,
    age: str,
    user: str,
    command: str,
    *,
    parent: tuple[int, str] | None = None,
    cpu: float | None = 0.0,
    gib: float | None = 0.0,
    disk: float = 0.0,
    holds: Sequence[tuple[int, float, float | None, float | None]] = (),
    role: str = "gpu",
    state: State = State.BUSY,
    job: str = "",
) -> ProcessView:
    return ProcessView(
        pid=pid,
        start_ms=NOW_MS - _seconds(age) * 1000,
        start_known=True,
        parent_pid=parent[0] if parent else 0,
        parent_start_ms=NOW_MS - _seconds(parent[1]) * 1000 if parent else 0,
        name=command.split()[0].rstrip(":"),
        command=command,
        uid=0 if user == "root" else 1000 + sum(user.encode()) % 50,
        user=user,
        container="",
        job=job,
        role=role,
        age_seconds=float(_seconds(age)),
        sample_age_seconds=0.6,
        cpu_ratio=cpu,
        rss_bytes=None if gib is None else gib * GIB,
        read_bytes_per_second=disk * 1e6,
        write_bytes_per_second=0.0,
        holds=tuple(GpuHold(gpu_uuid(gpu), gpu, memory * GIB, sm, waste) for gpu, memory, sm, waste in holds),
        state=state,
        missing={} if not holds or holds[0][2] is not None else {"sm_utilization_ratio": Missing.NOT_SUPPORTED},
    )


def _processes() -> tuple[ProcessView, ...]:
    vit = "python train_vit.py --arch vit-l --bs 256 --data /data/imagenet --workers 4 --amp --epochs 90 --lr 1e-3"
    vit += " --output runs/vit-l-256 --resume --wandb-key ••••••••"
    llama = "torchrun train.py --config llama-8b.yaml"
    bash, torchrun = (51_802, "6:13:02"), (57_098, "2:51:14")
    out = [
        _process(48_213, "2:47:12", "bob", "jupyter kernel 9f2e", gib=2.1, state=State.HELD_IDLE, holds=((5, 62.1, 0.0, 1.0), (6, 38.4, 0.0, 1.0))),
        _process(31_002, "1d 22:14", "carol", "tmux: vit", gib=0.0, role="ancestor", state=State.NO_DATA),
        _process(51_802, "6:13:02", "carol", "bash run_vit.sh", parent=(31_002, "1d 22:14"), role="ancestor", state=State.NO_DATA),
        _process(51_877, "6:12:40", "carol", vit, parent=bash, cpu=0.10, gib=11.2, holds=((2, 44.8, 0.31, 0.58),), state=State.WAITING),
        _process(51_878, "6:12:40", "carol", vit, parent=bash, cpu=0.10, gib=11.0, holds=((3, 44.6, 0.29, 0.58),), state=State.WAITING),
    ]  # fmt: skip
    for i, cpu in enumerate((0.98, 0.98, 0.99, 0.97)):
        parent = (51_877, "6:12:40")
        out.append(_process(51_902 + i, "6:12:31", "carol", f"pt_data_worker {i}", parent=parent, cpu=cpu, gib=1.8, disk=27, role="worker", state=State.NO_DATA))  # fmt: skip
    for i in range(4):
        parent = (51_878, "6:12:40")
        out.append(_process(51_917 + i, "6:12:31", "carol", f"pt_data_worker {i}", parent=parent, cpu=0.97, gib=7.1 / 4, disk=26, role="worker", state=State.NO_DATA))  # fmt: skip
    out += [
        _process(60_210, "1d 03:10", "dave", "accelerate launch sdxl_ft.py --res 1024", cpu=1.04, gib=9.7, holds=((7, 66.3, 0.91, 0.19),), state=State.THROTTLED),
        _process(33_071, "9d 11:02", "svc", "vllm serve Qwen2.5-72B-AWQ --tp 1", cpu=1.87, gib=12.0, role="ancestor", state=State.NO_DATA),
        _process(33_102, "9d 11:02", "svc", "vllm EngineCore", parent=(33_071, "9d 11:02"), cpu=1.01, gib=31.0, holds=((4, 74.6, 0.58, 0.17),)),
        _process(56_988, "2:51:20", "alice", "slurmstepd: job 48817", gib=0.0, role="ancestor", state=State.NO_DATA, job="slurm:48817"),
        _process(57_098, "2:51:14", "alice", "torchrun --nproc-per-node 2", parent=(56_988, "2:51:20"), gib=0.2, role="ancestor", state=State.NO_DATA, job="slurm:48817"),
        _process(57_120, "2:51:09", "alice", llama, parent=torchrun, cpu=1.33, gib=24.6, holds=((0, 71.2, 0.87, 0.06),), job="slurm:48817"),
        _process(57_121, "2:51:09", "alice", llama, parent=torchrun, cpu=1.33, gib=24.5, holds=((1, 71.0, 0.88, 0.06),), job="slurm:48817"),
    ]  # fmt: skip
    for first, owner, total, memory in ((57_166, 57_120, 2.40, 9.8), (57_174, 57_121, 2.38, 9.6)):
        for i in range(8):
            parent = (owner, "2:51:09")
            out.append(_process(first + i, "2:51:02", "alice", f"pt_data_worker {i}", parent=parent, cpu=total / 8, gib=memory / 8, disk=3 / 8, role="worker", state=State.NO_DATA, job="slurm:48817"))  # fmt: skip
    out += [
        _process(902, "12d 04:40", "root", "dcgm-exporter", cpu=0.01, gib=0.1, holds=((4, 0.3, None, None),), state=State.NO_DATA),
        _process(71_002, "0:00:09", "erin", "python serve_tmp.py  (no GPU context yet)", cpu=0.99, gib=1.9, role="ml", state=State.NO_DATA),
    ]  # fmt: skip
    return tuple(out)


def ledger_15_minutes() -> LedgerView:
    """The 15-minute bar: 30, 23, 19, 3, 25 %."""
    parts: dict[tuple[Bucket, Cause], int] = {}
    for row, cause in zip(_PERCENTS, _CAUSES, strict=True):
        for bucket, share in zip(_BUCKETS, row, strict=True):
            key = (bucket, cause if bucket is Bucket.WAIT else Cause.NONE)
            parts[key] = parts.get(key, 0) + share * 9_000
    capacity = 8 * 15 * MINUTE
    rows = tuple(LedgerPart(bucket, cause, Tier.G, ms, ms * 360) for (bucket, cause), ms in sorted(parts.items()) if ms)
    span = SpanView(NOW_MS - 15 * MINUTE, NOW_MS, 1.0)
    return LedgerView(span, capacity, rows, 1.0, 0.54625, 0.5423, 0.5423, 0.29625, 0.29625, Tier.G, 3.82)


def ledger_today() -> LedgerView:
    """Since 00:00: 116.3 GPU·h, waste 41.7."""
    capacity = 8 * (NOW_MS - MIDNIGHT_MS)
    whole = shares([hours for _, hours in _TODAY], capacity)
    rows = tuple(LedgerPart(bucket, Cause.NONE, Tier.G, ms, ms * 300) for (bucket, _), ms in zip(_TODAY, whole, strict=True))
    span = SpanView(MIDNIGHT_MS, NOW_MS, 1 - 0.8 / 116.3)
    return LedgerView(span, capacity, rows, 0.865, 0.588, 0.547, 0.547, 0.278, 0.278, Tier.G, 41.7 / 14.535)


def _events() -> tuple[EventView, ...]:
    rows = (
        ("14:11:20", "limit", Severity.NOTICE, "limit 700 → 400 W, by root", 7, None),
        ("13:54:02", "kv", Severity.NOTICE, "KV cache full, work redone", 4, None),
        ("13:24:07", "held_idle", Severity.WARNING, "held idle, quiet since 13:19", 5, 48_213),
        ("11:44:55", "process_start", Severity.INFO, "bob starts jupyter 48213", 5, 48_213),
        ("11:40:58", "process_start", Severity.INFO, "alice starts llama-8b, 2 ranks", 0, 57_098),
        ("10:54:10", "process_end", Severity.NOTICE, "llama-8b ended, exit code 1", 0, None),
        ("08:33:40", "process_end", Severity.INFO, "held kernel ended", 5, None),
    )
    return tuple(EventView(MIDNIGHT_MS + _seconds(at) * 1000, *rest) for at, *rest in rows)  # type: ignore[arg-type]


def _workloads() -> tuple[WorkloadView, ...]:
    def start(age: str) -> int:
        return NOW_MS - _seconds(age) * 1000

    return (
        WorkloadView(57_098, start("2:51:14"), 0, "training", "llama-8b", "llama-8b", "pytorch", "alice", (0, 1), True, 13_700.0),
        WorkloadView(
            33_071, start("9d 11:02"), 8000, "inference", "qwen-72b", "Qwen2.5-72B-AWQ", "vLLM", "svc", (4,), True, 1_260.0
        ),
        WorkloadView(51_802, start("6:13:02"), 0, "training", "vit-l", "vit-l", "pytorch", "carol", (2, 3), True, None),
        WorkloadView(60_210, start("1d 03:10"), 0, "training", "sdxl_ft", "sdxl", "pytorch", "dave", (7,), False, None),
    )


def sample_view(cells: int = 45) -> View:
    """The data set of the pictures; ``cells`` (45 or 75) of 20 s in each strip."""
    return View(
        at_ms=NOW_MS,
        now_ms=NOW_MS,
        host=HostView(
            hostname="node-07",
            machine_id="node-07",
            driver_version="570.124",
            cuda_version="12.8",
            kernel="6.8.0-60-generic",
            cpu_count=128,
            memory_total_bytes=1024.0 * GIB,
            cpu_ratio=0.134,
            iowait_ratio=0.004,
            memory_used_bytes=181.4 * GIB,
            swap_used_bytes=0.0,
            load_average=17.2,
            disk_read_bytes_per_second=218e6,
            disk_write_bytes_per_second=11e6,
            network_receive_bytes_per_second=4.1e6,
            network_transmit_bytes_per_second=9.7e6,
            process_count=214,
        ),
        recording=RecordingView(
            live=True,
            pid=1877,
            last_tick_ms=NOW_MS - 400,
            first_ms=NOW_MS - 31 * DAY - HOUR,
            interval_seconds=1.0,
            simulated=False,
            scenario="",
        ),
        span=SpanView(NOW_MS - cells * 20_000, NOW_MS, 1.0),
        gpus=tuple(_gpu(index, cells) for index in range(8)),
        processes=_processes(),
        workloads=_workloads(),
        ledger=ledger_15_minutes(),
        today=ledger_today(),
        waste_now_gpus=3.64,
        findings=sample_findings(NOW_MS),
        events=_events(),
        sources=tuple(SourceView(name, "ok", age, "", "") for name, age in (("nvml", 0.4), ("procs", 0.6), ("host", 0.6))),
    )
