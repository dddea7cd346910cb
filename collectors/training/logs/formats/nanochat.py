"""nanochat: ``step 00010/21400 (0.05%) | loss: 9.1 | lrm: 1.00 | dt: 350.12ms | tok/sec: 1,497,453 | bf16_mfu: 45.10 | …``.

``tok/sec`` is the whole job's and is the tokens of one step divided by ``dt``, so their product is exact. Fine-tuning prints ``mfu`` and no
number of steps, and counts from one. (scripts/base_train.py, scripts/chat_sft.py; forks of it as well)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import (
    Format,
    Kind,
    LogLine,
    Over,
    Per,
    fields,
    number,
    positive,
    share,
    value_of,
    whole,
)

NAME = "nanochat"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    if "Total training time:" in text:
        return LogLine(NAME, Kind.END)
    head, _, rest = text.partition("|")
    told = fields(rest)
    at = (value_of(head.lower(), "step ") or "").partition("/")
    if (step := whole(at[0])) is None:
        return None
    if "Validation bpb" in told or "Validation loss" in told:
        return LogLine(NAME, Kind.EVAL, step=step)
    rate, milliseconds = positive(told.get("tok/sec")), positive(told.get("dt"))
    if rate is None or milliseconds is None:
        return None
    return LogLine(
        NAME,
        step=step,
        total_steps=whole(at[2]),
        tokens_per_second=rate,
        tokens_per=Per.JOB,
        tokens_over=Over.ONE_STEP,
        step_seconds=milliseconds / 1000,
        loss=number(told.get("loss")),
        grad_norm=number(told.get("grad norm")),
        mfu=share(told.get("bf16_mfu", told.get("mfu"))),
    )


FORMAT = Format(NAME, "nanochat", (("step ", "tok/sec:", "dt:"),), parse)
