"""Times of a log as unix milliseconds: every spelling that consoles, scripts and spreadsheets write, and never a guess.

A time without a zone is read in the zone that the user names; dates that can be read in two ways are settled by the other dates
of the file or by the user; an hour that came twice is settled by the order of rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from gpuwatch.collectors.importers.problems import Unreadable, quoted
from gpuwatch.collectors.importers.types import ImportOptions
from gpuwatch.collectors.importers.words import HALVES, MONTHS, WEEKDAYS
from gpuwatch.dataclass import dataclass
from gpuwatch.errors import UsageError

FAST = re.compile(r"(.*\d:\d\d):(\d\d)(?:[.,](\d{1,9}))?((?!\d).*)", re.DOTALL).fullmatch
CLOCK = re.compile(r"(?<![\d:])(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?![\d:])").search
HALF = re.compile(r"(?<![^\W\d_])(a\. ?m\.|p\. ?m\.|am|pm|上午|下午|午前|午後|오전|오후)(?![^\W\d_])", re.IGNORECASE)
OFFSET = re.compile(r"\s*(?:(?:UTC|GMT)?([+-])(\d\d?):?(\d\d)?(?![\d/.-])|(Z|UTC|GMT)\b)").match
EAST = re.compile(r"(\d)\s*[年月日년월일]").sub
NUMBERS = re.compile(r"\d+").findall
WORDS = re.compile(r"[^\W\d_]+").findall
UNIX = re.compile(r"(\d{9,10}|\d{13}|\d{16}|\d{19})(?:[.,](\d{1,9}))?").fullmatch
ORDERS = ("ymd", "dmy", "mdy")
TZ_HINT = "say it with --tz, for example --tz Europe/Berlin"
CACHED = 100_000
SLACK_MS = 10_000
"""Rows of one instant may be out of order by so much and still count as being in order."""
HALF_DAY_MS = 43_200_000


@dataclass(frozen=True, slots=True)
class Parts:
    """What a text says of a time; ``date`` are its three numbers in the order of the text, or (year or -1, month, day) if named."""

    date: tuple[str, ...]
    named: bool
    dotted: bool
    hour: int
    minute: int
    offset: int | None
    abbreviation: str


def parts(text: str) -> Parts:
    """Take a time apart. :class:`Unreadable` if it is none."""
    text = text.strip().strip("\"'").replace("\xa0", " ").replace("\u202f", " ")
    if not text:
        raise Unreadable("no time")
    if "\0" in text:
        raise Unreadable("NUL bytes in the line")
    text = EAST(r"\1/", text)
    found = CLOCK(text)
    if found is None:
        raise Unreadable(f"no time: {quoted(text)}")
    before, after = text[: found.start()].removesuffix("T"), text[found.end() :]
    hour, minute = int(found[1]), int(found[2])
    half = HALF.search(before + "\n" + after)
    if half:
        before, after = HALF.sub(" ", before), HALF.sub(" ", after)
        if not 1 <= hour <= 12:
            raise Unreadable(f"no time: {quoted(text)}")
        hour = hour % 12 + HALVES[half[1].lower()]
    offset = OFFSET(after)
    seconds: int | None = None
    if offset:
        after = after[offset.end() :]
        seconds = 0 if offset[4] else (int(offset[2]) * 3600 + int(offset[3] or 0) * 60) * (-1 if offset[1] == "-" else 1)
    abbreviation, month = "", 0
    for place, part in (("before", before), ("after", after)):
        for word in WORDS(part):
            lower = word.lower()
            if lower in MONTHS and not (month and lower != "mar" and lower in WEEKDAYS):
                month = MONTHS[lower]
            elif lower in WEEKDAYS:
                continue
            elif place == "after" and word.isupper() and 2 <= len(word) <= 5:
                if word in ("UTC", "GMT"):
                    seconds = 0
                else:
                    abbreviation = word
            else:
                raise Unreadable(f"no time: {quoted(text)}")
    numbers = NUMBERS(before) + NUMBERS(after)
    date = _date(numbers, month, text)
    if hour > 23 or minute > 59 or (seconds is not None and abs(seconds) > 14 * 3600):
        raise Unreadable(f"no time: {quoted(text)}")
    return Parts(date, bool(month), "." in before or "." in after, hour, minute, seconds, abbreviation)


def _date(numbers: list[str], month: int, text: str) -> tuple[str, ...]:
    if month:
        years = [n for n in numbers if len(n) == 4]
        days = [n for n in numbers if len(n) <= 2]
        if len(days) == 1 and len(years) <= 1 and len(numbers) == len(days) + len(years):
            return (years[0] if years else "-1", str(month), days[0])
    elif not numbers:
        return ()
    elif len(numbers) == 1 and len(numbers[0]) == 8:
        return numbers[0][:4], numbers[0][4:6], numbers[0][6:]
    elif len(numbers) == 3 and sorted(map(len, numbers))[1] <= 2 and max(map(len, numbers)) in (1, 2, 4):
        return tuple(numbers)
    raise Unreadable(f"no date: {quoted(text)}")


def _orders(found: Parts) -> set[str]:
    """The orders in which the numbers of a date are a date; none where its order is no question."""
    if not found.date or found.named or len(found.date[0]) == 4:
        return set()
    possible = {"dmy", "mdy"} if len(found.date[2]) == 4 else set(ORDERS)
    if found.dotted:
        possible.discard("mdy")  # no locale writes the month first with dots
    return {order for order in possible if _is_date(found.date, order)}


def _is_date(date: tuple[str, ...], order: str) -> bool:
    try:
        datetime(*_in_order(date, order))
    except ValueError:
        return False
    return True


def _in_order(date: tuple[str, ...], order: str) -> tuple[int, int, int]:
    named = dict(zip(order, map(int, date)))
    return named["y"] + (2000 if named["y"] < 100 else 0), named["m"], named["d"]


class Times:
    """Reads the times of one log. ``samples`` are some of them; ``all_of_them`` gives every one if these leave a question."""

    def __init__(
        self, samples: Iterable[str], options: ImportOptions, where: str, all_of_them: Callable[[], Iterable[str]]
    ) -> None:
        self._tz = zone(options.tz)
        self._options, self._where = options, where
        self._order = self._settle(list(samples), all_of_them)
        self._bases: dict[tuple[str, str], int] = {}
        self._minutes: dict[str, int] = {}
        self._tails: dict[str, int] = {}
        self._at, self._rest = 0, ""
        """Times as they come most: cut at the second, with what stands behind it always the same."""
        self._last = -(2**62)
        self._day: datetime | None = None
        self.zone = ""
        """The zone that times were read in, once one was read."""
        self.utc_offset_seconds: int | None = None
        """The offset that the first time with one says."""

    def ms(self, text: str) -> int:
        """Unix milliseconds. :class:`Unreadable` if the text is no time or one that cannot be placed."""
        at = self._at
        base, second = self._minutes.get(text[:at]), self._tails.get(text[at:])
        if base is None or second is None:
            return self._anew(text)
        self._last = last = base + second
        return last

    def _anew(self, text: str) -> int:
        """A time whose minute or second was not seen before."""
        found = FAST(text)
        if found is None:
            return self._other(text)
        head, seconds, fraction, rest = found.groups()
        base = self._bases.get((head, rest))
        if base is None:
            base = self._base(text, head, rest)
        if int(seconds) > 60:
            raise Unreadable(f"no time: {quoted(text)}")
        second = int(seconds) * 1000 + int((fraction or "0")[:3].ljust(3, "0"))
        if (head, rest) in self._bases:
            if rest != self._rest or found.start(2) != self._at or len(self._tails) > CACHED or len(self._minutes) > CACHED:
                self._minutes, self._tails = {}, {}
                self._rest, self._at = rest, found.start(2)
            self._minutes[text[: self._at]] = base
            self._tails[text[self._at :]] = second
        self._last = last = base + second
        return last

    def restart(self) -> None:
        """Forget the order of times seen so far: the rows are read from the beginning."""
        self._last, self._day = -(2**62), None

    def _other(self, text: str) -> int:
        text = text.strip().strip("\"'")
        unix = UNIX(text)
        if unix:
            digits = unix[1]
            power = {9: 0, 10: 0, 13: 3, 16: 6, 19: 9}[len(digits)]
            fraction = int((unix[2] or "0")[:3].ljust(3, "0")) if power == 0 else 0
            self.zone = self.zone or "in the log"
            self._last = int(digits) * 1000 // 10**power + fraction
            return self._last
        found = FAST(text)
        if found:
            return self._base(text, found[1], found[4]) + int(found[2]) * 1000
        self._last = self._base(text, text, "")
        return self._last

    def _base(self, text: str, head: str, rest: str) -> int:
        """Unix milliseconds of the minute of a time; kept where no other row can make it another."""
        found = parts(text)
        naive = self._naive(found)
        fixed = True
        if found.offset is not None:
            self.zone = self.zone or "in the log"
            if self.utc_offset_seconds is None:
                self.utc_offset_seconds = found.offset
            base = round((naive - timedelta(seconds=found.offset)).replace(tzinfo=UTC).timestamp() * 1000)
        else:
            base, fixed = self._local(naive, found, text)
        if fixed and found.date and found.date[0] != "-1":
            if len(self._bases) > CACHED:
                self._bases.clear()
            self._bases[head, rest] = base
        return base

    def _local(self, naive: datetime, found: Parts, text: str) -> tuple[int, bool]:
        if self._tz is None:
            if self.zone:
                raise Unreadable(f"a time without a zone, unlike others: {quoted(text)}")
            lacks = f"a zone that is not one alone, {found.abbreviation}" if found.abbreviation else "no zone"
            raise UsageError(f"{self._where}: its times have {lacks}, like {quoted(text)}", TZ_HINT)
        self.zone = str(self._tz)
        early, late = naive.replace(tzinfo=self._tz), naive.replace(tzinfo=self._tz, fold=1)
        if found.abbreviation:
            named = [at for at in (early, late) if at.tzname() == found.abbreviation]
            if not named:
                raise Unreadable(f"zone {found.abbreviation} is not one of {self.zone}: {quoted(text)}")
            if len({at.utcoffset() for at in named}) == 1:
                return round(named[0].timestamp() * 1000), True
        first, second = round(early.timestamp() * 1000), round(late.timestamp() * 1000)
        if first == second:
            return first, True
        if early.utcoffset() < late.utcoffset():  # type: ignore[operator]
            raise Unreadable(f"no such time in {self.zone}, where clocks went forward: {quoted(text)}")
        if self._last + 86_400_000 < first and self._last > 0 or self._last <= 0:
            raise Unreadable(f"time came twice in {self.zone} and no row before it says which (--tz +02:00 would): {quoted(text)}")
        if first + 60_000 > self._last - SLACK_MS:
            return first, False
        if second + 60_000 > self._last - SLACK_MS:
            return second, False
        raise Unreadable(f"time came twice in {self.zone} and rows are not in order: {quoted(text)}")

    def _naive(self, found: Parts) -> datetime:
        if not found.date:
            return self._today(found)
        try:
            if found.named or len(found.date[0]) == 4:
                year, month, day = map(int, found.date)
            else:
                year, month, day = _in_order(found.date, self._order)
            if year < 0:
                year = self._year(month)
            if not 1971 <= year <= 2200:
                raise ValueError
            return datetime(year, month, day, found.hour, found.minute)
        except ValueError:
            raise Unreadable(f"no date: {quoted('/'.join(found.date))}") from None

    def _start(self, lacks: str) -> datetime:
        if self._last > 0:
            raise Unreadable(f"a time without a {lacks}, unlike others")
        if self._options.start_ms is None:
            raise UsageError(
                f"{self._where}: its times have no {lacks}", "say when it begins with --start, for example --start 2026-03-31"
            )
        if self._tz is None:
            raise UsageError(f"{self._where}: its times have no zone", TZ_HINT)
        return datetime.fromtimestamp(self._options.start_ms / 1000, self._tz).replace(tzinfo=None)

    def _today(self, found: Parts) -> datetime:
        """A time without a date: on the day of ``--start``, and on the next each time that the clock falls back by half a day."""
        if self._day is None:
            self._day = self._start("date").replace(hour=0, minute=0, second=0, microsecond=0)
        at = self._day + timedelta(hours=found.hour, minutes=found.minute)
        if self._tz is not None and at.replace(tzinfo=self._tz).timestamp() * 1000 < self._last - HALF_DAY_MS:
            self._day += timedelta(days=1)
            at += timedelta(days=1)
        return at

    def _year(self, month: int) -> int:
        """A date without a year: that of ``--start``, and the next when December is over."""
        if self._day is None:
            self._day = self._start("year")
        if month < self._day.month - 6:
            self._day = self._day.replace(year=self._day.year + 1, month=month, day=1)
        elif month > self._day.month:
            self._day = self._day.replace(month=month, day=1)
        return self._day.year

    def _settle(self, samples: list[str], all_of_them: Callable[[], Iterable[str]]) -> str:
        """The order of day and month."""
        given = self._options.date_order
        if given:
            if given not in ORDERS:
                raise UsageError(f"--date-order {quoted(given)} is not one of {', '.join(ORDERS)}")
            return given
        possible = _possible(samples)
        if possible is not None and len(possible) > 1:
            possible = _possible(all_of_them())
        if possible is None:
            return "ymd"
        if not possible:
            raise UsageError(f"{self._where}: its dates are not all in one order", "say which with --date-order dmy, mdy or ymd")
        if len(possible) > 1:
            example = next((text for text in samples if _readable(text)), "")
            raise UsageError(
                f"{self._where}: day and month of its dates can be read in several ways, like {quoted(example)}",
                f"say which with --date-order {' or --date-order '.join(sorted(possible))}",
            )
        return possible.pop()


def mark_of(line: str, *, dated: bool = False) -> str:
    """The time that a line of its own says, without a frame of signs around it; empty if it says none (or, ``dated``, no date)."""
    text = line.strip(" \t=-#*>[]()")
    if len(text) > 80:
        return ""
    if UNIX(text):
        return text
    if not CLOCK(text):
        return ""
    try:
        found = parts(text)
    except Unreadable:
        return ""
    return text if found.date or not dated else ""


def _readable(text: str) -> bool:
    try:
        parts(text)
    except Unreadable:
        return False
    return True


def _possible(texts: Iterable[str]) -> set[str] | None:
    """The orders in which all dates are dates; ``None`` if order is no question in any of them."""
    possible: set[str] | None = None
    seen = set[str]()
    for text in texts:
        key = text.strip()[:10]
        if key in seen or len(seen) > CACHED:
            continue
        seen.add(key)
        try:
            orders = _orders(parts(text))
        except Unreadable:
            continue
        if orders:
            possible = orders if possible is None else possible & orders
    return possible


def zone(name: str) -> tzinfo | None:
    """The zone that ``--tz`` names (IANA, or a fixed offset like ``+02:00``); ``None`` if it is not given."""
    if not name:
        return None
    fixed = re.fullmatch(r"([+-])(\d\d):?(\d\d)", name)
    try:
        if fixed:
            return timezone(timedelta(hours=int(fixed[2]), minutes=int(fixed[3])) * (-1 if fixed[1] == "-" else 1))
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise UsageError(
            f"--tz {quoted(name)}: no such zone", "an IANA name like Europe/Berlin, or an offset like +02:00"
        ) from None
