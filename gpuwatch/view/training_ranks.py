"""The ranks of a training at an instant: what each does, which of them the others wait for, and whether all of them stand still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass, replace
from gpuwatch.format import lasted, latency
from gpuwatch.names import Phase, RunOutcome, TrainingSource
from gpuwatch.training import PHASE_SECONDS
from gpuwatch.view.counts import NOTHING, Sums, median
from gpuwatch.view.training_steps import Rates
from gpuwatch.view.training_track import RankTrack
from gpuwatch.view.training_types import RankView

RATE_MS = 30_000
OLD_MS, DROPPED_MS = 5_000, 30_000
"""What a rank does now is told for so long after its newest row, and never less than three of its intervals; its rates longer."""
STALL_S, STALL_STEPS = 30.0, 20
"""A phase that has lasted longer than both is no part of a usual step (`training.md` 7)."""
FEWEST_STEPS = 20
STRAGGLES, LEAST_S = 0.05, 0.003
"""A rank stands out whose own time exceeds that of all others by so much of a step, and by so much at all."""
HOST = ("data_wait_seconds", "other_seconds")
PROBED = {
    Phase.DATA: "gpu_idle_data_seconds",
    Phase.CHECKPOINT: "gpu_idle_checkpoint_seconds",
    Phase.EVAL: "gpu_idle_eval_seconds",
    Phase.OTHER: "gpu_idle_other_seconds",
}
OF_STEPS = (
    "rank_steps_total",
    *PHASE_SECONDS.values(),
    *("counted_tokens_total", "nonpad_tokens_total", "probed_steps_total", "drained_steps_total"),
    *PROBED.values(),
)
_OUTCOME_WORDS = {
    RunOutcome.FINISHED: "ended",
    RunOutcome.FAILED: "failed",
    RunOutcome.STOPPED: "was stopped",
    RunOutcome.DIED: "died",
    RunOutcome.UNKNOWN: "is gone",
}
PHASE_WORDS = {
    Phase.STARTING: "starting",
    Phase.DATA: "waiting for data",
    Phase.FORWARD: "in forward",
    Phase.BACKWARD: "in backward",
    Phase.OPTIMIZER: "in the optimizer",
    Phase.CHECKPOINT: "writing a checkpoint",
    Phase.EVAL: "in evaluation",
    Phase.COMPILE: "compiling",
    Phase.OTHER: "in its own code between steps",
    Phase.ENDED: "ended",
}


@dataclass(frozen=True, slots=True)
class Card:
    """What the store says of a training beside its rows; ``gpu_ids`` are the GPUs of its processes."""

    workload_id: int
    work: Mapping[str, Any]
    trainers: Sequence[Mapping[str, Any]]
    run: Mapping[str, Any] | None
    gpu_ids: tuple[int, ...] = ()
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Rank:
    """One process with what its rows say of the window; ``whole`` are sums from the end of one step to that of another."""

    row: Mapping[str, Any]
    track: RankTrack
    outcome: RunOutcome
    fresh: bool
    """Whether its newest row is young enough to tell what it does."""
    told: bool
    """Whether it is young enough for rates."""
    whole: Sums
    start_ms: int
    """Where what is told of it begins: the view's window, or before it the newest whole step."""
    steps: int
    rates: Rates | None
    phase: Phase | None
    phase_age: float | None

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"pid {self.row['pid']}" if self.row["rank"] is None else f"rank {self.row['rank']}"

    @property
    def running(self) -> bool:
        """Whether it had not ended at the instant."""
        return self.outcome is RunOutcome.RUNNING

    def a_step(self, *names: str) -> float | None:
        """Mean seconds of these parts of a step together; ``None`` where one is not known or no step has ended."""
        amounts = [self.whole.amount(name) for name in names]
        known = [amount for amount in amounts if amount is not None]
        return sum(known) / self.steps if self.steps and len(known) == len(names) else None

    @property
    def step_seconds(self) -> float | None:
        """Mean length of a step: by its parts, else by the time between the ends of steps."""
        if not self.steps:
            return None
        parts = [self.whole.amount(name) for name in PHASE_SECONDS.values()]
        known = sum(part for part in parts if part is not None)
        return (known or self.whole.seconds("rank_steps_total")) / self.steps


def ranks_at(trainers: Sequence[Mapping[str, Any]], tracks: Mapping[int, RankTrack], start_ms: int, at_ms: int) -> list[Rank]:
    """The ranks that are known at an instant, the newest process of each, by rank."""
    newest: dict[object, Mapping[str, Any]] = {}
    for row in trainers:
        if row["first_ms"] <= at_ms:
            key = ("rank", row["rank"]) if row["rank"] is not None else row["proc_id"]
            had = newest.get(key)
            if had is None or (row["start_ms"], row["proc_id"]) > (had["start_ms"], had["proc_id"]):
                newest[key] = row
    return [_rank(row, tracks.get(row["proc_id"]) or RankTrack(), start_ms, at_ms) for row in newest.values()]


def _rank(row: Mapping[str, Any], track: RankTrack, start_ms: int, at_ms: int) -> Rank:
    ended = row["ended_ms"] is not None and row["ended_ms"] <= at_ms
    outcome = RunOutcome(row["outcome"]) if ended else RunOutcome.RUNNING
    age = at_ms - track.newest_ms if track.newest_ms is not None else None
    due = 3 * track.newest_dt_ms
    fresh = age is not None and not ended and age <= max(OLD_MS, due)
    told = age is not None and not ended and age <= max(DROPPED_MS, due)
    if track.segments.ends:
        start_ms = min(start_ms, track.segments.needed_ms or start_ms)
    span = track.segments.whole(start_ms - 1, at_ms)
    whole = track.between(*span, OF_STEPS) if span else NOTHING
    phase = track.phase(at_ms) if fresh else None
    rates = track.segments.rates(RATE_MS, start_ms) if told else None
    if rates is None and phase is not None and phase[0] is not Phase.STARTING and phase[1] > STALL_S:
        rates = _standstill(track, start_ms, at_ms)
    return Rank(
        row=row,
        track=track,
        outcome=outcome,
        fresh=fresh,
        told=told,
        whole=whole,
        start_ms=start_ms,
        steps=whole.total("rank_steps_total") or 0,
        rates=rates,
        phase=phase[0] if phase else None,
        phase_age=phase[1] if phase else None,
    )


def _standstill(track: RankTrack, start_ms: int, at_ms: int) -> Rates | None:
    """Nothing a second, of a rank that hangs and in which no step has ended in all of the window; a long step alone is no standstill."""
    sums = track.between(start_ms, at_ms, ("rank_steps_total", "tokens_total", "samples_total"))
    if sums.total("rank_steps_total") != 0:
        return None
    tokens, samples = (None if sums.total(name) is None else 0.0 for name in ("tokens_total", "samples_total"))
    return Rates(sums.seconds("rank_steps_total"), start_ms, at_ms, 0.0, tokens, samples)


def rank_view(rank: Rank, gpu_index: int | None, sm_active: float | None) -> RankView:
    """One rank for screens."""
    row, track = rank.row, rank.track
    view = RankView(
        pid=row["pid"],
        start_ms=row["start_ms"],
        rank=row["rank"],
        local_rank=row["local_rank"],
        gpu_index=gpu_index,
        source=TrainingSource(row["source"]),
        outcome=rank.outcome,
        ended_ms=None if rank.running else row["ended_ms"],
        detail=row["detail"],
        hint=row["hint"],
    )
    if not rank.told:
        return view
    return replace(
        view,
        phase=rank.phase,
        phase_age_seconds=rank.phase_age,
        step_seconds=rank.step_seconds,
        data_wait_seconds=rank.a_step("data_wait_seconds"),
        host_seconds=rank.a_step(*HOST),
        tokens_per_second=rank.rates.tokens if rank.rates else None,
        sm_active_ratio=sm_active,
        allocated_bytes=track.now("allocated_bytes"),
        allocated_peak_bytes=track.now("allocated_peak_bytes"),
        reserved_bytes=track.now("reserved_bytes"),
    )


def straggler(ranks: Sequence[Rank]) -> str:
    """The rank that the others wait for, in one sentence; empty when none stands out.

    Ranks that exchange gradients take their steps together: who has more time of its own in each (data, host) lets the others wait,
    whose own time is shorter by what they wait elsewhere, in backward as a rule. Ranks whose steps differ in length do not wait.
    """
    there = [rank for rank in ranks if rank.told and rank.steps >= FEWEST_STEPS]
    own = [(host, rank) for rank in there if (host := rank.a_step(*HOST)) is not None]
    steps = [step for rank in there if (step := rank.step_seconds) is not None]
    if len(own) < 2 or len(own) < len([rank for rank in ranks if rank.running]) or len(steps) < len(own):
        return ""
    own.sort(key=lambda each: -each[0])
    (most, slow), (second, _) = own[0], own[1]
    usual = median(steps)
    ahead = most - median(host for host, _ in own[1:])
    if most - second < max(STRAGGLES * usual, LEAST_S) or max(steps) - min(steps) > ahead / 2:
        return ""
    others = [rank for _, rank in own[1:]]
    data = (slow.a_step(HOST[0]) or 0.0) - median(rank.a_step(HOST[0]) or 0.0 for rank in others)
    why = "waits for data" if data >= ahead / 2 else "is in its own code between steps"
    who = "the other waits for it" if len(others) == 1 else "the others wait for it"
    return f"{slow.name} {why} {latency(ahead)} longer a step; {who}"


def hangs(rank: Rank, step_seconds: float | None) -> bool:
    """Whether one phase has lasted longer than max(30 s, 20 times the median step): no step has ended since, and none may."""
    limit = max(STALL_S, STALL_STEPS * (step_seconds or 0.0))
    return rank.running and rank.phase not in (None, Phase.STARTING, Phase.ENDED) and (rank.phase_age or 0.0) > limit


def stalled(ranks: Sequence[Rank], step_seconds: float | None) -> str:
    """A sentence when a rank hangs, else empty.

    Where one rank hangs the others wait for it in backward: who does something else is named first.
    """
    long = [rank for rank in ranks if hangs(rank, step_seconds)]
    if not long:
        return ""
    gone = [rank for rank in ranks if rank.outcome in (RunOutcome.DIED, RunOutcome.FAILED, RunOutcome.STOPPED)]
    if gone and len(long) == len([rank for rank in ranks if rank.running]):
        waiting = "the other has waited" if len(long) == 1 else "the others have waited"
        age = lasted(min(rank.phase_age or 0.0 for rank in long))
        return f"{gone[0].name} {_OUTCOME_WORDS[gone[0].outcome]}; {waiting} for it for {age}"
    first = max(long, key=lambda rank: (rank.phase is not Phase.BACKWARD, rank.phase_age or 0.0))
    assert first.phase is not None
    who = f"{first.name} " if len(ranks) > 1 else ""
    usual = f", a step takes {latency(step_seconds)}" if step_seconds is not None else ""
    return f"{who}{PHASE_WORDS[first.phase]} for {lasted(first.phase_age or 0.0)}{usual}"
