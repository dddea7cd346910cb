"""What gpuwatch exports comes back as the same integers."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.errors import UsageError
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample, ProcessSample

from .conftest import read_file

GPU, PROCESS = measures(GpuSample), measures(ProcessSample)
HEAD = ["ts_ms", "host", "gpu_uuid", "gpu_index"]


def exported(kinds, integers):
    """A row's cells as the views make them: NULL, or the integer over its scale."""
    return [
        "" if value is None else value / kind.scale if kind.scale != 1 else value for kind, value in zip(kinds.values(), integers)
    ]


def text_of(header, rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def integers(kinds):
    most = {"ratio": 1000, "mask": 2**40, "bytes": 2**33}
    return st.tuples(*[st.none() | st.integers(0, most.get(kind.unit, 10**7)) for kind in kinds.values()])


@given(st.lists(integers(GPU), min_size=1, max_size=5))
def test_gpu_rows_come_back_equal(tmp_path_factory, values):
    header = [*HEAD, "tick_id", "duration_seconds", "quiet", "context", "quiet_seconds", "clock_ratio", "unavailable", *GPU]
    rows = [
        [1000 * n, "box", "GPU-a", 3, n, 0.25, 1, "none", 5.0, 1.0, n % 2, *exported(GPU, each)] for n, each in enumerate(values)
    ]
    path = tmp_path_factory.mktemp("export") / "gpu.csv"
    path.write_text(text_of(header, rows))
    found = read_file(path)
    assert [row.values for row in found.rows] == values
    assert [(row.ts_ms, row.gpu, row.duration_ms, row.unavailable) for row in found.rows] == [
        (1000 * n, "GPU-a", 250, bool(n % 2)) for n in range(len(values))
    ]
    assert (found.log.hostname, found.log.zone, found.log.gpus["GPU-a"].index, found.problems) == ("box", "in the log", 3, [])


@given(st.lists(integers(PROCESS), min_size=1, max_size=5))
def test_process_rows_come_back_equal(tmp_path_factory, values):
    header = [*HEAD, "pid", "start_ms", "name", "user", "job", "duration_seconds", *PROCESS]
    rows = [[1000 * n, "box", "GPU-a" if n % 2 else "", 0 if n % 2 else "", 77, 5000, 'py,"x"', "ann", "", 2.0, *exported(PROCESS, each)] for n, each in enumerate(values)]  # fmt: skip
    path = tmp_path_factory.mktemp("export") / "process.csv"
    path.write_text(text_of(header, rows))
    found = read_file(path)
    assert [row.values for row in found.rows] == values
    assert [(row.process, row.gpu, row.duration_ms) for row in found.rows] == [
        ((77, 5000), "GPU-a" if n % 2 else "", 2000) for n in range(len(values))
    ]
    assert (found.log.processes[77, 5000].name, found.log.processes[77, 5000].user) == ('py,"x"', "ann")


def test_a_part_of_the_columns_is_enough_and_others_are_named(read):
    found = read(
        "gpu_uuid,ts_ms,utilization_ratio,mine\nGPU-a,1000,0.333,7\nGPU-a,2000,,7\nGPU-a,x,0.5,7\nGPU-a,3000,1.5,7\n1,2\nGPU-a,40"
    )
    assert [(row.ts_ms, row.values[0]) for row in found.rows] == [(1000, 333), (2000, None), (3000, None)]
    assert found.problems == [
        (1, "columns not used: mine", 1),
        (4, "time, GPU or process cannot be read", 1),
        (5, "column utilization_ratio: 1.5 is not possible", 1),
        (6, "2 cells where the header names 4", 1),
        (7, "the last line is cut off", 1),
    ]


def test_rows_of_several_hosts_are_refused(read):
    with pytest.raises(UsageError, match="several hosts, a and b"):
        read("ts_ms,host,gpu_uuid,gpu_index\n1000,a,GPU-a,0\n1000,b,GPU-b,0\n")


def test_exports_that_were_put_together_have_headers_between(read):
    one = "ts_ms,host,gpu_uuid,gpu_index,utilization_ratio\n1000,a,GPU-a,0,0.5\n"
    assert [row.ts_ms for row in read(one + one.replace("1000", "2000")).rows] == [1000, 2000]


def test_parquet_without_pyarrow_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pyarrow") as error:
        read(b"PAR1" + bytes(100), "gpu.parquet")
    assert "gpuwatch-tui[parquet]" in error.value.hint


def test_parquet_comes_back_equal(read, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (the parquet extra)")
    from pyarrow import parquet

    columns = {
        "ts_ms": [1000, 2000], "host": ["box"] * 2, "gpu_uuid": ["GPU-a"] * 2, "gpu_index": [1, 1], "duration_seconds": [0.0, 1.0],
        "utilization_ratio": [0.333, None], "memory_used_bytes": [7 * 2**20, 9 * 2**20], "unavailable": [0, 1],
    }  # fmt: skip
    parquet.write_table(pyarrow.table(columns), tmp_path / "gpu.parquet")
    found = read_file(tmp_path / "gpu.parquet")
    assert found.values == [{"utilization_ratio": 333, "memory_used_bytes": 7}, {"memory_used_bytes": 9}]
    assert [(row.ts_ms, row.duration_ms, row.unavailable) for row in found.rows] == [(1000, 0, False), (2000, 1000, True)]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "gpu.parquet").read_bytes()[:-30])
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        read_file(tmp_path / "cut.parquet")
    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UsageError, match="none that gpuwatch export wrote"):
        read_file(tmp_path / "other.parquet")
