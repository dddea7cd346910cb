"""Distributions: percentiles are right to 2 %, weights are observed time, hours add up, and the view speaks in base units."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.full_hour import T0, Recording

from gpuwatch.store.archive.hist import ALPHA, METRICS, ZERO, Histogram, bin_of, edges, percentile
from gpuwatch.store.archive.seal import seal_all
from gpuwatch.store.archive.shapes import GPU, SHAPES
from gpuwatch.store.columns import HOT_TABLES
from gpuwatch.store.writer import StoreWriter

VALUES = st.one_of(st.integers(0, 1000), st.integers(0, 700_000), st.integers(0, 2**62))
ROWS = st.lists(st.tuples(VALUES, st.integers(1, 60_000)), min_size=1, max_size=80)
UTILIZATION = 1


@given(VALUES)
@example(1)
@example(2)
@example(10**6)
@settings(deadline=None)
def test_the_middle_of_a_bin_is_two_per_cent_at_most_from_each_of_its_values(value: int) -> None:
    number = bin_of(value)
    low, middle, high = edges(number)
    assert number == ZERO if value == 0 else low < value * (1 + 1e-9) and value <= high * (1 + 1e-9)
    assert abs(middle - value) <= value * (ALPHA + 1e-9)


def _true_percentile(rows: list[tuple[int, int]], share: float) -> int:
    left = share * sum(weight for _, weight in rows)
    for value, weight in sorted(rows):
        left -= weight
        if left <= 0:
            return value
    return max(rows)[0]


@given(ROWS, st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]))
@settings(deadline=None)
def test_a_percentile_is_right_to_two_per_cent(rows: list[tuple[int, int]], share: float) -> None:
    weights = Counter[int]()
    for value, weight in rows:
        weights[bin_of(value)] += weight
    found, true = percentile(weights, share), _true_percentile(rows, share)
    assert found is not None
    assert abs(found - true) <= true * (ALPHA + 1e-9)
    assert percentile(list(weights.items()) * 2, share) == found, "more of the same changes nothing"


def test_without_any_weight_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile([(3, 0)], 0.5) is None


def _written(histograms: list[Histogram]) -> dict[tuple[int, int], int]:
    """(metric, bin) -> weight, as the store adds them up over hours."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE hist_hour(t,entity,entity_id,metric,bin,weight)")
    db.execute("CREATE TABLE hist_bin(bin PRIMARY KEY,lo,mid,hi)")
    for hour, histogram in enumerate(histograms):
        histogram.write(db, hour * 3600, 1)
    rows = db.execute("SELECT metric, bin, sum(weight) FROM hist_hour GROUP BY 1, 2").fetchall()
    assert {row[1] for row in rows} == {row[0] for row in db.execute("SELECT bin FROM hist_bin")}
    return {(metric, number): weight for metric, number, weight in rows}


@given(
    st.lists(st.tuples(st.none() | VALUES, st.integers(0, 3), st.booleans()), min_size=1, max_size=60),
    st.booleans(),
    st.integers(0, 60),
)
@settings(deadline=None)
def test_hours_add_up_however_they_are_cut(rows: list[tuple[int | None, int, bool]], steady: bool, cut: int) -> None:
    values = [value for value, _, _ in rows]
    lengths = [1000 if steady else dt * 1000 for _, dt, _ in rows]
    naive = Counter[tuple[int, int]]()
    for value, dt in zip(values, lengths, strict=True):
        if value is not None and dt:
            naive[UTILIZATION, bin_of(value)] += dt
    parts = []
    for span in (slice(cut), slice(cut, None)):
        histogram = Histogram(GPU)
        if values[span]:
            histogram.add({"utilization_pm": values[span], "dt_ms": lengths[span], "power_mw": [None] * len(values[span])})
        parts.append(histogram)
    assert _written(parts) == dict(naive)


def test_metrics_are_columns_of_their_rows() -> None:
    for metric in METRICS.values():
        assert metric.column in SHAPES[metric.kind].columns
        assert metric.measure.column == metric.column


def test_weights_are_the_observed_time_of_each_quantity(record: Recording) -> None:
    db = record(20, 3620).connection
    wanted = {}
    for number, metric in METRICS.items():
        shape = SHAPES[metric.kind]
        sql = f"SELECT {shape.entity}, sum(dt_ms) FROM {shape.table} WHERE {metric.column} IS NOT NULL GROUP BY 1"
        wanted |= {(metric.entity, entity, number): weight for entity, weight in db.execute(sql)}
    assert len(wanted) == 2 * 4 + 2
    assert seal_all(db, T0 + 3_600_000) == 1
    found = db.execute("SELECT entity, entity_id, metric, sum(weight) FROM hist_hour WHERE t=? GROUP BY 1, 2, 3", (T0 // 1000,))
    assert {row[:3]: row[3] for row in found} == wanted


@pytest.fixture
def public(tmp_path_factory: pytest.TempPathFactory, record: Recording) -> sqlite3.Connection:
    """The same rows in a file, which has the views."""
    source = record(20, 3620).connection
    seal_all(source, T0 + 3_600_000)
    from gpuwatch.clock import FakeClock

    target = StoreWriter.open(tmp_path_factory.mktemp("store") / "gpuwatch.db", clock=FakeClock()).connection
    for table in ("host", "gpu", "workload", "hist_bin", "hist_hour"):
        rows = source.execute(f"SELECT * FROM {table}").fetchall()
        target.executemany(f"INSERT INTO {table} VALUES({','.join('?' * len(rows[0]))})", rows)
    for table in HOT_TABLES:
        assert not target.execute(f"SELECT 1 FROM {table}").fetchone()
    return target


def test_the_view_names_quantities_and_gives_edges_in_base_units(public: sqlite3.Connection) -> None:
    rows = public.execute(
        "SELECT quantity, unit, min(lower), max(middle), max(upper), sum(weight), count(DISTINCT metric) FROM v_hist"
        " WHERE gpu_index=0 OR workload IS NOT NULL GROUP BY 1, 2"
    ).fetchall()
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name.keys() == {"utilization_ratio", "sm_active_ratio", "memory_used_bytes", "power_watts", "waiting_requests", "kv_cache_ratio"}  # fmt: skip
    unit, low, middle, high, weight, numbers = by_name["utilization_ratio"]
    assert (unit, low, weight, numbers) == ("ratio", 0.0, 3_600_000, 1)
    assert middle == pytest.approx(1.0, rel=0.02) and high >= 1.0
    assert by_name["memory_used_bytes"][0] == "bytes"
    assert by_name["memory_used_bytes"][2] == pytest.approx(5005 * 2**20, rel=0.02)
    assert by_name["power_watts"][0] == "watts" and 295 <= by_name["power_watts"][1] <= 300 <= by_name["power_watts"][3]
    assert by_name["waiting_requests"][2] == pytest.approx(4.0, rel=0.02)
    assert by_name["kv_cache_ratio"][2] == pytest.approx(0.25, rel=0.02)


def test_every_edge_is_a_number(public: sqlite3.Connection) -> None:
    edges_of = public.execute("SELECT lower, middle, upper FROM v_hist").fetchall()
    assert edges_of and all(isinstance(value, float | int) and math.isfinite(value) for row in edges_of for value in row)
