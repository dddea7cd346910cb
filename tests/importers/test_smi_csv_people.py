"""CSV logs as people write and break them: names, torn rows, noise, what is no log at all."""

from __future__ import annotations

import bz2
import gzip
import lzma

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


def test_more_names_that_people_write(read):
    head = "timestamp,index,gpu_utilization[%],memory_utilization(%),temperature[°C],gpu_temp(C),vram_used_mib,power_draw_w\n"
    found = read(head + "2026-03-31T12:00:00Z, 0, 5, 6, 40, 41, 7, 8.5\n", tz="")
    assert found.values == [
        {
            "utilization_ratio": 50,
            "memory_utilization_ratio": 60,
            "temperature_celsius": 40,
            "memory_used_bytes": 7,
            "power_watts": 8500,
        }
    ]


def test_a_zone_in_the_header(read):
    for tz in ("", "Europe/Berlin"):
        found = read("timestamp_utc,index,utilization.gpu [%]\n2026-03-31 12:00:00,0,5\n", tz=tz)
        assert (found.times, found.log.zone) == ([NOON], "UTC")


def test_what_stands_before_the_header_is_counted(read):
    assert read("job 17 on box\n\nstarting\n" + HEADER + line()).problems == [(1, "before the header", 2)]


def test_a_damaged_row_does_not_stop_the_rest(read):
    rows = ["2026-03-31T12:00:00Z,0,5", "2026-03-31T12:00:01,0,5", "12:00:02,0,5", "2026-03-31T12:00:03Z,0,5"]
    found = read("timestamp,index,utilization.gpu\n" + "\n".join(rows) + "\n", tz="")
    assert found.times == [NOON, NOON + 3000]
    assert [text for _, text, _ in found.problems] == [
        "a time without a zone, unlike others: 2026-03-31T12:00:01",
        "a time without a date, unlike others",
    ]


def test_times_that_are_none(read):
    text = "time,index,utilization.gpu\n0.0,0,5\n0.5,0,6\n1.0,0,7\n"
    with pytest.raises(UsageError, match=r"cannot be read, like 0\.0") as error:
        read(text)
    assert "--fields" in error.value.hint
    assert read(text, fields="-,index,utilization.gpu", start_ms=NOON, interval_ms=500).times == [NOON, NOON + 500, NOON + 1000]


def test_given_columns_must_be_known(read):
    with pytest.raises(UsageError, match="--fields names nothing that is measured"):
        read(line(), fields="a,b,c,d,e")


def test_names_that_people_write(read):
    found = read(
        "timestamp,gpu_index,temperature_C,utilization_gpu_percent,power_W,mem_used_MiB,sm_clock_mhz\n2026-03-31T12:00:00Z,0, 23, 4, 73.41, 10, 345\n"
    )
    assert found.values == [
        {"temperature_celsius": 23, "utilization_ratio": 40, "power_watts": 73410, "memory_used_bytes": 10, "sm_clock_hertz": 345}
    ]  # fmt: skip


def test_a_number_without_a_unit_is_asked_for_and_its_answer_is_given(read):
    log = "timestamp,gpu_id,gpu_util,power,label\n1774958400,0,33,45,a\n1774958401,0,34,45 W,b\n"
    with pytest.raises(UsageError, match="column power does not say in which unit 45 is") as refused:
        read(log, tz="")
    assert "--fields=timestamp,index,utilization.gpu,power.draw,-;" in refused.value.hint
    found = read(log, tz="", fields="timestamp,index,utilization.gpu,power.draw,-")
    assert found.values == [{"utilization_ratio": 330, "power_watts": 45000}, {"utilization_ratio": 340, "power_watts": 45000}]


def test_shares_are_percent_where_one_is_above_1(read):
    head = "timestamp,gpu_id,gpu_util,temp\n"
    early = [f"{1774958400 + n},0,{n % 2},45\n" for n in range(700)]
    found = read(head + "".join(early) + "1774960000,0,39,45\n", tz="")
    assert found.values[1] == {"utilization_ratio": 10, "temperature_celsius": 45}
    assert found.values[-1]["utilization_ratio"] == 390
    assert found.problems == [(1, "column gpu_util: read as percent, as its numbers show", 1)]
    with pytest.raises(UsageError, match="column gpu_util does not say in which unit"):
        read(head + "".join(early), tz="")
    assert read(head + early[0] + early[2], tz="").values[1]["utilization_ratio"] == 0


def test_a_torn_last_line_is_not_its_own_measure(read):
    head = "timestamp, utilization.gpu [%], temperature.gpu\n"
    found = read(head + "2026/03/31 12:00:00, 4 %, 34\n2026/03/31 12:00:01, 4 %, 34\n2026/03/31 12:00:02, 4 %, 3")
    assert found.values[2] == {"utilization_ratio": 40}
    assert found.problems == [(4, "the last line is cut off, so its last cell is not used", 1)]


def test_a_pause_makes_no_several_gpus(read):
    head = "timestamp, utilization.gpu [%]\n"
    seconds = [0, 1, 2, 3, 3600, 3601, 3602, 7200, 7201]
    times = [1774958400 + each for each in seconds]
    assert len(read(head + "".join(f"{each}, 4 %\n" for each in times), tz="").rows) == 9
    burst = [1774958400 + 60 * minute + each / 1000 for minute in range(3) for each in (0, 2, 3)]
    for many in (burst, burst[:6]):
        with pytest.raises(UsageError, match="no column says which GPU"):
            read(head + "".join(f"{each:.3f}, 4 %\n" for each in many), tz="")


def test_rows_of_one_second_are_placed_by_the_interval(read):
    head = "timestamp, index, utilization.gpu [%]\n"
    log = head + "".join(f"2026/03/31 12:00:0{n // 4}, {gpu}, {n} %\n" for n in range(8) for gpu in (0, 1))
    with pytest.raises(UsageError, match="seconds only") as refused:
        read(log)
    assert "--interval" in refused.value.hint
    found = read(log, interval_ms=250)
    start = found.times[0]
    assert [each - start for each in found.times[::2]] == [each - start for each in found.times[1::2]] == list(range(0, 2000, 250))
    coarse = read(log, interval_ms=400)
    assert (len(coarse.rows), coarse.problems) == (12, [(8, "the same GPU at the same time again", 4)])
    one = log.replace(", 0,", ",").replace(", index", "")
    one = "".join(line for line in one.splitlines(keepends=True) if ", 1," not in line)
    assert len(read(one, interval_ms=250).rows) == 8


def test_a_time_above_rows_of_several_instants_is_not_theirs(read):
    head = "Fri Dec  3 13:29:07 2021\nindex, utilization.gpu [%]\n"
    rows = "0, 1 %\n0, 2 %\n"
    with pytest.raises(UsageError, match="no column of it is a time"):
        read(head + rows)
    found = read(head + rows, start_ms=0, interval_ms=1000)
    assert found.times == [0, 1000]
    assert len(read(head + "0, 1 %\n1, 2 %\n").rows) == 2


def test_a_line_of_which_nothing_can_be_read_is_no_sample(read):
    log = "utilization.gpu [%], memory.used [MiB]\n95 %, 745 MiB\npid, process_name\n1580, /app/server\n[N/A], [N/A]\n90 %, x\n"
    found = read(log, start_ms=0, interval_ms=1000)
    assert found.values == [{"utilization_ratio": 950, "memory_used_bytes": 745}, {}, {"utilization_ratio": 900}]
    assert found.times == [0, 1000, 2000]
    assert {line for line, _, _ in found.problems} == {3, 4, 6}


def test_noise_of_a_shell_that_looks_like_a_row(read):
    found = read(
        "+ nvidia-smi --query-gpu=timestamp,index,utilization.gpu\ntimestamp, index, utilization.gpu [%]\n"
        "2026/03/31 12:00:00, 0, 5 %\n2026/03/31 12:00:00, 1, 6 %\n"
        '  File "train.py", line 3, in <module>\n2026/03/31 12:00:01, 0, 7 %\n'
    )
    assert found.gpus == ["0", "1", "0"]
    assert [line for line, _, _ in found.problems] == [1, 5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[2026-03-31 12:00:00] MEM:466MB | UTIL:0%\n", "begins with"),
        ('["a", 1]\n', "looks like JSON"),
        ("time,node1_w,node2_w\n2026-03-31,4484,6531\n", "columns that are not known"),
        ("2026-03-31 12:00:00\n0, 12, 4\n1, 0, 4\n0, 2, 4\n", "without a header: 0, 12, 4"),
    ],
)
def test_what_an_unknown_file_looks_like(read, text, said):
    with pytest.raises(UsageError, match=said):
        read(text)


def test_mb_is_said_to_be_read_in_powers_of_two(read):
    found = read("timestamp,gpu_id,memory_used_MB\n1774958400,0,33\n", tz="")
    assert found.values == [{"memory_used_bytes": 33}]
    assert found.problems == [(1, "column memory_used_MB: read in powers of two, as GPU tools print MB", 1)]


def test_reasons_states_and_counters(read):
    head = "timestamp, index, clocks_throttle_reasons.active, pstate, clocks_event_reasons_counters.sw_power_cap [us], clocks_event_reasons_counters.hw_power_brake_slowdown [us]\n"  # fmt: skip
    rows = ["0x0000000000000004, P2, 1000 us, 0 us", "0x0000000000000000, P0, 501000 us, 9000 us", "0x1, P8, 5 us, 9000 us"]
    found = read(head + "".join(f"2026/03/31 12:00:0{n}, 0, {row}\n" for n, row in enumerate(rows)))
    assert found.values == [
        {"clock_event_reasons": 4, "performance_state": 2},
        {"clock_event_reasons": 0, "performance_state": 0, "power_throttled_seconds": 500},
        {"clock_event_reasons": 1, "performance_state": 8, "power_throttled_seconds": 0},
    ]


def test_single_reasons_make_a_mask_only_together(read):
    names = ["sw_power_cap", "sw_thermal_slowdown", "hw_slowdown", "gpu_idle"]
    head = "timestamp, index, " + ", ".join(f"clocks_event_reasons.{name}" for name in names)
    row = "\n2026/03/31 12:00:00, 0, Active, Not Active, Active, Not Active\n"
    assert read(head + row).values == [{"clock_event_reasons": 0x4 | 0x8}]
    part = read("timestamp, index, clocks_event_reasons.sw_power_cap\n2026/03/31 12:00:00, 0, Active\n")
    assert part.values == [{}]
    assert part.problems == [(1, "columns not used: clocks_event_reasons.sw_power_cap", 1)]


def test_the_more_exact_power_column_wins_where_it_says_something(read):
    head = "timestamp, index, power.draw [W], power.draw.instant [W], enforced.power.limit [W], power.limit [W]\n"
    found = read(head + "2026/03/31 12:00:00, 0, 10 W, 12 W, 300 W, 350 W\n2026/03/31 12:00:01, 0, 10 W, [N/A], [N/A], 350 W\n")
    assert [each["power_watts"] for each in found.values] == [12000, 10000]
    assert [each["power_limit_watts"] for each in found.values] == [300000, 350000]


def test_a_given_power_limit_fills_what_the_log_lacks(read):
    found = read(HEADER + line(), power_limit_watts=700.0)
    assert found.values == [{**ONE, "power_limit_watts": 700000}]
    assert found.log.gpus["import:box:0"].power_limit_watts == 700.0


def test_the_same_gpu_at_the_same_time_is_kept_once(read):
    found = read(HEADER + line(0) + line(0, util="9 %") + line(0, index=1) + line(0, index=1) + line(1))
    assert list(zip(found.times, found.gpus)) == [(NOON, "0"), (NOON, "1"), (NOON + 1000, "0")]
    assert found.values[0] == ONE
    assert found.problems == [(3, "the same GPU at the same time again", 2)]


def test_rows_out_of_order_are_handed_out(read):
    assert read(HEADER + line(2) + line(1) + line(3)).times == [NOON + 2000, NOON + 1000, NOON + 3000]


def test_host_name_of_the_log(read):
    assert read("timestamp, hostname, index, utilization.gpu [%]\n2026/03/31 12:00:00, node7, 0, 5 %\n").log.hostname == "node7"


def test_foreign_text_is_made_harmless(read):
    found = read(
        "timestamp, index, name, utilization.gpu [%], evil\x1b[31m\n2026/03/31 12:00:00, 0, \x1b[31mH100\u202e, x\x07y, 1\n"
    )
    texts = [found.log.gpus["import:box:0"].name, *[text for _, text, _ in found.problems]]
    assert all(text.isprintable() for text in texts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "blank lines only"),
        (HEADER.encode(), "a header and no rows"),
        (bytes(range(256)) * 40, "is no text"),
        (b"<?xml version='1.0'?><nvidia_smi_log/>", "nvidia-smi -q -x"),
        (b"==============NVSMI LOG==============\nTimestamp : Tue Mar 31 12:00:00 2026\n    Temperature\n", "nvidia-smi -q"),
        (b"Power\n  now 31 W\n", "begins with Power"),
        (b"a,b,c\n1,2,3\n", "columns that are not known"),
        (b"# gpu pid type sm\n# Idx # C/G %\n 0 1 C 5\n", "pmon"),
        (b"t,host,gpu_uuid,gpu_index\n1,a,b,0\n", "export of minutes, hours or days"),
        (
            b"timestamp, gpu_uuid, pid, process_name, used_gpu_memory [MiB]\n2026/03/31 12:00:00, GPU-a, 1, a, 5 MiB\n",
            "a list of processes",
        ),
        (b"hello\n", "begins with hello"),
    ],
)
def test_what_is_no_log_gives_one_clear_line(read, content, message):
    with pytest.raises(UsageError, match=message):
        read(content)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"none\.csv: cannot be read: No such file"):
        detect(str(tmp_path / "none.csv"), ImportOptions())


def test_a_very_long_line_is_left_out(read):
    found = read(HEADER + line() + "x" * 10_000_000 + "\n" + line(1))
    assert found.times == [NOON, NOON + 1000]
    assert found.problems == [(3, "longer than any line of a log", 1)]
    assert found.log.lines_read == 4


def test_nul_bytes_of_a_crash_are_named(read):
    found = read(HEADER + line() + "\0" * 5000 + line(1) + line(2))
    assert found.times == [NOON, NOON + 2000]
    assert found.problems == [(3, "NUL bytes in the line", 1)]


def test_reasons_are_bounded(read):
    found = read(HEADER + line() + "".join(f"{'x,' * n}\n" for n in range(6, 1000)) + line(1))
    assert len(found.problems) <= 102
    assert sum(count for _, _, count in found.problems) == 994


def test_a_packed_log_is_known_by_what_it_begins_with(read, tmp_path):
    log = (HEADER + line()).encode()
    for name, data in (("a.csv", gzip.compress(log)), ("b", lzma.compress(log)), ("c.log", bz2.compress(log))):
        (tmp_path / name).write_bytes(data)
        assert len(list(detect(str(tmp_path / name), ImportOptions(tz="UTC")).rows)) == 1
    (tmp_path / "d.csv").write_bytes(b"PK\x03\x04" + log)
    with pytest.raises(UsageError, match="packed with zip"):
        detect(str(tmp_path / "d.csv"), ImportOptions(tz="UTC"))


def test_what_is_written_while_a_log_is_read_stays_out(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(HEADER + line() + line(1))
    size = source.size_of(str(path))
    digest = source.Source(str(path), size=size).digest()
    log = detect(str(path), ImportOptions(tz="UTC"), "box", size)
    with path.open("a") as file:
        file.write(line(2) + line(3))
    assert len(list(log.rows)) == 2
    assert source.Source(str(path), size=size).digest() == digest
