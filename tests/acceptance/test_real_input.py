"""A short version of the end-to-end run: real processes, kill -9, every reader against the scenario."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from datetime import datetime

import pytest
from acceptance import Run, facts, report
from readers import clock_ms, compare
from truth import Recorded, Steps, Tally, lab


@pytest.mark.slow
def test_what_readers_show_is_what_was_so(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        run = Run(stack, seconds=40, pause=4, seed=5, plain=True)  # a screen starts in ten seconds where others are busy
        run.play()
        tallies, lines = compare(run), facts(run, least_seconds=12)
    if not shutil.which("tmux"):
        del tallies["screen"]
    # A run as short as this may lie in the minute that the ledger has not closed yet.
    met = report(tallies, [line for line in lines if not line[0].startswith("idle seconds")])
    pictures = [text for _, text in run.screens if text]
    last = pictures[-1] if pictures else "none"
    assert met, f"{capsys.readouterr().out}\n{len(pictures)} pictures of {len(run.screens)}, the last:\n{last}"


def test_a_wrong_value_is_found() -> None:
    tally = Tally(0.001)
    tally.add(0.5, (0.5, 0.5), "same")
    assert tally.met
    tally.add(0.52, (0.4, 0.6), "within an edge")
    assert tally.met
    tally.add(0.503, (0.5, 0.5), "off")
    assert not tally.met and tally.worst == pytest.approx(3) and tally.example == "off: shown 0.503, true 0.5"
    either = Tally(1)
    either.add(5, (3, 3), "another row", (5, 5))
    assert either.met and either.still == 1
    either.add(4, (1, 1), "none of the rows", (7, 7))
    assert not either.met
    edge, gone = Tally(1), Tally(1)
    edge.add(5, (5, 5), "same")
    edge.add(9, (1, 5), "outside of an edge")
    gone.add(5, (5, 5), "same")
    gone.add(None, (5, 5), "not there")
    assert not edge.met and not gone.met


def test_the_square_wave_is_busy_for_37_percent() -> None:
    wave = lab(300, 3).gpus[2].utilization
    begin = wave.times[1]
    assert wave.mean(begin, begin + 200_000) == pytest.approx(37)


def test_steps() -> None:
    steps = Steps()
    for ms, value in ((0, 1), (100, 5), (200, 3)):
        steps.add(ms, value)
    assert [steps.at(ms) for ms in (0, 99, 100, 250)] == [1, 1, 5, 3]
    assert steps.span(110, 190) == (5, 5) and steps.span(50, 200) == (1, 5)
    assert steps.mean(50, 150) == 3


def test_a_row_was_read_before_the_next_one() -> None:
    rows = [{"gpu_index": 0, "ts_ms": ts, "duration_seconds": s} for ts, s in ((1000, 0.0), (3000, 2.0), (4000, 1.0), (9000, 0.0))]
    recorded = Recorded(rows)
    assert [recorded.read(0, ts) for ts in (1000, 3000, 4000, 9000)] == [(1000, 3000), (3000, 4000), (4000, 6000), (9000, 11000)]
    assert [recorded.covered(0, ts) for ts in (1000, 3000, 4000)] == [(-140, 3000), (860, 4000), (2860, 6000)]
    assert recorded.times(0, 3000, 8000) == [3000, 4000] and recorded.times(1, 0, 9000) == []
    assert [recorded.starting(0, at) for at in (-9500, 2999, 10_999, 11_001)] == [False, True, True, False]


def test_the_time_on_a_screen_is_of_the_day_of_its_picture() -> None:
    noon_ms = datetime(2026, 3, 1, 12, 0, 1).astimezone().timestamp() * 1000
    midnight_ms = datetime(2026, 3, 2, 0, 0, 1).astimezone().timestamp() * 1000
    assert noon_ms - clock_ms("● LIVE  Sun 11:59:59  1 s", noon_ms) == 2000
    assert midnight_ms - clock_ms("● LIVE  Sun 23:59:59  1 s", midnight_ms) == 2000
    assert clock_ms("not recording  Sun 11:59:59  1 s", noon_ms) is None
