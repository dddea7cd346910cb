"""Time zones: the name of the system's, and where local days begin. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from datetime import timezone as fixed_zone
from pathlib import Path

LOCALTIME, TIMEZONE = Path("/etc/localtime"), Path("/etc/timezone")


def zone_name(environ: Mapping[str, str] = os.environ, *, localtime: Path = LOCALTIME, timezone: Path = TIMEZONE) -> str:
    """The IANA name of the system's zone as ``TZ``, the link ``/etc/localtime`` or ``/etc/timezone`` say it; empty if none does."""
    given = environ.get("TZ")
    if given is not None:
        return given.removeprefix(":") if given.removeprefix(":") in ("UTC", "GMT") or "/" in given.strip(":/") else ""
    try:
        _, found, name = os.path.realpath(localtime).partition("/zoneinfo/")
        if found:
            return name.removeprefix("posix/").removeprefix("right/")
        return timezone.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def host_zone(name: str, utc_offset_seconds: int) -> tzinfo:
    """The zone of a host that was recorded, whatever this process' own is: by its IANA name, else by its offset.

    Names that this system's zone data does not know have the offset that was stored with them.
    """
    if name:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    return fixed_zone(timedelta(seconds=max(-86_340, min(86_340, utc_offset_seconds))))


def hour_offset_s(utc_offset_seconds: int) -> int:
    """Seconds after a whole UTC hour at which local hours begin: 1800 in India, 900 in Nepal (5 h 45 min ahead of UTC)."""
    return -utc_offset_seconds % 3600


def midnight_s(t: float, tz: tzinfo | None) -> int:
    """Unix second of the start of the local day that ``t`` lies in (``None``: the system's zone).

    In a zone that skipped its midnight the day begins at the first instant that it has.
    """
    start = datetime.fromtimestamp(t, tz).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    midnight = round(start.timestamp())
    if midnight > t:  # asked just after a midnight that did not exist
        midnight = round((start - timedelta(hours=1)).timestamp())
    return midnight


def next_midnight_s(t: float, tz: tzinfo | None) -> int:
    """Unix second at which the local day of ``t`` ends; 23 to 25 hours after its start where clocks change."""
    start = datetime.fromtimestamp(t, tz)
    following = (start.replace(tzinfo=None, hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)).date()
    noon = datetime(following.year, following.month, following.day, 12, tzinfo=start.tzinfo if tz is None else tz)
    return midnight_s(noon.timestamp(), tz)


def days(start_s: int, end_s: int, tz: tzinfo | None) -> Iterator[tuple[int, int]]:
    """The local days that ``[start_s, end_s)`` touches, as (start, end) unix seconds, whole."""
    begin = midnight_s(start_s, tz)
    while begin < end_s:
        end = next_midnight_s(begin, tz)
        yield begin, end
        begin = end
