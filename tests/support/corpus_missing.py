"""Stories in which nothing may be found: signals that are missing or lie, and more that looks like waste and is none."""

from __future__ import annotations

import random
from itertools import count

from support.corpus_world import GIB, LOOKS_A_MINUTE, QUIET, Fields, Place, Story, Truth, holder, rank, serves, trains, well

_UNTOLD: Fields = dict.fromkeys(
    ("utilization", "sm", "tensor", "dram", "fp32", "fp64", "power", "power_fraction", "mfu", "pcie_rx", "pcie_tx", "nvlink")
)
"""A GPU that tells hardly more than its memory and its clocks."""
_WRONG: Fields = {
    "utilization": 40.0, "power": -5.0, "power_fraction": -0.1, "sm_clock": 0.0, "sm_clock_min": 0.0, "sm": 7.0, "tensor": -1.0,
    "dram": 3.0, "temperature": -40.0,
}  # fmt: skip
_RESTS: Fields = {"cpu": 0.02, "run_state": "S", "memory": 30.0 * GIB}


def _other(place: Place, command: str = "python train.py") -> None:
    holder(place, command)
    place.stage.job(place.job, "other", name=command, user="ana", command=command)


def untold(place: Place, dice: random.Random) -> Truth:
    """Neither utilization nor activity is told of a GPU that somebody holds: nobody knows whether it works."""
    _other(place)
    place.gpu[place.gpus[0]] = well(dice, **_UNTOLD)
    place.process[place.job] = _RESTS
    place.minutes = 36
    return Truth()


def nobody_told(place: Place, dice: random.Random) -> Truth:
    """The driver lists no processes, and memory is in use: whether somebody holds the quiet GPU is not known."""
    quiet: Fields = {**well(dice)(0), **QUIET, "memory_used": dice.uniform(2, 60) * GIB, "context": None}  # type: ignore[operator]
    place.gpu[place.gpus[0]] = quiet
    place.minutes = 36
    return Truth()


def no_hook(place: Place, dice: random.Random) -> Truth:
    """A training without a hook that works at half its pace: nobody told why."""
    holder(place)
    place.stage.job(place.job, "training", name="train.py", user="ana", command="python train.py --config a.yaml")
    busy = dice.uniform(0.4, 0.7)
    place.gpu[place.gpus[0]] = well(dice, utilization=busy, sm=0.92 * busy, tensor=0.5 * busy, dram=0.4 * busy, mfu=None)
    place.process[place.job] = {"run_state": "S", "memory": 30.0 * GIB}
    place.minutes = 34
    return Truth()


def no_page(place: Place, dice: random.Random) -> Truth:
    """A server whose page of metrics is off: how many ask it is not known."""
    serves(place, dice)
    del place.server[place.job]
    busy = dice.uniform(0.4, 0.8)
    place.gpu[place.gpus[0]] = well(
        dice, utilization=busy, sm=0.9 * busy, tensor=0.1 * busy, dram=0.6 * busy, memory_used=77.6 * GIB, mfu=None
    )
    place.minutes = 34
    return Truth()


def lies(place: Place, dice: random.Random) -> Truth:
    """Signals that cannot be: 4,000 % utilization, negative power, a clock of 0, more activity than there is."""
    _other(place)
    names = dice.sample(sorted(_WRONG), dice.randint(2, len(_WRONG)))
    place.gpu[place.gpus[0]] = well(dice, **({"mfu": None} | {name: _WRONG[name] for name in names}))
    place.minutes = 34
    return Truth()


def short_lived(place: Place, dice: random.Random) -> Truth:
    """Two hundred processes a minute, each for a few seconds: the GPU is full with them."""
    stage, (gpu,), there, names = place.stage, place.gpus, list[int](), count(place.job * 100_000)
    place.minutes = 8

    def change(others: int) -> None:
        for gone in there:
            stage.gone(gone)
            del stage.processes[gone]
        there[:] = [next(names) for _ in range(others)]
        for proc_id in there:
            stage.process(proc_id, gpus=(gpu,), command=f"./step {proc_id}", user="ana", start_ms=stage.t_ms)

    looks = 8 * LOOKS_A_MINUTE
    for number in range(looks):
        place.at[number] = [lambda number=number: change(0 if number == looks - 1 else 33)]  # type: ignore[misc]
    place.gpu[gpu] = well(dice, utilization=dice.uniform(0.6, 0.95), mfu=None)
    return Truth()


def waits_a_little(place: Place, dice: random.Random) -> Truth:
    """Now and then the ranks of a training wait for each other for some seconds, and their GPUs spin."""
    procs, every, part = trains(place, dice, ranks=2), dice.choice((12, 18)), dice.uniform(0.3, 0.9)
    fewer = {"steps": 10 * (1 - part), "rank_steps": 10 * (1 - part), "tokens": 40_000 * (1 - part), "samples": 80 * (1 - part)}
    spin = {"utilization": 1.0, "sm": 0.9 - 0.8 * part, "tensor": 0.5 * (1 - part), "dram": 0.45 * (1 - part), "power_fraction": 0.86 - 0.5 * part}  # fmt: skip
    for proc, gpu in zip(procs, place.gpus):
        steps, busy = rank(dice), well(dice)
        place.training[proc] = lambda n, s=steps: {**s(n), **fewer} if n % every == 0 else s(n)  # type: ignore[misc, operator]
        place.gpu[gpu] = lambda n, b=busy: {**b(n), **spin} if n % every == 0 else b(n)  # type: ignore[misc, operator]
    place.minutes = 20
    return Truth()


def decodes(place: Place, dice: random.Random) -> Truth:
    """Decoding is bound by memory: hardly a tensor core works, and tokens come."""
    serves(place, dice)
    place.gpu[place.gpus[0]] = well(
        dice, utilization=1.0, tensor=0.012, dram=dice.uniform(0.7, 0.95), power_fraction=0.5, memory_used=72.0 * GIB, mfu=None
    )
    place.minutes = 20
    return Truth()


def saves(place: Place, dice: random.Random) -> Truth:
    """Checkpoints of two or three minutes, in which the GPU rests."""
    _other(place)
    pause, busy, quiet = dice.randint(12, 18), well(dice, mfu=None), {**well(dice)(0), **QUIET}  # type: ignore[operator]
    place.gpu[place.gpus[0]] = lambda n: quiet if (n + 60) % 90 < pause else busy(n)  # type: ignore[operator]
    place.minutes = 34
    return Truth()


def loads(place: Place, dice: random.Random) -> Truth:
    """A process that has just begun loads for some minutes."""
    holder(place, start_ms=place.stage.t_ms)
    minutes, busy, quiet = dice.uniform(2, 7), well(dice, mfu=None), {**well(dice)(0), **QUIET}  # type: ignore[operator]
    place.gpu[place.gpus[0]] = lambda n: quiet if n / LOOKS_A_MINUTE < minutes else busy(n)  # type: ignore[operator]
    place.minutes = 14
    return Truth()


MISSING: dict[str, tuple[Story, int]] = {
    "untold": (untold, 1), "nobody_told": (nobody_told, 1), "no_hook": (no_hook, 1), "no_page": (no_page, 1), "lies": (lies, 1),
    "short_lived": (short_lived, 1), "waits_a_little": (waits_a_little, 2), "decodes": (decodes, 1), "saves": (saves, 1), "loads": (loads, 1),
}  # fmt: skip
"""Name -> (story, GPUs that it needs)."""
