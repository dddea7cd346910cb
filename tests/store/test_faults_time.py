"""Time that did not simply pass: it is a gap of the right reason, and idle time is what was really watched, to the second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.recording import START, Lab, Scripted, gpu_batch, host_batch

WATCHED = 300
"""Seconds that are recorded before and after each fault; GPU-b is idle all the time."""


@pytest.fixture
def lab(path: Path) -> Iterator[Lab]:
    found = Lab(path)
    yield found
    found.writer.connection.close()


def _record(lab: Lab) -> None:
    lab.record(Scripted("nvml", gpu_batch), Scripted("host", host_batch), close_minutes=True, boot_id="boot")


def _idle_seconds(lab: Lab) -> tuple[float, float]:
    """Quiet time and observed time of the GPU that is always idle, after its last minute is closed."""
    lab.recorder.end()
    ((quiet, observed),) = lab.rows("SELECT sum(quiet_seconds), sum(observed_seconds) FROM v_gpu_minute WHERE gpu_uuid='GPU-b'")
    return quiet, observed


def _gaps(lab: Lab) -> list[tuple[str, float]]:
    return lab.rows("SELECT reason, duration_seconds FROM v_gap ORDER BY start_ms")


def test_a_clock_set_ahead_by_an_hour(lab: Lab) -> None:
    _record(lab)
    lab.tick(WATCHED)
    lab.clock.advance(0, step=3600)
    lab.tick(WATCHED)
    lab.tick(60)
    assert _gaps(lab) == [("clock", 3601.0)]
    assert _idle_seconds(lab) == (2 * WATCHED + 60 - 2,) * 2  # the first row of each life speaks for no time
    assert lab.rows("SELECT detail FROM v_event WHERE kind='clock_step'") == [("the wall clock was set by +3600.0 s",)]
    assert lab.rows("SELECT max(observed_seconds) FROM v_gpu_minute")[0][0] <= 60


def test_a_clock_set_back_by_an_hour(lab: Lab) -> None:
    _record(lab)
    lab.tick(WATCHED)
    lab.clock.advance(0, step=-3600)
    lab.tick(WATCHED)
    lab.tick(60)
    assert _idle_seconds(lab) == (2 * WATCHED - 1,) * 2  # the last minute stays open until the clock has caught up
    assert lab.rows("SELECT detail FROM v_event WHERE kind='clock_step'") == [("the wall clock was set by -3600.0 s",)]
    assert lab.rows("SELECT count(DISTINCT tick_id), count(*) FROM tick")[0] == (2 * WATCHED + 60,) * 2


def test_a_suspend_of_two_hours(lab: Lab) -> None:
    _record(lab)
    lab.tick(WATCHED)
    lab.clock.advance(0, suspended=7200)
    lab.tick(WATCHED)
    assert _gaps(lab) == [("suspend", 7201.0)]
    assert _idle_seconds(lab) == (2 * WATCHED - 2,) * 2


def test_a_stall_of_twenty_seconds(lab: Lab) -> None:
    _record(lab)
    lab.tick(WATCHED)
    lab.clock.advance(20)
    lab.tick(WATCHED + 40)
    assert _gaps(lab) == [("stall", 21.0)]
    assert _idle_seconds(lab) == (2 * WATCHED + 40 - 2,) * 2


@pytest.mark.parametrize(("clean", "reason"), [(True, "off"), (False, "crash")])
def test_a_recorder_that_was_off_for_three_hours(lab: Lab, clean: bool, reason: str) -> None:
    _record(lab)
    lab.tick(WATCHED)
    if clean:
        lab.recorder.end()
        lab.writer.close()
    else:
        lab.writer.commit()
    lab.clock.advance(3 * 3600)
    lab.reopen()
    _record(lab)
    lab.tick(WATCHED)
    ((told, seconds),) = _gaps(lab)
    assert told == reason and seconds == pytest.approx(3 * 3600, abs=2)
    assert _idle_seconds(lab) == (2 * WATCHED - 2,) * 2
    unobserved = lab.rows(
        "SELECT sum(ms) FROM v_ledger_minute WHERE gpu_uuid='GPU-b' AND bucket='unobserved' AND t BETWEEN ? AND ?",
        START + WATCHED + 60,
        START + WATCHED + 3 * 3600 - 60,
    )[0][0]
    assert unobserved == 3 * 3_600_000 - 60_000, "time without a recorder is neither idle nor busy"
