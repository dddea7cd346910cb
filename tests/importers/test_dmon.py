"""``nvidia-smi dmon`` of several drivers and options."""

from __future__ import annotations

import pytest

from gpuwatch.errors import UsageError

OLD = """\
# gpu   pwr gtemp mtemp    sm   mem   enc   dec  mclk  pclk pviol tviol    fb  bar1 sbecc dbecc   pci rxpci txpci
# Idx     W     C     C     %     %     %     %   MHz   MHz     %  bool    MB    MB  errs  errs  errs  MB/s  MB/s
    0    24    46     -     2     4     0     0   810  1151    50     0   791     6     -     -     0    14     0
    1    25    47    60   100    40     7     8   810  1980     0     0   791     6     -     -     0    14     2
    0    19    46     -     0     3     0     0   810  1151    50     0   791     6     -     -     0    14     2
"""
DATED = """\
#Date       Time        gpu   pwr gtemp    sm rxpci
#YYYYMMDD   HH:MM:SS    Idx     W     C     %  MB/s
 20260331   12:00:00      0    31    40     5    10
 20260331   12:00:01      0    31    40     5    10
"""
NOON = 1774958400000


def test_columns_rates_and_instants(read):
    found = read(OLD, start_ms=NOON, interval_ms=2000)
    assert list(zip(found.times, found.gpus)) == [(NOON, "0"), (NOON, "1"), (NOON + 2000, "0")]
    assert found.values[1] == {
        "utilization_ratio": 1000, "memory_utilization_ratio": 400, "encoder_utilization_ratio": 70, "decoder_utilization_ratio": 80,
        "memory_used_bytes": 791, "power_watts": 25000, "temperature_celsius": 47, "memory_temperature_celsius": 60,
        "sm_clock_hertz": 1980, "memory_clock_hertz": 810,
    }  # fmt: skip
    amounts = {name: value for name, value in found.values[2].items() if name not in found.values[0]}
    assert amounts == {
        "pcie_rx_bytes": round(14e6 * 2 / 1024),
        "pcie_tx_bytes": round(2e6 * 2 / 1024),
        "power_throttled_seconds": 1000,
    }
    assert found.problems == [(1, "columns not used: tviol, bar1, sbecc, dbecc, pci", 1)]
    assert (found.log.format, found.log.zone) == ("nvidia-smi dmon", "given")


def test_without_times_start_and_interval_are_needed(read):
    with pytest.raises(UsageError, match="--start and its step with --interval"):
        read(OLD)


def test_date_and_time(read):
    found = read(DATED + DATED.replace("12:00:0", "12:00:1"))
    assert found.times == [NOON, NOON + 1000, NOON + 10_000, NOON + 11_000]
    assert [values.get("pcie_rx_bytes") for values in found.values] == [None, 9766, None, 9766]
    assert found.problems == []


def test_time_alone_needs_the_date(read):
    text = "#Time        gpu    sm\n#HH:MM:SS    Idx     %\n 23:59:59      0     5\n 00:00:00      0     6\n"
    with pytest.raises(UsageError, match="--start"):
        read(text)
    found = read(text, start_ms=NOON)
    assert [ms - NOON for ms in found.times] == [43_199_000, 43_200_000]


def test_headers_come_again_with_other_columns(read):
    other = "#Date       Time        gpu    sm\n#YYYYMMDD   HH:MM:SS    Idx     %\n 20260331   12:00:02      0     7\n"
    assert read(DATED + other).values[-1] == {"utilization_ratio": 70}


def test_torn_lines(read):
    found = read(DATED + " 20260331   12:00:02      0    31\n 20260331   12:00:03      0    31    40     5")
    assert len(found.rows) == 2
    assert found.problems == [(5, "4 cells where the header names 7", 1), (6, "the last line is cut off", 1)]


def test_csv_form(read):
    found = read("#gpu, pwr, gtemp, sm\n#Idx, W, C, %\n0, 31, -, 5\n", start_ms=NOON, interval_ms=1000)
    assert found.values == [{"power_watts": 31000, "utilization_ratio": 50}]


def test_a_unit_that_is_not_the_known_one_is_not_taken_for_it(read):
    found = read("# gpu   pwr    sm\n# Idx     X     %\n    0    31     5\n", start_ms=NOON, interval_ms=1000)
    assert found.values == [{"utilization_ratio": 50}]
    assert "has no unit" in found.problems[0][1]


def test_the_same_units_under_other_columns(read):
    one = "# gpu   pwr    sm\n# Idx     W     %\n    0    31     5\n"
    found = read(one + one.replace("sm", "mem") + one, start_ms=NOON, interval_ms=1000)
    assert found.values == [
        {"power_watts": 31000, "utilization_ratio": 50},
        {"power_watts": 31000, "memory_utilization_ratio": 50},
        {"power_watts": 31000, "utilization_ratio": 50},
    ]
