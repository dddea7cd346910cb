"""Whether a finding is one: texts are texts, amounts are finite. A rule that errs and a text that was edited by hand are told so early."""

from __future__ import annotations

from math import isfinite

from gpuwatch.rules.types import Finding


def sound(finding: Finding) -> bool:
    """Whether whoever stores and shows it can trust the kinds of its values. What cannot be gone through raises ``TypeError``."""
    one = finding
    texts = (one.name, one.title, one.how, one.then, one.gain, one.gain_source, one.sql, *one.try_first, *one.wrong_if)
    said = (text for each in one.evidence for text in each)
    amounts = (one.waste_gpus, one.cost_gpu_seconds)
    return (
        all(isinstance(text, str) for text in (*texts, *said))
        and all(isinstance(gpu, int) for gpu in one.gpus)
        and all(amount is None or (isfinite(amount) and amount >= 0) for amount in amounts)
        and (one.measured is None or isfinite(one.measured))
        and (one.since_ms is None or isinstance(one.since_ms, int))
    )
