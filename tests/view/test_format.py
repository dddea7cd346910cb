"""Numbers, ages, shares and cuts as every screen shows them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch import format as fmt
from gpuwatch.names import Missing, State

FRIDAY = 1_763_130_727_000  # Fri 14 Nov 2025 14:32:07 UTC
DAY = 86_400


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (fmt.counted(1, "GPU"), "1 GPU"),
        (fmt.counted(0, "process", "es"), "0 processes"),
        (fmt.number(1344.04, 1), "1 344.0"),
        (fmt.number(-0.04, 1), "0.0"),
        (fmt.number(-1.2, 1), "−1.2"),
        (fmt.number(1_234_567), "1 234 567"),
        (fmt.percent(0.873), "87"),
        (fmt.percent(0.4567, 1), "45.7"),
        (fmt.percent_sign(0.0), "0%"),
        (fmt.percent_range(0.28, 0.5), "28 to 50%"),
        (fmt.percent_range(0.301, 0.302), "30%"),
        (fmt.gib(76_450_627_584), "71.2"),
        (fmt.gib_of(76_450_627_584, 85_520_809_984), "71.2/80"),
        (fmt.gib_of(76_450_627_584, None), "71.2"),
        (fmt.watts_of(399.4, 400.0), "399/400"),
        (fmt.power_sum(2889.0), "2.89 kW"),
        (fmt.power_sum(232.4), "232 W"),
        (fmt.megahertz(1.395e9), "1395"),
        (fmt.megabytes_per_second(108.4e6), "108"),
        (fmt.size(0), "0 B"),
        (fmt.size(37_888), "37.0 KiB"),
        (fmt.rate(272), "272"),
        (fmt.rate(1_260), "1.26k"),
        (fmt.rate(13_700), "13.7k"),
        (fmt.rate(999.6), "1.00k"),
        (fmt.rate(2_100_000), "2.10M"),
        (fmt.gpu_hours(418_616_000), "116.3"),
        (fmt.kilowatt_hours(44_640_000_000), "12.4"),
        (fmt.gpus(0.0), "0"),
        (fmt.gpus(0.584), "0.58"),
        (fmt.gpus_lost(1.16), "−1.2"),
        (fmt.gpus_lost(0.04), "<0.1"),
        (fmt.age(10_269), "2:51:09"),
        (fmt.age(9), "0:00:09"),
        (fmt.age(DAY + 3 * 3600 + 600), "1d 03:10"),
        (fmt.age_short(10_269), "2:51"),
        (fmt.age_short(27 * 3600 + 600), "27:10"),
        (fmt.age_short(9 * DAY + 11 * 3600), "9d 11h"),
        (fmt.about(296), "5 min"),
        (fmt.about(59.9), "59 s"),
        (fmt.duration(18), "18 s"),
        (fmt.duration(900), "15 min"),
        (fmt.duration(4320), "1 h 12 min"),
        (fmt.duration(7200), "2 h"),
        (fmt.duration(2 * DAY + 3 * 3600), "2 d 3 h"),
        (fmt.duration(31 * DAY + 3600), "31 d"),
        (fmt.state_word(State.QUIET, 190), "quiet 3:10"),
        (fmt.state_word(State.HELD_IDLE, 400), "HELD IDLE"),
        (fmt.stale(7), "stale 7 s"),
        (fmt.weekday_clock(FRIDAY, UTC), "Fri 14:32:07"),
        (fmt.clock_minute(FRIDAY, timezone(timedelta(hours=1))), "15:32"),
        (fmt.since(FRIDAY - 1_200_000, FRIDAY, UTC), "14:12"),
        (fmt.since(FRIDAY - DAY * 1000, FRIDAY, UTC), "Thu 14:32"),
        (fmt.since(FRIDAY - 9 * DAY * 1000, FRIDAY, UTC), "2025-11-05 14:32"),
        (fmt.short_model("NVIDIA H100 80GB HBM3"), "H100 80GB"),
        (fmt.short_model("NVIDIA GeForce RTX 4090"), "RTX 4090"),
        (fmt.gpu_summary(["NVIDIA A100"] * 2 + ["Tesla T4"]), "2 × A100 + 1 × Tesla T4"),
        (fmt.gpu_summary([]), "no GPU"),
        (fmt.gpu_summary(["", ""]), "2 GPUs"),
    ],
)
def test_how_it_reads(shown: str, wanted: str) -> None:
    assert shown == wanted


@pytest.mark.parametrize(
    "function",
    [fmt.number, fmt.percent, fmt.percent_sign, fmt.gib, fmt.watts, fmt.celsius, fmt.megahertz, fmt.age],
)
def test_nothing_is_a_dash_and_forbidden_a_question_mark(function: object) -> None:
    assert function(None) == "–"  # type: ignore[operator]
    assert function(None, reason=Missing.NO_PERMISSION) == "?"  # type: ignore[operator]
    assert function(None, reason=Missing.NOT_SUPPORTED) == "–"  # type: ignore[operator]


def test_every_state_has_a_word() -> None:
    assert {fmt.state_word(state) for state in State} == set(fmt.STATE_WORDS.values())


def test_shares_are_those_of_the_pictures() -> None:
    assert fmt.shares([29.625, 22.625, 19.25, 3.5, 25]) == [30, 23, 19, 3, 25]
    assert fmt.shares([1, 1, 1]) == [34, 33, 33]
    assert fmt.shares([0, 0]) == [0, 0]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12), st.integers(1, 400))
def test_shares_sum_to_the_whole_and_are_off_by_less_than_one(values: list[int], total: int) -> None:
    found = fmt.shares(values, total)
    whole = sum(values)
    assert sum(found) == (total if whole else 0)
    assert all(abs(share - value * total / whole) < 1 for share, value in zip(found, values, strict=True) if whole)


@given(st.text(max_size=30), st.integers(0, 20))
def test_a_cut_text_fits_and_says_so(text: str, width: int) -> None:
    cut = fmt.cut(text, width)
    assert fmt.cells(cut) <= width
    assert cut == text or width == 0 or cut.endswith("…")


@given(st.text(max_size=30), st.integers(1, 40))
def test_padding_is_exact(text: str, width: int) -> None:
    assert fmt.cells(fmt.left(text, width)) == width
    assert fmt.cells(fmt.right(text, width)) == max(width, fmt.cells(text))


def test_waiting_times_have_three_digits() -> None:
    assert [fmt.latency(value) for value in (None, 0.0, 0.0042, 0.0099, 0.01, 0.412, 0.9994, 0.9996, 12.4, 99.94, 131.6)] == ["–", "0 ms", "4.2 ms", "9.9 ms", "10 ms", "412 ms", "999 ms", "1.0 s", "12.4 s", "99.9 s", "132 s"]  # fmt: skip
