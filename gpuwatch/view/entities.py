"""GPUs, processes and host of a view: the store's integers back in base units, with what is missing and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from gpuwatch.dataclass import dataclass, fields
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample, HostSample
from gpuwatch.names import Context, Missing, State
from gpuwatch.store.facts import ProcessFacts, ProcessIdentity
from gpuwatch.store.window import Window
from gpuwatch.view.blocks import BLOCK_MS
from gpuwatch.view.live import Rows
from gpuwatch.view.sliced import with_instances
from gpuwatch.view.strip import NO_CELL
from gpuwatch.view.types import GpuHold, GpuView, HostView, ProcessView

Reasons = Mapping[tuple[str, str], Mapping[str, Missing]]
_NONE: Mapping[str, Missing] = {}
MIB, KIB = 1024 * 1024, 1024
_GPU_SHOWN = frozenset(f.name for f in fields(GpuView))
_GPU_SCALES = {name: (m.column, m.scale) for name, m in measures(GpuSample).items() if name in _GPU_SHOWN}
_GPU_COLUMNS = tuple(column for column, _ in _GPU_SCALES.values())
_HOST_SCALES = {name: (m.column, m.scale) for name, m in measures(HostSample).items()}
_DETAILS = (
    "pci_bus_id",
    "architecture",
    "compute_capability",
    "serial",
    "ecc_enabled",
    "persistence_mode",
    "pcie_generation_max",
    "pcie_width_max",
    "nvlink_count",
    "gpm_supported",
    "power_limit_max_watts",
    "memory_clock_max_hertz",
    "temperature_limit_celsius",
)
_WHO = ("gpu_index", "name", "parent_uuid", "mig_profile", "compute_fraction", "memory_total_bytes", "power_limit_default_watts", "sm_clock_max_hertz")  # fmt: skip
_FLAGS = frozenset({"ecc_enabled", "persistence_mode", "gpm_supported"})


@dataclass(frozen=True, slots=True)
class Moment:
    """What a view is built from. ``waste`` is wasted milliseconds by (gpu_id, proc_id) within the last ``waste_span_ms``."""

    window: Window
    rows: Rows
    at_ms: int
    now_ms: int
    stale_ms: int
    missing: Reasons
    waste: Mapping[tuple[int, int], int]
    waste_span_ms: int


def reasons(window: Window, at_ms: int, *, live: bool) -> Reasons:
    """Why values are missing at an instant; for the live end they are read again only when one has changed."""
    if not live:
        return _typed(window.missing(at_ms))
    mark = window.missing_mark()
    kept = window.memo.get("missing")
    if kept is None or kept[0] != mark:
        kept = window.memo["missing"] = (mark, _typed(window.missing(at_ms)))
    found: Reasons = kept[1]
    return found


def _typed(raw: Mapping[tuple[str, str], Mapping[str, int]]) -> Reasons:
    return {key: {name: Missing(reason) for name, reason in fields.items()} for key, fields in raw.items()}


# --------------------------------------------------------------------------------------------------------------- GPUs


def gpu_views(moment: Moment, gpu_ids: Sequence[int], cells: int) -> tuple[tuple[GpuView, ...], dict[int, State]]:
    """The GPUs at an instant with strips of ``cells`` cells, and the state of each by ``gpu_id``."""
    rows = moment.rows
    states: dict[int, State] = {}
    users = _users(moment.window, rows)
    table = _last_rows(moment.window, rows, gpu_ids)
    wasted: dict[int, int] = {}
    for (gpu_id, _), ms in moment.waste.items():
        wasted[gpu_id] = wasted.get(gpu_id, 0) + ms
    views = []
    for gpu_id in gpu_ids:
        if rows.facts(gpu_id) is None:
            views.append(_silent(moment, gpu_id, cells))
            continue
        view = _gpu(moment, gpu_id, cells, table.get(gpu_id), users.get(gpu_id), wasted.get(gpu_id, 0))
        states[gpu_id] = view.state
        views.append(view)
    return with_instances(views), states


def _gpu(
    moment: Moment, gpu_id: int, cells: int, row: tuple[Any, ...] | None, users: tuple[str, ...] | None, wasted_ms: int
) -> GpuView:
    track, who = moment.rows.tracks[gpu_id], moment.rows.gpus[gpu_id]
    facts = track.facts
    assert facts is not None  # a present GPU has a row
    last_cell = (moment.at_ms - 1) // moment.rows.cell_ms
    stale = moment.at_ms - facts.ts_ms > moment.stale_ms
    value = _gpu_values(row)
    context = None if facts.context is None else Context(facts.context)
    limit = value["power_limit_watts"]
    observed = 0 < moment.waste_span_ms > moment.at_ms - facts.ts_ms
    return GpuView(
        gpu_uuid=who["uuid"],
        gpu_index=who["gpu_index"],
        name=who["name"],
        parent_uuid=who["parent_uuid"],
        mig_profile=who["mig_profile"],
        mig_enabled=bool(who["mig_enabled"]),
        compute_fraction=who["compute_fraction"],
        state=State.NO_DATA if stale else track.state,
        state_since_ms=facts.ts_ms if stale else track.state_since(last_cell, cells),
        quiet_seconds=facts.quiet_ms / 1000,
        context=context,
        age_seconds=max(0.0, (moment.now_ms - facts.ts_ms) / 1000),
        utilization_ratio=value["utilization_ratio"],
        sm_active_ratio=value["sm_active_ratio"],
        tensor_active_ratio=value["tensor_active_ratio"],
        dram_active_ratio=value["dram_active_ratio"],
        memory_used_bytes=value["memory_used_bytes"],
        memory_total_bytes=who["memory_total_bytes"],
        power_watts=value["power_watts"],
        power_limit_watts=who["power_limit_watts"] if limit is None else limit,
        power_limit_default_watts=who["power_limit_default_watts"],
        temperature_celsius=value["temperature_celsius"],
        memory_temperature_celsius=value["memory_temperature_celsius"],
        sm_clock_hertz=value["sm_clock_hertz"],
        sm_clock_max_hertz=who["sm_clock_max_hertz"],
        memory_clock_hertz=value["memory_clock_hertz"],
        clock_event_reasons=_whole(value["clock_event_reasons"]),
        performance_state=_whole(value["performance_state"]),
        process_count=_whole(value["process_count"]),
        users=users or (("?",) if context in (Context.PROCESS, Context.MEMORY_ONLY) else ()),
        strip=track.cells(last_cell, cells),
        waste_gpus=wasted_ms / moment.waste_span_ms if observed else None,
        missing=moment.missing.get(("gpu", who["uuid"]), _NONE),
        details=_details(moment.rows, gpu_id),
    )


def _details(rows: Rows, gpu_id: int) -> Mapping[str, Any]:
    """A GPU's own facts, put together anew when they were read anew."""
    who, kept = rows.gpus[gpu_id], rows.details.get(gpu_id)
    if kept is None or kept[0] is not who:
        kept = rows.details[gpu_id] = (who, {name: _detail(name, who[name]) for name in _DETAILS})
    return kept[1]


def _silent(moment: Moment, gpu_id: int, cells: int) -> GpuView:
    """A GPU that is known and had no row in all the time that is shown."""
    who = moment.rows.gpus[gpu_id]
    known = {name: who[name] for name in _WHO}
    unknown = {f.name: None for f in fields(GpuView) if f.name not in known}
    return GpuView(
        **{
            **unknown,
            **known,
            "gpu_uuid": who["uuid"],
            "mig_enabled": bool(who["mig_enabled"]),
            "state": State.NO_DATA,
            "state_since_ms": who["last_ms"] or None,
            "quiet_seconds": 0.0,
            "age_seconds": max(0.0, (moment.now_ms - who["last_ms"]) / 1000) if who["last_ms"] else None,
            "users": (),
            "strip": (NO_CELL,) * cells,
            "waste_gpus": None,
            "missing": _NONE,
            "details": _details(moment.rows, gpu_id),
        }
    )


def _last_rows(window: Window, rows: Rows, gpu_ids: Iterable[int]) -> dict[int, tuple[Any, ...]]:
    """The shown columns of each GPU's newest row: one query when they stand in the same tick, as they nearly always do."""
    out: dict[int, tuple[Any, ...]] = {}
    ticks = {facts.tick_id for i in gpu_ids if (facts := rows.facts(i)) is not None}
    for tick_id in ticks:
        for gpu_id, *row in window.gpu_table(tick_id, _GPU_COLUMNS):
            facts = rows.facts(gpu_id)
            if facts is not None and facts.tick_id == tick_id:
                out[gpu_id] = tuple(row)
    return out


def _gpu_values(row: tuple[Any, ...] | None) -> dict[str, float | None]:
    if row is None:
        return dict.fromkeys(_GPU_SCALES)
    named = zip(_GPU_SCALES.items(), row, strict=True)
    return {name: None if raw is None else raw / scale for (name, (_, scale)), raw in named}


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _detail(name: str, value: Any) -> Any:
    return bool(value) if name in _FLAGS and value is not None else value


def _users(window: Window, rows: Rows) -> dict[int, tuple[str, ...]]:
    """Who holds each GPU, the largest holder first; worked out once for each reading of the processes."""
    if rows.users is None or rows.users[0] != rows.processes_ms:
        rows.users = (rows.processes_ms, _holders(window, rows))
    return rows.users[1]


def _holders(window: Window, rows: Rows) -> dict[int, tuple[str, ...]]:
    held = [row for (_, gpu_id), row in rows.processes.items() if gpu_id]
    who = window.identities({row.proc_id for row in held})
    out: dict[int, dict[str, int]] = {}
    for row in held:
        identity = who.get(row.proc_id)
        user = (identity.user if identity else "") or "?"
        users = out.setdefault(row.gpu_id, {})
        users[user] = users.get(user, 0) + (row.gpu_memory_mib or 0)
    return {gpu_id: tuple(sorted(users, key=lambda u: (-users[u], u))) for gpu_id, users in out.items()}


# ---------------------------------------------------------------------------------------------------------- processes


Frame = tuple[int, tuple[Any, ...], tuple[Any, ...]]
"""A process' start, and the fields of its view before and behind the two ages, which are all that moves each second."""
_YOUNG_MS = 10_000
_AGAIN_MS = 60_000


def process_views(moment: Moment, states: Mapping[int, State]) -> tuple[ProcessView, ...]:
    """The watched processes at an instant, those with most GPU memory first; none when their newest rows are too old."""
    rows, at_ms = moment.rows, moment.at_ms
    if at_ms - rows.processes_ms > 5 * moment.stale_ms:
        return ()
    key = (rows.processes_ms, at_ms // BLOCK_MS, moment.waste_span_ms, tuple(states.items()))
    if rows.frames is None or rows.frames[0] != key or rows.frames[1] is not moment.missing:
        rows.frames = (key, moment.missing, _frames(moment, states))
    frames: list[Frame] = rows.frames[2]
    sample_age = max(0.0, (moment.now_ms - rows.processes_ms) / 1000)
    make: Any = ProcessView  # the frames hold its fields in their order
    return tuple([make(*head, max(0.0, (at_ms - start_ms) / 1000), sample_age, *tail) for start_ms, head, tail in frames])


def _frames(moment: Moment, states: Mapping[int, State]) -> list[Frame]:
    held: dict[int, list[ProcessFacts]] = {}
    working: set[int] = set()
    for (proc_id, gpu_id), row in moment.rows.processes.items():
        held.setdefault(proc_id, []).append(row)
        if row.sm_pm:
            working.add(gpu_id)
    who = _identities(moment, held)
    found = [_frame(moment, who[proc_id], rows, states, working) for proc_id, rows in held.items() if proc_id in who]
    return [frame for _, frame in sorted(found, key=itemgetter(0))]


def _identities(moment: Moment, wanted: Collection[int]) -> Mapping[int, ProcessIdentity]:
    """Who they are; a command changes by exec, so young ones are asked for again, and all of them once a minute."""
    window, now_ms = moment.window, moment.rows.processes_ms
    who = window.identities(wanted)
    again = [i for i in wanted if i in who and now_ms - who[i].start_ms < _YOUNG_MS]
    if now_ms - window.memo.get("identities_ms", 0) >= _AGAIN_MS:
        window.memo["identities_ms"] = now_ms
        again = list(wanted)
    return window.identities(again, fresh=True) if again else who


def _frame(
    moment: Moment, who: ProcessIdentity, held: list[ProcessFacts], states: Mapping[int, State], working: set[int]
) -> tuple[tuple[int, int, int], Frame]:
    """One process' frame with its place in the order: by GPU memory, then by pid."""
    gpus, host = moment.rows.gpus, held[0]
    if len(held) == 1:
        on = held if host.gpu_id in gpus else []
    else:
        host = next((row for row in held if row.cpu_pm is not None or row.rss_mib is not None), host)
        on = sorted((row for row in held if row.gpu_id in gpus), key=lambda row: (-(row.gpu_memory_mib or 0), row.gpu_id))
    seconds = host.dt_ms / 1000
    head = (
        *(who.pid, who.start_ms, bool(who.start_known), who.parent_pid, who.parent_start_ms, who.name, who.command),
        *(who.uid, who.user, who.container, who.job, who.role),
    )
    tail = (
        _scaled(host.cpu_pm, 1 / 1000),
        _scaled(host.rss_mib, MIB),
        _scaled(host.read_kib, KIB / seconds) if seconds else None,
        _scaled(host.write_kib, KIB / seconds) if seconds else None,
        tuple([_hold(moment, row) for row in on]),
        _state(on[0], states, working) if on else State.NO_DATA,
        moment.missing.get(("process", f"{who.pid}:{who.start_ms}"), _NONE),
    )
    memory = sum(row.gpu_memory_mib or 0 for row in on) + len(on)
    return (-memory, who.pid, who.start_ms), (who.start_ms, head, tail)


def _state(row: ProcessFacts, states: Mapping[int, State], working: set[int]) -> State:
    """The state of its GPU, but quiet for one that does nothing beside another that works."""
    state = states.get(row.gpu_id, State.NO_DATA)
    idle = row.sm_pm == 0 and row.gpu_id in working
    return State.QUIET if idle and state in (State.BUSY, State.WAITING, State.THROTTLED) else state


def _hold(moment: Moment, row: ProcessFacts) -> GpuHold:
    gpu, span_ms = moment.rows.gpus[row.gpu_id], moment.waste_span_ms
    wasted = moment.waste.get((row.gpu_id, row.proc_id), 0) / span_ms if span_ms else None
    return GpuHold(gpu["uuid"], gpu["gpu_index"], _scaled(row.gpu_memory_mib, MIB), _scaled(row.sm_pm, 1 / 1000), wasted)


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


# ---------------------------------------------------------------------------------------------------------------- host


def host_view(moment: Moment) -> HostView | None:
    """The host at an instant; values are ``None`` when its newest row is older than 20 ticks."""
    who = moment.window.host()
    if who is None:
        return None
    row = moment.window.host_row(moment.rows.last_tick) if moment.rows.last_tick else None
    value = {
        name: None if row is None or row[column] is None else row[column] / scale for name, (column, scale) in _HOST_SCALES.items()
    }
    seconds = row["dt_ms"] / 1000 if row else 0.0

    def rate(name: str) -> float | None:
        amount = value[name]
        return amount / seconds if amount is not None and seconds else None

    return HostView(
        hostname=who["hostname"],
        machine_id=who["machine_id"],
        driver_version=who["driver_version"],
        cuda_version=who["cuda_version"],
        kernel=who["kernel"],
        cpu_count=who["cpu_count"],
        memory_total_bytes=who["memory_total_bytes"],
        cpu_ratio=value["cpu_ratio"],
        iowait_ratio=value["iowait_ratio"],
        memory_used_bytes=value["memory_used_bytes"],
        swap_used_bytes=value["swap_used_bytes"],
        load_average=value["load_average"],
        disk_read_bytes_per_second=rate("disk_read_bytes"),
        disk_write_bytes_per_second=rate("disk_write_bytes"),
        network_receive_bytes_per_second=rate("network_receive_bytes"),
        network_transmit_bytes_per_second=rate("network_transmit_bytes"),
        process_count=_whole(value["process_count"]),
        missing=moment.missing.get(("host", ""), _NONE),
    )
