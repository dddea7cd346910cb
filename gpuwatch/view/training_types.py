"""What any screen, text or JSON may show of a training, frozen. Names are public names in base units; ``None`` is unknown."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.names import Missing, Phase, RunOutcome, TrainingSource

_NO_MISSING: Mapping[str, Missing] = {}


@dataclass(frozen=True, slots=True)
class PhaseView:
    """One part of a step: mean seconds of it in a step and rank over the view's window, its share of the step (0-1), p95 of single steps
    (``None`` where only sums are known, as of checkpoints). ``gpu_idle_seconds`` a step is the drain probe's word, which no GPU has
    verified yet.
    """

    phase: Phase
    seconds: float
    share: float
    p95_seconds: float | None = None
    gpu_idle_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RankView:
    """One process of a training. Rates are means over the view's window; ``tokens_per_second`` is its share of the job's."""

    pid: int
    start_ms: int
    rank: int | None
    local_rank: int | None
    gpu_index: int | None
    source: TrainingSource
    outcome: RunOutcome
    ended_ms: int | None = None
    detail: str = ""
    hint: str = ""
    phase: Phase | None = None
    phase_age_seconds: float | None = None
    step_seconds: float | None = None
    data_wait_seconds: float | None = None
    """A step."""
    host_seconds: float | None = None
    """A step: data wait and other host time, which its peers wait for."""
    tokens_per_second: float | None = None
    sm_active_ratio: float | None = None
    allocated_bytes: float | None = None
    allocated_peak_bytes: float | None = None
    reserved_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as a row of the store, with what it has cost until the view's instant (or its end).

    ``gpu_seconds`` and ``energy_joules`` are what the ledger books on its workload; ``lost_gpu_seconds``: GPU time since its last
    checkpoint of a run that did not finish, at most (``None`` for one that finished or runs).
    """

    root_pid: int
    root_start_ms: int
    name: str
    user: str
    job: str
    command: str
    git_commit: str
    started_ms: int
    outcome: RunOutcome
    first_step_ms: int | None = None
    last_step_ms: int | None = None
    last_checkpoint_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    detail: str = ""
    steps_total: int | None = None
    tokens_total: int | None = None
    samples_total: int | None = None
    step_number: int | None = None
    total_steps: int | None = None
    ranks: int | None = None
    gpus: int | None = None
    gpu_seconds: float | None = None
    energy_joules: float | None = None
    lost_gpu_seconds: float | None = None
    attached: bool = False


@dataclass(frozen=True, slots=True)
class TrainingView:
    """A training at the view's instant. Rates are means over ``rate_seconds`` (30 s, longer where steps are longer); phases, ranks and
    percentiles over ``window_seconds`` (5 min, or since the start of the newest whole step); run figures since its start.

    ``source`` is that of the counts; ``attached`` False: only its log, or only its existence, is known. ``parallelism`` says how many
    ranks see different tokens and how that is known (``2 ranks, assumed data parallel``). ``stalled`` is a sentence when one phase has
    lasted longer than max(30 s, 20 times the median step). ``mfu_ratio`` = tokens/s x FLOPs a token / (GPUs x dense peak of the precision);
    ``mfu_terms`` are the lines of the formula with its numbers, ``mfu_missing`` why there is none.
    ``goodput_ratio``: time in forward, backward and optimizer over the time since the run's start.
    Energies are ``None`` on GPUs shared with another workload. Costs are ``None`` without a price.
    """

    attached: bool
    source: TrainingSource | None = None
    detail: str = ""
    hint: str = ""
    framework: str = ""
    model: str = ""
    precision: str = ""
    parallelism: str = ""
    parameters: int | None = None
    trainable_parameters: int | None = None
    tokens_kind: str = ""
    age_seconds: float | None = None
    rate_seconds: float | None = None
    window_seconds: float | None = None
    step_number: int | None = None
    total_steps: int | None = None
    to_go_seconds: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    samples_per_second: float | None = None
    tokens_per_second_per_gpu: float | None = None
    tokens_per_step: float | None = None
    nonpad_tokens_per_second: float | None = None
    padding_ratio: float | None = None
    """Share of the tokens that is padding, in the batches in which it was counted."""
    loss: float | None = None
    phase: Phase | None = None
    """Of the lead rank."""
    phase_age_seconds: float | None = None
    stalled: str = ""
    step_seconds: float | None = None
    step_p50_seconds: float | None = None
    step_p95_seconds: float | None = None
    steps_in_window: int | None = None
    phases: tuple[PhaseView, ...] = ()
    """In the order of a step; those that took no time are left out."""
    probe: bool = False
    probed_steps: int | None = None
    drained_steps: int | None = None
    ranks: tuple[RankView, ...] = ()
    """By rank."""
    straggler: str = ""
    """Which rank the others wait for, in one sentence; empty when none stands out."""
    mfu_ratio: float | None = None
    mfu_terms: tuple[str, ...] = ()
    mfu_missing: str = ""
    flops_per_token: float | None = None
    power_watts: float | None = None
    energy_per_token_joules: float | None = None
    shared_gpu: bool = False
    goodput_ratio: float | None = None
    first_step_seconds: float | None = None
    """From the run's start to the end of its first step."""
    checkpoint_ratio: float | None = None
    """Share of the time since attaching."""
    eval_ratio: float | None = None
    compilations_total: int | None = None
    alloc_retries_total: int | None = None
    out_of_memory_total: int | None = None
    run: RunView | None = None
    cost: float | None = None
    """Of the run so far."""
    cost_per_million_tokens: float | None = None
    currency: str = ""
    price: str = ""
    rate_cells: tuple[float | None, ...] = ()
    """Tokens (samples, else steps) a second, 9 cells of 20 s, oldest first, for the overview."""
    missing: Mapping[str, Missing] = field(default_factory=lambda: _NO_MISSING)


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """A training over the last hour, for its screen: cells of ``cell_seconds``, oldest first, the last one running.

    ``per_second`` is of tokens, else samples, else steps: ``unit`` says which. ``phase_shares`` are shares of the time of a step.
    """

    cell_seconds: int
    start_ms: int
    unit: str
    per_second: tuple[float | None, ...]
    phase_shares: Mapping[Phase, tuple[float | None, ...]]
    mean_per_second: float | None = None
    best_minute_per_second: float | None = None
