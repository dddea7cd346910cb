"""The Trainer of Hugging Face and TRL: ``{'loss': 2.31, 'grad_norm': 1.1, 'learning_rate': 5e-05, 'epoch': 0.1}`` and its progress bar.

A line has no step: the bar that is drawn anew after it has. Since version 5 fractions are printed in quotes with four digits, so a
count that TRL keeps as a fraction (``num_tokens``, without padding) is coarse; ``num_input_tokens_seen`` is exact. Both are the whole
job's. ``train_tokens_per_second`` is a mean since the start and is left aside. (transformers/trainer_callback.py, ``ProgressCallback``)
"""

from __future__ import annotations

from gpuwatch.collectors.training.logs.line import Format, Kind, LogLine, number, whole

NAME = "huggingface"
_DIGITS = 4
"""Significant digits of a fraction since version 5 (``.4g``)."""
_MAX_PAIRS = 200
_COUNTS = {
    "num_input_tokens_seen": "num_input_tokens_seen",
    "tokens/total": "tokens/total",
    "num_tokens": "num_tokens (without padding)",
}
"""Which count goes before which, and what it is called here."""


def parse(text: str) -> LogLine | None:
    """What a line or a progress bar says."""
    if text.endswith("}"):
        told = pairs(text)
        return of(told, NAME) if told else None
    return bar(text)


def of(told: dict[str, str], name: str) -> LogLine | None:
    """What the values of one line say."""
    if "train_loss" in told and "train_runtime" in told:  # lines of the training have a ``train_runtime`` too if they have tokens
        return LogLine(name, Kind.END)
    if any(key.startswith("eval_") for key in told) and "loss" not in told:
        return LogLine(name, Kind.EVAL, loss=number(told.get("eval_loss")))
    if "loss" not in told or not ("learning_rate" in told or "epoch" in told):
        return None
    counted = next((key for key in _COUNTS if key in told), "")
    tokens = told.get(counted)
    return LogLine(
        name,
        tokens_total=number(tokens),
        tokens_resolution=resolution(tokens),
        tokens_name=_COUNTS.get(counted, ""),
        loss=number(told["loss"]),
        grad_norm=number(told.get("grad_norm")),
    )


def resolution(text: str | None) -> float:
    """The least difference that a printed count can show: 0 for one that is printed in full."""
    value = number(text)
    if text is None or value is None or not ("e" in text or text.startswith("'")):
        return 0.0
    return float(10 ** (len(str(int(abs(value)))) - _DIGITS)) if abs(value) >= 10**_DIGITS else 0.0


def pairs(text: str) -> dict[str, str]:
    """The entries of a flat mapping as Python prints it, with the quotes of quoted values; what stands before it does not matter.

    Nothing is evaluated, and each character is looked at once.
    """
    at = text.find("{'")
    found: dict[str, str] = {}
    while at >= 0 and len(found) < _MAX_PAIRS:
        start = text.find("'", at) + 1
        end = text.find("': ", start)
        if start == 0 or end < 0:
            break
        value = end + 3
        stop = text.find("'", value + 1) + 1 if text[value : value + 1] == "'" else _bare_end(text, value)
        if stop <= 0:
            break
        found[text[start:end]] = text[value:stop]
        at = stop
    return found


def _bare_end(text: str, at: int) -> int:
    comma = text.find(", '", at)
    return comma if comma >= 0 else len(text) - 1


def bar(text: str) -> LogLine | None:
    """A bar without a description, `` 10%|█  | 10/100 [00:05<00:45,  2.00it/s]``: of the training, or of an evaluation."""
    percent, sign, rest = text.partition("%|")
    if not sign or not percent.isdigit() or not percent.isascii():
        return None
    done, slash, total = rest.rpartition("| ")[2].partition(" [")[0].partition("/")
    step, steps = whole(done), whole(total)
    if not slash or step is None or not steps or step > steps:
        return None
    return LogLine(NAME, Kind.PROGRESS, step=step, total_steps=steps)


FORMAT = Format(NAME, "Hugging Face Trainer", (("'loss': ", "'epoch': "),), parse)
