"""What is tuned well is left alone: a day of a training, a server and a job without a hook, side by side on one host."""

from __future__ import annotations

import random

import pytest
from support.corpus_world import LOOKS_A_MINUTE, QUIET, Host, Place, Truth, holder, rank, serves, trains, well

from gpuwatch.names import Severity

pytestmark = pytest.mark.slow
_HOUR = 60 * LOOKS_A_MINUTE


def _training(place: Place, dice: random.Random) -> Truth:
    """Full and steady, with a checkpoint of ten seconds every half hour and an evaluation of a minute every three hours."""
    [proc] = trains(place, dice)
    (gpu,), steps, busy = place.gpus, rank(dice), well(dice)
    still = dict.fromkeys(("steps", "rank_steps", "tokens", "samples", "forward", "backward", "optimizer", "data", "other"), 0.0)

    def saves(number: int) -> bool:
        return number % (_HOUR // 2) == 40

    def evaluates(number: int) -> bool:
        return number % (3 * _HOUR) < LOOKS_A_MINUTE

    def said(number: int) -> dict[str, object]:
        if saves(number):
            return {**steps(number), **still, "checkpoint": 10.0}  # type: ignore[operator]
        return {**steps(number), **still, "evaluation": 10.0} if evaluates(number) else steps(number)  # type: ignore[operator]

    place.training[proc] = said
    place.gpu[gpu] = lambda n: {**busy(n), **QUIET} if saves(n) else busy(n)  # type: ignore[operator]
    place.minutes = 24 * 60
    return Truth()


def _server(place: Place, dice: random.Random) -> Truth:
    """Requests come in waves by the hour, and none waits."""

    def wave(low: float, high: float):  # type: ignore[no-untyped-def]
        return lambda n: low + (high - low) * abs(1 - n % (8 * _HOUR) / (4 * _HOUR))

    serves(place, dice, running=wave(16, 60), requests=wave(28, 100), kv_cache=wave(0.35, 0.8), kv_cache_fullest=wave(0.35, 0.8))
    place.minutes = 24 * 60
    return Truth()


def _plain(place: Place, dice: random.Random) -> Truth:
    """A job of which nothing is known but what its GPU does."""
    holder(place)
    place.stage.job(place.job, "other", name="train.py", user="ana", command="python train.py --config a.yaml")
    place.gpu[place.gpus[0]] = well(dice, mfu=None)
    place.minutes = 24 * 60
    return Truth()


def test_a_tuned_day_has_no_finding() -> None:
    host = Host()
    for name, story in (("training", _training), ("server", _server), ("plain", _plain)):
        host.settle(name, story, 0, 1)
    played = host.play()
    assert {one.name for one in played} == {"training", "server", "plain"}
    changes = host.judged.changes
    told = {
        (c.finding.rule, c.finding.subject, c.finding.finding.title) for c in changes if c.finding.finding.severity > Severity.INFO
    }
    assert not told
    assert host.number == 24 * 60 * LOOKS_A_MINUTE, "every look of the day was judged"
