"""nanoGPT: ``iter 100: loss 2.4530, time 118.42ms, mfu 12.20%``; ``step 250: train loss 2.10, val loss 2.19`` after an evaluation.

A line tells no tokens: they follow from three settings if the command line has all three. ``mfu`` is against the peak of an A100
whatever the GPU is, and -100 % before it is measured. (train.py)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, number, positive, share, value_of, whole

NAME = "nanogpt"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    head, colon, rest = text.partition(": ")
    word, _, at = head.rpartition(" ")
    step = whole(at)
    if not colon or step is None:
        return None
    if word.endswith("iter") and rest.startswith("loss "):
        time = value_of(rest, "time ") or ""
        milliseconds = positive(time)
        if milliseconds is None or "ms" not in time:
            return None
        seconds = milliseconds / 1000
        return LogLine(
            NAME, step=step, step_seconds=seconds, loss=number(value_of(rest, "loss ")), mfu=share(value_of(rest, "mfu "))
        )
    if word.endswith("step") and rest.startswith("train loss ") and "val loss " in rest:
        return LogLine(NAME, Kind.EVAL, step=step)
    return None


_NEEDS = "--batch_size, --block_size and --gradient_accumulation_steps"
FORMAT = Format(NAME, "nanoGPT", (("iter ", ": loss ", ", time "),), parse, _NEEDS)
