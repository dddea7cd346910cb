"""E1: one rank that all others wait for."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.balance.odd_one import Odd, odd_one
from gpuwatch.rules.balance.own_time import PART_WORDS, Own, Slowest, own_times, slowest
from gpuwatch.rules.balance.roles import is_reinforcement, mixed
from gpuwatch.rules.observed import fractions, unseen
from gpuwatch.rules.queries import is_job, of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.models import tensor_parallel
from gpuwatch.rules.statistics import median
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "rank-straggler"
WINDOW = 900


@rule(
    ID,
    "E1",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("score", 0.75, "ratio", "vendor", "the others' median own time over this rank's (nvidia-resiliency-ext)"),
        ("clear_score", 0.80, "ratio", "pragmatic", "it clears above"),
        ("steps", 20, "count", "pragmatic", "over so many steps"),
        ("step_share", 0.05, "ratio", "pragmatic", "and the difference is so much of a step"),
        ("apart", 0.10, "ratio", "pragmatic", "inferred: clock or power this far from the siblings' median"),
        ("clear_apart", 0.07, "ratio", "pragmatic", "it clears below"),
        ("z", 3, "count", "pragmatic", "and by so many robust standard deviations"),
        ("busy", 0.8, "ratio", "pragmatic", "inferred only while all of them are this busy: they wait in kernels that spin"),
    ),
)
def rank_straggler(job: JobSubject, scene: Scene) -> Verdict:
    """One rank of a job is slower than the others, which wait for it in every step.

    Measured (hook): the median own time of the other ranks (data, forward, own code; backward holds the waiting itself) is below 75 % of
    this rank's, over 20 steps. Inferred: with all GPUs of the job busy for 15 minutes, one has a clock 10 % below its siblings' median, or
    draws 10 % more of its power (the slow one works while the others spin), and stands out by 3 robust standard deviations.

    Waste: measured, what the others wait; inferred, up to (GPUs - 1) x how much slower it is.
    Try: thermal-throttle and pcie-link-degraded on that GPU first; equal lengths of sequences and stages; another card.
    Gain: up to 10.4 % of GPU time (ByteDance's jobs); only 1.7 % of those with stragglers had one bad worker: look at balance before hardware.
    May be wrong where rank 0 logs, saves or evaluates for all.
    Source: S6 (ByteDance).
    """
    if len(job.gpus) < 2 and len(job.ranks) < 2:
        return Clear("one GPU")
    if is_reinforcement(job) or mixed(job):
        return Clear("its GPUs have different roles")
    owns = own_times(job, WINDOW, scene.limits.of(ID, "steps"))
    if len(owns) >= 2:
        found = slowest(owns)
        limit = scene.limits.of(ID, "clear_score" if scene.is_open(ID, job) else "score")
        least = scene.limits.of(ID, "step_share")
        slow = found is not None and found.score < limit and found.excess >= least * found.own.step
        return _measured(job, scene, found, owns, limit) if found is not None and slow else CLEAR
    return _by_signs(job, scene)


def _by_signs(job: JobSubject, scene: Scene) -> Verdict:
    if job.facts.kind != "training" and tensor_parallel(job.facts.command) < 2:
        return Clear("nothing ties its GPUs together")
    if len(job.gpus) < 3:
        return NotEvaluated(
            "own times of its ranks; with two GPUs clocks and power do not tell which is the odd one", "gpuwatch run COMMAND"
        )
    for gpu in job.gpus:
        if (gap := unseen(gpu.series, WINDOW)) is not None:
            return gap
    busy = [gpu.series.mean("utilization", WINDOW) for gpu in job.gpus]
    if any(value is None for value in busy):
        return NotEvaluated("utilization of its GPUs")
    if min(value or 0.0 for value in busy) < scene.limits.of(ID, "busy"):
        return Clear("not all of its GPUs are busy")
    odd = [
        one
        for one in (odd_one(job, "sm_clock", WINDOW, lower=True), odd_one(job, "power_fraction", WINDOW, lower=False))
        if one is not None
    ]
    if not odd:
        return NotEvaluated("neither clocks nor power of its GPUs are known")
    limit = scene.limits.of(ID, "clear_apart" if scene.is_open(ID, job) else "apart")
    found = [one for one in odd if one.slower >= limit and abs(one.z) > scene.limits.of(ID, "z")]
    return _inferred(job, scene, max(found, key=lambda one: one.slower), limit) if found else CLEAR


def _measured(job: JobSubject, scene: Scene, found: Slowest, owns: list[Own], limit: float) -> Finding:
    own, which = found.own, PART_WORDS[found.part]
    return _finding(
        job,
        title=f"{own.name} of {job.label} takes {own.seconds:.2g} s of its own a step, {which} above all; {len(owns) - 1} others wait for it.",
        basis=Basis.MEASURED,
        confidence=Confidence.HIGH,
        evidence=(
            Evidence("others' own time over its own", f"{found.score:.2f}", f"{limit:.2f}", "hook"),
            Evidence("its own time a step", f"{own.seconds:.3g} s", f"{own.seconds * found.score:.3g} s", "hook"),
            Evidence("a whole step", f"{own.step:.3g} s", "–", "hook"),
        ),
        waste=found.waits,
        how="What each other rank's own time lacks of its, over the length of a step, added up: measured.",
        measured=min(1.0, found.excess / own.step),
        gain=f"{found.waits:.2f} GPUs, if it becomes as fast as the others",
        sql=f"SELECT rank, data_wait_seconds, forward_seconds, other_seconds, rank_steps_total FROM v_training_now WHERE {_root(job)}",
    )


def _inferred(job: JobSubject, scene: Scene, odd: Odd, limit: float) -> Finding:
    number, unit = (1e6, " MHz") if odd.what == "SM clock" else (0.01, "%")
    waste = (fractions(job.gpus) - odd.gpu.gpu.compute_fraction) * odd.slower
    hottest = odd.gpu.series.mean("temperature", WINDOW)
    rest = [value for gpu in job.gpus if gpu is not odd.gpu and (value := gpu.series.mean("temperature", WINDOW)) is not None]
    usual = "–" if not rest else f"{median(rest):.0f} °C"
    how_it_differs = "runs at" if odd.what == "SM clock" else "draws"
    values = f"{odd.value / number:.0f}{unit}", f"{odd.usual / number:.0f}{unit}"
    return _finding(
        job,
        title=f"{odd.gpu.label} of {job.label} {how_it_differs} {values[0]}, the others {values[1]}: they may wait for it.",
        basis=Basis.INFERRED,
        confidence=Confidence.MEDIUM,
        evidence=(
            Evidence(f"{odd.what}, and the others'", values[0], values[1], "NVML"),
            Evidence("robust deviations apart", f"{abs(odd.z):.1f}", f"{scene.limits.of(ID, 'z'):.0f}", "median distance"),
            Evidence("temperature, and the others'", "–" if hottest is None else f"{hottest:.0f} °C", usual, "NVML"),
        ),
        waste=waste,
        how=f"(GPUs - 1) x {percent(odd.slower)}: as much as the others can wait for it.",
        measured=odd.slower,
        gain=f"up to {waste:.2f} GPUs",
        sql=of_gpus("sm_clock_hertz, power_watts, temperature_celsius", job.gpus, WINDOW),
    )


def _root(job: JobSubject) -> str:
    return is_job(job).rpartition(" AND ")[0]


def _finding(
    job: JobSubject,
    *,
    title: str,
    basis: Basis,
    confidence: Confidence,
    evidence: tuple[Evidence, ...],
    waste: float,
    how: str,
    measured: float,
    gain: str,
    sql: str,
) -> Finding:
    return Finding(
        name="waits for one rank",
        title=title,
        severity=Severity.WARNING,
        confidence=confidence,
        basis=basis,
        evidence=evidence,
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how=how,
        try_first=("nvidia-smi -q -d TEMPERATURE,PERFORMANCE", "NCCL_DEBUG=INFO"),
        then="sequences of like length for all ranks, stages of like size; another card only if it stays slow alone",
        gain=gain,
        gain_source="its own times"
        if basis is Basis.MEASURED
        else "10.4 % of GPU time in ByteDance's jobs, 1.7 % of them by one bad worker (S6)",
        wrong_if=("it logs, saves or evaluates for all", "its sequences are longer only for a while"),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=measured,
        sql=sql,
    )
