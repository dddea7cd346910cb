"""Points of time as people write them, made into unix seconds: durations, dates, weekdays, local clock times, RFC 3339.

Nothing is guessed: a local time that the zone's clocks skipped or showed twice is refused with what would be clear.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, tzinfo

from gpuwatch.errors import UsageError
from gpuwatch.zone import midnight_s

FORMS = "write it as 7d, 24h, 90m, 13:21, Thu 16:20, yesterday, 2026-11-09, 2026-11-09 13:21 or 2026-11-09T13:21:40Z"
"""What is understood, for hints and helps."""
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONG = {"second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w"}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?"
_DAY_AND_CLOCK = re.compile(rf"(?:(\d{{4}}-\d{{2}}-\d{{2}})|([a-z]+))?(?:(?:^|[t ]|\s+){_CLOCK})?", re.ASCII)
_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}.*(?:z|[+-]\d{2}:?\d{2})", re.ASCII)
_UNIX = re.compile(r"@(\d{1,12})(?:\.\d+)?", re.ASCII)
_LATEST = 253_402_214_400
"""The last day that a calendar date can be told of."""


def seconds_of(text: str) -> int:
    """Whole seconds of a duration such as ``7d``, ``24h``, ``90 min``, ``1h30m``, ``1.5h``; a day is 24 hours, wherever clocks change.

    Raises :class:`UsageError` for anything else.
    """
    found = _duration(text.strip())
    if found is None:
        raise UsageError(f"'{text}' is not a duration", "write it as 7d, 24h, 90m, 45s or 1h30m")
    return found


def unix_s(text: str, *, now: float, tz: tzinfo | None) -> int:
    """The unix second that ``text`` names, seen from ``now``; local times are those of ``tz`` (``None``: the system's zone).

    A duration, with or without a minus, is so long ago. A clock time alone, or on a weekday, is the latest that has been. A day
    alone is its first instant. ``@`` before a number takes it as unix seconds. Fractions of a second are dropped.

    Raises :class:`UsageError` in one line for what is not understood, and for local times that do not exist or come twice.
    """
    try:
        found = _unix_s(" ".join(text.split()), text, now, tz)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None:
        raise UsageError(f"'{text}' is not a time", FORMS)
    if not 0 <= found < _LATEST:
        raise UsageError(f"'{text}' is before 1970 or after 9999", FORMS)
    return found


def span_s(since: str, until: str, *, now: float, tz: tzinfo | None) -> tuple[int, int]:
    """``[since, until)`` in unix seconds. Raises :class:`UsageError` like :func:`unix_s`, and when it holds no time."""
    start, end = unix_s(since, now=now, tz=tz), unix_s(until, now=now, tz=tz)
    if start >= end:
        raise UsageError(
            f"nothing lies between '{since}' and '{until}'", "the first must be earlier; durations count back from now"
        )
    return start, end


def _unix_s(plain: str, text: str, now: float, tz: tzinfo | None) -> int | None:
    ago = _duration(plain.removeprefix("-").removesuffix(" ago"))
    if ago is not None:
        return int(now) - ago
    plain = plain.lower()  # but not before: 1M may mean a month
    if plain == "now":
        return int(now)
    number = _UNIX.fullmatch(plain)
    if number:
        return int(number[1])
    if _OFFSET.fullmatch(plain):
        return int(datetime.fromisoformat(plain.upper()).timestamp() // 1)
    return _local(plain, text, now, tz)


def _duration(text: str) -> int | None:
    if not _DURATION.fullmatch(text):
        return None
    seconds = 0.0
    for amount, word in _PART.findall(text):
        unit = _UNITS.get(_LONG.get(word.removesuffix("s"), word))
        if unit is None:
            return None
        seconds += float(amount) * unit
    return round(seconds)


def _local(plain: str, text: str, now: float, tz: tzinfo | None) -> int | None:
    """A day, a clock time, or both."""
    found = _DAY_AND_CLOCK.fullmatch(plain)
    if not found or not plain:
        return None
    written, word, hour, minute, second = found.groups()
    clock = None if hour is None else (int(hour), int(minute), int(second or 0))
    today = datetime.fromtimestamp(now, tz).date()
    if written:
        return _instant(date.fromisoformat(written), clock, text, tz)
    if word in ("today", "yesterday"):
        return _instant(today - timedelta(days=word == "yesterday"), clock, text, tz)
    if word is None:
        days, step = today, 1
    else:
        weekday = next((number for number, name in enumerate(_WEEKDAYS) if word in (name, name[:3])), None)
        if weekday is None:
            return None
        days, step = today - timedelta(days=(today.weekday() - weekday) % 7), 7
    been = (days.isoformat(), clock or (0, 0, 0)) <= _reading(now, tz)
    return _instant(days if been else days - timedelta(days=step), clock, text, tz)


def _reading(now: float, tz: tzinfo | None) -> tuple[str, tuple[int, int, int]]:
    """What a clock on the wall shows: the day and the time."""
    at = datetime.fromtimestamp(now, tz)
    return at.date().isoformat(), (at.hour, at.minute, at.second)


def _instant(day: date, clock: tuple[int, int, int] | None, text: str, tz: tzinfo | None) -> int:
    """The one instant at which the zone's clocks show this; a day without a clock begins at the first instant that it has."""
    if clock is None:
        return midnight_s(datetime(day.year, day.month, day.day, 12, tzinfo=tz).timestamp(), tz)
    wall = datetime(day.year, day.month, day.day, *clock)
    tries = sorted({round(wall.replace(tzinfo=tz, fold=fold).timestamp()) for fold in (0, 1)})
    real = [t for t in tries if datetime.fromtimestamp(t, tz).replace(tzinfo=None) == wall]
    if len(real) == 1:
        return real[0]
    where = f"in {tz}" if tz is not None else "here"
    shown = wall.isoformat(" ")
    if not real:
        raise UsageError(f"'{text}': there was no {shown} {where}: clocks were set forward over it", _clear(tries, tz))
    raise UsageError(f"'{text}': {shown} {where} came twice: clocks were set back over it", _clear(real, tz))


def _clear(instants: list[int], tz: tzinfo | None) -> str:
    """How to write each of these instants so that it is the only one."""
    return "write " + " or ".join(datetime.fromtimestamp(t, tz).astimezone(tz).isoformat() for t in instants)
