"""The cells of a report: local days, local hours, and the columns of its strip. All edges are unix seconds on whole minutes."""

from __future__ import annotations

from datetime import datetime, tzinfo

from gpuwatch.zone import days

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
MOST_COLUMNS = 170
"""A week of hours has 168 columns; 170 when it is cut at both ends and the clocks were set back in it."""
_COLUMNS = (60, 120, 300, 600, 900, 1200, 1800, HOUR_S, 2 * HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S)
_DAYS = (1, 2, 7, 14, 28, 91)


def day_edges(start_s: int, end_s: int, tz: tzinfo | None) -> list[int]:
    """The span with the local midnights inside it."""
    return [start_s, *(begin for begin, _ in days(start_s, end_s, tz) if start_s < begin < end_s), end_s]


def clock_edges(start_s: int, end_s: int, tz: tzinfo | None, step_s: int) -> list[int]:
    """The span with the instants inside it at which a local clock shows a whole multiple of ``step_s`` (less than a day).

    A change of clocks makes one cell shorter or longer; a midnight is always an edge.
    """
    out = [start_s]
    for begin, end in days(start_s, end_s, tz):
        at = begin
        while at < end:
            if start_s < at < end_s:
                out.append(at)
            local = datetime.fromtimestamp(at, tz)
            at += step_s - (local.hour * HOUR_S + local.minute * MINUTE_S + local.second) % step_s
    return [*out, end_s]


def column_edges(start_s: int, end_s: int, tz: tzinfo | None, *, least_s: int = MINUTE_S) -> tuple[int, list[int]]:
    """(width in seconds, edges) of the narrowest columns that are at least ``least_s`` wide and not too many."""
    for step in _COLUMNS:
        if step >= least_s and (end_s - start_s) / step <= MOST_COLUMNS:
            edges = clock_edges(start_s, end_s, tz, step)
            if len(edges) - 1 <= MOST_COLUMNS:
                return step, edges
    whole = day_edges(start_s, end_s, tz)
    for count in _DAYS:
        if len(whole) <= MOST_COLUMNS * count or count == _DAYS[-1]:
            inner = whole[1:-1]
            return count * DAY_S, [start_s, *inner[(count - 1) :: count], end_s]
    raise AssertionError("the last step takes any number of days")


def day_label(t: int, tz: tzinfo | None) -> str:
    """``2026-11-09``: the local day of an instant."""
    return datetime.fromtimestamp(t, tz).date().isoformat()


def hour_label(t: int, tz: tzinfo | None) -> str:
    """``2026-11-09T14:00+01:00``: an instant on the local clock, to the minute."""
    moment = datetime.fromtimestamp(t, tz) if tz else datetime.fromtimestamp(t).astimezone()
    return moment.isoformat(timespec="minutes")


def hour_start(t: int, tz: tzinfo | None) -> int:
    """Unix second of the start of the local hour of an instant."""
    local = datetime.fromtimestamp(t, tz)
    return t - local.minute * MINUTE_S - local.second


def hour_end(t: int, tz: tzinfo | None) -> int:
    """Unix second at which the local clock shows the next whole hour."""
    return hour_start(t, tz) + HOUR_S
