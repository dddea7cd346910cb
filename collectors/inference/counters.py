"""What counters have grown by between two looks at one server, by the rules for servers that restart, forget and begin.

Growth is taken per series and then added up: added up first, one engine's restart would hide behind another's growth. A number that
would need a guess is ``None`` for this look and counts from here on. The sum of all that is told over time is what the server counted:
where a field is a difference of families that were not read at one instant, less than nothing is told as 0 and kept for the next look.
(A server that prints six digits tells of its tokens in steps of 10 and more. Their sum is right to one step, however long the time:
so they are told as they come, and it is for the rate to be taken over a long time.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpuwatch.collectors.inference.reading import LESS, SeriesKey

MAX_KNOWN = 2000
"""Series of one field that are remembered, those that are gone included: more are not a server's but an attack."""
SHORTEST_SECONDS = 0.2


class Growth:
    """One field of one server: ``next`` is told each look's series, in order."""

    __slots__ = ("_families", "_known", "_owed", "_seen")

    def __init__(self) -> None:
        self._known: dict[SeriesKey, float] | None = None
        self._families: frozenset[str] = frozenset()
        self._owed = 0.0
        self._seen = False

    def next(self, series: Mapping[SeriesKey, float] | None, *, from_zero: bool = False) -> float | None:
        """The growth since the last look. ``None``: unknown, because it is the first look, the number was not there, or went back.

        ``from_zero``: the server is known to have begun to count since the last look.
        """
        if series is None:
            self._known = None if self._seen else {}  # what begins later has counted from 0; what is gone for a while has not
            return None
        families = frozenset([key[0] for key in series])
        known, same = self._known, not self._seen or families == self._families
        self._families, self._seen = families, True
        if from_zero:
            known, same, self._owed = {}, True, 0.0
        if known is None or not same or len(known) + len(series) > MAX_KNOWN:
            self._known, self._owed = dict(series), 0.0
            return None
        total, back = self._owed, False
        for key, value in series.items():
            grown = value - known.get(key, 0.0)
            back = back or grown < 0
            total += -grown if key[0].startswith(LESS) else grown
        self._known = {**known, **series} if known else dict(series)
        if back:
            self._owed = 0.0
            return None
        self._owed = min(0.0, total)
        return max(0.0, total)

    def forget(self) -> None:
        """The next look is a first one: time is missing between it and the last."""
        self._known = None
        self._seen = True


class Counters:
    """All counters of one server."""

    def __init__(self) -> None:
        self._fields: dict[str, Growth] = {}
        self._started = False

    def next(self, counters: Mapping[str, Mapping[SeriesKey, float]], *, from_zero: bool = False) -> dict[str, float | None]:
        """Field -> growth, of every field that was ever there."""
        for name in counters:
            if name not in self._fields:
                self._fields[name] = growth = Growth()
                if self._started:
                    growth.next(None)  # the looks before this one did not have it
        self._started = True
        return {name: growth.next(counters.get(name), from_zero=from_zero) for name, growth in self._fields.items()}

    def forget(self) -> None:
        """Time is missing: no growth is told at the next look."""
        for growth in self._fields.values():
            growth.forget()


def restarted(before: float | None, now: float | None, seen: Iterable[float], last_look: float) -> bool | None:
    """What two times of start on two pages say. ``last_look`` is the unix time of the page before.

    ``False``: the same server. ``True``: it began after the last look, so it has counted from 0 since. ``None``: it is another one, and
    nothing can be said of the time between (several servers that answer by turns at one address are so each time).
    """
    if before is None or now is None or now == before:
        return False
    return True if now >= last_look - 1.0 and now not in seen else None
