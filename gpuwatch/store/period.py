"""Which rollup says what about a span: whole local days of a host, then its hours, then minutes at the edges and for the young end.

A span is cut into cells (days of a report, columns of a strip); :func:`plan` covers each cell with pieces of the coarsest tiers
that fit into it, so that sums over the cells of any partition agree to the last integer, whatever tiers they come from. Where the
finer tier no longer reaches (minutes are kept for weeks, hours for a year), an edge moves to the next whole hour or day, and the
plan says so. The sums themselves are in :mod:`gpuwatch.store.period_sums`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Any

from gpuwatch.dataclass import NamedTuple
from gpuwatch.store.hours import HOUR_S, NEVER_S, hour_start_s
from gpuwatch.store.watermarks import (
    DAY_TIER,
    HIST_DAY_TIER,
    HOUR_TIER,
    LEDGER_DAY_TIER,
    LEDGER_HOUR_TIER,
    LEDGER_TIER,
    MINUTE_TIER,
    SEAL_TIER,
)
from gpuwatch.store.window import Window
from gpuwatch.zone import days, host_zone

MINUTE_S = 60
EVER_S = 2**62
TIERED_SCHEMA = 2
"""Stores of an older schema have no hours and no days."""

_DONE = {
    "gpu": (HOUR_TIER, DAY_TIER),
    "process": (HOUR_TIER, DAY_TIER),
    "ledger": (LEDGER_HOUR_TIER, LEDGER_DAY_TIER),
    "hist": (SEAL_TIER, HIST_DAY_TIER),
}


_STARTS = (
    "WITH RECURSIVE d(t) AS (SELECT (SELECT t FROM {0}_day WHERE t>=?1 ORDER BY t LIMIT 1) UNION ALL "
    "SELECT (SELECT m.t FROM {0}_day m WHERE m.t>d.t ORDER BY m.t LIMIT 1) FROM d WHERE d.t IS NOT NULL) SELECT t FROM d WHERE t<?2"
)
"""The starts of days that have rows, by one step of the key a day."""


class Piece(NamedTuple):
    """The rows of one tier whose buckets start in ``[start_s, end_s)`` belong to ``cell``."""

    cell: int
    tier: str
    start_s: int
    end_s: int


class Plan(NamedTuple):
    """How a span is summed. ``edges`` are those of the cells as they are, ``moved`` the inner ones that are not where they were asked."""

    what: str
    pieces: tuple[Piece, ...]
    edges: tuple[int, ...]
    moved: tuple[int, ...]

    @property
    def start_s(self) -> int:
        """Start of what is summed."""
        return self.edges[0]

    @property
    def end_s(self) -> int:
        """Its end."""
        return self.edges[-1]

    def spans(self) -> list[tuple[str, int, int]]:
        """(tier, start, end) in order of time, adjacent pieces of one tier together."""
        out: list[tuple[str, int, int]] = []
        for _, tier, start, end in sorted(self.pieces, key=lambda piece: piece.start_s):
            if out and out[-1][0] == tier and out[-1][2] == start:
                out[-1] = (tier, out[-1][1], end)
            else:
                out.append((tier, start, end))
        return out


class GpuScope:
    """The GPUs that a statement is about. ``alone``: the store has no others."""

    def __init__(self, window: Window, gpu_ids: Sequence[int], *, alone: bool) -> None:
        self.window = window
        self.gpu_ids = tuple(gpu_ids)
        self.alone = alone

    def only(self, column: str = "m.gpu_id") -> str:
        """SQL that leaves out all other GPUs; empty when there are none."""
        return "" if self.alone else f" AND {column} IN ({','.join(map(str, self.gpu_ids)) or 'NULL'})"


class PeriodHost(GpuScope):
    """One host of a store for sums over a span: its GPUs, its zone, and how far back each tier reaches."""

    def __init__(self, window: Window, row: Sequence[Any], *, alone: bool, tiered: bool) -> None:
        gpus = window.rows("SELECT gpu_id, last_ms FROM gpu WHERE host_id=?", (row[0],))
        super().__init__(window, sorted(gpu_id for gpu_id, _ in gpus), alone=alone)
        self.host_id, self.name, self.first_ms, self.last_ms, utc_offset_s, self.zone_name, self.offset_s = row
        self.imported = self.host_id < 0
        self.zone: tzinfo = host_zone(self.zone_name, utc_offset_s or 0)
        self.tiered = tiered
        self.last_ms = max([self.last_ms, *(last_ms for _, last_ms in gpus)])
        self._done: dict[str, int] = dict(window.rows("SELECT tier, done_s FROM rollup_state WHERE host_id=?", (self.host_id,)))
        self._reach: dict[tuple[str, str], int] = {}
        self.asked: GpuScope = self
        """The GPUs of all hosts that are asked about."""
        self.known: dict[object, dict[int, int]] = {}
        """Answers for all of them, by GPU; all these hosts have them together."""

    def closed_s(self) -> int:
        """Unix second up to which minutes are closed; an imported host is closed to its end."""
        own: list[int] = [self._done[tier] for tier in (MINUTE_TIER, LEDGER_TIER) if tier in self._done]
        if self.imported:
            own.append(-(-self.last_ms // 60_000) * MINUTE_S)
            return max(own)
        return min(own) if len(own) == 2 else self.first_ms // 60_000 * MINUTE_S

    @property
    def fresh(self) -> bool:
        """Whether no minute is closed: the recording has just begun, or keeps single rows only."""
        return not self.imported and self.closed_s() <= self.first_ms // 60_000 * MINUTE_S

    def done_s(self, what: str, tier: str) -> int:
        """Unix second up to which hours or days are closed; before all time if none is."""
        return self._done.get(_DONE[what][tier == "day"], NEVER_S) if self.tiered else NEVER_S

    def reach_s(self, what: str, tier: str) -> int:
        """From when on a tier holds everything that was recorded: rows older than that are gone, or were never there."""
        if not self.tiered:
            return NEVER_S
        found = self._reach.get((what, tier))
        if found is None:
            found = self._reach[what, tier] = self._first_whole(what, tier)
        return found

    def _first_whole(self, what: str, tier: str) -> int:
        sql = f"SELECT m.t FROM {what}_{tier} m WHERE m.t>=? AND m.t<?{self.only()} ORDER BY m.t LIMIT 1"
        first_s = self.first_ms // 1000 - 26 * HOUR_S  # the day of the first row begins before it
        rows = self.window.rows(sql, (first_s, max(self.closed_s(), self.last_ms // 1000 + 1)))
        upper = "day" if tier == "hour" else "hour"
        if not rows:
            never = tier == "day" or self.reach_s(what, upper) == NEVER_S
            return NEVER_S if never else EVER_S
        oldest = int(rows[0][0])
        if tier == "day":
            return oldest
        start, end = next(self.days(oldest, oldest + 1)) if tier == "hour" else self.hour(oldest)
        if end <= self.done_s(what, upper) and self._amount(what, tier, start, end) != self._amount(what, upper, start, end):
            return end
        return start

    def _amount(self, what: str, tier: str, start_s: int, end_s: int) -> int:
        """What tells whether rows are missing."""
        column = "ms" if what == "ledger" else "n"
        sql = f"SELECT m.gpu_id, sum(m.{column}) FROM {what}_{tier} m WHERE m.t>=? AND m.t<?{self.asked.only()} GROUP BY 1"
        return sum(self.by_gpu(sql, start_s, end_s).values())

    def by_gpu(self, sql: str, start_s: int, end_s: int) -> dict[int, int]:
        """gpu_id -> a number, of this host's GPUs; hosts that ask the same of the same time ask the store once."""
        key = (sql, start_s, end_s)
        if key not in self.known:
            self.known[key] = dict(self.window.rows(sql, (start_s, end_s)))
        found = self.known[key]
        return {gpu_id: found[gpu_id] for gpu_id in self.gpu_ids if gpu_id in found}

    def hour(self, t: int) -> tuple[int, int]:
        """Start and end of the host's hour that ``t`` lies in."""
        start = hour_start_s(t, self.offset_s)
        return start, start + HOUR_S

    def days(self, start_s: int, end_s: int) -> Iterator[tuple[int, int]]:
        """The host's local days that a span touches, whole."""
        return days(start_s, end_s, self.zone)


def period_hosts(window: Window, names: Sequence[str] = ()) -> list[PeriodHost]:
    """The window's own host, or those of these names; ``all`` is every host. In the order of their names, unknown ones left out."""
    tiered = int(window.rows("PRAGMA user_version", ())[0][0]) >= TIERED_SCHEMA
    zone = "timezone, hour_offset_seconds" if tiered else "'', 0"
    sql = f"SELECT host_id, hostname, first_ms, last_ms, utc_offset_seconds, {zone} FROM host ORDER BY hostname, host_id"
    found = window.rows(sql, ())
    if not names:
        wanted = [row for row in found if row[0] == window.host_id]
    elif "all" in names:
        wanted = found
    else:
        wanted = [row for row in found if row[1] in names]
    hosts = [PeriodHost(window, row, alone=len(found) == 1, tiered=tiered) for row in wanted]
    asked = GpuScope(window, [gpu_id for host in hosts for gpu_id in host.gpu_ids], alone=len(hosts) == len(found))
    known: dict[object, dict[int, int]] = {}
    for host in hosts:
        host.asked, host.known = asked, known
    return hosts


def plan(host: PeriodHost, what: str, edges: Sequence[int]) -> Plan:
    """How to sum ``what`` (``gpu``, ``process``, ``ledger``) of a host over the cells between ascending ``edges`` (whole minutes).

    The outer edges widen, inner ones move to the next hour or day, where the rows that would cut there are gone.
    """
    kept = [_kept_edge(host, what, edge, first=number == 0) for number, edge in enumerate(edges)]
    moved = tuple(asked for asked, edge in zip(edges[1:-1], kept[1:-1]) if asked != edge)
    whole = _whole_days(host, what, kept[0], kept[-1])
    pieces = [piece for cell, span in enumerate(pairwise(kept)) for piece in _cover(host, what, cell, span, whole)]
    return Plan(what, tuple(pieces), tuple(kept), moved)


def _kept_edge(host: PeriodHost, what: str, edge: int, *, first: bool) -> int:
    """Where a cut at ``edge`` can be made: there, or at an edge of its hour or day."""
    start, end = host.hour(edge)
    if _must_stay_whole(host, what, edge, (start, end), ("minute", "hour")):
        edge = start if first else end
    if edge < min(host.done_s(what, "day"), host.reach_s(what, "hour")):
        start, end = next(host.days(edge, edge + 1))
        if _must_stay_whole(host, what, edge, (start, end), ("hour", "day")):
            edge = start if first else end
    return edge


def _must_stay_whole(host: PeriodHost, what: str, edge: int, bucket: tuple[int, int], tiers: tuple[str, str]) -> bool:
    """Whether ``edge`` lies inside of a closed bucket that has something to be cut and whose finer rows are gone."""
    start, end = bucket
    fine, coarse = tiers
    something = start < edge and end * 1000 > host.first_ms
    return something and end <= host.done_s(what, coarse) and start < host.reach_s(what, fine)


def _whole_days(host: PeriodHost, what: str, start_s: int, end_s: int) -> list[tuple[int, int]]:
    """Closed days inside a span whose rows are those of these days: where the host moved to another zone, some are not."""
    limit = min(end_s, host.done_s(what, "day"))
    if limit - start_s < 22 * HOUR_S:
        return []
    found = _days_of_hours(start_s, limit, host.zone, host.offset_s)
    if host.reach_s(what, "hour") > start_s:  # there is nothing finer
        old = min(limit, host.reach_s(what, "hour"))
        inside = [day for day in host.days(start_s, old) if day[0] >= start_s and day[1] <= old]
        found = [*inside, *(day for day in found if day[1] > old)]
    return _own_days(host, what, found)


def _own_days(host: PeriodHost, what: str, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of some days in which no row of a day of the host's begins elsewhere."""
    if not found:
        return []
    rows = {row[0] for row in host.window.rows(_STARTS.format(what), (found[0][0], found[-1][1]))}
    strange = sorted(rows - {start for start, _ in found})
    if not strange:
        return found
    others = _strangers(host, what, strange)
    return [(start, end) for start, end in found if not any(start < t < end for t in others)]


@lru_cache(maxsize=64)
def _days_of_hours(start_s: int, end_s: int, zone: tzinfo, offset_s: int) -> list[tuple[int, int]]:
    """The days inside a span that are whole hours of their host: an hour belongs to the day in which it begins."""
    inside = (day for day in days(start_s, end_s, zone) if day[0] >= start_s and day[1] <= end_s)
    return [day for day in inside if all((edge - offset_s) % HOUR_S == 0 for edge in day)]


def _strangers(host: PeriodHost, what: str, strange: Sequence[int]) -> list[int]:
    """Those of these days that are this host's own (another host's days begin when its do)."""
    marks, own = ",".join(map(str, strange)), host.only("m.entity_id" if what == "hist" else "m.gpu_id")
    return [row[0] for row in host.window.rows(f"SELECT DISTINCT m.t FROM {what}_day m WHERE m.t IN ({marks}){own}", ())]


def hist_pieces(host: PeriodHost, start_s: int, end_s: int) -> tuple[Piece, ...]:
    """The days and, at the edges, hours inside a span of which a host can have distributions, each a piece, in order of time."""
    if not host.tiered:
        return ()
    first, last = host.hour(start_s + HOUR_S - 1)[0], host.hour(end_s)[0]
    limit = min(last, host.done_s("hist", "day"))
    days = _own_days(host, "hist", _days_of_hours(first, limit, host.zone, host.offset_s)) if first < limit else []
    out, at = [], first
    for start, end in (*days, (last, last)):
        out += [Piece(0, "hour", t, t + HOUR_S) for t in range(at, start, HOUR_S)]
        if start < end:
            out.append(Piece(0, "day", start, end))
        at = end
    return tuple(out)


def _cover(host: PeriodHost, what: str, cell: int, span: tuple[int, int], whole: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    """The pieces of one cell: days, else hours, else minutes."""
    at, end_s = span
    for start, end in whole[bisect_left(whole, (at, 0)) :]:
        if end > end_s:
            break
        yield from _hours(host, what, cell, at, start)
        yield Piece(cell, "day", start, end)
        at = end
    yield from _hours(host, what, cell, at, end_s)


def _hours(host: PeriodHost, what: str, cell: int, start_s: int, end_s: int) -> Iterator[Piece]:
    """Whole closed hours of a span, and minutes before and after them."""
    first, after = host.hour(start_s)
    first = first if first == start_s else after
    last = host.hour(min(end_s, host.done_s(what, "hour")))[0] if host.done_s(what, "hour") > first else first
    if first >= last:
        if start_s < end_s:
            yield Piece(cell, "minute", start_s, end_s)
        return
    if start_s < first:
        yield Piece(cell, "minute", start_s, first)
    yield Piece(cell, "hour", first, last)
    if last < end_s:
        yield Piece(cell, "minute", last, end_s)
