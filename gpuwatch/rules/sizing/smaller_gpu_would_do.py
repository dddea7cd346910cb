"""H2: work that a smaller card would do."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.sizing.cards import Card, smaller_card
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, percent

ID = "smaller-gpu-would-do"
WINDOW = 600


@rule(
    ID,
    "H2",
    "gpu",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.LOW,
    window=WINDOW,
    limits=(
        ("hours", 20, "hours", "pragmatic", "so much of the last day was observed"),
        ("active_hours", 3, "hours", "pragmatic", "and the GPU was active in so much of it"),
        ("memory", 0.60, "ratio", "pragmatic", "p99 of memory in use, of the smaller card's"),
        ("load", 0.70, "ratio", "pragmatic", "SM activity x how much slower the smaller card is"),
    ),
)
def smaller_gpu_would_do(gpu: GpuSubject, scene: Scene) -> Verdict:
    """In a whole day neither memory nor SMs of this card were used so that a smaller one could not have done it.

    Fires by the last 24 hours, for cards whose rates are known: p99 of memory at most 60 % of a smaller card's, and SM activity x (this card's
    dense BF16 rate / the smaller one's) at most 70 %. Look at seven days before you decide.

    Waste: none in time; the difference of two prices.
    Try: that card for this work, or this card shared (share-or-mig-candidate).
    May be wrong where NVLink or FP8 is needed, bursts come less than once a day, or no such card is to be had.
    Source: S13 (jobs on too powerful GPUs).
    """
    if gpu.gpu.parent_uuid or gpu.gpu.mig_enabled:
        return Clear("it is sliced")
    holders = scene.holders(gpu)
    if not holders:
        return Clear("nobody holds it")
    if len({other for holder in holders for other in holder.gpu_ids}) > 1:
        return Clear("its work spans several GPUs")
    if (gap := unseen(gpu.series, WINDOW)) is not None:
        return gap
    day = scene.gpu_day(gpu)
    if day is None or day.observed_hours < scene.limits.of(ID, "hours"):
        return NotEvaluated(f"{scene.limits.of(ID, 'hours'):.0f} observed hours in the last day")
    if day.sm_active is None:
        return NotEvaluated("SM activity (GPM, Hopper and newer)")
    if day.memory_p99 is None or not gpu.gpu.memory_total_bytes:
        return NotEvaluated("memory in use over a day")
    if (day.active_hours or 0.0) < scene.limits.of(ID, "active_hours"):
        return Clear("too few active hours in the last day")
    found = smaller_card(
        gpu.gpu.name,
        gpu.gpu.memory_total_bytes,
        day.memory_p99,
        day.sm_active,
        scene.limits.of(ID, "load"),
        scene.limits.of(ID, "memory"),
    )
    return CLEAR if found is None else _finding(gpu, scene, *found, day.memory_p99, day.sm_active)


def _finding(gpu: GpuSubject, scene: Scene, card: Card, load: float, memory: float, sm: float) -> Finding:
    return Finding(
        name="smaller card would do",
        title=f"{gpu.label} needed {gib(memory)} and {percent(sm)} of its SMs in a day: one {card.name} would do.",
        severity=Severity.NOTICE,
        confidence=Confidence.LOW,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("p99 of memory in use, 24 h", gib(memory), gib(scene.limits.of(ID, "memory") * card.memory), "NVML"),
            Evidence("SM activity, 24 h", percent(sm), "–", "GPM"),
            Evidence(f"the same on {card.name}", percent(load), percent(scene.limits.of(ID, "load")), "data sheets"),
        ),
        gpus=(gpu.id,),
        waste_gpus=None,
        how="No amount of time: what the two cards cost decides.",
        try_first=(f"the same work on one {card.name} for an hour, and its speed compared",),
        then="or share this card: share-or-mig-candidate",
        gain="up to the difference of the two prices",
        gain_source="dense BF16 rates of the data sheets; its own load and memory",
        wrong_if=("it needs NVLink or FP8", "bursts come less than once a day", "no such card is to be had"),
        measured=None,
        sql=of_gpus("sm_active_ratio, memory_used_max_bytes", [gpu], 86_400, "v_gpu_hour"),
    )
