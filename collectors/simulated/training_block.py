"""The block ``[processes.training]``: what a rank does at full load, and what it does when its GPU has nothing to do."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.collectors.simulated.plans import ProcessPlan, StuckPlan, TrainingPlan
from gpuwatch.collectors.simulated.reader import Reader, exact_ms
from gpuwatch.errors import UsageError
from gpuwatch.names import Phase, RunOutcome, TrainingSource

_KEYS = (
    *["step", "tokens", "samples", "padding", "split", "rest", "idle", "starts", "total_steps", "loss", "load", "stuck", "source"],
    *["model", "parameters", "trainable", "layers", "heads", "head_width", "sequence", "precision", "parallel", "replicas"],
    *["allocated", "reserved", "outcome", "exit_code", "detail", "commit"],
)
_PHASES = tuple(phase.label for phase in Phase)
_OUTCOMES = tuple(outcome.label for outcome in RunOutcome)
_PARALLEL = ("", "assumed", "single", "megatron", "mesh", "declared")
_G = 10**9
_GIB = 1024**3


def training(row: object, where: str) -> TrainingPlan:
    """One block. Raises :class:`UsageError` with the place and what is wrong there."""
    r = Reader(row, where, _KEYS)
    split = Reader(r.table.get("split", {}), f"{where}.split", ("forward", "backward", "optimizer"))
    shares = tuple(split.number(key, default) for key, default in (("forward", 0.32), ("backward", 0.56), ("optimizer", 0.12)))
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"{where}.split: the shares add up to {sum(shares):g}, not to 1")
    if not r.has("step") or exact_ms(r.table["step"], f"{where}.step") < 1:
        raise UsageError(f"{where}: it needs the time of a step at full load", 'write step = "1790ms"')
    return TrainingPlan(
        step_ms=exact_ms(r.table["step"], f"{where}.step"), tokens=_whole(r, "tokens"), samples=_whole(r, "samples"),
        padding=_share(r, "padding"), split=(shares[0], shares[1], shares[2]), rest=_phase(r, "rest", "data"),
        idle=_phase(r, "idle", "checkpoint"), starts_ms=r.span("starts", 40_000), total_steps=_whole(r, "total_steps"),
        loss=r.number("loss"), load=r.number("load", 95.0), stuck=_stuck(r),
        source=TrainingSource[r.choice("source", ("hook", "declared", "log"), "hook").upper()], model=r.text("model"),
        parameters=round(r.number("parameters") * _G), trainable=round(r.number("trainable", r.number("parameters")) * _G),
        layers=_whole(r, "layers"), heads=_whole(r, "heads"), head_width=_whole(r, "head_width"), sequence=_whole(r, "sequence"),
        precision=r.word("precision", "bf16"), parallel=r.choice("parallel", _PARALLEL, ""), replicas=r.whole("replicas", 1),
        allocated=round(r.number("allocated") * _GIB), reserved=round(r.number("reserved") * _GIB),
        outcome=RunOutcome[r.choice("outcome", _OUTCOMES, "finished").upper()],
        exit_code=r.whole("exit_code") if r.has("exit_code") else None, detail=r.text("detail"), commit=r.word("commit"),
    )  # fmt: skip


def checked(processes: tuple[ProcessPlan, ...]) -> tuple[ProcessPlan, ...]:
    """The processes, when each that trains is one process of a training with at most one GPU of its own."""
    kinds = {plan.workload: plan.workload_kind for plan in reversed(processes) if plan.workload_kind != "other"}
    for i, plan in enumerate(processes):
        if plan.training is None:
            continue
        where = f"processes[{i}].training"
        if not plan.workload or kinds.get(plan.workload) != "training":
            raise UsageError(f"{where}: it needs a workload", 'write workload = "NAME" and workload_kind = "training"')
        if plan.copies != 1 or plan.born_ms or plan.lives_ms:
            raise UsageError(f"{where}: a process that trains has no copies and runs all the time")
    return processes


def flops(plan: TrainingPlan) -> tuple[float, str]:
    """Operations a token and how they are counted: 6 N + 12 L H Q T (PaLM, arXiv 2204.02311, appendix B), 0 without parameters."""
    if not plan.parameters:
        return 0.0, ""
    attention = 12 * plan.layers * plan.heads * plan.head_width * plan.sequence
    weights = 4 * (plan.parameters - plan.trainable) + 6 * plan.trainable
    return float(weights + attention), ("6N" if plan.trainable == plan.parameters else "4N+2Nt") + ("+12LHQT" if attention else "")


def _stuck(r: Reader) -> StuckPlan | None:
    if not r.has("stuck"):
        return None
    inner = Reader(r.table["stuck"], f"{r.where}.stuck", ("since", "phase"))
    return StuckPlan(inner.span("since"), _phase(inner, "phase", "backward"))


def _phase(r: Reader, key: str, default: str) -> Phase:
    return Phase[r.choice(key, _PHASES, default).upper()]


def _whole(r: Reader, key: str) -> int:
    value = r.whole(key)
    if value < 0:
        raise UsageError(f"{r.where}.{key}: {value} is below 0")
    return value


def _share(r: Reader, key: str) -> float:
    value = r.number(key)
    if not 0 <= value < 1:
        raise UsageError(f"{r.where}.{key}: {value:g} is not within 0 and 1")
    return value


def ranks(processes: Sequence[ProcessPlan], workload: str, *, ended: bool) -> list[str]:
    """The slots of a workload's ranks in order, those of the present or those that ended before time 0."""
    return [
        plan.slot for plan in processes if plan.training is not None and plan.workload == workload and bool(plan.ended_ms) is ended
    ]
