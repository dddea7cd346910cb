"""Sums over any partition of a span equal those of its minutes to the last integer, whatever tiers they come from."""

from __future__ import annotations

import functools
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.period_rows import DAY_S, HOUR_S, MINUTE_S, Minutes, drop, ledger_of, start_s, store, use_of

from gpuwatch.store.period import PeriodHost, Plan, period_hosts, plan
from gpuwatch.store.period_books import books, process_books
from gpuwatch.store.period_sums import (
    KEYS,
    USE,
    Row,
    last_busy,
    memory_peaks,
    merge_use,
    process_sums,
    use_sums,
)
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter

STARTS = {
    "UTC": (2026, 1, 1),
    "America/New_York": (2025, 11, 1),  # a day of 25 hours follows
    "Europe/Berlin": (2026, 3, 28),  # one of 23 hours
    "Asia/Kolkata": (2026, 1, 1),
    "Asia/Kathmandu": (2026, 1, 1),
    "Australia/Lord_Howe": (2026, 4, 4),  # one of 24 and a half; then midnights are not at the edges of the host's hours
}
DAYS = 4
FIGURES = ("obs_ms", "quiet_ms", "energy_used_mj", "utilization_pm_ms", "memory_used_mib_max")
minutes = st.lists(st.tuples(st.integers(0, DAYS * 1440 - 1), st.integers(1, 2), st.integers(1, 10**6)), min_size=1, max_size=60)
cuts = st.lists(
    st.integers(-100, DAYS * 1440 + 100) | st.integers(-1, DAYS * 24).map(lambda hour: hour * 60), min_size=2, max_size=9
)


def given_minutes(zone: str, found: list[tuple[int, int, int]]) -> Minutes:
    return {(start_s(zone, *STARTS[zone]) + minute * MINUTE_S, gpu_id): seed for minute, gpu_id, seed in found}


def opened(writer: StoreWriter) -> PeriodHost:
    (host,) = period_hosts(Window(writer.connection))
    return host


def edges_of(zone: str, found: list[int]) -> list[int]:
    edges = sorted({start_s(zone, *STARTS[zone]) + minute * MINUTE_S for minute in found})
    return edges if len(edges) > 1 else [edges[0], edges[0] + MINUTE_S]


def bucket_rows(host: PeriodHost, made: Plan) -> list[Row]:
    """(cell, gpu_id, key, milliseconds, millijoules) of all books."""
    return [
        (cell, gpu_id, key, ms, book.energy[cell][key])
        for gpu_id, book in books(host, made).items()
        for cell, time in book.time.items()
        for key, ms in time.items()
    ]


def user_rows(host: PeriodHost, made: Plan) -> list[Row]:
    """The same of all users, over all cells."""
    return [
        (0, gpu_id, key, ms, book.user_energy[user, key])
        for gpu_id, book in books(host, made).items()
        for (user, key), ms in book.user_time.items()
    ]


def true_buckets(rows: Minutes, start: int, end: int) -> Counter[tuple[int, int]]:
    out: Counter[tuple[int, int]] = Counter()
    for (t, gpu_id), seed in rows.items():
        if start <= t < end:
            for row in ledger_of(t, gpu_id, seed):
                out[gpu_id, row.bucket] += row.ms
                out[gpu_id, -1] += row.energy_mj
    return +out


def summed(rows: list[Row], cell: int | None) -> Counter[tuple[int, int]]:
    """(gpu_id, bucket; -1 is energy) of one cell, or of everything."""
    out: Counter[tuple[int, int]] = Counter()
    for at, gpu_id, key, ms, energy in rows:
        if cell is None or at == cell:
            out[gpu_id, KEYS[key][0]] += ms
            out[gpu_id, -1] += energy
    return +out


def true_use(rows: Minutes, start: int, end: int, gpus: tuple[int, ...], name: str) -> int | None:
    found = [use_of(seed)[name] for (t, gpu), seed in rows.items() if start <= t < end and gpu in gpus]
    if not found:
        return None
    return max(found) if name.endswith("_max") else sum(found)


@settings(max_examples=80, deadline=None)
@given(zone=st.sampled_from(sorted(STARTS)), found=minutes, asked=cuts, until=st.integers(0, DAYS * 1440 + 600))
def test_every_cell_is_the_sum_of_its_minutes_while_these_are_kept(zone: str, found: Any, asked: list[int], until: int) -> None:
    rows = given_minutes(zone, found)
    writer = store(zone, rows, start_s(zone, *STARTS[zone]) + until * MINUTE_S)
    host, edges = opened(writer), edges_of(zone, asked)
    for what in ("ledger", "gpu"):
        made = plan(host, what, edges)
        assert list(made.edges) == edges
        assert made.moved == ()
    sums = bucket_rows(host, plan(host, "ledger", edges))
    used = use_sums(host, plan(host, "gpu", edges), "cell")
    by_gpu = use_sums(host, plan(host, "gpu", edges), "gpu")
    for cell, (start, end) in enumerate(pairwise(edges)):
        assert summed(sums, cell) == true_buckets(rows, start, end)
        for name in FIGURES:
            own = used.get(cell)
            assert (own[USE.index(name)] if own else None) == true_use(rows, start, end, (1, 2), name)
    for name in FIGURES:
        for gpu_id in (1, 2):
            own = by_gpu.get(gpu_id)
            assert (own[USE.index(name)] if own else None) == true_use(rows, edges[0], edges[-1], (gpu_id,), name)
        assert not used or functools.reduce(merge_use, used.values()) == functools.reduce(merge_use, by_gpu.values())
    writer.close()


@settings(max_examples=80, deadline=None)
@given(
    zone=st.sampled_from(sorted(set(STARTS) - {"Australia/Lord_Howe"})),
    found=minutes,
    asked=cuts,
    kept=st.integers(0, DAYS * 1440),
    old=st.integers(0, DAYS),
)
def test_where_finer_rows_are_gone_edges_move_and_nothing_is_lost_or_counted_twice(
    zone: str, found: Any, asked: list[int], kept: int, old: int
) -> None:
    rows, first = given_minutes(zone, found), start_s(zone, *STARTS[zone])
    writer = store(zone, rows, first + (DAYS + 2) * DAY_S)
    drop(writer, "minute", first + kept * MINUTE_S)
    drop(writer, "hour", min(first + kept * MINUTE_S, first + old * DAY_S))
    host, edges = opened(writer), edges_of(zone, asked)
    made = plan(host, "ledger", edges)
    assert made.start_s <= edges[0] and made.end_s >= edges[-1]
    assert list(made.edges) == sorted(made.edges)
    sums = bucket_rows(host, made)
    for cell, (start, end) in enumerate(pairwise(made.edges)):
        assert summed(sums, cell) == true_buckets(rows, start, end)
    assert summed(user_rows(host, made), None) == true_buckets(rows, made.start_s, made.end_s)
    writer.close()


@settings(max_examples=40, deadline=None)
@given(zone=st.sampled_from(sorted(STARTS)), found=minutes, asked=cuts)
def test_holders_processes_and_the_last_busy_minute(zone: str, found: Any, asked: list[int]) -> None:
    rows = given_minutes(zone, found)
    writer = store(zone, rows, start_s(zone, *STARTS[zone]) + (DAYS + 1) * DAY_S)
    host, edges = opened(writer), edges_of(zone, asked)
    inside = {key: seed for key, seed in rows.items() if edges[0] <= key[0] < edges[-1]}
    held = process_sums(host, plan(host, "process", edges))
    for proc_id, gpu_id, observed_ms, peak, sm, _ in held:
        seeds = [seed for (_, gpu), seed in inside.items() if gpu == gpu_id and 1 + seed % 2 == proc_id]
        assert observed_ms == sum(seed % 60_001 for seed in seeds)
        assert peak == max(seed % 4096 for seed in seeds)
        assert sm == sum(seed % 60_001 * (seed % 1001) for seed in seeds)
    assert {(row.proc_id, row.gpu_id) for row in held} == {(1 + seed % 2, gpu) for (_, gpu), seed in inside.items()}
    peaks = memory_peaks(host, plan(host, "process", edges))
    assert peaks == {proc: max(seed % 4096 for seed in inside.values() if 1 + seed % 2 == proc) for proc in peaks}
    assert {row.proc_id for row in held} == set(peaks)
    assert process_sums(host, plan(host, "process", edges), [2]) == [row for row in held if row.proc_id == 2]
    writer.connection.executemany(
        "INSERT INTO owner(owner_id,host_id,user_id,proc_id) VALUES(?,1,?,?)", [(1, 11, 101), (2, 12, 102)]
    )
    made = plan(host, "ledger", edges)
    found = books(host, made)
    all_time = Counter[tuple[int, ...]]()
    for cell, (start, end) in enumerate(pairwise(edges)):
        true = Counter[tuple[int, int | None]]()
        for (t, gpu_id), seed in rows.items():
            if start <= t < end:
                for row in ledger_of(t, gpu_id, seed):
                    true[gpu_id, row.owner + 10 if row.owner else None] += row.ms if row.bucket > 3 else 0
                    all_time[gpu_id, row.owner] += row.ms if row.bucket > 3 else 0
        tenures = {(gpu, user): ms for gpu, book in found.items() for user, ms in book.tenures.get(cell, {}).items()}
        assert +Counter(tenures) == +true
    own = {
        (gpu, user - 10): ms for gpu, book in found.items() for (user, proc), ms in book.held.items() if user and proc == user + 90
    }
    assert +Counter(own) == Counter({key: ms for key, ms in all_time.items() if key[1] and ms})
    for some in (None, [102]):
        of = Counter[tuple[int, int]]()
        for proc, gpu, key, ms, _ in process_books(host, made, some):
            of[gpu, proc - 100] += ms if key >= 128 else 0
        assert +of == Counter({key: ms for key, ms in all_time.items() if key[1] in ([1, 2] if some is None else [2]) and ms})
    busy = {
        gpu_id: max(t for (t, gpu), seed in inside.items() if gpu == gpu_id and use_of(seed)["quiet_ms"] < use_of(seed)["obs_ms"])
        + MINUTE_S
        for gpu_id in (1, 2)
        if any(gpu == gpu_id and use_of(seed)["quiet_ms"] < use_of(seed)["obs_ms"] for (_, gpu), seed in inside.items())
    }
    assert last_busy(host, plan(host, "gpu", edges)) == busy
    writer.close()


def tiers(made: Plan) -> list[tuple[str, float]]:
    return [(tier, (end - start) / HOUR_S) for tier, start, end in made.spans()]


def test_a_span_is_days_then_hours_then_minutes() -> None:
    first = start_s("Europe/Berlin", 2026, 3, 28)
    rows = {(first + minute * MINUTE_S, 1): minute + 1 for minute in range(0, 4 * 1440, 7)}
    writer = store("Europe/Berlin", rows, first + 3 * DAY_S + 5 * HOUR_S + 1200)
    made = plan(opened(writer), "gpu", [first + 22 * HOUR_S + 600, first + 3 * DAY_S + 5 * HOUR_S + 1200])
    assert tiers(made) == [("minute", 50 / 60), ("hour", 1), ("day", 23 + 24), ("hour", 6), ("minute", 20 / 60)]


@pytest.mark.parametrize("what", ["gpu", "ledger", "process"])
def test_whole_hours_stand_for_minutes_that_are_gone(what: str) -> None:
    first = start_s("UTC", 2026, 1, 1)
    rows = {(first + minute * MINUTE_S, 1): minute + 1 for minute in range(0, 2 * 1440, 7)}
    writer = store("UTC", rows, first + 3 * DAY_S)
    drop(writer, "minute", first + DAY_S)
    made = plan(opened(writer), what, [first + 600, first + 2 * HOUR_S + 900, first + 25 * HOUR_S + 120])
    assert made.edges == (first, first + 3 * HOUR_S, first + 25 * HOUR_S + 120)
    assert made.moved == (first + 2 * HOUR_S + 900,)


def test_an_older_store_has_minutes_only() -> None:
    first = start_s("UTC", 2026, 1, 1)
    writer = store("UTC", {(first, 1): 5, (first + DAY_S, 1): 6}, first + 2 * DAY_S)
    writer.connection.execute("PRAGMA user_version=1")
    made = plan(opened(writer), "gpu", [first, first + 2 * DAY_S])
    assert tiers(made) == [("minute", 48)]


def test_days_of_a_host_that_moved_are_taken_by_their_hours() -> None:
    first = start_s("UTC", 2026, 1, 1)
    rows = {(first + minute * MINUTE_S, 1): minute + 1 for minute in range(0, 3 * 1440, 7)}
    writer = store("UTC", rows, first + 2 * DAY_S + 2 * HOUR_S)
    writer.connection.execute("UPDATE host SET timezone='Europe/Berlin'")
    made = plan(opened(writer), "ledger", [first, first + 2 * DAY_S])
    sums = bucket_rows(opened(writer), made)
    assert summed(sums, 0) == true_buckets(rows, first, first + 2 * DAY_S)
    assert {tier for tier, _, _ in made.spans()} == {"hour"}
