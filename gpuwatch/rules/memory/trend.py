"""Whether memory grows, and when it will be full."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import NamedTuple


class Line(NamedTuple):
    """A straight line through points: ``slope`` a second, ``last`` its value at the last point, ``fit`` is R squared (0 to 1)."""

    slope: float
    last: float
    fit: float


def line(points: Sequence[tuple[float, float]]) -> Line | None:
    """Least squares through (seconds, value); ``None`` for fewer than three points or a flat row of times."""
    count = len(points)
    if count < 3:
        return None
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    yy = sum((y - mean_y) ** 2 for _, y in points)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in points)
    if xx == 0:
        return None
    slope = xy / xx
    return Line(slope, mean_y + slope * (points[-1][0] - mean_x), xy * xy / (xx * yy) if yy else 0.0)


def parts(values: Sequence[float], count: int) -> list[float]:
    """The means of ``count`` equal parts of a row of values, oldest first; empty where there are fewer values than parts."""
    size = len(values) // count
    return [sum(values[i * size : (i + 1) * size]) / size for i in range(count)] if size else []
