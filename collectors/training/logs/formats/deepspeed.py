"""DeepSpeed: ``epoch=0/micro_step=40/global_step=10, RunningAvgSamplesPerSec=52.1, CurrSamplesPerSec=53.0, MemAllocated=…`` and its kin.

It counts samples and knows no tokens. ``CurrSamplesPerSec`` is the whole job's and that of the last step alone; the mean since the start
is left aside. That line counts steps since the process began: the step is taken from ``step=10, skipped=0, lr=[…], mom=[…]``, which
goes on after a restart. The pipeline engine prints ``steps: 10 loss: 3.2 iter time (s): 0.512 samples/sec: 62.5``.
(deepspeed/utils/timer.py, runtime/engine.py, runtime/pipe/engine.py)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Format, LogLine, Over, fields, number, positive, stamp, value_of, whole

NAME = "deepspeed"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    if "iter time (s):" in text:
        return _pipeline(text)
    rate = positive(fields(text, ", ", "=").get("CurrSamplesPerSec"))
    if rate is not None:
        return LogLine(NAME, samples_per_second=rate, samples_over=Over.ONE_STEP, written=stamp(text))
    if "skipped=" in text and "mom=" in text:
        step = whole(value_of(text, "step="))
        return None if step is None else LogLine(NAME, step=step, written=stamp(text))
    return None


def _pipeline(text: str) -> LogLine | None:
    step, seconds = whole(value_of(text, "steps:")), positive(value_of(text, "iter time (s):"))
    if step is None or seconds is None:
        return None
    return LogLine(
        NAME,
        step=step,
        step_seconds=seconds,
        samples_per_second=positive(value_of(text, "samples/sec:")),
        samples_over=Over.SINCE_LINE,
        loss=number(value_of(text, "loss:")),
        written=stamp(text),
    )


FORMAT = Format(NAME, "DeepSpeed", (("CurrSamplesPerSec=",), ("steps:", "iter time (s):")), parse)
