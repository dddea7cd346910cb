"""The few statistics that rules need, without the module of that name (its import is not free)."""

from __future__ import annotations

from collections.abc import Sequence

_FEWEST = 12


def median(values: Sequence[float]) -> float:
    """The middle of some values, of two middles their mean. There must be one."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def variation(values: Sequence[float]) -> float:
    """Standard deviation over mean (0 where the mean is)."""
    mean = sum(values) / len(values)
    return (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5 / mean if mean > 0 else 0.0


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's r; ``None`` with fewer than a dozen pairs or where one side does not vary."""
    count = len(pairs)
    if count < _FEWEST:
        return None
    x_mean, y_mean = sum(x for x, _ in pairs) / count, sum(y for _, y in pairs) / count
    xx = sum((x - x_mean) ** 2 for x, _ in pairs)
    yy = sum((y - y_mean) ** 2 for _, y in pairs)
    return sum((x - x_mean) * (y - y_mean) for x, y in pairs) / (xx * yy) ** 0.5 if xx > 0 and yy > 0 else None


def robust_z(value: float, others: Sequence[float]) -> float:
    """How many robust standard deviations (1.4826 x the median distance) a value lies from the others' median; they must not be equal to count
    small differences: a spread below one per cent of the median counts as that much."""
    middle = median(others)
    spread = 1.4826 * median([abs(other - middle) for other in others])
    return (value - middle) / max(spread, 0.01 * abs(middle), 1e-9)
