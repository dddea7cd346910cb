"""nanoGPT: ``iter 100: loss 2.4530, time 118.42ms, mfu 12.20%``; ``step 250: train loss 2.10, val loss 2.19`` after an evaluation.

A line tells no tokens: they follow from three settings if the command line has all three. ``mfu`` is against the peak of an A100
whatever the GPU is, and -100 % before it is measured. (train.py)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, number, positive, share, value_of, whole

NAME = "nanogpt"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    if ": train loss " in text and "val loss " in text:
        step = whole(text.partition(": train loss ")[0].rpartition("step ")[2])
        return None if step is None else LogLine(NAME, Kind.EVAL, step=step)
    head, _, rest = text.partition(": loss ")
    step, time = whole(head.rpartition("iter ")[2]), value_of(rest, "time ") or ""
    milliseconds = positive(time)
    if "iter " not in head or step is None or milliseconds is None or "ms" not in time:
        return None
    return LogLine(NAME, step=step, step_seconds=milliseconds / 1000, loss=number(rest), mfu=share(value_of(rest, "mfu ")))


_NEEDS = "--batch_size, --block_size and --gradient_accumulation_steps"
FORMAT = Format(NAME, "nanoGPT", (("iter ", ": loss ", ", time "),), parse, _NEEDS)
