"""``nvidia-smi --query-gpu … --format=csv`` in its habits, and CSV files of people's own loops."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from types import SimpleNamespace

import pytest

from gpuwatch.collectors.importers import detect, source
from gpuwatch.collectors.importers.types import ImportOptions
from gpuwatch.errors import UsageError

HEADER = "timestamp, index, utilization.gpu [%], power.draw [W], memory.used [MiB]\n"
NOON = 1774958400000
"""2026/03/31 12:00:00 UTC."""


def line(second: float = 0, index: int = 0, util: str = "5 %", watts: str = "20.50 W", memory: str = "100 MiB") -> str:
    return f"2026/03/31 12:00:{second:06.3f}, {index}, {util}, {watts}, {memory}\n"


ONE = {"utilization_ratio": 50, "power_watts": 20500, "memory_used_bytes": 100}


def test_units_in_header_and_cells(read):
    found = read(HEADER + line(0.257) + line(1))
    assert found.values == [ONE, ONE]
    assert found.times == [NOON + 257, NOON + 1000]
    assert found.gpus == ["0", "0"]
    assert (found.log.format, found.log.zone, found.log.lines_read) == ("nvidia-smi --query-gpu CSV", "UTC", 3)
    assert found.problems == []


def test_nounits(read):
    found = read("timestamp, index, utilization.gpu, power.draw, memory.used\n2026/03/31 12:00:00.000, 0, 5, 20.50, 100\n")
    assert found.values == [ONE]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + (HEADER + line()).encode(),
        (HEADER + line()).encode("utf-16"),
        (HEADER + line()).encode("utf-16-le"),
        (HEADER + line()).encode("utf-16-be"),
        b"\xfe\xff" + (HEADER + line()).encode("utf-16-be"),
        (HEADER + line()).replace("\n", "\r\n").encode(),
        (HEADER + line()).replace("\n", "\r").encode(),
        ("\n\n" + HEADER + "\n" + line() + "\n").encode(),
    ],
    ids=["bom", "utf16", "utf16le", "utf16be", "utf16be-bom", "crlf", "cr", "blank lines"],
)
def test_encodings_and_line_ends(read, content):
    found = read(content)
    assert (found.values, found.times, found.problems) == ([ONE], [NOON], [])


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_packed(read, ending, pack):
    assert read(pack((HEADER + line()).encode()), f"log.csv.{ending}").values == [ONE]


def test_a_packed_file_that_ends_early_gives_what_it_holds(read):
    whole = "".join(line(second, watts=f"{second * 7.31:.2f} W") for second in range(60))
    found = read(gzip.compress((HEADER + whole).encode())[:-60], "log.csv.gz")
    assert 10 < len(found.rows) < 60
    assert any("cannot be read further" in text for _, text, _ in found.problems)


def test_standard_input_is_read_as_often_as_needed(monkeypatch):
    monkeypatch.setattr(source, "_copies", {})
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((HEADER + line() + line(1)).encode())))
    for _ in range(2):
        log = detect("-", ImportOptions(tz="UTC"), "")
        assert [row.gpu for row in log.rows] == ["import:stdin:0"] * 2
    for _, copy in source._copies.values():
        copy.close()


@pytest.mark.parametrize(
    "text", ["[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "ERR!", "-", "", "[Insufficient Permissions]"]
)
def test_nothing_measured_is_none_and_no_problem(read, text):
    found = read(HEADER + line(util=text, watts=text, memory=text) + line(1))
    assert (found.values, found.problems) == ([{}, ONE], [])


@pytest.mark.parametrize("text", ["[GPU requires reset]", "[GPU is lost]"])
def test_a_lost_gpu_is_unavailable(read, text):
    found = read(HEADER + line(util=text, watts=text) + line(1))
    assert [row.unavailable for row in found.rows] == [True, False]


def test_impossible_values_are_left_out_and_named(read):
    found = read(
        HEADER + line(util="250 %", watts="-5 W", memory="1e30 MiB") + line(1, watts="1000000000 W") + line(2, util="101 %")
    )
    assert found.values == [
        {},
        {"utilization_ratio": 50, "memory_used_bytes": 100},
        {"power_watts": 20500, "memory_used_bytes": 100},
    ]
    assert sorted(found.problems) == [
        (2, "column memory.used [MiB]: 1e30 MiB is in no unit of it", 1),
        (2, "column power.draw [W]: -5 W is not possible", 1),
        (2, "column utilization.gpu [%]: 250 % is not possible", 1),
        (3, "column power.draw [W]: 1000000000 W is not possible", 1),
        (4, "column utilization.gpu [%]: 101 % is not possible", 1),
    ]


def test_a_log_that_was_restarted_with_other_columns(read):
    other = "timestamp, utilization.gpu [%], index\n"
    found = read(HEADER + line() + HEADER + line(1) + other + "2026/03/31 12:00:02, 7 %, 0\n" + HEADER + line(3))
    assert found.values == [ONE, ONE, {"utilization_ratio": 70}, ONE]
    assert found.gpus == ["0"] * 4
    assert found.problems == []


def test_torn_lines_are_named(read):
    found = read(HEADER + line() + "2026/03/31 12:00:01.000, 0, 5 %20" + line(2) + line(3) + "2026/03/31 12:00:04, 0, 5")
    assert found.times == [NOON, NOON + 3000]
    assert found.problems == [(3, "7 cells where the header names 5", 1), (5, "the last line is cut off", 1)]


def test_a_last_cell_that_may_be_cut_is_not_used(read):
    found = read(HEADER + line() + line(1)[:-5])
    assert found.values == [ONE, {k: v for k, v in ONE.items() if k != "memory_used_bytes"}]
    assert found.problems == [(3, "the last line is cut off, so its last cell is not used", 1)]


def test_a_whole_last_line_without_an_end_is_used(read):
    found = read(HEADER + line() + line(1).rstrip("\n"))
    assert (found.values, found.problems, found.log.lines_read) == ([ONE, ONE], [], 3)


def test_messages_between_rows_are_named(read):
    lost = "Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost.  Reboot the system to recover this GPU\n"
    failed = "Failed to initialize NVML: Driver/library version mismatch\n"
    found = read(HEADER + line() + lost + failed + failed + line(1))
    assert found.values == [ONE, ONE]
    assert [(number, count) for number, _, count in found.problems] == [(3, 1), (4, 2)]
    assert found.problems[0][1].startswith("no row: Unable to determine the device handle for GPU 0000:3B:00.0")


def test_unused_columns_are_named_once(read):
    head = "timestamp, index, fan.speed [%], pcie.link.gen.gpumax, utilization.gpu [%]\n"
    found = read(head + "2026/03/31 12:00:00, 0, 30 %, 4, 5 %\n" * 1 + head + "2026/03/31 12:00:01, 0, 30 %, 4, 5 %\n")
    assert found.problems == [(1, "columns not used: fan.speed [%], pcie.link.gen.gpumax", 1)]


def test_several_gpus_by_uuid_with_what_is_known_of_them(read):
    head = "timestamp, uuid, index, name, pci.bus_id, memory.total [MiB], power.limit [W], utilization.gpu [%]\n"
    a = ", GPU-aa, 0, NVIDIA H100, 00000000:18:00.0, 81559 MiB, 700.00 W, 5 %\n"
    b = ", GPU-bb, 1, NVIDIA H100, 00000000:2A:00.0, 81559 MiB, 650.00 W, 6 %\n"
    found = read(head + "".join(f"2026/03/31 12:00:0{second}.00{n}{gpu}" for second in range(2) for n, gpu in enumerate((a, b))))
    assert [row.gpu for row in found.rows] == ["GPU-aa", "GPU-bb"] * 2
    gpu = found.log.gpus["GPU-bb"]
    assert (gpu.index, gpu.name, gpu.pci_bus_id) == (1, "NVIDIA H100", "00000000:2A:00.0")
    assert (gpu.memory_total_bytes, gpu.power_limit_watts) == (81559 * 2**20, 650.0)
    assert found.values[1] == {"utilization_ratio": 60, "power_limit_watts": 650000}


def test_several_gpus_by_bus_id_alone(read):
    head = "timestamp, gpu_bus_id, name, utilization.gpu [%]\n"
    rows = "".join(
        f"2026/03/31 12:00:0{s}.00{n}, 00000000:{bus}:00.0, A, {n} %\n" for s in range(2) for n, bus in enumerate(("31", "41"))
    )
    found = read(head + rows)
    assert found.gpus == ["0", "1", "0", "1"]
    assert [gpu.pci_bus_id for gpu in found.log.gpus.values()] == ["00000000:31:00.0", "00000000:41:00.0"]


def test_a_column_that_is_the_same_for_all_gpus_of_an_instant_is_not_their_index(read):
    rows = "".join(f"2025-09-08T17:26:{50 + s}+08:00,{gpu}, 0, 4, 81559, 74.01, 33\n" for s in range(2) for gpu in range(4))
    found = read("timestamp,gpu,index,memory.used,memory.total,power.draw,temperature.gpu\n" + rows, tz="")
    assert found.gpus == ["0", "1", "2", "3"] * 2
    assert found.log.zone == "in the log"
    assert found.problems == [(1, "column index: the same for several GPUs of one instant, so it is not their index", 1)]


@pytest.mark.parametrize("spread", [0, 2])
def test_rows_of_several_gpus_that_no_column_names_are_refused(read, spread):
    rows = "".join(f"2026/03/31 12:00:{s:02}.{n * spread:03}, {n} %\n" for s in range(20) for n in range(4))
    with pytest.raises(UsageError, match="no column says which GPU") as error:
        read("timestamp, utilization.gpu [%]\n" + rows)
    assert "--fields" in error.value.hint


def test_one_gpu_without_an_index_also_at_sub_second_steps(read):
    rows = "".join(f"2026/03/31 12:00:{n // 10:02}.{n % 10}{n % 7:02}, {n} %\n" for n in range(50))
    assert set(read("timestamp, utilization.gpu [%]\n" + rows).gpus) == {"0"}


def test_a_file_without_a_header_needs_its_columns(read):
    rows = line() + line(1)
    with pytest.raises(UsageError, match="without a header"):
        read(rows)
    assert read(rows, fields="timestamp,index,utilization.gpu,power.draw,memory.used").values == [ONE, ONE]


def test_given_columns_win_over_a_wrong_header(read):
    wrong = "timestamp,index,utilization.gpu,power.draw\n2026/03/31 12:00:00, 0, 5 %, 20.5 W, 100 MiB\n"
    with pytest.raises(UsageError, match="4 columns, but its lines have 5 cells"):
        read(wrong)
    assert read(wrong, fields="timestamp,index,utilization.gpu,power.draw,memory.used").values == [ONE]


def test_a_file_without_times_needs_start_and_interval(read):
    text = "index, utilization.gpu [%]\n0, 5 %\n1, 6 %\n0, 7 %\n1, 8 %\n"
    with pytest.raises(UsageError, match="--start and its step with --interval"):
        read(text)
    found = read(text, start_ms=5000, interval_ms=500)
    assert list(zip(found.times, found.gpus)) == [(5000, "0"), (5000, "1"), (5500, "0"), (5500, "1")]
    assert found.log.zone == "given"


@pytest.mark.parametrize(
    "prefix",
    ["Nov 26 01:20:06 ", "2026-03-31T12:00:00.123456789Z ", "[2026-03-31 12:00:00] ", "Mar 31 12:00:00 box smi[12]: ", "12:00:00 "],
)
def test_a_time_before_each_line_is_left_aside(read, prefix):
    text = "".join(prefix + each for each in (HEADER + line() + line(1)).splitlines(keepends=True))
    found = read(text)
    assert (found.values, found.times, found.problems) == ([ONE, ONE], [NOON, NOON + 1000], [])


def test_a_time_before_each_line_is_used_where_there_is_no_other(read):
    stamp = "2026-03-31T12:00:0{}.250Z "
    found = read(
        stamp.format(0) + "index, utilization.gpu [%]\n" + stamp.format(1) + "0, 5 %\n" + stamp.format(2) + "0, 6 %\n", tz=""
    )
    assert found.times == [NOON + 1250, NOON + 2250]


@pytest.mark.parametrize("separator", [",", ", ", ";", "\t", "|", " ; "])
def test_separators(read, separator):
    text = (HEADER + line()).replace(", ", separator)
    assert read(text).values == [ONE]


def test_decimal_commas(read):
    comma = "31.03.2026 12:00:00;0;20,5 W\n"
    assert read("timestamp;index;power.draw [W]\n" + comma).values == [{"power_watts": 20500}]
    spaced = "2026/03/31 12:00:00, 0, 20,5 W\n"
    assert read("timestamp, index, power.draw [W]\n" + spaced).values == [{"power_watts": 20500}]
    twice = read("timestamp;index;memory.used [MiB]\n2026/03/31 12:00:00;0;1,234 MiB\n2026/03/31 12:00:01;0;1.234,5 MiB\n")
    assert twice.values == [{}, {"memory_used_bytes": 1234}]
    assert twice.problems == [(2, "column memory.used [MiB]: 1,234 MiB can be read in two ways", 1)]


def test_quoted_cells(read):
    found = read(
        '"timestamp","index","utilization.gpu [%]"\n"3/31/2026, 12:00:00 PM","0","5 %"\n"3/31/2026, 12:00:01 PM","0","6 %"\n'
    )
    assert found.times == [NOON, NOON + 1000]


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,index,utilization.gpu [%]\n3/31/2026, 12:00:00 PM,0,5 %\n3/31/2026, 12:00:01 PM,0,6 %\n",
        "date,time,index,utilization.gpu [%]\n3/31/2026,12:00:00 PM,0,5 %\n3/31/2026,12:00:01 PM,0,6 %\n",
    ],
)
def test_date_and_time_in_two_cells(read, text):
    assert read(text).times == [NOON, NOON + 1000]


@pytest.mark.parametrize("stamp", ["2026-03-31 12:00:0{} UTC", "=== Tue Mar 31 12:00:0{} UTC 2026 ===", "177495840{}", "12:00:0{}"])
def test_a_loop_that_prints_the_time_on_a_line_of_its_own(read, stamp):
    head = "index, power.draw [W], utilization.gpu [%]\n"
    text = "".join(f"\n\n{stamp.format(n)}\n{head}0, 20.5 W, {n} %\n1, 20.5 W, {n + 1} %\n" for n in range(3))
    found = read(text, start_ms=NOON)
    assert found.times == [NOON + 1000 * (n // 2) for n in range(6)]
    assert (found.gpus, found.problems) == (["0", "1"] * 3, [])
    assert [values["utilization_ratio"] for values in found.values] == [0, 10, 10, 20, 20, 30]


def test_a_separator_at_the_end_of_rows(read):
    found = read("timestamp,index,utilization.gpu\n" + "2026-03-31T12:00:00Z,0,5,\n2026-03-31T12:00:01Z,0,6,\n", tz="")
    assert ([values["utilization_ratio"] for values in found.values], found.problems) == ([50, 60], [])


def test_a_header_before_each_row(read):
    found = read("".join(HEADER + line(second) for second in range(50)))
    assert (len(found.rows), found.problems) == (50, [])


def test_the_first_header_again_after_another(read):
    """How GPUs are told apart was found out from the rows of the first part; it holds for that header wherever it comes."""
    head = "timestamp,gpu,index,memory.used\n"
    rows = "".join(f"2026-03-31T12:00:00Z,{gpu}, 0, 4\n" for gpu in range(3))
    other = "timestamp,index,memory.used\n2026-03-31T12:00:01Z,2,5\n"
    found = read(head + rows + other + head + rows.replace("00:00Z", "00:02Z"), tz="")
    assert found.gpus == ["0", "1", "2", "2", "0", "1", "2"]


def test_an_empty_time(read):
    found = read("timestamp,index,utilization.gpu\n,0,5\n2026-03-31T12:00:00Z,0,5\n,0,5\n", tz="")
    assert (found.times, found.problems) == ([NOON], [(2, "no time", 2)])


def test_a_row_before_the_first_line_with_a_time(read):
    found = read("index, utilization.gpu [%]\n0, 5 %\n2026-03-31T12:00:00Z\n0, 6 %\n", tz="")
    assert (found.times, found.problems) == ([NOON], [(2, "no time", 1)])


def test_a_fraction_behind_a_comma_is_a_cell_of_its_own(read):
    rows = "2026-03-31T14:00:00,257123456+02:00,0, 5, 19689\n2026-03-31T14:00:01,002000000+02:00,0, 6, 19689\n"
    found = read("timestamp,index,utilization.gpu,memory.used\n" + rows, tz="")
    assert (found.times, found.log.zone) == ([NOON + 257, NOON + 1002], "in the log")
    assert found.values[0] == {"utilization_ratio": 50, "memory_used_bytes": 19689}
