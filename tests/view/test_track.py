"""The live track of a GPU agrees with the ledger's one function, whatever the rows are and however far they are known."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from gpuwatch.ledger.runs import next_quiet_ms
from gpuwatch.ledger.split import split
from gpuwatch.names import Bucket, Context, State
from gpuwatch.store.facts import GpuFacts
from gpuwatch.view.blocks import BLOCK_MS
from gpuwatch.view.track import GpuTrack, ledger_row

SECOND = 1000


class Rows:
    """Writes hot rows second by second, with the facts that the recorder would compute."""

    def __init__(self, start_ms: int = 0) -> None:
        self.at = start_ms
        self.rows: list[GpuFacts] = []
        self._quiet_ms = 0
        self._before: tuple[bool | None, Context | None] = (None, None)

    def add(self, seconds: int, util: int | None, context: Context | None = Context.PROCESS, **facts: int) -> Rows:
        for _ in range(seconds):
            self.at += SECOND
            quiet = None if util is None else util < 50
            dt = SECOND if self.rows and self.rows[-1].ts_ms == self.at - SECOND else 0
            self._quiet_ms = next_quiet_ms(self._quiet_ms, self._before, quiet, context, dt)
            self._before = (quiet, context)
            row = {"kappa_pm": 1000, "unavailable": 0, "sm_active_pm": None, "power_mw": 100_000, "energy_mj": None, **facts}
            self.rows.append(
                GpuFacts(
                    tick_id=len(self.rows) + 1,
                    ts_ms=self.at,
                    gpu_id=1,
                    dt_ms=dt,
                    quiet=None if quiet is None else int(quiet),
                    context=None if context is None else int(context),
                    quiet_ms=self._quiet_ms,
                    utilization_pm=util,
                    graphics_active_pm=None,
                    **row,  # type: ignore[arg-type]
                )
            )
        return self

    def gap(self, seconds: int) -> Rows:
        self.at += seconds * SECOND
        self._before, self._quiet_ms = (None, None), 0
        return self


def track_of(rows: Rows, cell_ms: int = 20_000) -> GpuTrack:
    track = GpuTrack(Fraction(1), cell_ms)
    for row in rows.rows:
        track.add(row)
    return track


def strip(track: GpuTrack, rows: Rows, count: int) -> list[State]:
    return [cell.state for cell in track.cells((rows.at - 1) // 20_000, count)]


def random_rows(seed: int) -> Rows:
    rng = random.Random(seed)
    rows = Rows()
    for _ in range(14):
        context = rng.choice((Context.PROCESS, Context.PROCESS, Context.NONE, Context.MEMORY_ONLY, None))
        facts = {"kappa_pm": rng.choice((1000, 700))}
        if seed % 2:  # with what trainings, other GPUs of the job, GPM and power say
            facts |= {"sibling": rng.choice((0, 1, 1)), "overhead_pm": rng.choice((0, 0, 300)), "input_pm": rng.choice((0, 900))}
            facts |= rng.choice(
                ({}, {"power_fraction_pm": 417}, {"sm_active_pm": 300, "tensor_active_pm": 90, "dram_active_pm": 100})
            )
        seconds = rng.choice((1, 4, 9, 30, 200, 320, 700) if seed % 2 else (1, 4, 9, 30, 200, 320))
        rows.add(seconds, rng.choice((0, 0, 20, 400, 1000, None)), context, **facts)
        if rng.random() < 0.2:
            rows.gap(rng.choice((5, 60)))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_blocks_equal_the_split_of_the_whole_history(seed: int) -> None:
    rows = random_rows(seed)
    track = track_of(rows)
    whole = [ledger_row(row) for row in rows.rows]
    for number in range(rows.at // BLOCK_MS):
        start, end = number * BLOCK_MS, (number + 1) * BLOCK_MS
        assert track.ledger.block(number) == split(whole, start_ms=start, end_ms=end), number


@pytest.mark.parametrize("seed", range(12))
def test_the_running_block_equals_the_split_of_the_rows_so_far(seed: int) -> None:
    rows = random_rows(seed)
    track, seen = GpuTrack(Fraction(1), 20_000), []
    for row in rows.rows:
        track.add(row)
        seen.append(ledger_row(row))
        if row.ts_ms % BLOCK_MS:
            start = row.ts_ms // BLOCK_MS * BLOCK_MS
            assert track.ledger.running(row.ts_ms) == split(seen[-400:], start_ms=start, end_ms=row.ts_ms), row.ts_ms


@pytest.mark.parametrize("seed", range(4))
def test_reading_in_between_changes_nothing_later(seed: int) -> None:
    rows = random_rows(seed)
    read_often, read_once = GpuTrack(Fraction(1), 20_000), track_of(rows)
    for row in rows.rows:
        read_often.add(row)
        if row.ts_ms % 7000 == 0:
            read_often.ledger.total(max(0, row.ts_ms // BLOCK_MS - 90) * BLOCK_MS, row.ts_ms)
            read_often.cells((row.ts_ms - 1) // 20_000, 45)
    span = (0, rows.at)
    assert read_often.ledger.total(*span) == read_once.ledger.total(*span)
    count = rows.at // 20_000
    assert read_often.cells(count, count + 1) == read_once.cells(count, count + 1)


def test_a_quiet_run_gets_its_name_from_its_start_when_it_reaches_five_minutes() -> None:
    rows = Rows().add(21, 900).add(279, 0)
    assert strip(track_of(rows), rows, 4) == [State.QUIET] * 4
    rows.add(21, 0)
    track = track_of(rows)
    assert strip(track, rows, 16)[1:] == [State.HELD_IDLE] * 15
    assert track.state is State.HELD_IDLE
    assert track.since_ms == 21 * SECOND
    assert {key[0] for key in track.ledger.total(30_000, rows.at)} == {Bucket.HELD_IDLE}


def test_a_short_quiet_run_becomes_waiting_when_work_goes_on() -> None:
    rows = Rows().add(21, 900).add(60, 0).add(40, 900)
    assert strip(track_of(rows), rows, 7) == [State.BUSY] + [State.WAITING] * 3 + [State.BUSY] * 3


def test_a_free_gpu_is_free_at_once_and_its_age_is_that_of_the_run() -> None:
    rows = Rows().add(20, 900).add(2, 0, Context.NONE)
    track = track_of(rows)
    assert (track.state, track.since_ms) == (State.FREE, 20 * SECOND)


def test_a_loop_that_works_a_third_of_the_time_is_waiting_without_flicker() -> None:
    rows = Rows()
    seen = set()
    track = GpuTrack(Fraction(1), 20_000)
    for _ in range(20):
        rows.add(1, 1000).add(2, 0)
    for row in rows.rows:
        track.add(row)
        if row.ts_ms > 12 * SECOND:
            seen.add(track.state)
    assert seen == {State.WAITING}


def test_lowered_clocks_show_and_small_dips_do_not() -> None:
    assert track_of(Rows().add(15, 950, kappa_pm=795)).state is State.THROTTLED
    assert track_of(Rows().add(15, 950, kappa_pm=985)).state is State.BUSY


def test_unknown_holder_is_never_called_held_idle() -> None:
    rows = Rows().add(2, 900, None).add(400, 0, None)
    track = track_of(rows)
    assert track.state is State.IDLE_UNATTRIBUTED
    assert strip(track, rows, 10) == [State.IDLE_UNATTRIBUTED] * 10


def test_unobserved_time_is_an_empty_cell() -> None:
    rows = Rows().add(20, 900).gap(40).add(20, 900)
    cells = track_of(rows).cells(3, 4)
    assert [cell.state for cell in cells] == [State.BUSY, State.NO_DATA, State.NO_DATA, State.BUSY]
    assert [cell.height for cell in cells] == [0.9, None, None, 0.9]


def test_height_is_sm_activity_where_it_is_measured() -> None:
    assert track_of(Rows().add(10, 990, sm_active_pm=410)).cells(0, 1)[0].height == pytest.approx(0.41)


def test_rows_after_the_instant_name_its_quiet_run() -> None:
    rows = Rows().add(10, 900).add(120, 0)
    track = track_of(rows)
    rows.add(200, 0)
    assert track.state is State.QUIET
    track.freeze()
    for row in rows.rows[130:]:
        track.add(row)
    assert track.settled
    assert track.state is State.HELD_IDLE
    assert track.ledger.total(20_000, 130_000) == {(Bucket.HELD_IDLE, 0, 0): (110_000, 11_000_000)}


def test_a_gpu_that_its_job_leaves_alone_is_unused_from_the_start_at_15_minutes() -> None:
    rows = Rows().add(20, 900).add(899, 0, sibling=1)
    track = track_of(rows)
    assert track.state is State.HELD_IDLE and set(strip(track, rows, 45)) == {State.HELD_IDLE}
    rows.add(2, 0, sibling=1).add(19, 0, sibling=0)
    track = track_of(rows)
    assert strip(track, rows, 47) == [State.BUSY] + [State.UNUSED] * 45 + [State.HELD_IDLE]
    assert track.state is State.UNUSED  # the word stays while another GPU of the job worked in the last minute
    assert track.since_ms == 20 * SECOND
    found = track.ledger.total(20_000, rows.at)
    assert {key[0]: ms for key, (ms, _) in found.items()} == {Bucket.ALLOCATED_UNUSED: 901_000, Bucket.HELD_IDLE: 19_000}


def test_a_free_gpu_that_a_working_job_was_given_is_unused() -> None:
    rows = Rows().add(20, 900).add(910, 0, Context.NONE, sibling=1)
    track = track_of(rows)
    assert track.state is State.UNUSED
    assert [cell.state for cell in track.cells(46, 3)] == [State.FREE, State.FREE, State.UNUSED]
    assert {key[0]: ms for key, (ms, _) in track.ledger.total(20_000, rows.at).items()} == {
        Bucket.UNALLOCATED: 899_000,
        Bucket.ALLOCATED_UNUSED: 11_000,
    }


def test_rows_after_the_instant_tell_that_a_gpu_is_unused() -> None:
    rows = Rows().add(10, 900).add(400, 0, sibling=1)
    track = track_of(rows)
    assert track.state is State.HELD_IDLE and not track.settled and track.ahead_ms == 900_000
    track.freeze()
    later = Rows().add(10, 900).add(900, 0, sibling=1)
    for row in later.rows[410:]:
        track.add(row)
    assert track.settled and track.state is State.UNUSED
    assert {cell.state for cell in track.cells((rows.at - 1) // 20_000, 20)} == {State.UNUSED}
