"""A report's training runs as JSON: the keys of one run and of all together."""

from __future__ import annotations

from gpuwatch.names import RunOutcome
from gpuwatch.view.json_parts import Field, plain

OUTCOMES = ", ".join(outcome.label for outcome in RunOutcome)
RUN = (
    *plain(
        ("host", "string", "Host"),
        ("root_pid", "integer", "Root of its process tree"),
        ("root_start_ms", "integer", "Its start, unix milliseconds"),
        ("name", "string", "Name"),
        ("model", "string", "Model, empty if not known"),
        ("user", "string", "User, empty if not known"),
        ("job", "string", "Scheduler or container id, else empty"),
        ("command", "string", "Command line, redacted; empty when erased"),
        ("git_commit", "string", "Commit of its working directory at its start, empty if not known"),
        ("started_ms", "integer", "Start, unix milliseconds"),
        ("first_step_ms", "integer|null", "End of its first step"),
        ("first_step_seconds", "number|null", "From its start to then"),
        ("ended_ms", "integer|null", "End; null if it went on behind the span"),
        ("outcome", "string", f"How it ended: {OUTCOMES}; as of the end of the span"),
        ("exit_code", "integer|null", "Exit code, negative for a signal; null where nobody saw it"),
        ("detail", "string", "What is known of its end, in one line"),
        ("attached", "boolean", "Whether a hook told its steps"),
        ("cut", "boolean", "Whether it began before the span or goes on behind it"),
        ("ranks", "integer|null", "Processes that train"),
        ("steps_total", "integer|null", "Optimizer steps in the span"),
        ("tokens_total", "integer|null", "Tokens in the span"),
        ("samples_total", "integer|null", "Samples in the span"),
        (
            "tokens_per_second",
            "number|null",
            "Mean over the time in the span in which it was watched after its first step, pauses included",
        ),
        ("samples_per_second", "number|null", "The same of samples"),
        ("lost_gpu_ms", "integer|null", "GPU time since its last checkpoint, of a run that ended and did not finish, at most"),
        ("cost", "number|null", "Cost of its GPU time in the span; null without a price"),
        ("currency", "string", "Its currency, empty without a price"),
        ("price", "string", "The prices that the cost is made with, empty without one"),
    ),
)
EXPERIMENTS = (
    *plain(
        ("started", "integer", "Runs that began in the span"),
        ("capacity_gpu_ms", "integer", "GPU time of the span, idle time included"),
        ("run_gpu_ms", "integer", "GPU time that runs held"),
        ("started_per_gpu_day", "number|null", "Runs begun a day of GPU capacity: the headline"),
        ("started_per_run_gpu_day", "number|null", "Runs begun a day of GPU time that runs held"),
        ("finished_per_gpu_day", "number|null", "Runs finished a day of GPU capacity"),
        ("failed_gpu_ms", "integer", "GPU time of the runs that failed or died"),
        ("failed_lost_gpu_ms", "integer|null", "GPU time of those since their last checkpoints, at most"),
        ("first_step_seconds", "number|null", "Median time to the first step of the runs that began in the span"),
        ("first_steps", "integer", "How many these are"),
        ("failed_cost", "number|null", "Cost of the runs that failed or died; null without a price"),
        ("currency", "string", "Its currency, empty without a price"),
        ("price", "string", "The prices that the cost is made with, empty without one"),
    ),
    Field(
        "outcomes", "object", "Runs by outcome", lambda found: {outcome.label: count for outcome, count in found.outcomes.items()}
    ),
)
