"""Plain ``nvidia-smi`` tables, printed again and again."""

from __future__ import annotations

import pytest

from gpuwatch.collectors.importers.types import LogProcessRow, LogRow
from gpuwatch.errors import UsageError

DAY = "Tue Mar 31 12:00:{:02} 2026       \n"
NOON = 1774958400000
OLD = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI 418.87.00    Driver Version: 418.87.00    CUDA Version: 10.1     |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   0  Tesla V100-SXM2...  On   | 00000000:1A:00.0 Off |                    0 |
| N/A   41C    P0    58W / 300W |   1234MiB / 32480MiB |     17%      Default |
+-------------------------------+----------------------+----------------------+
|   1  ERR!                On   | 00000000:1B:00.0 Off |                 ERR! |
|ERR!  ERR! ERR!    ERR! / ERR! |      0MiB / 32480MiB |    ERR!      Default |
+-------------------------------+----------------------+----------------------+

+-----------------------------------------------------------------------------+
| Processes:                                                       GPU Memory |
|  GPU       PID   Type   Process name                             Usage      |
|=============================================================================|
|    0      4711      C   python3                                     1221MiB |
|    0      4712      G   /usr/lib/xorg/Xorg                            13MiB |
+-----------------------------------------------------------------------------+
"""
NEW = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 610.57.04              KMD Version: 610.57.04     CUDA UMD Version: 13.3     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:00:09.0 Off |                   On |
| N/A   52C    P0            432W /  700W |   11125MiB /  81559MiB |     N/A      Default |
|                                         |                        |              Enabled |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA GB10                  WDDM  |   0000000F:01:00.0  On |                  N/A |
| 38%   45C    P8             11W /  N/A  | Not Supported          |     10%   E. Process |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+

+-----------------------------------------------------------------------------------------+
| MIG devices:                                                                            |
+------------------+----------------------------------+-----------+-----------------------+
| GPU  GI  CI  MIG |              Shared Memory-Usage |        Vol|        Shared         |
|==================+==================================+===========+=======================|
|  0    2   0   0  |              26MiB / 40448MiB    | 60      0 |  3   0    3    0    3 |
|                  |               0MiB / 24739MiB    |           |                       |
+------------------+----------------------------------+-----------+-----------------------+

+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
|    0    2    0            21180      C   /srv/tools/mem hog                     2296MiB |
|    1   N/A  N/A            2140    C+G   ...em32\\ApplicationFrameHost.exe      N/A      |
+-----------------------------------------------------------------------------------------+
"""
NONE = "|  No running processes found                                                             |\n"


def test_old_layout_with_a_gpu_that_fails(read):
    found = read(DAY.format(0) + OLD)
    one, two, *processes = found.rows
    assert found.values[0] == {
        "utilization_ratio": 170, "memory_used_bytes": 1234, "power_watts": 58000, "power_limit_watts": 300000,
        "temperature_celsius": 41, "performance_state": 0, "process_count": 1,
    }  # fmt: skip
    assert (one.ts_ms, one.unavailable) == (NOON, False)
    assert (found.values[1], two.unavailable) == ({"process_count": 0}, True)
    assert [(row.process[0], row.gpu, row.values[0]) for row in processes] == [
        (4711, "import:box:0", 1221),
        (4712, "import:box:0", 13),
    ]
    gpu = found.log.gpus["import:box:0"]
    assert (gpu.name, gpu.pci_bus_id, gpu.memory_total_bytes) == ("Tesla V100-SXM2...", "00000000:1A:00.0", 32480 * 2**20)
    assert [(process.name, process.start_known) for process in found.log.processes.values()] == [
        ("python3", False),
        ("Xorg", False),
    ]


def test_new_layout_with_mig_and_windows(read):
    found = read(DAY.format(0) + NEW)
    assert found.values[:2] == [
        {"memory_used_bytes": 11125, "power_watts": 432000, "power_limit_watts": 700000, "temperature_celsius": 52,
         "performance_state": 0, "process_count": 1},
        {"utilization_ratio": 100, "power_watts": 11000, "temperature_celsius": 45, "performance_state": 8, "process_count": 1},
    ]  # fmt: skip
    assert [gpu.mig_enabled for gpu in found.log.gpus.values()] == [True, False]
    assert found.log.gpus["import:box:1"].memory_total_bytes is None
    assert [process.name for process in found.log.processes.values()] == ["mem", "ApplicationFrameHost.exe"]
    assert found.values[2:] == [{"gpu_memory_bytes": 2296}, {}]
    assert [text for _, text, _ in found.problems] == [
        "MIG instances are not read: a table does not say which share of the GPU they are"
    ]


def test_processes_live_as_long_as_tables_list_them(read):
    without = OLD[: OLD.index("|    0      4711")] + NONE + "+---+\n"
    found = read("".join(DAY.format(n) + table for n, table in enumerate((OLD, OLD, without, OLD))))
    rows = [row for row in found.rows if isinstance(row, LogProcessRow) and row.process[0] == 4711]
    assert [row.process[1] - NOON for row in rows] == [0, 0, 3000]
    assert [
        said["process_count"] for said, row in zip(found.values, found.rows) if isinstance(row, LogRow) and row.gpu.endswith("0")
    ] == [1, 1, 0, 1]


def test_without_a_date_start_and_interval_are_needed(read):
    with pytest.raises(UsageError, match="no date stands before its tables") as error:
        read(OLD + OLD)
    assert "--interval" in error.value.hint
    found = read(OLD + OLD, start_ms=NOON, interval_ms=5000)
    assert sorted(set(found.times)) == [NOON, NOON + 5000]


def test_tables_of_one_second_are_placed_by_the_interval(read):
    log = "".join(DAY.format(n // 4) + OLD.replace("17%", f"{n:2}%") for n in range(8))
    with pytest.raises(UsageError, match="seconds only") as refused:
        read(log, tz="UTC")
    assert "--interval" in refused.value.hint
    found = read(log, tz="UTC", interval_ms=250)
    assert [row.ts_ms - NOON for row in found.rows if isinstance(row, LogRow) and row.gpu.endswith(":0")] == list(
        range(0, 2000, 250)
    )
    twice = read(DAY.format(0) + OLD + DAY.format(0) + OLD + DAY.format(1) + OLD, tz="UTC")
    assert sum(isinstance(row, LogRow) for row in twice.rows) == 4
    assert [(text, count) for _, text, count in twice.problems if "again" in text] == [("the same GPU at the same time again", 2)]


def test_without_a_zone_it_is_asked_for(read):
    with pytest.raises(UsageError, match="--tz"):
        read(DAY.format(0) + OLD, tz="")


@pytest.mark.parametrize(
    "stamp", ["=== 2026-03-31 12:00:00 ===\n", "[2026-03-31T12:00:00Z]\n", "Tue 31 Mar 2026 12:00:00 PM UTC\n"]
)
def test_dates_that_a_loop_printed(read, stamp):
    assert set(read(stamp + OLD).times) == {NOON}


def test_the_date_of_nvidia_smi_wins_over_that_of_watch(read):
    watch = "Every 2.0s: nvidia-smi      box: Tue Mar 31 11:00:00 2026\n\n"
    assert set(read(watch + DAY.format(0) + OLD).times) == {NOON}


def test_a_table_that_is_cut_off(read):
    lines = (DAY.format(1) + OLD).splitlines(keepends=True)
    after_gpu, in_list = "".join(lines[:9]), "".join(lines[:19])
    found = read(DAY.format(0) + OLD + after_gpu)
    assert [row.ts_ms for row in found.rows if isinstance(row, LogRow) and row.gpu.endswith(":0")] == [NOON, NOON + 1000]
    assert found.values[-1].get("process_count") is None
    listed = read(DAY.format(0) + OLD + in_list)
    assert [said.get("process_count") for said, row in zip(listed.values, listed.rows) if isinstance(row, LogRow)] == [
        1,
        0,
        None,
        None,
    ]
    torn = read(DAY.format(0) + OLD + "".join(lines[:8]))
    assert torn.problems == [(24, "a table that is cut off", 1)]


def test_messages_between_tables(read):
    found = read(DAY.format(0) + OLD + "Failed to initialize NVML: Driver/library version mismatch\n" + DAY.format(2) + OLD)
    assert found.problems == [(22, "no row: Failed to initialize NVML: Driver/library version mismatch", 1)]


def test_lines_between_tables_are_counted(read):
    found = read(DAY.format(0) + OLD + "epoch 1, loss 3.5\nepoch 2, loss 3.25\nEvery 2.0s: nvidia-smi\n" + DAY.format(2) + OLD)
    assert found.problems == [(22, "no part of a table", 2)]


def test_a_table_at_the_top_of_a_csv_log_is_not_the_log(read):
    found = read(
        DAY.format(0) + OLD + "timestamp, index, utilization.gpu [%]\n2026/03/31 12:00:00, 0, 5 %\n2026/03/31 12:00:01, 0, 6 %\n"
    )
    assert (found.log.format, found.values) == (
        "nvidia-smi --query-gpu CSV",
        [{"utilization_ratio": 50}, {"utilization_ratio": 60}],
    )
    assert found.problems == [(1, "before the header", 20)]


def test_colours_of_a_terminal_are_left_aside(read):
    coloured = (DAY.format(0) + OLD).replace("| NVIDIA", "\x1b[1;1H| NVIDIA").replace("17%", "\x1b[7m17%\x1b[27m")
    assert read(coloured).values[0]["utilization_ratio"] == 170


def test_hostile_names(read):
    found = read(DAY.format(0) + OLD.replace("python3 ", "\x9b31m\u202ex "))
    assert all(process.name.isprintable() for process in found.log.processes.values())
