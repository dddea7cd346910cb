"""E3: GPUs that move data in place of computing."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.balance.links import busy_share
from gpuwatch.rules.balance.roles import is_reinforcement, mixed
from gpuwatch.rules.observed import fractions, mean_of, unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "communication-exposed"
WINDOW = 900


@rule(
    ID,
    "E3",
    "job",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.LOW,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("share", 0.15, "ratio", "S17 vendor", "links in use for this share of their rate"),
        ("clear_share", 0.10, "ratio", "pragmatic", "it clears below"),
        ("busy", 0.9, "ratio", "pragmatic", "while utilization is at least this"),
        ("tensor", 0.2, "ratio", "pragmatic", "and tensor activity below this"),
    ),
)
def communication_exposed(job: JobSubject, scene: Scene) -> Verdict:
    """A job's GPUs are busy, their links carry much, and their tensor cores do little: they seem to wait for collectives.

    Times of collectives are not measured, so this is the weak form: over 15 minutes utilization is 90 % or more, tensor activity below 20 %, and
    NVLink (without it PCIe) in use for 15 % of its rate on all GPUs of the job.

    Waste: up to the links' share of use times its GPUs.
    Try: fewer, larger collectives: gradient accumulation, larger buckets; overlap; tensor parallelism only inside NVLink.
    Gain: asynchronous tensor parallelism gave 1.04 to 1.16 times the speed.
    May be wrong for work that is no matrix product, and where ranks wait for a slow one: look at rank-straggler first.
    Sources: S17 (xprof: 15 %), S27 (torchtitan).
    """
    if len(job.gpus) < 2:
        return Clear("one GPU")
    if is_reinforcement(job) or mixed(job):
        return Clear("its GPUs have different roles")
    if scene.is_open("rank-straggler", job):
        return Clear("they wait for one rank: rank-straggler tells it")
    for gpu in job.gpus:
        if (gap := unseen(gpu.series, WINDOW)) is not None:
            return gap
    busy, tensor = mean_of(job.gpus, "utilization", WINDOW), mean_of(job.gpus, "tensor", WINDOW)
    if busy is None or tensor is None:
        return NotEvaluated("times of collectives; the weak form needs tensor activity (GPM, Hopper and newer)")
    shares = [share for gpu in job.gpus if (share := busy_share(gpu, WINDOW)) is not None]
    if len(shares) < len(job.gpus):
        return NotEvaluated("times of collectives; the weak form needs what its links carry")
    if busy < scene.limits.of(ID, "busy") or tensor >= scene.limits.of(ID, "tensor"):
        return CLEAR
    share = min(1.0, min(shares))
    if share < scene.limits.of(ID, "clear_share" if scene.is_open(ID, job) else "share"):
        return CLEAR
    return Finding(
        name="moves data",
        title=f"The links of {job.label} are in use for {percent(share)} of their rate while its tensor cores are active {percent(tensor)}.",
        severity=Severity.NOTICE,
        confidence=Confidence.LOW,
        basis=Basis.PROXY,
        evidence=(
            Evidence("of the links' rate in use", percent(share), percent(scene.limits.of(ID, "share")), "NVML throughput"),
            Evidence("tensor activity", percent(tensor), percent(scene.limits.of(ID, "tensor")), "GPM"),
            Evidence("utilization", percent(busy), percent(scene.limits.of(ID, "busy")), "NVML"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=share * fractions(job.gpus),
        how="The links' share of use times its GPUs: at most so much time can go into moving data at full rate.",
        try_first=(
            "DistributedDataParallel(model, gradient_as_bucket_view=True, bucket_cap_mb=100)",
            "with model.no_sync(): loss.backward()   # gradient accumulation",
        ),
        then="overlap (FSDP2's resharding, Megatron's --overlap-grad-reduce); tensor parallelism only inside NVLink",
        gain="up to 1.04 to 1.16 times the speed",
        gain_source="torchtitan's asynchronous tensor parallelism (S27)",
        wrong_if=("its work is no matrix product", "copies that overlap with computing cost nothing"),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=share,
        sql=of_gpus("utilization_ratio, tensor_active_ratio, nvlink_rx_bytes, nvlink_tx_bytes, pcie_rx_bytes", job.gpus, WINDOW),
    )
