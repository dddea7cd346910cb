"""Training runs over a span: which there were, and what they counted in it. Their GPU time is asked for as that of servers."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.period import Plan
from gpuwatch.store.period_served import asked
from gpuwatch.store.training_window import knows_trainings
from gpuwatch.store.window import Window

COUNTS = ("steps_sum", "tokens_sum", "samples_sum", "rank_steps_sum", "attached_ms_sum", "starting_ms_sum", "training_obs_ms")
_RUNS = (
    "SELECT r.workload_id, w.root_pid, w.root_start_ms, w.name, w.model, coalesce(u.name, ''), w.job, r.command, r.git_commit, "
    "r.started_ms, r.first_step_ms, r.last_step_ms, r.ended_ms, r.outcome, r.exit_code, r.detail, r.ranks, r.steps, r.tokens, r.samples, "
    "r.last_checkpoint_ms, r.attached FROM run r JOIN workload w ON w.workload_id=r.workload_id JOIN host h ON h.host_id=w.host_id "
    "LEFT JOIN user_account u ON u.user_id=w.user_id WHERE w.host_id=? AND r.started_ms<? AND coalesce(r.ended_ms, h.last_ms)>=? ORDER BY r.started_ms, r.workload_id"
)


class Trained(NamedTuple):
    """One run; counts are those of all of it, since it was attached."""

    workload_id: int
    root_pid: int
    root_start_ms: int
    name: str
    model: str
    user: str
    job: str
    command: str
    git_commit: str
    started_ms: int
    first_step_ms: int | None
    last_step_ms: int | None
    ended_ms: int | None
    outcome: int
    exit_code: int | None
    detail: str
    ranks: int | None
    steps: int | None
    tokens: int | None
    samples: int | None
    last_checkpoint_ms: int | None
    attached: int


def runs(window: Window, host_id: int, start_s: int, end_s: int) -> list[Trained]:
    """The runs of a host that lie in a span or reach into it, in the order of their start; none in a file that is too old to have any."""
    if not knows_trainings(window):
        return []
    return [Trained._make(row) for row in window.rows(_RUNS, (host_id, end_s * 1000, start_s * 1000))]


def counted(window: Window, plan: Plan, workload_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """workload_id -> the sums of :data:`COUNTS` that are known, over the whole plan."""
    out: dict[int, dict[str, int]] = {}
    sums = ",".join(f"sum(m.{name})" for name in COUNTS)
    for workload_id, *values in asked(window, plan, "workload", f"m.workload_id, {sums}", "1", workload_ids):
        there = out.setdefault(workload_id, {})
        for name, value in zip(COUNTS, values, strict=True):
            if value is not None:
                there[name] = there.get(name, 0) + value
    return out
