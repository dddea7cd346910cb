"""What a report says of one training run, and of all of them together."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Missing, RunOutcome
from gpuwatch.view.period.ledger_types import Ledger


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run that lies in the span or reaches into it. GPU time, energy, cost and counts are those of the span; counts of a run that
    lies in it wholly are its own, since it was attached.

    ``outcome`` is that at the span's end: a run that ended later was still running. ``tokens_per_second`` (or ``samples_per_second``)
    is the mean over the time in the span in which it was watched after its first step, pauses included.
    ``lost_gpu_ms``: GPU time since its last checkpoint, else its first step, of a run that failed, died or was stopped, at most.
    Costs are ``None`` without a price for all of its time.
    """

    host: str
    root_pid: int
    root_start_ms: int
    name: str
    model: str
    user: str
    job: str
    command: str
    """Redacted; empty when erased."""
    git_commit: str
    started_ms: int
    first_step_ms: int | None
    first_step_seconds: float | None
    ended_ms: int | None
    outcome: RunOutcome
    exit_code: int | None
    detail: str
    attached: bool
    """Whether a hook told its steps; else its log did, or nobody."""
    cut: bool
    """Whether it began before the span or goes on behind it."""
    ranks: int | None
    gpus: tuple[tuple[str, int], ...]
    """(host, index) of the GPUs that it held."""
    ledger: Ledger
    """Its GPU time: capacity is what it held."""
    steps_total: int | None
    tokens_total: int | None
    samples_total: int | None
    tokens_per_second: float | None
    samples_per_second: float | None
    lost_gpu_ms: int | None
    cost: float | None = None
    currency: str = ""
    price: str = ""
    missing: Mapping[str, Missing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Experiments:
    """The runs of a span together.

    ``started_per_gpu_day``, the headline: runs that began in the span, over the days of GPU capacity in it (each GPU from when it was
    first seen, idle or not). ``started_per_run_gpu_day``: the same over the GPU days that runs held. ``finished_per_gpu_day`` counts
    those that finished in the span. Ratios are ``None`` where their denominator is 0.
    ``failed_gpu_ms`` is the GPU time in the span of the runs that failed or died; ``stopped`` ones were ended by somebody on purpose.
    """

    started: int
    outcomes: Mapping[RunOutcome, int]
    """Of all runs in the span, at its end."""
    capacity_gpu_ms: int
    run_gpu_ms: int
    started_per_gpu_day: float | None
    started_per_run_gpu_day: float | None
    finished_per_gpu_day: float | None
    failed_gpu_ms: int
    failed_lost_gpu_ms: int | None
    """Of it, since the last checkpoint, at most; ``None`` where that is not known of one of them."""
    first_step_seconds: float | None
    """Median of the runs that began in the span and took a step."""
    first_steps: int
    """How many these are."""
    failed_cost: float | None = None
    currency: str = ""
    price: str = ""
