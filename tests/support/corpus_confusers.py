"""Stories in which nothing may be found, though it looks as if."""

from __future__ import annotations

import random

from support.corpus_world import GIB, LOOKS_A_MINUTE, QUIET, Place, Story, Truth, holder, rank, trains, well


def double_precision(place: Place, dice: random.Random) -> Truth:
    """A solver in FP64: no tensor core has anything to do."""
    holder(place, "./solver --grid 512")
    place.stage.job(place.job, "other", name="solver", user="ana", command="./solver --grid 512")
    place.gpu[place.gpus[0]] = well(dice, tensor=0.0, fp64=dice.uniform(0.3, 0.8), fp32=0.2, mfu=None)
    place.minutes = 32
    return Truth()


def evaluates(place: Place, dice: random.Random) -> Truth:
    """A training evaluates for two minutes in the middle, in small batches and without a step."""
    [proc] = trains(place, dice)
    steps, busy = rank(dice), well(dice)
    idle = dict.fromkeys(("steps", "rank_steps", "tokens", "samples", "forward", "backward", "optimizer", "data", "other"), 0.0)
    less = {"utilization": 0.6, "sm": 0.4, "tensor": 0.2, "power": 330.0, "power_fraction": 0.4, "mfu": None}

    def now(number: int) -> bool:
        return 12 * LOOKS_A_MINUTE <= number < 14 * LOOKS_A_MINUTE

    place.training[proc] = lambda n: {**steps(n), **idle, "evaluation": 10.0} if now(n) else steps(n)  # type: ignore[operator]
    place.gpu[place.gpus[0]] = lambda n: {**busy(n), **less} if now(n) else busy(n)  # type: ignore[operator]
    place.minutes = 32
    return Truth()


def spins(place: Place, dice: random.Random) -> Truth:
    """A thread waits for the GPU by asking again and again: at 100 % of a core, and the GPU is full."""
    holder(place)
    place.stage.job(place.job, "other", name="train.py", user="ana", command="python train.py")
    place.process[place.job] = {"cpu": 1.0, "thread_cpu": 1.0, "run_state": "R", "memory": 30.0 * GIB}
    place.gpu[place.gpus[0]] = well(dice, utilization=dice.uniform(0.86, 1.0), mfu=None)
    place.minutes = 32
    return Truth()


def alternates(place: Place, dice: random.Random) -> Truth:
    """Rollout and learner take turns: each GPU rests while the other works."""
    holder(place, "python -m verl.trainer.main_ppo")
    place.stage.job(place.job, "training", name="verl", user="ana", command="python -m verl.trainer.main_ppo")
    quiet, turn = {**well(dice)(0), **QUIET}, dice.choice((3, 6))  # type: ignore[operator]
    for number, gpu in enumerate(place.gpus):
        busy = well(dice, mfu=None)
        place.gpu[gpu] = lambda n, busy=busy, number=number: busy(n) if n // turn % 2 == number else quiet  # type: ignore[misc, operator]
    place.minutes = 42
    return Truth(may={"rollout-learner-idle"})


def explores(place: Place, dice: random.Random) -> Truth:
    """A notebook in use: a cell now and then."""
    holder(place, "python -m ipykernel_launcher -f k.json")
    busy, quiet, pause = well(dice, mfu=None), {**well(dice)(0), **QUIET}, dice.randrange(12, 60)  # type: ignore[operator]
    place.gpu[place.gpus[0]] = lambda n: busy(n) if n % pause < 3 else quiet  # type: ignore[operator]
    place.minutes = 42
    return Truth()


def spare(place: Place, dice: random.Random) -> Truth:
    """A GPU that is kept free on purpose."""
    (gpu,) = place.gpus
    place.stage.gpu(gpu, reserved=True)
    place.gpu[gpu] = {**well(dice)(0), **QUIET, "memory_used": 0.0}  # type: ignore[operator]
    place.minutes = 40
    return Truth()


def blind(place: Place, dice: random.Random) -> Truth:
    """Half or all of the signals are missing, and what is there looks idle."""
    names = list(well(dice)(0))  # type: ignore[operator]
    hidden = names if dice.random() < 0.5 else ["utilization", "sm", "tensor", "dram", "fp32", "power", "power_fraction", "mfu"]
    place.stage.gpu(place.gpus[0], gpm_supported=False)
    place.gpu[place.gpus[0]] = {**well(dice)(0), **QUIET, **dict.fromkeys(hidden), "known_ms": 0}  # type: ignore[operator]
    if dice.random() < 0.5:
        holder(place)
        place.process[place.job] = {}
    place.minutes = 40
    return Truth()


def gaps(place: Place, dice: random.Random) -> Truth:
    """Idle in all that was seen, and every third look was not."""
    holder(place)
    place.gpu[place.gpus[0]] = {**well(dice)(0), **QUIET, "quiet_run_ms": 10_000}  # type: ignore[operator]
    place.unseen = lambda n: n % 3 == 0
    place.minutes = 40
    return Truth()


def swarm(place: Place, dice: random.Random) -> Truth:
    """A new process every look, each for one look: the GPU is full with them."""
    (gpu,), stage = place.gpus, place.stage
    place.gpu[gpu] = well(dice, mfu=None)
    place.minutes = 20

    def next_one(number: int) -> None:
        stage.process(place.job + number % 2, gpus=(gpu,), command=f"./step {number}", start_ms=stage.t_ms)
        stage.holds.pop(place.job + (number + 1) % 2, None)

    for number in range(20 * LOOKS_A_MINUTE):
        place.then(number / LOOKS_A_MINUTE, lambda number=number: next_one(number))  # type: ignore[misc]
    return Truth()


CONFUSERS: dict[str, tuple[Story, int]] = {
    "double_precision": (double_precision, 1), "evaluates": (evaluates, 1), "spins": (spins, 1), "alternates": (alternates, 2),
    "explores": (explores, 1), "spare": (spare, 1), "blind": (blind, 1), "gaps": (gaps, 1), "swarm": (swarm, 1),
}  # fmt: skip
"""Name -> (story, GPUs that it needs)."""
