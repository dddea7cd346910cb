"""The block ``[processes.server]``: what the server of a process does at full load, and whether its numbers can be true together."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.collectors.simulated.plans import GpuPlan, OutagePlan, ProcessPlan, ServerPlan
from gpuwatch.collectors.simulated.profiles import profile_of
from gpuwatch.collectors.simulated.rates import MOST_LEVEL, Rates
from gpuwatch.collectors.simulated.reader import Reader, exact_ms, phases
from gpuwatch.collectors.simulated.spread import Spread
from gpuwatch.collectors.simulated.told import TOLD
from gpuwatch.errors import UsageError
from gpuwatch.names import ServerState

_KEYS = (
    *["load", "requests", "prompt", "cached", "output", "ttft", "itl", "queue", "preemptions", "ended", "speculation"],
    *["max_running_requests", "max_model_tokens", "kv_cache_tokens", "state", "starts", "outages"],
)
_SILENT = tuple(state.label for state in ServerState if state is not ServerState.UP)


def server(row: object, where: str) -> ServerPlan:
    """One block. Raises :class:`UsageError` with the place and what is wrong there."""
    r = Reader(row, where, _KEYS)
    ended = Reader(r.table.get("ended", {}), f"{where}.ended", ("length", "aborted", "error"))
    speculation = Reader(r.table.get("speculation", {}), f"{where}.speculation", ("tokens", "accepted"))
    plan = ServerPlan(
        load=phases(r.table["load"], f"{where}.load") if r.has("load") else (),
        requests=_positive(r, "requests"), prompt=_positive(r, "prompt", 1000.0), cached=_share(r, "cached"),
        output=_spread(r, "output", Spread(250.0, 600.0), seconds=False), ttft=_spread(r, "ttft", Spread(0.15, 0.4)),
        itl=_spread(r, "itl", Spread(0.02, 0.03)), queue=_spread(r, "queue", Spread(0.01, 0.05)),
        preemptions=_positive(r, "preemptions"), ended_length=_share(ended, "length"), ended_aborted=_share(ended, "aborted"),
        ended_error=_share(ended, "error"), draft_tokens=_positive(speculation, "tokens"), accepted=_share(speculation, "accepted"),
        max_running_requests=r.whole("max_running_requests"), max_model_tokens=r.whole("max_model_tokens"),
        kv_cache_tokens=r.whole("kv_cache_tokens"), state=_state(r, "up", ("up", *_SILENT)), starts_ms=r.span("starts"),
        outages=tuple(_outage(row, f"{where}.outages[{i}]") for i, row in enumerate(r.rows("outages"))),
    )  # fmt: skip
    _check(plan, where)
    return plan


def checked(processes: tuple[ProcessPlan, ...], gpus: Sequence[GpuPlan]) -> tuple[ProcessPlan, ...]:
    """The processes, when each that serves is the first of a workload of its own, and its load and engine are known."""
    first: dict[str, str] = {}
    for plan in processes:
        first.setdefault(plan.workload or plan.slot, plan.slot)
    for i, plan in enumerate(processes):
        if plan.server is None:
            continue
        where = f"processes[{i}].server"
        if not plan.workload or plan.workload_kind != "inference":
            raise UsageError(f"{where}: it needs a workload", 'write workload = "NAME" and workload_kind = "inference"')
        if first[plan.workload] != plan.slot or plan.copies != 1:
            raise UsageError(f"{where}: it must stand on the first process of its workload, which has no copies")
        if plan.engine not in TOLD:
            raise UsageError(f"{where}: the engine '{plan.engine}' is not one of {', '.join(TOLD)}")
        if not plan.server.load and not _has_load(plan.workload, processes, gpus):
            raise UsageError(f"{where}: no GPU tells how busy it is", "write load")
    return processes


def _has_load(workload: str, processes: tuple[ProcessPlan, ...], gpus: Sequence[GpuPlan]) -> bool:
    """Whether some place of the workload has a load of its own in the table."""
    devices = [gpu for gpu in gpus for _ in range(gpu.count)]
    for place in {place for plan in processes if plan.workload == workload for place in plan.gpus}:
        gpu = devices[int(place.partition(".")[0])]
        if not gpu.mig or ("." in place and profile_of(gpu.profile).gpm):
            return True
    return False


def _check(plan: ServerPlan, where: str) -> None:
    if plan.ended_length + plan.ended_aborted + plan.ended_error > 1:
        raise UsageError(f"{where}.ended: the shares add up to more than 1")
    if plan.ttft.median < plan.queue.median:
        raise UsageError(f"{where}: the time to first token contains the queue and cannot be shorter than it")
    full = Rates(plan).at(MOST_LEVEL)
    if 0 < plan.max_running_requests < full.running:
        hint = "running = requests x (time to first token + output x time between tokens, less the queue)"
        raise UsageError(f"{where}: at full load {full.running:.1f} requests run, of {plan.max_running_requests}", hint)
    if 0 < plan.kv_cache_tokens < full.kv_tokens:
        hint = "kv_cache_tokens must hold running x (prompt + half of the output)"
        raise UsageError(f"{where}: at full load {full.kv_tokens:.0f} tokens are in a cache of {plan.kv_cache_tokens}", hint)


def _outage(row: object, where: str) -> OutagePlan:
    r = Reader(row, where, ("at", "for", "state"))
    return OutagePlan(r.span("at"), r.span("for"), _state(r, "unreachable", _SILENT))


def _state(r: Reader, default: str, allowed: Sequence[str]) -> ServerState:
    return ServerState[r.choice("state", allowed, default).upper()]


def _positive(r: Reader, key: str, default: float = 0.0) -> float:
    value = r.number(key, default)
    if value < 0:
        raise UsageError(f"{r.where}.{key}: {value:g} is below 0")
    return value


def _share(r: Reader, key: str) -> float:
    value = r.number(key)
    if not 0 <= value <= 1:
        raise UsageError(f"{r.where}.{key}: {value:g} is not within 0 and 1")
    return value


def _spread(r: Reader, key: str, default: Spread, *, seconds: bool = True) -> Spread:
    if not r.has(key):
        return default
    inner = Reader(r.table[key], f"{r.where}.{key}", ("median", "p95"))
    median, p95 = (
        exact_ms(inner.table.get(name, 0), f"{inner.where}.{name}") / 1000 if seconds else inner.number(name)
        for name in ("median", "p95")
    )
    if not 0 < median <= p95:
        raise UsageError(f"{inner.where}: p95 must not be below the median, nor the median 0")
    return Spread(median, p95)
