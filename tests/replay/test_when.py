"""Times as people write them: every form, both changes of the clocks, zones with half hours, and clear refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.errors import UsageError
from gpuwatch.when import seconds_of, span_s, unix_s

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 14, 32, 7, tzinfo=BERLIN).timestamp()  # a Thursday


def at(text: str, tz: object = BERLIN, now: float = NOW) -> str:
    return datetime.fromtimestamp(unix_s(text, now=now, tz=tz), tz).isoformat()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-26T14:32:07+01:00"),
        ("24h", "2026-11-25T14:32:07+01:00"),
        ("-2h", "2026-11-26T12:32:07+01:00"),
        ("90 min ago", "2026-11-26T13:02:07+01:00"),
        ("1h30m", "2026-11-26T13:02:07+01:00"),
        ("1.5h", "2026-11-26T13:02:07+01:00"),
        ("2 weeks", "2026-11-12T14:32:07+01:00"),
        ("13:21", "2026-11-26T13:21:00+01:00"),
        ("9:05", "2026-11-26T09:05:00+01:00"),
        ("13:21:40", "2026-11-26T13:21:40+01:00"),
        ("14:32:07", "2026-11-26T14:32:07+01:00"),
        ("14:32:08", "2026-11-25T14:32:08+01:00"),
        ("today", "2026-11-26T00:00:00+01:00"),
        ("Today 09:00", "2026-11-26T09:00:00+01:00"),
        ("yesterday", "2026-11-25T00:00:00+01:00"),
        ("yesterday 23:59", "2026-11-25T23:59:00+01:00"),
        ("Thu", "2026-11-26T00:00:00+01:00"),
        ("Thu 13:00", "2026-11-26T13:00:00+01:00"),
        ("Thu 16:20", "2026-11-19T16:20:00+01:00"),
        ("friday 16:20", "2026-11-20T16:20:00+01:00"),
        ("2026-11-09", "2026-11-09T00:00:00+01:00"),
        ("2026-11-09 13:21", "2026-11-09T13:21:00+01:00"),
        ("2026-11-09T13:21:40", "2026-11-09T13:21:40+01:00"),
        ("2026-11-09T13:21:40.75", "2026-11-09T13:21:40+01:00"),
        ("2026-11-09T13:21:40Z", "2026-11-09T14:21:40+01:00"),
        ("2026-11-09 13:21:40+05:30", "2026-11-09T08:51:40+01:00"),
        ("2026-11-09T13:21-0330", "2026-11-09T17:51:00+01:00"),
        ("@1763130727", "2025-11-14T15:32:07+01:00"),
        ("2026-07-01", "2026-07-01T00:00:00+02:00"),
    ],
)
def test_forms(text: str, expected: str) -> None:
    assert at(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "13", "25:00", "13:60", "2026-13-01", "2026-02-30", "2026-11-09x", "7", "7y", "-", "7 d 3", "Thux 16:20", "Thu16:20",
     "16:20 Thu", "2026-11-09 13", "20261109", "@", "@-3", "--2h", "1M", "٣h", "2026-11-09T13:21:40+99:00", "12:00pm"],
)  # fmt: skip
def test_what_is_not_a_time_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        unix_s(text, now=NOW, tz=BERLIN)
    assert f"'{text}' is not a time" in caught.value.message
    assert "Thu 16:20" in caught.value.hint


@pytest.mark.parametrize("text", ["100000w", "@999999999999", "999999999999999999999999d"])
def test_far_away(text: str) -> None:
    with pytest.raises(UsageError):
        unix_s(text, now=NOW, tz=BERLIN)


def test_a_time_that_the_clocks_skipped() -> None:
    with pytest.raises(UsageError) as caught:
        unix_s("2026-03-29 02:30", now=NOW, tz=BERLIN)
    assert (
        caught.value.message
        == "'2026-03-29 02:30': there was no 2026-03-29 02:30:00 in Europe/Berlin: clocks were set forward over it"
    )
    assert caught.value.hint == "write 2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00"


def test_a_time_that_came_twice() -> None:
    with pytest.raises(UsageError) as caught:
        unix_s("2026-10-25 02:30", now=NOW, tz=BERLIN)
    assert "came twice" in caught.value.message
    assert caught.value.hint == "write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"
    first, second = (unix_s(word, now=NOW, tz=BERLIN) for word in caught.value.hint.removeprefix("write ").split(" or "))
    assert second - first == 3600


def test_edges_of_both_changes() -> None:
    assert at("2026-03-29 01:59:59") == "2026-03-29T01:59:59+01:00"
    assert at("2026-03-29 03:00") == "2026-03-29T03:00:00+02:00"
    assert at("2026-10-25 01:59:59") == "2026-10-25T01:59:59+02:00"
    assert at("2026-10-25 03:00") == "2026-10-25T03:00:00+01:00"


def test_a_day_begins_at_its_first_instant() -> None:
    havana = ZoneInfo("America/Havana")  # skipped the midnight of 2026-03-08, and has that of 2026-11-01 twice
    assert at("2026-03-08", havana) == "2026-03-08T01:00:00-04:00"
    assert at("2026-11-01", havana) == "2026-11-01T00:00:00-04:00"
    with pytest.raises(UsageError, match="there was no"):
        unix_s("2026-03-08 00:00", now=NOW, tz=havana)


def test_the_clock_on_the_wall_decides_what_has_been() -> None:
    set_back = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN).timestamp()
    assert at("01:50", now=set_back) == "2026-10-25T01:50:00+02:00"
    assert at("02:50", now=set_back) == "2026-10-24T02:50:00+02:00"
    with pytest.raises(UsageError, match="came twice"):
        unix_s("02:05", now=set_back, tz=BERLIN)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("Asia/Kolkata", "2026-11-09T13:21:00+05:30"), ("Asia/Kathmandu", "2026-11-09T13:21:00+05:45"),
     ("Australia/Lord_Howe", "2026-11-09T13:21:00+11:00")],
)  # fmt: skip
def test_zones_beside_whole_hours(zone: str, expected: str) -> None:
    assert at("2026-11-09 13:21", ZoneInfo(zone)) == expected


def test_a_change_of_half_an_hour() -> None:
    howe = ZoneInfo("Australia/Lord_Howe")
    with pytest.raises(UsageError) as caught:
        unix_s("2026-04-05 01:45", now=NOW, tz=howe)
    assert caught.value.hint == "write 2026-04-05T01:45:00+11:00 or 2026-04-05T01:45:00+10:30"


@given(st.integers(1_000_000_000, 2_000_000_000), st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "UTC"]))
def test_every_instant_can_be_written(t: int, zone: str) -> None:
    tz = ZoneInfo(zone)
    there = datetime.fromtimestamp(t, tz)
    assert unix_s(there.isoformat(), now=NOW, tz=tz) == t
    assert unix_s(datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z"), now=NOW, tz=tz) == t
    other = [t + change for change in (-7200, -3600, -1800, 1800, 3600, 7200)]
    if all(datetime.fromtimestamp(x, tz).replace(tzinfo=None) != there.replace(tzinfo=None) for x in other):
        assert unix_s(there.replace(tzinfo=None).isoformat(" "), now=NOW, tz=tz) == t


@given(st.integers(0, 23), st.integers(0, 59))
def test_a_clock_time_is_the_latest_that_has_been(hour: int, minute: int) -> None:
    found = unix_s(f"{hour:02}:{minute:02}", now=NOW, tz=BERLIN)
    assert NOW - timedelta(days=1).total_seconds() < found <= NOW


def test_the_systems_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert unix_s("2026-11-09 13:21", now=NOW, tz=None) == datetime.fromisoformat("2026-11-09T13:21+05:45").timestamp()
        assert unix_s("2026-11-09", now=NOW, tz=None) == datetime.fromisoformat("2026-11-09T00:00+05:45").timestamp()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_durations() -> None:
    assert [seconds_of(text) for text in ("45s", "90m", "24h", "7d", "2w", "1h30m", "1.5 hours", "10 minutes")] == [
        *(45, 5400, 86_400, 604_800, 1_209_600, 5400, 5400, 600),
    ]
    for text in ("", "7", "h", "-2h", "13:21", "7 parsecs"):
        with pytest.raises(UsageError, match="is not a duration"):
            seconds_of(text)


def test_spans() -> None:
    start, end = span_s("7d", "now", now=NOW, tz=BERLIN)
    assert (end, end - start) == (int(NOW), 604_800)
    with pytest.raises(UsageError, match="nothing lies between '1h' and '2h'"):
        span_s("1h", "2h", now=NOW, tz=BERLIN)
