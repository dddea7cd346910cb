"""The stories of the corpus about GPUs and hosts: each draws on both sides of a threshold, and decides by the definition what is true."""

from __future__ import annotations

import random
from typing import Any

from support.corpus_world import GIB, LOOKS_A_MINUTE, QUIET, START_MS, Place, Story, Truth, holder, rank, trains, well

from gpuwatch.dataclass import replace
from gpuwatch.names import Context, RunOutcome, Severity
from gpuwatch.rules.looks import RunFacts


def decide(truth: Truth, rule: str, value: float, low: float, high: float, *, above: bool = True) -> None:
    """``rule`` must be found where ``value`` is beyond the threshold, and may be between ``low`` and ``high`` (what lies about it)."""
    if low <= value <= high:
        truth.may.add(rule)
        truth.near = True
    elif (value > high) is above:
        truth.must.add(rule)


def free(place: Place, dice: random.Random) -> Truth:
    """A GPU is free for a while, then a training comes."""
    minutes, reserved = dice.uniform(4, 32), dice.random() < 0.15
    (gpu,), truth = place.gpus, Truth()
    place.minutes = minutes + 3
    quiet = {**well(dice)(0), **QUIET, "memory_used": 0.0}  # type: ignore[operator]
    place.stage.gpu(gpu, reserved=reserved)
    busy = well(dice)
    place.gpu[gpu] = lambda n: quiet if n < minutes * LOOKS_A_MINUTE else busy(n)  # type: ignore[operator]
    place.then(minutes, lambda: (holder(place), place.stage.process(place.job, gpus=place.gpus, start_ms=place.stage.t_ms))[0])
    if not reserved:
        decide(truth, "gpu-idle-unallocated", minutes, 14, 17)
        truth.waste["gpu-idle-unallocated"] = 1.0
    return truth


def held(place: Place, dice: random.Random) -> Truth:
    """A process works, then holds its memory and does nothing; a notebook is given twice the time."""
    notebook, minutes = dice.random() < 0.3, dice.uniform(12, 50)
    limit = 60 if notebook else 30
    if notebook:
        minutes += 20
    (gpu,), truth = place.gpus, Truth(may={"low-duty-cycle"} if not notebook else set())
    holder(place, "python -m ipykernel_launcher -f k.json" if notebook else "python train.py")
    place.minutes = 2 + minutes + 2
    busy, quiet = well(dice), {**well(dice)(0), **QUIET}  # type: ignore[operator]
    place.gpu[gpu] = lambda n: quiet if 2 <= n / LOOKS_A_MINUTE < 2 + minutes else busy(n)  # type: ignore[operator]
    place.process[place.job] = lambda n: {"cpu": 0.02, "run_state": "S", "memory": 30.0 * GIB}
    decide(truth, "gpu-memory-held-idle", minutes, limit - 1, limit + 2)
    truth.waste["gpu-memory-held-idle"] = 1.0
    return truth


def zombie(place: Place, dice: random.Random) -> Truth:
    """A holder is stopped, or memory is held by nobody who can be seen."""
    minutes, orphan = dice.uniform(3, 24), dice.random() < 0.5
    (gpu,), truth = place.gpus, Truth(may={"low-duty-cycle"})
    place.minutes = minutes + 6
    quiet = {**well(dice)(0), **QUIET, "memory_used": 12.0 * GIB}  # type: ignore[operator]
    quiet["context"] = Context.MEMORY_ONLY if orphan else Context.PROCESS
    after = {**quiet, "memory_used": 0.0, "context": Context.NONE}
    place.gpu[gpu] = lambda n: quiet if n < minutes * LOOKS_A_MINUTE else after
    if not orphan:
        holder(place)
        place.process[place.job] = lambda n: {
            "cpu": 0.0,
            "run_state": "T" if n < minutes * LOOKS_A_MINUTE else "S",
            "memory": 12.0 * GIB,
        }
        place.then(minutes, lambda: place.stage.gone(place.job))
    decide(truth, "gpu-zombie-context", minutes, 9, 12)
    truth.waste["gpu-zombie-context"] = 1.0
    return truth


def gappy(place: Place, dice: random.Random) -> Truth:
    """A job that works now and then: short bursts, short pauses."""
    busy_share, period = dice.uniform(0.12, 0.9), dice.choice((30, 60, 120))
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.minutes = 42
    busy, quiet = well(dice, utilization=0.95), {**well(dice)(0), **QUIET}  # type: ignore[operator]
    looks = period // 10
    on = max(1, round(busy_share * looks))
    place.gpu[gpu] = lambda n: busy(n) if n % looks < on else quiet  # type: ignore[operator]
    mean = on / looks * 0.95
    if 1 - on / looks > 0.3:
        decide(truth, "low-duty-cycle", mean, 0.50, 0.58, above=False)
    truth.waste["low-duty-cycle"] = 1 - mean
    truth.may.add("host-cpu-starved")
    return truth


def alone(place: Place, dice: random.Random) -> Truth:
    """A job of two GPUs uses one of them, for a while."""
    minutes = dice.uniform(6, 27)
    truth = Truth(may={"low-duty-cycle"})
    holder(place)
    place.stage.job(place.job, "training", name="train.py", user="ana", command="python train.py")
    place.minutes = 6 + minutes + 2
    busy, quiet = well(dice), {**well(dice)(0), **QUIET}  # type: ignore[operator]
    place.gpu[place.gpus[0]] = busy
    place.gpu[place.gpus[1]] = lambda n: quiet if 6 <= n / LOOKS_A_MINUTE < 6 + minutes else busy(n)  # type: ignore[operator]
    decide(truth, "allocated-gpu-unused", minutes, 14, 17)
    truth.waste["allocated-gpu-unused"] = 1.0
    return truth


def waits_for_data(place: Place, dice: random.Random) -> Truth:
    """A training with a hook whose loader is slow, or nearly as fast as it must be."""
    share = dice.choice((dice.uniform(0.0, 0.08), dice.uniform(0.05, 0.65)))
    (gpu,), truth = place.gpus, Truth()
    [proc] = trains(place, dice)
    place.minutes = 20
    place.gpu[gpu] = well(dice, utilization=0.97 * (1 - share), sm=0.9 * (1 - share), mfu=0.5 * (1 - share))
    place.training[proc] = rank(dice, data=10 * share, forward=3 * (1 - share), backward=6.2 * (1 - share), optimizer=0.5 * (1 - share), other=0.3 * (1 - share))  # fmt: skip
    decide(truth, "input-bound", share, 0.045, 0.06)
    truth.waste["input-bound"] = min(share, 1 - 0.97 * (1 - share))
    return truth


def one_thread(place: Place, dice: random.Random) -> Truth:
    """One thread of the process is at its limit; the GPU is hardly, half or fully busy."""
    busy, thread = dice.uniform(0.06, 0.95), dice.choice((0.99, 0.99, 0.98, 0.85))
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.stage.job(place.job, "other", name="train.py", user="ana", command="python train.py")
    place.minutes = 18
    place.gpu[gpu] = well(dice, utilization=busy, sm=busy * 0.9, tensor=busy * 0.5, dram=busy * 0.4, mfu=None)
    place.process[place.job] = {"cpu": thread + 0.1, "thread_cpu": thread, "run_state": "R", "memory": 30.0 * GIB}
    if thread > 0.9 and (busy < 0.09 or 0.11 < busy < 0.735):
        if busy > 0.11:
            truth.must.add("single-thread-host-bound")
    elif thread > 0.9 and busy < 0.77:
        truth.may.add("single-thread-host-bound")
    truth.waste["single-thread-host-bound"] = 1 - busy
    return truth


def starved(place: Place, dice: random.Random) -> Truth:
    """The control group has a limit of CPU time, which it reaches now and then, or often."""
    throttled, busy = dice.uniform(0.0, 0.35), dice.uniform(0.4, 0.8)
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.stage.job(place.job, "other", name="train.py", user="ana", command="python train.py")
    place.minutes = 18
    place.gpu[gpu] = well(dice, utilization=busy, sm=busy * 0.9, tensor=busy * 0.5, mfu=None)
    place.process[place.job] = {"cpu": 2.2, "cpu_throttled": throttled, "run_state": "R", "memory": 30.0 * GIB}
    decide(truth, "host-cpu-starved", throttled, 0.09, 0.11)
    truth.waste["host-cpu-starved"] = 1 - busy
    return truth


def storage(place: Place, dice: random.Random) -> Truth:
    """The host waits for its disks; the job reads from them, or something else does."""
    iowait, reads, busy = dice.uniform(0.05, 0.5), dice.random() < 0.7, dice.uniform(0.2, 0.6)
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.stage.job(place.job, "other", name="train.py", user="ana", command="python train.py")
    place.minutes = 18
    place.host = {"iowait": iowait, "io_pressure": min(1.0, iowait * 0.9)}
    place.gpu[gpu] = well(dice, utilization=busy, sm=busy * 0.9, tensor=busy * 0.5, mfu=None)
    place.process[place.job] = {"cpu": 0.4, "read": 8e7 if reads else 1e5, "run_state": "R", "memory": 30.0 * GIB}
    if reads:
        decide(truth, "slow-storage-or-swap", iowait, 0.18, 0.23)
    truth.waste["slow-storage-or-swap"] = 1 - busy
    return truth


def empty(place: Place, dice: random.Random) -> Truth:
    """Fully utilized, and SMs are more or less empty; some of it is bound by memory."""
    filled, bound = dice.uniform(0.25, 1.0), dice.random() < 0.2
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.stage.job(place.job, "other", name="train.py", user="ana", command="python train.py")
    place.minutes = 24
    place.gpu[gpu] = well(
        dice, utilization=0.97, sm=0.97 * filled, tensor=0.4 * filled, dram=0.7 if bound else 0.4 * filled, mfu=None
    )
    if not bound:
        decide(truth, "busy-but-empty-sm", filled, 0.78, 0.82, above=False)
    truth.waste["busy-but-empty-sm"] = 0.97 * (1 - filled)
    return truth


def hangs(place: Place, dice: random.Random) -> Truth:
    """A collective waits for a rank that never comes, or that comes late."""
    seconds = dice.choice((dice.uniform(10, 50), dice.uniform(90, 420)))
    truth = Truth(may={"busy-but-empty-sm", "rank-straggler"})
    procs = trains(place, dice, ranks=2)
    place.minutes = 16 + seconds / 60
    spin = {"utilization": 1.0, "sm": 0.06, "tensor": 0.0, "dram": 0.005, "power": 150.0, "power_fraction": 0.05}

    def hung(number: int) -> bool:
        return 10 * LOOKS_A_MINUTE <= number < 10 * LOOKS_A_MINUTE + round(seconds / 10)

    still: dict[str, Any] = {"steps": 0.0, "rank_steps": 0.0, "tokens": 0.0, "samples": 0.0, "forward": 0.0, "backward": 10.0, "data": 0.0, "optimizer": 0.0, "other": 0.0}  # fmt: skip
    for gpu in place.gpus:
        busy = well(dice)
        place.gpu[gpu] = lambda n, busy=busy: {**busy(n), **spin} if hung(n) else busy(n)  # type: ignore[misc, operator]
    for proc in procs:
        steps = rank(dice)
        place.training[proc] = lambda n, steps=steps: {**steps(n), **still} if hung(n) else steps(n)  # type: ignore[misc, operator]
    if seconds >= 90:
        truth.must.add("busy-but-no-progress")
    elif seconds > 55:
        truth.may.add("busy-but-no-progress")
    return truth


def full(place: Place, dice: random.Random) -> Truth:
    """Nearly all of the GPU's memory is in use: by a training, or by a server that takes it all at its start."""
    left, server = dice.uniform(0.3, 4.2), dice.random() < 0.2
    (gpu,), truth = place.gpus, Truth()
    holder(place, "python -m vllm.entrypoints.openai.api_server --model m" if server else "python train.py")
    place.stage.job(place.job, "other", name="train.py", user="ana", command="vllm serve m" if server else "python train.py", engine="vllm" if server else "")  # fmt: skip
    place.minutes = 14
    place.gpu[gpu] = well(dice, memory_used=(80 - left) * GIB, mfu=None)
    if not server:
        decide(truth, "near-oom", left, 2.2, 2.7, above=False)
    return truth


def straggler(place: Place, dice: random.Random) -> Truth:
    """One of four ranks needs longer for its own part of a step."""
    score = dice.uniform(0.5, 1.0)
    truth = Truth(may={"busy-but-empty-sm", "input-bound"})
    procs = trains(place, dice, ranks=4)
    place.minutes = 22
    own = 3.0
    for proc, gpu in zip(procs, place.gpus):
        mine = own / score if proc == procs[2] else own
        place.training[proc] = rank(dice, data=0.1, forward=mine - 0.3, other=0.2, backward=9.2 - mine + 0.0, optimizer=0.5)
        place.gpu[gpu] = well(dice)
    decide(truth, "rank-straggler", score, 0.73, 0.78, above=False)
    return truth


def hot(place: Place, dice: random.Random) -> Truth:
    """Heat lowers the clocks for a share of the time."""
    share = dice.choice((0.0, dice.uniform(0, 0.05), dice.uniform(0.05, 0.5)))
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.minutes = 16
    clock = 1.98e9 * (1 - 0.3 * share)
    place.gpu[gpu] = well(
        dice, thermal=share, temperature=88.0 if share else 70.0, kappa=1 - 0.3 * share, sm_clock=clock, sm_clock_min=1.4e9
    )
    decide(truth, "thermal-throttle", share, 0.045, 0.056)
    return truth


def slow_clock(place: Place, dice: random.Random) -> Truth:
    """Somebody has set the clocks."""
    ratio, told = dice.uniform(0.6, 1.0), dice.random() < 0.6
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.minutes = 22
    clock = 1.98e9 * ratio
    place.gpu[gpu] = well(dice, sm_clock=clock, sm_clock_min=clock, sm_clock_max=clock, clocks_set=1.0 if told else 0.0, dram=0.35)
    decide(truth, "clocks-locked-low", ratio, 0.89, 0.91, above=False)
    truth.waste["clocks-locked-low"] = 0.97 * (1 - ratio) * 0.93
    return truth


def capped(place: Place, dice: random.Random) -> Truth:
    """A power limit, lowered or not, holds the clocks."""
    ratio = dice.choice((1.0, dice.uniform(0.6, 0.99)))
    (gpu,), truth = place.gpus, Truth(may={"clocks-locked-low"})
    holder(place)
    place.minutes = 22
    place.stage.gpu(gpu, power_limit_watts=700.0 * ratio)
    clock = 1.98e9 * (0.5 + 0.5 * ratio)
    place.gpu[gpu] = well(dice, power_cap=0.9, power_limit=700.0 * ratio, power=690.0 * ratio, kappa=0.5 + 0.5 * ratio if ratio < 1 else 1.0, sm_clock=clock, sm_clock_min=clock * 0.95, sm_clock_max=clock * 1.04)  # fmt: skip
    decide(truth, "power-cap-limited", ratio, 0.975, 0.985, above=False)
    return truth


def link(place: Place, dice: random.Random) -> Truth:
    """The PCIe link is narrow or slow, while the GPU works or only while it rests."""
    width, generation, busy = dice.choice((16, 8, 4)), dice.choice((5, 5, 3)), dice.random() < 0.7
    (gpu,), truth = place.gpus, Truth()
    place.minutes = 8
    if busy:
        holder(place)
        place.gpu[gpu] = well(dice, pcie_width=width, pcie_generation=generation)
        if width < 16 or generation < 5:
            truth.must.add("pcie-link-degraded")
    else:
        place.gpu[gpu] = {**well(dice)(0), **QUIET, "memory_used": 0.0, "pcie_width": 16}  # type: ignore[operator]
    return truth


def nvlink(place: Place, dice: random.Random) -> Truth:
    """Links of one of two GPUs are down, for one look or for good."""
    looks = dice.choice((0, 1, 5, 40))
    truth = Truth()
    trains(place, dice, ranks=2)
    place.minutes = 12
    first, second = place.gpus
    place.gpu[second] = well(dice)
    place.gpu[first] = well(dice, nvlink_active=lambda n: 16 if 30 <= n < 30 + looks else 18)
    if looks >= 5:
        truth.must.add("nvlink-unused-or-down")
    elif looks == 1:
        truth.may.discard("nvlink-unused-or-down")
    return truth


def errors(place: Place, dice: random.Random) -> Truth:
    """The driver reports something: an XID, a row to remap, or nothing of the kind."""
    what = dice.choice(("xid", "xid", "xid", "remap_pending", "remap_failed", "remap_failed", "none", "other"))
    (gpu,), truth = place.gpus, Truth()
    holder(place)
    place.gpu[gpu] = well(dice)
    place.minutes = 8
    at = dice.uniform(1, 5)
    if what == "xid":
        code, severity = dice.choice(((31, Severity.WARNING), (79, Severity.CRITICAL), (48, Severity.CRITICAL)))
        place.happens(at, "xid", severity, f"GPU {gpu - 1} XID {code}: something")
        truth.must.add("xid-error")
        if code == 48:
            truth.may.add("memory-errors-pending")
    elif what.startswith("remap"):
        severity = Severity.CRITICAL if what == "remap_failed" else Severity.WARNING
        place.happens(at, what, severity, f"GPU {gpu - 1} has a memory row")
        truth.must.add("memory-errors-pending")
    elif what == "other":
        place.happens(at, "source_error", Severity.WARNING, "nvml does not answer")
    return truth


def slow_start(place: Place, dice: random.Random) -> Truth:
    """A training takes its time until its first step."""
    minutes = dice.uniform(2, 26)
    (gpu,), truth = place.gpus, Truth(may={"low-duty-cycle"})
    [proc] = trains(place, dice, started_ms=place.stage.t_ms)
    stage = place.stage
    first_ms = place.stage.t_ms + round(minutes * 60_000)
    stage.ranks(place.job, [proc], first_step_ms=None, attached_ms=stage.t_ms)
    place.then(minutes, lambda: stage.ranks(place.job, [proc], first_step_ms=first_ms, attached_ms=START_MS))
    place.minutes = minutes + 5
    busy, quiet = well(dice), {**well(dice)(0), **QUIET}  # type: ignore[operator]
    steps = rank(dice)
    idle = {"steps": 0.0, "rank_steps": 0.0, "tokens": 0.0, "samples": 0.0, "starting": 10.0, "data": 0.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0, "other": 0.0}  # fmt: skip
    place.gpu[gpu] = lambda n: quiet if n / LOOKS_A_MINUTE < minutes else busy(n)  # type: ignore[operator]
    place.training[proc] = lambda n: {**steps(n), **idle} if n / LOOKS_A_MINUTE < minutes else steps(n)  # type: ignore[operator]
    decide(truth, "slow-first-step", minutes, 9.5, 11.5)
    return truth


def fails(place: Place, dice: random.Random) -> Truth:
    """A run ends: well, badly, or because its user wanted it."""
    minutes, outcome = (
        dice.uniform(3, 40),
        dice.choice((RunOutcome.FAILED, RunOutcome.DIED, RunOutcome.DIED, RunOutcome.FINISHED, RunOutcome.STOPPED)),
    )
    (gpu,), truth = place.gpus, Truth()
    stage = place.stage
    started = stage.t_ms - round((minutes - 3) * 60_000)
    trains(place, dice, started_ms=started)
    run = RunFacts(started, first_step_ms=started + 30_000, command="python train.py --config a.yaml")
    stage.jobs[place.job] = replace(stage.jobs[place.job], run=run)
    place.gpu[gpu] = well(dice)

    def end() -> None:
        over = replace(run, ended_ms=stage.t_ms, outcome=outcome, exit_code=1 if outcome is RunOutcome.FAILED else None)
        stage.jobs[place.job] = replace(stage.jobs[place.job], run=over)
        stage.gone(place.job)
        place.gpu[gpu] = {**well(dice)(0), **QUIET, "memory_used": 0.0}  # type: ignore[operator]

    place.then(3, end)
    place.minutes = 7
    if outcome in (RunOutcome.FAILED, RunOutcome.DIED):
        decide(truth, "failed-run-waste", minutes, 9, 11)
    return truth


STORIES: dict[str, tuple[Story, int]] = {
    "free": (free, 1), "held": (held, 1), "zombie": (zombie, 1), "gappy": (gappy, 1), "alone": (alone, 2),
    "waits_for_data": (waits_for_data, 1), "one_thread": (one_thread, 1), "starved": (starved, 1), "empty": (empty, 1),
    "hangs": (hangs, 2), "full": (full, 1), "straggler": (straggler, 4), "hot": (hot, 1), "slow_clock": (slow_clock, 1),
    "capped": (capped, 1), "link": (link, 1), "nvlink": (nvlink, 2), "errors": (errors, 1), "slow_start": (slow_start, 1), "fails": (fails, 1),
}  # fmt: skip
"""Name -> (story, GPUs that it needs)."""
LONELY: dict[str, tuple[Story, int]] = {"storage": (storage, 1)}
"""What happens to the whole host would be true of every other story in it."""
