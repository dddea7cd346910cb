"""Megatron-LM: `` [2025-03-01 10:00:00] iteration  10/ 500 | consumed samples: 2560 | elapsed time per iteration (ms): 812.4 | …``.

The last rank alone prints. Older versions have no date; ``throughput per GPU`` is there with ``--log-throughput`` only, and is a rate
of FLOPs. Some forks print tokens per second and GPU, or two times (now/mean). (megatron/training/training.py, ``training_log``)
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
    stamp,
    value_of,
    whole,
)

NAME = "megatron"
_TIME = "elapsed time per iteration (ms)"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    if "validation loss at iteration" in text:
        return _evaluation(text)
    if "[after training is done]" in text:
        return LogLine(NAME, Kind.END, written=stamp(text))
    head, _, rest = text.partition("|")
    told = fields(rest)
    milliseconds = positive(told.get(_TIME))
    done, slash, total = head.rpartition("iteration ")[2].partition("/")
    if milliseconds is None or not slash or (step := whole(done)) is None:
        return None
    rate = positive(told.get("throughput (token/sec/GPU)"))
    return LogLine(
        NAME,
        step=step,
        total_steps=whole(total),
        samples_total=number(told.get("consumed samples")),
        batch_samples=whole(told.get("global batch size")),
        step_seconds=milliseconds / 1000,
        tokens_per_second=rate,
        tokens_per=Per.DEVICE if rate else None,
        tokens_over=Over.SINCE_LINE if rate else None,
        loss=number(told.get("lm loss", told.get("loss"))),
        grad_norm=number(told.get("grad norm")),
        written=stamp(text),
    )


def _evaluation(text: str) -> LogLine:
    step = whole(value_of(text, "at iteration"))
    return LogLine(NAME, Kind.EVAL, step=step, loss=number(value_of(text, "lm loss value:")), written=stamp(text))


FORMAT = Format(NAME, "Megatron-LM", (("iteration ", _TIME + ":"),), parse, "--seq-length")
