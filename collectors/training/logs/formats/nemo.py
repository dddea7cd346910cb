"""NeMo 2: ``Training epoch 0, iteration 9/99 | lr: … | global_batch_size: 512 | global_step: 9 | reduced_train_loss: 10.1 | …``.

The bar of an interactive run has the same values after ``=``. ``consumed_samples`` is printed as its mean over the interval between
two lines, so samples are counted by steps. (nemo/lightning/pytorch/callbacks/progress_printer.py, progress_bar.py)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, fields, number, positive, value_of, whole

NAME = "nemo"


def parse(text: str) -> LogLine | None:
    """What a line says."""
    if "Validation: iteration " in text:
        return LogLine(NAME, Kind.EVAL)
    told = fields(text) if "reduced_train_loss:" in text else fields(text.rstrip("]"), ", ", "=")
    step = whole(told.get("global_step"))
    if step is None or "reduced_train_loss" not in told:
        return None
    return LogLine(
        NAME,
        step=step,
        total_steps=whole((value_of(text, "iteration ") or "").partition("/")[2]),
        batch_samples=whole(told.get("global_batch_size")),
        step_seconds=positive(told.get("train_step_timing in s")),
        loss=number(told.get("reduced_train_loss")),
        grad_norm=number(told.get("grad_norm")),
    )


FORMAT = Format(NAME, "NeMo", (("global_step", "reduced_train_loss"),), parse)
