"""Times in every spelling, read without a guess."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gpuwatch.collectors.importers.problems import Unreadable
from gpuwatch.collectors.importers.times import Times
from gpuwatch.collectors.importers.types import ImportOptions
from gpuwatch.errors import UsageError


def times(*texts: str, **options: object) -> list[int]:
    reader = Times(texts, ImportOptions(**options), "log", lambda: texts)
    return [reader.ms(text) for text in texts]


def utc(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


NOON = utc(2026, 3, 31, 12, 0, 5)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("2026/03/31 12:00:05", 0),
        ("2026/03/31 12:00:05.250", 250),
        (" 2026/03/31 12:00:05,25", 250),
        ("2026-03-31 12:00:05.2509999", 250),
        ("2026-03-31T12:00:05.250", 250),
        ("2026.03.31 12:00:05", 0),
        ("20260331 12:00:05", 0),
        ("31.03.2026 12:00:05", 0),
        ("31/03/2026 12:00:05", 0),
        ("03/31/2026 12:00:05", 0),
        ("3/31/2026 12:00:05 PM", 0),
        ("3/31/2026, 12:00:05 p.m.", 0),
        ("31-Mar-2026 12:00:05", 0),
        ("Mar 31, 2026 12:00:05 PM", 0),
        ("Tue Mar 31 12:00:05 2026", 0),
        ("Tue Mar 31 12:00:05 UTC 2026", 0),
        ("Tue 31 Mar 2026 12:00:05 PM UTC", 0),
        ("Di 31. Mär 12:00:05 2026", 0),
        ("mar. 31 mars 2026 12:00:05", 0),
        ("martes, 31 de marzo de 2026, 12:00:05", 0),
        ("2026年 03月 31日 星期二 12:00:05", 0),
        ("2026年3月31日 下午12:00:05", 0),
        ("2026. 3. 31. 오후 12:00:05", 0),
        ('"2026/03/31 12:00:05"', 0),
        ("12:00:05 31.03.2026", 0),
    ],
)
def test_spellings(text, more):
    assert times(text, tz="UTC") == [NOON + more]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-03-31T14:00:05+02:00", NOON),
        ("2026-03-31T14:00:05.5+0200", NOON + 500),
        ("2026-03-31T07:30:05-04:30", NOON),
        ("2026-03-31 12:00:05Z", NOON),
        ("2026-03-31 12:00:05 UTC", NOON),
        ("1774958405", NOON),
        ("1774958405.25", NOON + 250),
        ("1774958405250", NOON + 250),
        ("1774958405250000", NOON + 250),
        ("1774958405250000000", NOON + 250),
    ],
)
def test_times_that_say_their_zone_need_none(text, ms):
    assert times(text) == [ms]


@pytest.mark.parametrize(
    ("hour", "half", "known"), [(12, "AM", 0), (1, "AM", 1), (11, "am", 11), (12, "PM", 12), (1, "pm", 13), (11, "P.M.", 23)]
)
def test_halves_of_the_day(hour, half, known):
    assert times(f"3/31/2026 {hour}:00:05 {half}", tz="UTC") == [utc(2026, 3, 31, known, 0, 5)]


@pytest.mark.parametrize(
    "text",
    ["", "x", "12", "2026/03/31", "2026/13/31 12:00:05", "2026/02/30 12:00:05", "2026/03/31 24:00:05", "2026/03/31 12:60:05",
     "2026/03/31 12:00:61", "0001/01/01 00:00:00", "9999/12/31 23:59:59", "13/31/2026 13:00:05 PM", "hello 12:00:05", "2026/03/31 12:00:05 +99:00", "1/2/3/4 12:00:05",
     "2026/03/31 12:00:05\0", "0x1F"],
)  # fmt: skip
def test_what_is_no_time(text):
    with pytest.raises(Unreadable):
        times(text, tz="UTC", date_order="mdy")


def test_a_time_without_a_zone_names_the_option():
    with pytest.raises(UsageError, match="no zone") as error:
        times("2026/03/31 12:00:05")
    assert "--tz" in error.value.hint


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc", "x" * 500, "+25:00"])
def test_a_wrong_zone(name):
    with pytest.raises(UsageError, match="no such zone"):
        times("2026/03/31 12:00:05", tz=name)


def test_fixed_offset_as_zone():
    assert times("2026/03/31 14:00:05", tz="+02:00") == [NOON]


def test_day_and_month_are_settled_by_another_row_or_by_the_user():
    assert times("03/04/2026 12:00:00", "31/04/2026 12:00:00"[:2].replace("31", "30") + "/04/2026 12:00:00", tz="UTC") == [
        utc(2026, 4, 3, 12),
        utc(2026, 4, 30, 12),
    ]
    with pytest.raises(UsageError, match="several ways") as error:
        times("03/04/2026 12:00:00", "04/04/2026 12:00:00", tz="UTC")
    assert "--date-order dmy or --date-order mdy" in error.value.hint
    assert times("03/04/2026 12:00:00", tz="UTC", date_order="mdy") == [utc(2026, 3, 4, 12)]
    assert times("03/04/2026 12:00:00", tz="UTC", date_order="dmy") == [utc(2026, 4, 3, 12)]


def test_the_whole_file_is_asked_before_the_user_is():
    later = ["03/04/2026 12:00:00"] * 3 + ["03/14/2026 12:00:00"]
    reader = Times(later[:2], ImportOptions(tz="UTC"), "log", lambda: iter(later))
    assert reader.ms(later[0]) == utc(2026, 3, 4, 12)


def test_dates_in_different_orders_are_refused():
    with pytest.raises(UsageError, match="not all in one order"):
        times("31/03/2026 12:00:00", "03/31/2026 12:00:00", tz="UTC")


def test_years_of_two_digits():
    assert times("31/03/26 12:00:05", tz="UTC", date_order="dmy") == [NOON]
    with pytest.raises(UsageError, match="several ways"):
        times("01/02/03 12:00:05", tz="UTC")


BERLIN = {"tz": "Europe/Berlin"}


def test_the_hour_that_came_twice_is_settled_by_the_order_of_rows():
    texts = [f"2026/10/25 {clock}:00" for clock in ("01:59", "02:10", "02:50", "02:05", "02:50", "03:01")]
    minutes = [(ms - utc(2026, 10, 24, 23, 59)) // 60_000 for ms in times(*texts, **BERLIN)]
    assert minutes == [0, 11, 51, 66, 111, 122]


def test_rows_of_one_instant_stay_in_the_first_hour():
    texts = ["2026/10/25 01:59:59.900", "2026/10/25 02:30:00.100", "2026/10/25 02:30:00.050", "2026/10/25 02:30:01.100"]
    found = times(*texts, **BERLIN)
    assert [ms - found[1] for ms in found[1:]] == [0, -50, 1000]


def test_an_hour_that_came_twice_without_a_row_before_is_not_used():
    with pytest.raises(Unreadable, match="came twice"):
        times("2026/10/25 02:30:00", **BERLIN)


def test_a_zone_abbreviation_settles_it_too():
    assert [ms - utc(2026, 10, 25) for ms in times("Sun Oct 25 02:30:00 CEST 2026", "Sun Oct 25 02:30:00 CET 2026", **BERLIN)] == [
        30 * 60_000,
        90 * 60_000,
    ]
    with pytest.raises(Unreadable, match="PST is not one of Europe/Berlin"):
        times("Sun Oct 25 12:30:00 PST 2026", **BERLIN)


def test_a_time_that_did_not_exist_is_not_used():
    with pytest.raises(Unreadable, match="clocks went forward"):
        times("2026/03/29 02:30:00", **BERLIN)


def test_times_without_a_date_follow_each_other_over_midnight():
    start = utc(2026, 3, 31, 8)
    texts = ("23:59:58", "23:59:59.5", "00:00:01", "12:00:00", "23:00:00", "00:00:00")
    found = times(*texts, tz="UTC", start_ms=start)
    assert found == [utc(2026, 3, 31, 23, 59, 58), utc(2026, 3, 31, 23, 59, 59) + 500, *[
        utc(2026, *rest) for rest in ((4, 1, 0, 0, 1), (4, 1, 12), (4, 1, 23), (4, 2, 0))
    ]]  # fmt: skip
    with pytest.raises(UsageError, match="no date") as error:
        times("12:00:00", tz="UTC")
    assert "--start" in error.value.hint


def test_dates_without_a_year_follow_each_other_over_new_year():
    texts = ("Dec 31 23:59:59", "Jan  1 00:00:01", "Feb 1 00:00:00")
    assert times(*texts, tz="UTC", start_ms=utc(2026, 12, 1)) == [
        utc(2026, 12, 31, 23, 59, 59),
        utc(2027, 1, 1, 0, 0, 1),
        utc(2027, 2, 1),
    ]


def test_minutes_and_tails_seen_before_give_the_same_as_alone():
    texts = [
        f"{day:02}.03.2026 {hour:02}:{minute:02}:{second:02}.{second:03}"
        for day in (13, 29)
        for hour in (1, 3)
        for minute in (0, 59)
        for second in (0, 59)
    ]
    assert times(*texts, **BERLIN) == [times(text, **BERLIN)[0] for text in texts]
    halves = [
        f"3/31/2026 {hour}:{minute:02}:0{second} {half}"
        for half in ("AM", "PM", "AM")
        for hour in (12, 1)
        for minute in (0, 1)
        for second in (0, 1)
    ]
    assert times(*halves, tz="UTC") == [times(text, tz="UTC")[0] for text in halves]
