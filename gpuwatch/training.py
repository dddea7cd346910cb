"""What gpuwatch knows of trainings: each rank, each run, and what a rank has done since it was read before. Imports only ``names``
and ``measure``.
"""

from __future__ import annotations

from gpuwatch.dataclass import dataclass
from gpuwatch.measure import MIB, measure
from gpuwatch.names import Phase, RunOutcome, TrainingSource

HOOK = "hook"
"""Where a rank's own numbers come from; ``Trainer.source`` says whether it was the hook, the script's own word, or a log."""


PHASE_SECONDS = {
    Phase.DATA: "data_wait_seconds",
    Phase.FORWARD: "forward_seconds",
    Phase.BACKWARD: "backward_seconds",
    Phase.OPTIMIZER: "optimizer_seconds",
    Phase.CHECKPOINT: "checkpoint_seconds",
    Phase.EVAL: "eval_seconds",
    Phase.COMPILE: "compile_seconds",
    Phase.OTHER: "other_seconds",
}
"""The parts of a step in its order, and the fields of ``TrainingSample`` that tell them."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """One training process (a rank), by its hook file or its log. A new object only where something worth telling has changed.

    ``root_pid, root_start_ms`` are the key of its workload. ``data_parallel`` is how many ranks see different tokens, known by
    ``data_parallel_source`` (``single``, ``assumed``, ``megatron``, ``mesh``, ``declared``); ``replicas`` how many see the same ones.
    ``parameters`` are those of the whole model; ``flops_per_token`` counts forward and backward, by ``flops_formula`` (PaLM,
    arXiv 2204.02311, appendix B). ``gpu_uuid`` is the device that it computes on, empty if it does not say. ``ended_ms`` and
    ``outcome`` tell how the process ended. ``detail`` is one line, such as why the agent turned itself off.
    """

    pid: int
    start_ms: int
    root_pid: int
    root_start_ms: int
    source: TrainingSource
    attached_ms: int
    detail: str = ""
    hint: str = ""
    framework: str = ""
    agent_version: str = ""
    rank: int | None = None
    world: int | None = None
    local_rank: int | None = None
    node_rank: int | None = None
    data_parallel: int | None = None
    data_parallel_source: str = ""
    replicas: int = 1
    tokens_kind: str = ""
    model: str = ""
    parameters: int | None = None
    trainable_parameters: int | None = None
    layers: int | None = None
    heads: int | None = None
    head_width: int | None = None
    sequence_tokens: int | None = None
    flops_per_token: float | None = None
    flops_formula: str = ""
    precision: str = ""
    gpu_uuid: str = ""
    total_steps: int | None = None
    probe: bool = False
    first_step_ms: int | None = None
    ended_ms: int | None = None
    outcome: RunOutcome = RunOutcome.RUNNING

    @property
    def key(self) -> tuple[int, int]:
        """(pid, start_ms): the process."""
        return self.pid, self.start_ms


@dataclass(frozen=True, slots=True)
class Run:
    """One training run: the life of a workload of kind training; the first two fields are its workload's key (its port is 0).

    ``steps`` and ``tokens`` are cumulative over what was seen of it (since it was attached, all ranks' shares together); ``step_number``
    is what the script itself counts. ``exit_code`` is negative for a signal, ``None`` where nobody could see it. ``detail`` is one line on
    its end, such as which rank failed. ``git_commit`` is that of its working directory at its start, by reading ``.git``; empty if unknown.
    """

    root_pid: int
    root_start_ms: int
    started_ms: int
    first_step_ms: int | None = None
    last_step_ms: int | None = None
    last_checkpoint_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    outcome: RunOutcome = RunOutcome.RUNNING
    detail: str = ""
    steps: int | None = None
    tokens: int | None = None
    samples: int | None = None
    step_number: int | None = None
    total_steps: int | None = None
    ranks: int | None = None
    git_commit: str = ""
    command: str = ""
    attached: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """(root_pid, root_start_ms): its workload."""
        return self.root_pid, self.root_start_ms


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One training process (a rank) over the time since its previous good reading.

    Counts are differences, ``None`` at the first reading and after a break, and where the process does not tell them. Sums over the
    ranks of a job are right as they are: tokens and samples are the rank's share (divided by how many ranks see the same ones), and
    ``steps_total`` is told by one rank of a host only. Seconds are each rank's own; ``attached_seconds`` is their whole.
    ``root_pid`` 0: the workload is looked up by the process.
    """

    pid: int
    start_ms: int = 0
    root_pid: int = 0
    root_start_ms: int = 0
    interval_seconds: float = 0.0
    steps_total: float | None = measure("steps", "total", 1, "delta", "training", "Optimizer steps of the job: counted on its first rank of the host", HOOK)  # fmt: skip
    tokens_total: float | None = measure("tokens", "total", 1, "delta", "training", "Tokens in training batches, padding included: the rank's share of the job's", HOOK)  # fmt: skip
    nonpad_tokens_total: float | None = measure("nonpad_tokens", "total", 1, "delta", "training", "Tokens that are not padding, in the batches whose padding was counted", HOOK)  # fmt: skip
    eval_tokens_total: float | None = measure("eval_tokens", "total", 1, "delta", "training", "Tokens in evaluation batches", HOOK)
    samples_total: float | None = measure("samples", "total", 1, "delta", "training", "Samples in training batches: the rank's share of the job's", HOOK)  # fmt: skip
    data_wait_seconds: float | None = measure(
        "data_wait_ms", "seconds", 1000, "delta", "phase", "Time the loop waited for data", HOOK
    )
    forward_seconds: float | None = measure("forward_ms", "seconds", 1000, "delta", "phase", "Time in forward", HOOK)
    backward_seconds: float | None = measure("backward_ms", "seconds", 1000, "delta", "phase", "Time in backward", HOOK)
    optimizer_seconds: float | None = measure("optimizer_ms", "seconds", 1000, "delta", "phase", "Time in the optimizer", HOOK)
    checkpoint_seconds: float | None = measure("checkpoint_ms", "seconds", 1000, "delta", "phase", "Time writing checkpoints", HOOK)
    eval_seconds: float | None = measure("eval_ms", "seconds", 1000, "delta", "phase", "Time in evaluation", HOOK)
    compile_seconds: float | None = measure("compile_ms", "seconds", 1000, "delta", "phase", "Time compiling", HOOK)
    other_seconds: float | None = measure("other_ms", "seconds", 1000, "delta", "phase", "Other time of the loop", HOOK)
    allocated_bytes: float | None = measure("allocated_mib", "bytes", MIB, "gauge", "allocator", "Memory allocated by PyTorch", "torch.cuda.memory_stats allocated_bytes.all.current")  # fmt: skip
    reserved_bytes: float | None = measure("reserved_mib", "bytes", MIB, "gauge", "allocator", "Memory reserved by PyTorch", "torch.cuda.memory_stats reserved_bytes.all.current")  # fmt: skip
    loss: float | None = measure("loss_micro", "count", 1e6, "gauge", "loss", "Loss, when it is free", HOOK)
    rank_steps_total: float | None = measure("rank_steps", "total", 1, "delta", "attached", "Optimizer steps of this rank", HOOK)
    micro_batches_total: float | None = measure("micro_batches", "total", 1, "delta", "attached", "Forward passes of the model with gradients", HOOK)  # fmt: skip
    attached_seconds: float | None = measure("attached_ms", "seconds", 1000, "delta", "attached", "True time between the two readings that the counts lie between", HOOK)  # fmt: skip
    starting_seconds: float | None = measure(
        "starting_ms", "seconds", 1000, "delta", "attached", "Time before the first step", HOOK
    )
    counted_tokens_total: float | None = measure("counted_tokens", "total", 1, "delta", "padding", "Tokens in the batches whose padding was counted, padding included", HOOK)  # fmt: skip
    compilations_total: float | None = measure("compilations", "total", 1, "delta", "happened", "Compilations and recompilations by torch.compile", HOOK)  # fmt: skip
    checkpoints_total: float | None = measure("checkpoints", "total", 1, "delta", "happened", "Checkpoints written", HOOK)
    alloc_retries_total: float | None = measure("alloc_retries", "total", 1, "delta", "retries", "Times that the allocator had to free its cache and try again", "torch.cuda.memory_stats num_alloc_retries")  # fmt: skip
    out_of_memory_total: float | None = measure("out_of_memory", "total", 1, "delta", "retries", "Times that memory could not be allocated", "torch.cuda.memory_stats num_ooms")  # fmt: skip
    allocated_peak_bytes: float | None = measure("allocated_peak_mib", "bytes", MIB, "gauge", "allocated_peak", "Most memory ever allocated by PyTorch", "torch.cuda.memory_stats allocated_bytes.all.peak")  # fmt: skip
    inactive_split_bytes: float | None = measure("inactive_split_mib", "bytes", MIB, "gauge", "inactive_split", "Reserved memory in pieces that are too small to be given back", "torch.cuda.memory_stats inactive_split_bytes.all.current")  # fmt: skip
    probed_steps_total: float | None = measure("probed_steps", "total", 1, "delta", "probe", "Steps at whose start it was asked whether the GPU had run out of work", "drain probe")  # fmt: skip
    drained_steps_total: float | None = measure("drained_steps", "total", 1, "delta", "probe", "Steps at whose start the GPU had run out of work", "drain probe")  # fmt: skip
    gpu_idle_data_seconds: float | None = measure("gpu_idle_data_ms", "seconds", 1000, "delta", "probe", "GPU out of work while the loop waited for data", "drain probe")  # fmt: skip
    gpu_idle_checkpoint_seconds: float | None = measure("gpu_idle_checkpoint_ms", "seconds", 1000, "delta", "probe", "GPU out of work while a checkpoint was written", "drain probe")  # fmt: skip
    gpu_idle_eval_seconds: float | None = measure("gpu_idle_eval_ms", "seconds", 1000, "delta", "probe", "GPU out of work around an evaluation", "drain probe")  # fmt: skip
    gpu_idle_other_seconds: float | None = measure("gpu_idle_other_ms", "seconds", 1000, "delta", "probe", "GPU out of work while the host did anything else", "drain probe")  # fmt: skip
    phase: int | None = measure("phase", "state", 1, "state", "live", "What it does now: 0 starting, 1 data, 2 forward, 3 backward, 4 optimizer, 5 checkpoint, 6 eval, 7 compile, 8 other, 9 ended", HOOK)  # fmt: skip
    phase_age_seconds: float | None = measure("phase_age_ms", "seconds", 1000, "state", "live", "Since when it does that", HOOK)
    step_number: int | None = measure(
        "step_number", "count", 1, "state", "live", "Number of the step by the script's own count", HOOK
    )


_LOST = (RunOutcome.FAILED, RunOutcome.STOPPED, RunOutcome.DIED)


def lost_gpu_ms(outcome: int, lived_ms: tuple[int | None, ...], gpus: int, gpu_ms: int) -> int | None:
    """GPU time (milliseconds) that a run lost at most: from its last checkpoint to its end, on all its GPUs, and no more than it held.

    ``lived_ms`` are its end, and since when it can have lost anything, the best known first: last checkpoint, first step, start. ``None``
    for a run that has not ended or finished, and where nobody watched its end. ``v_run`` says the same.
    """
    ended, *since = lived_ms
    begun = next((ms for ms in since if ms is not None), None)
    if outcome not in _LOST or ended is None or begun is None:
        return None
    return min(max(0, ended - begun) * gpus, gpu_ms)
