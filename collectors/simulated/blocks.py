"""The blocks of a scenario file, one function each: ``[[gpus]]``, ``[[processes]]``, ``[[past]]``, ``[[faults]]``, ``[[xids]]``, ``[host]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gpuwatch.collectors.simulated import server_block, training_block
from gpuwatch.collectors.simulated.patterns import Phase
from gpuwatch.collectors.simulated.plans import (
    FAULT_KINDS,
    GPM_IDS,
    REASONS,
    FaultPlan,
    GpuPlan,
    HostPlan,
    InstancePlan,
    PastPlan,
    ProcessPlan,
    Work,
)
from gpuwatch.collectors.simulated.profiles import Profile, profile_of
from gpuwatch.collectors.simulated.reader import Reader, check, phases, profile_name
from gpuwatch.errors import UsageError
from gpuwatch.text import clean

_WORK = ("load", "gpm", "gpm_noise", "base_memory")
_GPU = (
    *_WORK,
    *[
        "profile",
        "count",
        "like",
        "power",
        "power_noise",
        "temperature",
        "memory_temperature",
        "sm_clock",
        "sm_clock_max",
        "memory_factor",
    ],
    *["pcie", "nvlink", "pcie_link", "nvlinks_up", "throttle", "power_limit", "codec", "mig"],
)
_PROCESS = (
    *[
        "slot",
        "copies",
        "kind",
        "user",
        "uid",
        "job",
        "name",
        "command",
        "gpus",
        "share",
        "age",
        "ended",
        "born",
        "lives",
        "cpu",
        "cpu_noise",
        "rss",
        "read",
        "write",
        "state",
        "thread_cpu",
        "cpu_throttled",
        "visible_gpus",
    ],
    *[
        "parent",
        "role",
        "container",
        "workload",
        "workload_kind",
        "model",
        "engine",
        "engine_version",
        "port",
        "pid",
        "server",
        "training",
    ],
)
_HOST = (
    *["cpu_count", "memory_total", "kernel", "noise", "cpu", "iowait", "memory_used", "swap_used", "load_average", "process_count"],
    *["disk_read", "disk_write", "network_receive", "network_transmit"],
    *["steal", "cpu_pressure", "io_pressure", "memory_pressure", "swap_in"],
)
_STATES = ("R", "S", "D", "T", "Z")


def places(gpus: Iterable[GpuPlan]) -> list[str]:
    """How series name every GPU (``I``) and MIG device (``I.J``), in index order."""
    out: list[str] = []
    devices = [gpu for gpu in gpus for _ in range(gpu.count)]
    for index, gpu in enumerate(devices):
        out.append(str(index))
        out += [f"{index}.{j}" for j in range(len(gpu.mig))]
    return out


def gpus(rows: list[Any]) -> tuple[GpuPlan, ...]:
    """All ``[[gpus]]`` blocks; ``like = N`` starts from block N, and what follows replaces its keys."""
    merged: list[dict[str, Any]] = []
    for i, row in enumerate(rows):
        row = Reader(row, f"gpus[{i}]", _GPU).table
        like = row.get("like")
        if like is not None:
            if not isinstance(like, int) or not 0 <= like < i:
                raise UsageError(f"gpus[{i}].like: '{like}' is not an earlier block")
            row = {**merged[like], **{key: value for key, value in row.items() if key != "like"}}
        merged.append(row)
    return tuple(_gpu(row, f"gpus[{i}]") for i, row in enumerate(merged))


def _work(r: Reader) -> Work:
    gpm = Reader(r.table.get("gpm", {}), f"{r.where}.gpm", GPM_IDS)
    return Work(
        load=phases(r.table.get("load", 0), f"{r.where}.load"),
        gpm={GPM_IDS[key]: gpm.number(key) for key in gpm.table},
        gpm_noise=r.number("gpm_noise", 0.01),
        base_memory=r.number("base_memory"),
    )


def _gpu(row: object, where: str) -> GpuPlan:
    r = Reader(row, where, _GPU)
    profile = profile_of(profile_name(r))
    throttle = Reader(r.table.get("throttle", {}), f"{where}.throttle", ("reasons", "sm_clock", "when"))
    mask = 0
    for reason in throttle.rows("reasons"):
        check({str(reason): 1}, REASONS, f"{where}.throttle.reasons")
        mask |= REASONS[reason]
    limit = r.number("power_limit", profile.power_limit)
    return GpuPlan(
        profile=r.text("profile"),
        count=r.whole("count", 1),
        work=_work(r),
        power=r.pair("power", "idle", "full", (profile.idle_watts, limit * 0.9)),
        power_noise=r.number("power_noise", 3.0),
        temperature=r.pair("temperature", "idle", "full", (32.0, 65.0)),
        memory_temperature=r.pair("memory_temperature", "idle", "full", (40.0, 76.0)),
        sm_clock=r.pair("sm_clock", "idle", "busy", (profile.idle_clock, profile.sm_clock)),
        sm_clock_max=r.whole("sm_clock_max", profile.sm_clock),
        memory_factor=r.number("memory_factor", 0.4),
        pcie=r.pair("pcie", "rx", "tx", (20.0, 8.0)),
        nvlink=r.pair("nvlink", "rx", "tx", (0.0, 0.0)),
        pcie_link=_pcie_link(r, profile),
        nvlinks_up=r.whole("nvlinks_up", profile.nvlinks),
        throttle_reasons=mask,
        throttle_clock=throttle.whole("sm_clock"),
        throttle_when=phases(throttle.table["when"], f"{where}.throttle.when") if throttle.has("when") else (Phase(level=100.0),),
        power_limit=limit,
        codec=r.pair("codec", "encoder", "decoder", (0.0, 0.0)),
        mig=tuple(_instance(row, f"{where}.mig[{i}]") for i, row in enumerate(r.rows("mig"))),
    )


def _pcie_link(r: Reader, profile: Profile) -> tuple[int, int, int]:
    """(generation at work, generation at rest, width): what the board can do, where the author says nothing else."""
    link = Reader(r.table.get("pcie_link", {}), f"{r.where}.pcie_link", ("generation", "idle", "width"))
    generation = link.whole("generation", profile.pcie_generation)
    return generation, link.whole("idle", generation), link.whole("width", profile.pcie_width)


def _instance(row: object, where: str) -> InstancePlan:
    r = Reader(row, where, (*_WORK, "profile", "gi", "ci", "memory"))
    profile = r.word("profile", "1g.10gb")
    if not profile[:1].isdigit():
        raise UsageError(f"{where}.profile: '{profile}' is not a MIG profile", "write it like 3g.40gb")
    return InstancePlan(profile, r.whole("gi"), r.whole("ci"), r.whole("memory"), _work(r))


def process(row: object, where: str, places: list[str]) -> ProcessPlan:
    """One ``[[processes]]`` block."""
    r = Reader(row, where, _PROCESS)
    if not r.word("slot"):
        raise UsageError(f"{where}: a process needs a slot")
    gpus = Reader(r.table.get("gpus", {}), f"{where}.gpus", places)
    return ProcessPlan(
        slot=r.word("slot"), copies=r.whole("copies", 1), kind=r.choice("kind", ("C", "G", "M"), "C"),
        user=clean(r.word("user", "root")), uid=r.whole("uid", 1000), job=r.word("job"), name=clean(r.word("name", "python3")),
        command=clean(r.text("command")),
        gpus={place: gpus.number(place) for place in gpus.table}, share=r.number("share", 1.0), age_ms=r.span("age"),
        ended_ms=r.span("ended"), born_ms=r.span("born"), lives_ms=r.span("lives"), cpu=r.number("cpu"),
        cpu_noise=r.number("cpu_noise", 0.03), rss=r.number("rss", 0.1), read=r.number("read"), write=r.number("write"),
        state=r.choice("state", _STATES, "S"), thread_cpu=r.number("thread_cpu") if r.has("thread_cpu") else None,
        cpu_throttled=r.number("cpu_throttled") if r.has("cpu_throttled") else None, visible_gpus=r.text("visible_gpus"),
        parent=r.word("parent"), role=r.choice("role", ("gpu", "ancestor", "worker", "ml"), "gpu"), container=r.word("container"),
        workload=clean(r.text("workload")), workload_kind=r.choice("workload_kind", ("training", "inference", "other"), "other"),
        model=clean(r.text("model")), engine=r.word("engine"), engine_version=r.word("engine_version"), port=r.whole("port"),
        pid=r.whole("pid"), server=server_block.server(r.table["server"], f"{where}.server") if r.has("server") else None,
        training=training_block.training(r.table["training"], f"{where}.training") if r.has("training") else None,
    )  # fmt: skip


def unique(plans: list[ProcessPlan]) -> tuple[ProcessPlan, ...]:
    """The processes, when slots are unique and parents stand before their children."""
    seen: set[str] = set()
    for plan in plans:
        if plan.slot in seen:
            raise UsageError(f"processes: the slot '{plan.slot}' is there twice")
        if plan.parent and plan.parent not in seen:
            raise UsageError(f"processes: the parent '{plan.parent}' of '{plan.slot}' does not stand before it")
        seen.add(plan.slot)
    return tuple(plans)


def past(row: object, where: str, places: list[str]) -> PastPlan:
    """One ``[[past]]`` block of a host with these places."""
    r = Reader(row, where, ("gpus", "from", "until", "like", "power_limit"))
    gpus = tuple(r.rows("gpus"))
    if not all(isinstance(gpu, int) and str(gpu) in places for gpu in gpus):
        raise UsageError(f"{where}.gpus: not all of {list(gpus)} exist")
    if r.has("like"):
        check({r.word("like"): 1}, places, f"{where}.like")
    return PastPlan(gpus, r.span("from"), r.span("until"), r.word("like"), r.number("power_limit"))


def _index(r: Reader, count: int) -> int:
    gpu = r.table.get("gpu", "*")
    if gpu == "*":
        return -1
    if not isinstance(gpu, int) or not 0 <= gpu < count:
        raise UsageError(f"{r.where}.gpu: there is no GPU {gpu}")
    return gpu


def fault(row: object, where: str, count: int) -> FaultPlan:
    """One ``[[faults]]`` block."""
    r = Reader(row, where, ("at", "for", "gpu", "kind", "call", "arg"))
    kind = r.choice("kind", FAULT_KINDS, "lost")
    return FaultPlan(r.span("at"), r.span("for"), _index(r, count), kind, r.word("call", "-"), r.whole("arg"))


def xid(row: object, where: str, count: int) -> tuple[int, int, int]:
    """One ``[[xids]]`` block: (ms, GPU, code)."""
    r = Reader(row, where, ("at", "gpu", "code"))
    return r.span("at"), max(_index(r, count), 0), r.whole("code")


_HOST_SCALE = {
    "cpu": ("cpu_pm", 1000, 0.0),
    "iowait": ("iowait_pm", 1000, 0.0),
    "memory_used": ("memory_used", 1024**3, 0.0),
    "swap_used": ("swap_used", 1024**3, 0.0),
    "load_average": ("load_cent", 100, 0.0),
    "disk_read": ("disk_read_kib_s", 1024, 0.0),
    "disk_write": ("disk_write_kib_s", 1024, 0.0),
    "network_receive": ("network_receive_kib_s", 1024, 0.0),
    "network_transmit": ("network_transmit_kib_s", 1024, 0.0),
    "process_count": ("process_count", 1, 214.0),
    "steal": ("steal_pm", 1000, 0.0),
    "cpu_pressure": ("psi_cpu_pm", 1000, 0.0),
    "io_pressure": ("psi_io_pm", 1000, 0.0),
    "memory_pressure": ("psi_memory_pm", 1000, 0.0),
    "swap_in": ("swap_in_kib_s", 1024, 0.0),
}


def host(row: object) -> HostPlan:
    """The ``[host]`` block."""
    r = Reader(row, "host", _HOST)
    values = {flat: r.number(key, default) * scale for key, (flat, scale, default) in _HOST_SCALE.items()}
    memory = round(r.number("memory_total", 1024.0) * 1024**3)
    return HostPlan(r.whole("cpu_count", 128), memory, r.text("kernel", "6.8.0-simulated"), r.number("noise", 0.05), values)
