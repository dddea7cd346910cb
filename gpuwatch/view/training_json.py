"""What ``status --json`` tells of trainings: the keys of a workload's ``training``, its phases, ranks and run."""

from __future__ import annotations

from gpuwatch.view.json_parts import Field, Json, object_of, objects, plain
from gpuwatch.view.training_types import TrainingView

PHASES = "starting, data, forward, backward, optimizer, checkpoint, eval, compile, other or ended"
OUTCOMES = "running, finished, failed, stopped, died or unknown"
_RATE = "a second, over rate_seconds"
TRAINING = (
    *plain(
        ("attached", "boolean", "Whether a hook in the process tells its steps; false: its log, or only its existence, is known"),
        ("source", "string|null", "Where its counts are from: hook, declared (by the script) or log"),
        ("detail", "string", "What is wrong, in one line, else empty"),
        ("hint", "string", "What to do, else empty"),
        ("framework", "string", "Framework and version, empty if not known"),
        ("model", "string", "Class or name of the model, empty if not known"),
        ("precision", "string", "What it computes in: bf16, fp16, fp8, tf32, fp32; empty if not known"),
        ("parallelism", "string", "Ranks, how many see different tokens, and how that is known"),
        ("parameters", "integer|null", "Parameters of the whole model"),
        ("trainable_parameters", "integer|null", "The part of them that is trained"),
        ("tokens_kind", "string", "What tokens are counted by, empty if they are not"),
        ("age_seconds", "number|null", "Age of the newest row"),
        ("rate_seconds", "number|null", "Time that rates are means over: whole steps"),
        ("window_seconds", "number|null", "Time that phases, ranks and percentiles are told over"),
        ("step_number", "integer|null", "Number of the step by the script's own count"),
        ("total_steps", "integer|null", "Steps that the run is to have"),
        ("to_go_seconds", "number|null", "Time that the rest takes at this rate"),
        ("steps_per_second", "number|null", f"Optimizer steps {_RATE}"),
        ("tokens_per_second", "number|null", f"Tokens of training batches {_RATE}, padding included, all ranks of the host"),
        ("samples_per_second", "number|null", f"Samples {_RATE}"),
        ("tokens_per_second_per_gpu", "number|null", "Tokens a second and GPU that it holds"),
        ("tokens_per_step", "number|null", "Tokens a step"),
        (
            "nonpad_tokens_per_second",
            "number|null",
            "Tokens a second that are not padding, by the share in the batches that were looked at",
        ),
        ("padding_ratio", "number|null", "Share of the tokens that is padding, in those batches"),
        ("loss", "number|null", "Loss, where it is free"),
        ("phase", "string|null", f"What its first rank does now: {PHASES}"),
        ("phase_age_seconds", "number|null", "Since when it does that"),
        ("stalled", "string", "A sentence when one phase lasts far longer than a step, else empty"),
        ("step_seconds", "number|null", "Length of a step, mean of all ranks"),
        ("step_p50_seconds", "number|null", "Its median"),
        ("step_p95_seconds", "number|null", "Its 95th percentile"),
        ("steps_in_window", "integer|null", "Steps that the means are of, of the first rank"),
        ("probe", "boolean", "Whether the drain probe runs, which no GPU has verified yet"),
        ("probed_steps", "integer|null", "Steps at whose start it was asked whether the GPU had run out of work"),
        ("drained_steps", "integer|null", "Those at which it had"),
        ("straggler", "string", "Which rank the others wait for, in one sentence; empty when none stands out"),
        ("mfu_ratio", "number|null", "Model FLOPs utilization: tokens/s x FLOPs a token / (GPUs x dense peak of the precision)"),
    ),
    Field("mfu_terms", "array:string", "The formula with its numbers", lambda view: list(view.mfu_terms)),
    *plain(
        ("mfu_missing", "string", "Why there is no MFU, else empty"),
        ("flops_per_token", "number|null", "Floating point operations a token, forward and backward"),
        ("power_watts", "number|null", "Mean power of its GPUs over rate_seconds"),
        ("energy_per_token_joules", "number|null", "Energy a token; null on a shared GPU"),
        ("shared_gpu", "boolean", "Whether another workload is at work on one of its GPUs"),
        (
            "goodput_ratio",
            "number|null",
            "Time in forward, backward and optimizer (a hang is none), of the time since the run's start",
        ),
        ("first_step_seconds", "number|null", "From the run's start to the end of its first step"),
        ("checkpoint_ratio", "number|null", "Time writing checkpoints, of the time since it was attached"),
        ("eval_ratio", "number|null", "Time in evaluation, of the time since it was attached"),
        ("compilations_total", "integer|null", "Compilations by torch.compile since it was attached, all ranks"),
        ("alloc_retries_total", "integer|null", "Times that the allocator had to free its cache and try again, all ranks"),
        ("out_of_memory_total", "integer|null", "Times that memory could not be allocated, all ranks"),
        ("cost", "number|null", "Cost of the run so far; null without a price"),
        ("cost_per_million_tokens", "number|null", "Cost of a million tokens at this rate; null without a price"),
        ("currency", "string", "Currency, empty without a price"),
        ("price", "string", "The prices that costs are made with, empty without one"),
    ),
)
PHASE = plain(
    ("phase", "string", "Part of a step"),
    ("seconds", "number", "Seconds of it in a step and rank, mean"),
    ("share", "number", "Its share of a step"),
    ("p95_seconds", "number|null", "95th percentile of single steps"),
    ("gpu_idle_seconds", "number|null", "Time in it a step in which the GPU had run out of work, by the drain probe (unverified)"),
)
RANK = plain(
    ("pid", "integer", "Process id"),
    ("start_ms", "integer", "Start, unix milliseconds; with pid the identity"),
    ("rank", "integer|null", "Rank"),
    ("local_rank", "integer|null", "Rank on this host"),
    ("gpu_index", "integer|null", "GPU that it computes on"),
    ("source", "string", "Where its counts are from: hook, declared or log"),
    ("outcome", "string", f"How it ended: {OUTCOMES}"),
    ("ended_ms", "integer|null", "When it ended, unix milliseconds"),
    ("detail", "string", "What is wrong, in one line, else empty"),
    ("hint", "string", "What to do, else empty"),
    ("phase", "string|null", "What it does now"),
    ("phase_age_seconds", "number|null", "Since when it does that"),
    ("step_seconds", "number|null", "Length of a step, mean"),
    ("data_wait_seconds", "number|null", "Time in which it waits for data a step"),
    ("host_seconds", "number|null", "Data wait and its own code between steps, a step: what the others wait for"),
    ("tokens_per_second", "number|null", "Its share of the job's tokens a second"),
    ("sm_active_ratio", "number|null", "SM activity of its GPU now"),
    ("allocated_bytes", "number|null", "Memory allocated by PyTorch"),
    ("allocated_peak_bytes", "number|null", "The most that ever was"),
    ("reserved_bytes", "number|null", "Memory reserved by PyTorch"),
)
RUN = plain(
    ("root_pid", "integer", "Root of its process tree"),
    ("root_start_ms", "integer", "Its start, unix milliseconds"),
    ("name", "string", "Name"),
    ("user", "string", "User name, empty if not known"),
    ("job", "string", "Scheduler or container id, empty if none"),
    ("command", "string", "Command line, redacted"),
    ("git_commit", "string", "Commit of its working directory at its start, empty if not known"),
    ("started_ms", "integer", "Start, unix milliseconds"),
    ("outcome", "string", f"How it ended: {OUTCOMES}"),
    ("first_step_ms", "integer|null", "End of its first step, unix milliseconds"),
    ("last_step_ms", "integer|null", "End of its last step so far"),
    ("last_checkpoint_ms", "integer|null", "When it last wrote a checkpoint"),
    ("ended_ms", "integer|null", "End"),
    ("exit_code", "integer|null", "Exit code, negative for a signal; null where nobody saw it"),
    ("detail", "string", "What is known of its end, in one line"),
    ("steps_total", "integer|null", "Optimizer steps since it was attached"),
    ("tokens_total", "integer|null", "Tokens since it was attached"),
    ("samples_total", "integer|null", "Samples since it was attached"),
    ("step_number", "integer|null", "Number of the step by the script's own count"),
    ("total_steps", "integer|null", "Steps that it is to have"),
    ("ranks", "integer|null", "Processes that train"),
    ("gpus", "integer|null", "GPUs that it holds or held"),
    ("gpu_seconds", "number|null", "GPU time that the ledger books on it"),
    ("energy_joules", "number|null", "Energy that the ledger books on it; null where one of its GPUs tells none"),
    ("lost_gpu_seconds", "number|null", "GPU time since its last checkpoint, of a run that ended and did not finish, at most"),
    ("attached", "boolean", "Whether a hook told its steps"),
)


def training_json(view: TrainingView | None) -> Json | None:
    """The object, ``None`` for a workload that is no training."""
    if view is None:
        return None
    return {
        **object_of(TRAINING, view),
        "phases": objects(PHASE, view.phases),
        "ranks": objects(RANK, view.ranks),
        "run": None if view.run is None else object_of(RUN, view.run),
        "missing": {name: reason.label for name, reason in sorted(view.missing.items())},
    }
