"""A short version of the end-to-end run: real processes, kill -9, every reader against the scenario."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import pytest
from acceptance import Run, compare, facts, report
from truth import Steps, Tally, lab


@pytest.mark.slow
def test_what_readers_show_is_what_was_so(capsys: pytest.CaptureFixture[str]) -> None:
    # A machine that stalls for part of a second can make a reader look at the wrong one: two runs in a row do not.
    assert any(_met(seed) for seed in (5, 6)), capsys.readouterr().out


def _met(seed: int) -> bool:
    with ExitStack() as stack:
        run = Run(stack, seconds=25, pause=4, seed=seed, plain=True)
        run.play()
        tallies, lines = compare(run), facts(run, least_seconds=12)
    if not shutil.which("tmux"):
        del tallies["screen"]
    # A run as short as this may lie in the minute that the ledger has not closed yet.
    return report(tallies, [line for line in lines if not line[0].startswith("idle seconds")])


def test_a_wrong_value_is_found() -> None:
    tally = Tally(0.001)
    tally.add(0.5, (0.5, 0.5), "same")
    assert tally.met
    tally.add(0.52, (0.4, 0.6), "within an edge")
    assert tally.met
    tally.add(0.503, (0.5, 0.5), "off")
    assert not tally.met and tally.worst == pytest.approx(3) and tally.example == "off: shown 0.503, true 0.5"
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
