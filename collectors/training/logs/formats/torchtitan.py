"""torchtitan: ``step: 10  loss: 7.1  grad_norm: 1.2  memory: 40.12GiB(50.7%)  tps: 7,814  tflops: 350.1  mfu: 35.40%`` in colours.

``tps`` is per device, already divided by the ranks that see the same tokens, and a mean since the last such line; it was called
``wps`` until the end of 2024. ``mfu: N/A`` when the model is quantised. (torchtitan/components/metrics.py, ``MetricsProcessor.log``)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, Over, Per, number, positive, share, stamp, value_of, whole

NAME = "torchtitan"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    if text.endswith("Training completed"):
        return LogLine(NAME, Kind.END, written=stamp(text))
    step = whole(value_of(text, "step:"))
    rate = positive(value_of(text, "tps:")) or positive(value_of(text, "wps:"))
    if step is None or rate is None or "memory:" not in text:
        return None
    evaluates = "validate step:" in text
    return LogLine(
        NAME,
        Kind.EVAL if evaluates else Kind.TRAIN,
        step=step,
        tokens_per_second=None if evaluates else rate,
        tokens_per=Per.DEVICE,
        tokens_over=Over.SINCE_LINE,
        loss=number(value_of(text, "loss:")),
        grad_norm=number(value_of(text, "grad_norm:")),
        mfu=share(value_of(text, "mfu:")),
        written=stamp(text),
    )


FORMAT = Format(NAME, "torchtitan", (("step:", "memory:", "tps:"), ("step:", "memory:", "wps:")), parse)
