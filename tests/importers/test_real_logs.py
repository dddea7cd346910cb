"""Real logs beside the checkout: samples, span, GPUs and mean utilization as an independent reading with ``csv`` finds them."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from statistics import fmean

import pytest

from gpuwatch.collectors.importers.types import LogRow

from .conftest import NAMES, read_file

UTILIZATION, MEMORY, POWER = (NAMES.index(name) for name in ("utilization_ratio", "memory_used_bytes", "power_watts"))
CSV = {
    # file: (columns of time, GPU, utilization, memory, power; -1 where there is none)
    "nanogpt-8gpu-baseline.csv": (0, 1, 3, -1, 4),
    "nanogpt-8gpu-compile.csv": (0, 1, 3, -1, 4),
    "nanogpt-8gpu-phases-head20000.csv": (0, 1, 3, -1, 4),
    "nanogpt-8gpu-run25.csv": (0, 1, 3, -1, 4),
    "nanogpt-8gpu-steady.csv": (0, 1, 3, -1, 4),
    "qwen3-asr-0331-100.csv": (0, -1, 2, 4, 1),
    "qwen3-asr-gpu-log-150.csv": (0, -1, 2, 4, 1),
    "qwen3-asr-gpu-log.csv": (0, -1, 2, 4, 1),
    "rpf-24gb-60s.csv": (0, -1, 3, 1, -1),
    "gpu-glasses-8xh100-idle.csv": (0, 1, -1, 3, 5),
}


def moment(text: str) -> float:
    text = text.strip().replace("/", "-")
    if text.isdigit():
        return float(text)
    at = datetime.fromisoformat(text.replace(" ", "T"))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def mean(values):
    values = [value for value in values if value is not None]
    return fmean(values) if values else None


@pytest.mark.parametrize("name", CSV)
def test_csv_logs(shared, name):
    path = shared / "fixtures" / "gpu-logs" / name
    found = read_file(path, tz="UTC")
    time, gpu, *columns = CSV[name]
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    assert len(found.rows) == len(rows)
    assert max(found.times) - min(found.times) == pytest.approx(1000 * (moment(rows[-1][time]) - moment(rows[0][time])))
    assert len(found.log.gpus) == len({row[gpu].strip() if gpu >= 0 else "" for row in rows})
    for column, place, scale in zip(columns, (UTILIZATION, MEMORY, POWER), (10, 1, 1000)):
        numbers = [float(row[column].split()[0]) for row in rows] if column >= 0 else []
        ours = mean(row.values[place] for row in found.rows)
        assert ours == (pytest.approx(fmean(numbers) * scale) if numbers else None)
    assert all(text.startswith(("columns not used", "column index: the same")) for _, text, _ in found.problems)


def test_tables_log(shared):
    path = shared / "fixtures" / "gpu-logs" / "aucurriculum-a40-60s-smi-table.log"
    found = read_file(path, tz="UTC")
    text = path.read_text()
    used = [int(each) for each in re.findall(r"MiB \| +(\d+)% ", text)]
    stamps = [
        datetime.strptime(each, "%a %b %d %H:%M:%S %Y") for each in re.findall(r"^(\w{3} \w{3} .* 20\d\d) *$", text, re.MULTILINE)
    ]
    rows = [row for row in found.rows if isinstance(row, LogRow)]
    assert len(rows) == len(used) == len(stamps)
    assert [row.values[UTILIZATION] for row in rows] == [each * 10 for each in used]
    assert (rows[-1].ts_ms - rows[0].ts_ms) / 1000 == (stamps[-1] - stamps[0]).total_seconds()
    assert len(found.rows) - len(rows) == len(re.findall(r"N/A +\d+ +C ", text))
    assert (list(found.log.gpus), found.problems) == (["import:box:0"], [])


@pytest.mark.parametrize(
    "name",
    [
        "h100-mig-590",
        "h100-sxm-590",
        "h200-mig-590",
        "l40s-595",
        "rtx2080super-610",
        "rtx2080super-windows-610",
        "rtx4080super-595",
    ],
)
def test_parts_of_captures(shared, tmp_path, name):
    """The tables, query CSV and dmon of real machines, each as a log of its own."""
    text = (shared / "fixtures" / "nvidia-smi" / f"{name}-capture.txt").read_text()
    parts = re.findall(r"^# \$ nvidia-smi ?([^\n]*)\n#{20,}\n(.*?)(?=\n#{20,}|\Z)", text, re.MULTILINE | re.DOTALL)
    tables = [body for command, body in parts if not command.strip()]
    queries = [body for command, body in parts if command.startswith("--query-gpu=")]
    dmons = [body for command, body in parts if command.startswith("dmon")]
    assert len(tables) == len(queries) == len(dmons) == 2
    counts = []
    for kind, bodies, options in (
        ("tables", tables, {"tz": "UTC"}),
        ("query", queries, {"tz": "UTC"}),
        ("dmon", dmons, {"start_ms": 0, "interval_ms": 1000}),
    ):
        path = tmp_path / kind
        path.write_text("\n".join(bodies))
        found = read_file(path, **options)
        rows = [row for row in found.rows if isinstance(row, LogRow)]
        counts.append(len(rows))
        watts = [row.values[POWER] for row in rows]
        assert all(value is not None and 1000 <= value <= 700_000 for value in watts)
        assert not [text for _, text, _ in found.problems if "column" in text and "columns not used" not in text]
    assert counts == [2, 2, 10]
