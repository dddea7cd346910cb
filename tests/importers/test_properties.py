"""A log that was written comes back as the same integers, and no input ends in anything but one clear line."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuwatch.collectors.importers import detect
from gpuwatch.collectors.importers.types import ImportOptions
from gpuwatch.errors import GpuwatchError
from gpuwatch.text import clean

from .conftest import NAMES, read_file, said
from .test_dmon import DATED
from .test_dmon import OLD as DMON
from .test_smi_csv import HEADER, line
from .test_smi_table import DAY, NEW, OLD

FIELDS = {
    "utilization.gpu": ("utilization_ratio", "%", st.integers(0, 100), 10),
    "utilization.memory": ("memory_utilization_ratio", "%", st.integers(0, 100), 10),
    "memory.used": ("memory_used_bytes", "MiB", st.integers(0, 200_000), 1),
    "temperature.gpu": ("temperature_celsius", "", st.integers(0, 110), 1),
    "clocks.current.sm": ("sm_clock_hertz", "MHz", st.integers(0, 3000), 1),
}
STAMPS = {
    "%Y/%m/%d %H:%M:%S.{ms}": "",
    "%d.%m.%Y %H:%M:%S,{ms}": "dmy",
    "%m/%d/%Y %I:%M:%S.{ms} %p": "mdy",
    "%d %b %Y %H:%M:%S.{ms}": "",
}


@st.composite
def logs(draw):
    """Text, options, and the rows that it must give: (ms, index, {name: integer})."""
    fields = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, unique=True))
    gpus = draw(st.integers(1, 4))
    separator = draw(st.sampled_from([", ", "; ", "\t"]))
    stamp = draw(st.sampled_from(sorted(STAMPS)))
    zone = draw(st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]))
    units = draw(st.booleans())
    start = draw(st.integers(1_750_000_000, 1_760_000_000)) * 1000  # a summer without a change of clocks
    every = draw(st.sampled_from([100, 1000, 61_003]))
    names = ["timestamp", "index", *[f"{name} [{FIELDS[name][1]}]" if units and FIELDS[name][1] else name for name in fields]]
    lines, expected = [separator.join(names)], []
    for step in range(draw(st.integers(1, 6))):
        ms = start + step * every
        local = datetime.fromtimestamp(ms // 1000, ZoneInfo(zone))
        text = local.strftime(stamp).replace("{ms}", f"{ms % 1000:03}")
        for index in range(gpus):
            cells, row = [], {}
            for name in fields:
                public, unit, values, scale = FIELDS[name]
                value = draw(st.none() | values)
                cells.append("[N/A]" if value is None else f"{value} {unit}" if units and unit else str(value))
                if value is not None:
                    row[public] = value * scale
            lines.append(separator.join([text, str(index), *cells]))
            expected.append((ms, index, row))
    return "\n".join(lines) + "\n", {"tz": zone, "date_order": STAMPS[stamp]}, expected


@given(logs())
@settings(max_examples=60)
def test_a_log_comes_back_as_it_was(tmp_path_factory, log):
    text, options, expected = log
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_text(text)
    found = read_file(path, **options)
    assert [(row.ts_ms, int(row.gpu.rsplit(":", 1)[1]), said(row)) for row in found.rows] == expected
    assert found.problems == []


SEEDS = [
    HEADER + line() + line(1) + HEADER + line(2, index=1, util="[N/A]"),
    "timestamp;gpu;name;temp_C;gpu_util_percent\n31.03.2026 12:00:00;0;A;40;7\n31.03.2026 12:00:01;1;A;41;8\n",
    DMON,
    DATED,
    DAY.format(0) + OLD + DAY.format(1) + NEW,
    "ts_ms,host,gpu_uuid,gpu_index,duration_seconds,utilization_ratio\n1000,a,GPU-a,0,1,0.5\n2000,a,GPU-a,0,1,0.25\n",
]
PIECES = ["\0", "\n", ",", ", ", ";", '"', "|", "\x1b[2J", "é", "年", "\ud800", "N/A", "ERR!", "-1", "1e308", "9" * 40, "+", "# gpu pwr\n",
          "| NVIDIA-SMI 1 |\n", "2026/03/31 12:00:00", "PM", "Z", ":", " ", "\t", "\r", "timestamp, index, power.draw [W]\n", "x" * 3000]  # fmt: skip


def mutated(seed: int) -> bytes:
    """One of the logs with parts cut, doubled, swapped and foreign ones put in."""
    chance = random.Random(seed)
    text = chance.choice(SEEDS)
    for _ in range(chance.randint(1, 8)):
        at, to = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
        what = chance.randint(0, 3)
        if what == 0:
            text = text[:at] + text[min(to, at + 40) :]
        elif what == 1:
            text = text[:to] + text[at:]
        elif what == 2:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        else:
            lines = text.split("\n")
            chance.shuffle(lines)
            text = "\n".join(lines)
    raw = text.encode(chance.choice(["utf-8", "utf-8", "utf-16"]), "surrogatepass")
    if chance.random() < 0.1:
        raw = gzip.compress(raw)[: chance.randint(1, len(raw) + 20)]
    return raw


def harmless(text: str) -> bool:
    return clean(text, 10_000) == text


def read_whatever(path, options):
    """Read to the end; what is handed out must be whole."""
    try:
        log = detect(str(path), options, "box")
        for row in log.rows:
            assert row.gpu in log.gpus or row.gpu == ""
            assert isinstance(row.ts_ms, int)
            assert all(value is None or (type(value) is int and abs(value) < 2**63) for value in row.values)
    except GpuwatchError as error:
        assert harmless(str(error))
        return
    assert all(harmless(each.text) and each.line >= 1 and each.count >= 1 for each in log.problems)
    assert all(harmless(gpu.name) and gpu.uuid == key for key, gpu in log.gpus.items())


OPTIONS = [
    ImportOptions(tz="Europe/Berlin"),
    ImportOptions(),
    ImportOptions(tz="UTC", start_ms=1_774_958_400_000, interval_ms=1000, date_order="dmy", power_limit_watts=300.0),
    ImportOptions(tz="UTC", fields="timestamp,index,utilization.gpu"),
]


@pytest.mark.parametrize("packed", ["log.csv", "log.csv.gz"])
def test_mutated_logs_end_in_rows_or_one_clear_line(tmp_path, packed):
    path = tmp_path / packed
    for seed in range(400):
        path.write_bytes(mutated(seed))
        read_whatever(path, OPTIONS[seed % len(OPTIONS)])


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(OPTIONS),
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_rows_or_one_clear_line(tmp_path, content, options):
    for name, raw in (("log", content), ("header", HEADER.encode() + content), ("dmon", DMON.encode() + content)):
        path = tmp_path / name
        path.write_bytes(raw)
        read_whatever(path, options)


def test_memory_stays_flat(tmp_path):
    """Rows are made as they are asked for: what the reader holds does not grow with the log."""
    import tracemalloc

    def held(count: int) -> int:
        path = tmp_path / f"{count}.csv"
        start = datetime(2026, 3, 31, tzinfo=UTC).timestamp()
        with path.open("w") as out:
            out.write("timestamp, index, utilization.gpu [%], power.draw [W]\n")
            for n in range(count):
                out.write(f"{start + n:.1f}, 0, {n % 101} %, {n % 700}.50 W\n")
        tracemalloc.start()
        rows = sum(1 for _ in detect(str(path), ImportOptions(), "box").rows)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert rows == count
        return peak

    assert held(40_000) < 1.3 * held(20_000)


def test_values_have_the_order_of_the_model():
    assert NAMES[0] == "utilization_ratio"
