"""The worked queries about servers, on SQLite and on PostgreSQL, against sums made here: tokens, joules, and a percentile."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from support import postgres
from support.serving import close, counts, described, row, workload
from support.store_rows import HOST, T0, gpu, gpu_row, process_row

from gpuwatch.clock import FakeClock
from gpuwatch.model import OPEN_US, Process
from gpuwatch.names import Latency
from gpuwatch.store.rows import Tick
from gpuwatch.store.schema import metadata
from gpuwatch.store.worked import postgresql
from gpuwatch.store.worked_inference import WORKED_INFERENCE
from gpuwatch.store.writer import StoreWriter

BY_NAME = {one.name: one for one in WORKED_INFERENCE}
NOW = T0 // 1000 + 40 * 3600
DAY_S = 86_400
EVERY_S, HOURS = 30, 26
START_MS = T0 - 5000
"""Start of every process (``support.store_rows.process_row``)."""
NEW, OLD, LARGE, SHARED = (10, START_MS, 8000), (20, START_MS, 8000), (30, START_MS, 9000), (40, START_MS, 0)
MODELS = {NEW: "small", OLD: "small", LARGE: "large", SHARED: "shared"}
GPUS = {NEW: [0], OLD: [1], LARGE: [2, 3], SHARED: [4]}
TRAINER = 50
"""A process of no workload, on the GPU of ``SHARED``; and from the 15th hour on, on one of ``LARGE``'s."""
EDGES = {
    NEW: (0, 100_000, 200_000, 400_000, 800_000, OPEN_US),
    OLD: (0, 150_000, 300_000, 600_000, 1_200_000, 2_500_000, OPEN_US),
    LARGE: (0, 1_000_000, 5_000_000, OPEN_US),
    SHARED: (0, 50_000, OPEN_US),
}
Bucket = tuple[int, int, int]


class Truth:
    """What was recorded, as it was made."""

    def __init__(self) -> None:
        self.tokens: Counter[tuple[Any, int]] = Counter()
        """By server and time (unix second)."""
        self.millijoules: Counter[tuple[int, int]] = Counter()
        self.buckets: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
        self.shared: set[tuple[int, int]] = set()
        """(GPU, second) with a process of nobody's workload beside the server."""


def recorded(path: Path) -> Truth:
    """Four servers for 26 hours, two of them of one model in two versions with other buckets."""
    truth, chance = Truth(), random.Random(3)
    writer = StoreWriter.open(path, clock=FakeClock(NOW), tmpfs_fallback=False)
    writer.begin_session(T0, EVERY_S * 1000, "boot")
    people = [Process(key[0], START_MS, "vllm", user="alice", workload_pid=key[0], workload_start_ms=START_MS) for key in MODELS]
    servers = [workload(key, name=model, model=model) for key, model in MODELS.items()]
    everybody = [*people, Process(TRAINER, START_MS, "python3", user="bob")]
    writer.add(described(workloads=servers, servers=[], processes=everybody))
    writer.add(Tick(T0, host=HOST, gpus=[gpu(index) for index in range(5)]))
    for second in range(EVERY_S, HOURS * 3600 + 1, EVERY_S):
        t, dt = T0 // 1000 + second, EVERY_S * 1000
        shared = {4} | ({3} if second > 15 * 3600 else set())
        joules = [chance.randrange(2000, 12_000) for _ in range(5)]
        held = [process_row(key[0], index, dt, gpu_memory_bytes=2.0**30) for key, held in GPUS.items() for index in held]
        held += [process_row(TRAINER, index, dt, gpu_memory_bytes=2.0**30) for index in shared]
        rows, told = [], []
        for key in MODELS:
            tokens = chance.randrange(0, 3000) if second % 600 < 500 else 0
            truth.tokens[key, t] += tokens
            rows.append(row(key, dt, output_tokens_total=float(tokens), window_seconds=EVERY_S + 0.004))
            numbers = [chance.randrange(0, 1 + 9 // (n + 1)) for n in range(len(EDGES[key]) - 1)]
            if key != SHARED:  # few are beyond all bounds
                numbers[-1] = int(second % 3600 == 0)
            told.append(counts(key, Latency.TTFT, numbers, EDGES[key]))
            for lower, upper, n in told[-1].buckets:
                truth.buckets[MODELS[key]][lower, upper] += n
        for index in range(5):
            truth.millijoules[index, t] += joules[index] * 1000
        truth.shared |= {(index, t) for index in shared}
        gpus = [gpu_row(index, dt, energy_joules=float(joules[index])) for index in range(5)]
        writer.add(Tick(t * 1000, gpu_rows=gpus, process_rows=held, workload_rows=rows, latencies=told))
        if second % 6000 == 0:
            assert writer.commit()
    assert writer.commit()
    close(writer, NOW * 1000)
    writer.close()
    return truth


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("worked") / "gpuwatch.db"
    return path, recorded(path)


@pytest.fixture
def lite(recording: tuple[Path, Truth]) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(recording[0])
    yield db
    db.close()


def ask(db: sqlite3.Connection, name: str, now: int = NOW) -> list[dict[str, Any]]:
    cursor = db.execute(BY_NAME[name].sql.replace("'now'", f"{now}, 'unixepoch'"))
    names = [column[0] for column in cursor.description]
    assert names == BY_NAME[name].answer.split("\n")[0].split(), "the printed answer has the query's columns"
    return [dict(zip(names, found, strict=True)) for found in cursor]


def minute(t: int) -> int:
    return (t - 1) // 60


def test_tokens_per_second_and_gpu_by_day(lite: sqlite3.Connection, recording: tuple[Path, Truth]) -> None:
    found = ask(lite, "tokens-per-gpu")
    midnight = (T0 // 1000 + DAY_S) // DAY_S * DAY_S
    for each in found:
        first = each["day"] == "2025-11-14"
        mine = {
            (key, t): n for (key, t), n in recording[1].tokens.items() if MODELS[key] == each["model"] and (t <= midnight) == first
        }
        seconds = sum((EVERY_S + 0.004) * len(GPUS[key]) for key, _ in mine)
        assert each["output_tokens"] == sum(mine.values())
        assert each["tokens_per_second_per_gpu"] == pytest.approx(sum(mine.values()) / seconds)
    assert [(each["day"], each["model"]) for each in found] == [
        (day, model) for day in ("2025-11-14", "2025-11-15") for model in ("large", "shared", "small")
    ]


def test_joules_per_token_where_nobody_shares(lite: sqlite3.Connection, recording: tuple[Path, Truth]) -> None:
    truth = recording[1]
    found = {each["model"]: each for each in ask(lite, "joules-per-token")}
    assert set(found) == {"small", "large"}, "of a server that never has its GPU alone nothing is known"
    shared = {(index, minute(t)) for index, t in truth.shared}
    for model, each in found.items():
        tokens = millijoules = 0
        for (key, t), n in truth.tokens.items():
            if MODELS[key] == model and not any((index, minute(t)) in shared for index in GPUS[key]):
                tokens += n
                millijoules += sum(truth.millijoules[index, t] for index in GPUS[key])
        assert each["output_tokens"] == tokens
        assert each["joules_per_output_token"] == pytest.approx(millijoules / 1000 / tokens)


# ------------------------------------------------------------------------------------------------------------ percentile


def exact(buckets: Counter[tuple[int, int]], share: float) -> float | None:
    """The value below which that share lies, if each bucket is evenly filled, in seconds; ``None`` beyond all bounds.

    By bisection of the sum of all buckets' parts below a value: another way than the query's.
    """
    wanted = share * buckets.total()
    closed = {bounds: n for bounds, n in buckets.items() if bounds[1] < OPEN_US}

    def below(value: float) -> float:
        return sum(n * min(1.0, max(0.0, (value - lower) / (upper - lower))) for (lower, upper), n in closed.items())

    low, high = 0.0, float(max((upper for _, upper in closed), default=0))
    if below(high) < wanted:
        return None
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if below(middle) >= wanted else (middle, high)
    return high / 1e6


def test_p95_of_buckets_of_two_versions(lite: sqlite3.Connection, recording: tuple[Path, Truth]) -> None:
    found = {each["model"]: each for each in ask(lite, "p95-ttft")}
    for model, buckets in recording[1].buckets.items():
        value = exact(buckets, 0.95)
        assert found[model]["requests"] == buckets.total()
        if value is None:
            assert found[model]["p95_seconds"] is None and found[model]["bucket_seconds"] is None
        else:
            assert found[model]["p95_seconds"] == pytest.approx(value, rel=0.02)
    assert found["small"]["p95_seconds"] is not None
    assert found["shared"]["p95_seconds"] is None, "it lies beyond the last bound"


edges_of = st.lists(st.integers(0, 5_000_000), min_size=2, max_size=7, unique=True).map(lambda edges: (*sorted(edges), OPEN_US))
layouts = st.lists(st.tuples(edges_of, st.lists(st.integers(0, 1000), min_size=7, max_size=7)), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(layouts=layouts)
def test_p95_is_the_interpolation_over_merged_buckets(layouts: list[tuple[tuple[int, ...], list[int]]]) -> None:
    buckets: Counter[tuple[int, int]] = Counter()
    for edges, numbers in layouts:
        for bounds, n in zip(pairwise(edges), numbers, strict=False):
            buckets[bounds] += n
    buckets = +buckets
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE v_latency_hour(t, model, latency, lower_seconds, upper_seconds, count)")
    for (lower, upper), n in buckets.items():
        db.execute("INSERT INTO v_latency_hour VALUES(?,'m','ttft',?,?,?)", (NOW, lower / 1e6, None if upper == OPEN_US else upper / 1e6, n))  # fmt: skip
    found = ask(db, "p95-ttft")
    db.close()
    if not buckets:
        assert found == []
        return
    ((each),) = found
    value, total = exact(buckets, 0.95), buckets.total()
    bounded = sum(n for (_, upper), n in buckets.items() if upper < OPEN_US)
    if abs(bounded - 0.95 * total) < 1e-6 * total:
        return  # it lies on the last bound: a rounding decides
    if value is None:
        assert each["p95_seconds"] is None
        return
    inside = _inside(buckets, each["p95_seconds"] * 1e6)
    assert inside == pytest.approx(0.95 * total, rel=1e-6), "the share below the answer is that asked for"
    assert each["p95_seconds"] == pytest.approx(value, rel=0.02) or inside == pytest.approx(_inside(buckets, value * 1e6), rel=1e-9)
    assert each["bucket_seconds"] * 1e6 <= max(upper - lower for lower, upper in buckets if upper < OPEN_US) + 1


def _inside(buckets: Counter[tuple[int, int]], value: float) -> float:
    closed = [(bounds, n) for bounds, n in buckets.items() if bounds[1] < OPEN_US]
    return sum(n * min(1.0, max(0.0, (value - lower) / (upper - lower))) for (lower, upper), n in closed)


# ------------------------------------------------------------------------------------------------------------ PostgreSQL


COPIED = {
    **dict.fromkeys(("host", "gpu", "user_account", "workload", "process"), ""),
    **{f"{what}_{tier}": "" for what in ("gpu", "process", "workload", "latency") for tier in ("minute", "hour", "day")},
}


@pytest.fixture(scope="module")
def engine(recording: tuple[Path, Truth]) -> Iterator[Engine]:
    with postgres.server() as engine:
        lite = sqlite3.connect(recording[0])
        served = postgres.copied(engine, "served", lite, COPIED)
        yield served
        served.dispose()
        lite.close()


@pytest.mark.postgres
@pytest.mark.parametrize("one", WORKED_INFERENCE, ids=lambda one: one.name)
def test_postgresql_gives_the_same_answer(engine: Engine, lite: sqlite3.Connection, one: Any) -> None:
    expected = [tuple(each.values()) for each in ask(lite, one.name)]
    with engine.connect() as connection:
        sql = postgresql(one.sql).replace("now()", f"to_timestamp({NOW})").replace("%", "%%")
        answer = connection.exec_driver_sql(sql)
        assert list(answer.keys()) == one.answer.split("\n")[0].split()
        found = [tuple(float(cell) if isinstance(cell, Decimal) else cell for cell in each) for each in answer]
    assert len(found) == len(expected) > 0
    for each, wanted in zip(found, expected, strict=True):
        assert each == tuple(pytest.approx(cell, rel=1e-9) if isinstance(cell, float) else cell for cell in wanted)


def _filled(table: str, **values: object) -> dict[str, object]:
    """All columns that must have a value."""
    needed = [column for column in metadata.tables[table].columns if not column.nullable]
    return {column.name: "" if column.type.python_type is str else 0 for column in needed} | values


@pytest.mark.postgres
def test_the_views_of_servers_say_the_same_on_postgresql(engine: Engine, lite: sqlite3.Connection) -> None:
    rows: Sequence[tuple[str, dict[str, object]]] = (
        ("session", _filled("session", session_id=1, host_id=1)),
        ("server", _filled("server", workload_id=1, state=5, interval_ms=15_000, scrape_us=2500)),
        ("server", _filled("server", workload_id=2, state=1, interval_ms=2000)),
        ("server_field", _filled("server_field", workload_id=1, field="ttft", quality=2)),
        *(("tick", {"tick_id": n, "ts_ms": n * 1000, "session_id": 1}) for n in (10**6, 10**6 + 5, 10**6 + 40)),
        *(
            (
                "inference_sample",
                {"tick_id": 10**6 + at, "workload_id": key, "dt_ms": 2000, "server_state": 1, "running_milli": 500},
            )
            for at, key in ((0, 1), (5, 1), (5, 2), (40, 3))
        ),
    )
    questions = (
        "SELECT state, interval_seconds, scrape_seconds, port FROM v_server ORDER BY root_pid",
        "SELECT field, quality, source, port FROM v_server_field",
        "SELECT root_pid, ts_ms, state, running_requests, duration_seconds FROM v_workload_now ORDER BY root_pid",
        "SELECT quantity, unit, lower, middle, upper, sum(weight) FROM v_hist GROUP BY 1, 2, 3, 4, 5 ORDER BY 3, 4",
        "SELECT latency, lower_seconds, upper_seconds, sum(count) FROM v_latency_day GROUP BY 1, 2, 3 ORDER BY 2, 4",
    )
    lite.execute("BEGIN")
    lite.execute("DELETE FROM tick")
    lite.execute("DELETE FROM inference_sample")
    lite.execute("DELETE FROM session")
    with engine.begin() as connection:
        for table, values in rows:
            connection.execute(metadata.tables[table].insert(), [values])
            lite.execute(f"INSERT INTO {table}({','.join(values)}) VALUES({','.join('?' * len(values))})", tuple(values.values()))
        for question in questions:
            found = [
                tuple(float(c) if isinstance(c, Decimal) else c for c in each) for each in connection.exec_driver_sql(question)
            ]
            expected = lite.execute(question).fetchall()
            assert found == [tuple(pytest.approx(c) if isinstance(c, float) else c for c in each) for each in expected], question
            assert found
    assert [each[0] for each in lite.execute(questions[2])] == [NEW[0], LARGE[0]]
    lite.rollback()


@pytest.mark.postgres
@pytest.mark.parametrize("period", ["minute", "hour", "day"])
def test_more_operations_than_fit_into_64_bits(engine: Engine, lite: sqlite3.Connection, period: str) -> None:
    """A GPU of 2 Pflop/s does so many in two hours."""
    gflop = 2 * 10**6 * 86_400
    table, question = f"workload_{period}", f"SELECT flops_total FROM v_workload_{period} WHERE t=7"
    row = {"t": 7, "workload_id": 1, "obs_ms": 86_400_000, "n": 1, "gflop_sum": gflop}
    with engine.connect() as connection:
        connection.execute(metadata.tables[table].insert(), [row])
        assert [float(each[0]) for each in connection.exec_driver_sql(question)] == [gflop * 1e9]
        connection.rollback()
    lite.execute("BEGIN")
    lite.execute(f"INSERT INTO {table}({','.join(row)}) VALUES({','.join('?' * len(row))})", tuple(row.values()))
    assert lite.execute(question).fetchall() == [(gflop * 1e9,)]
    lite.rollback()


def test_the_page_carries_them(request: pytest.FixtureRequest) -> None:
    page = (Path(request.config.rootpath) / "docs" / "schema.md").read_text(encoding="utf-8")
    for one in WORKED_INFERENCE:
        assert f"### {one.question}\n\n```sql\n{one.sql}\n```" in page
