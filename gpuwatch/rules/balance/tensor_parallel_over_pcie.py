"""E5: layers split over GPUs that only PCIe connects."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.balance.links import has_nvlink, pcie_rate
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.serving.models import tensor_parallel
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "tensor-parallel-over-pcie"
WINDOW = 600
_TRY = {
    "vllm": ("--pipeline-parallel-size {wide} --tensor-parallel-size 1", "--data-parallel-size {wide} --tensor-parallel-size 1"),
    "sglang": ("--dp {wide} --tp 1",),
}


@rule(
    ID,
    "E5",
    "job",
    phase=3,
    severity=Severity.INFO,
    confidence=Confidence.LOW,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(("pcie", 0.30, "ratio", "pragmatic", "of the PCIe link's rate in use, one way"),),
)
def tensor_parallel_over_pcie(job: JobSubject, scene: Scene) -> Verdict:
    """Each layer of a model is split over GPUs (tensor parallelism), and what they tell each other goes over PCIe.

    Fires when the command line splits over 2 or more, no GPU of the job has an NVLink that the driver tells of, and PCIe is in use for 30 % of its rate.

    Waste: not known before it is tried.
    Try: pipeline or data parallelism; tensor parallelism only inside NVLink.
    Gain: it depends on the model: fewer and larger transfers.
    May be wrong where one answer's speed counts and PCIe is not what limits it.
    Source: S24 (vLLM).
    """
    wide = tensor_parallel(job.facts.command)
    if wide < 2 or len(job.gpus) < 2:
        return Clear("no tensor parallelism on its command line")
    if any(has_nvlink(gpu) for gpu in job.gpus):
        return Clear("its GPUs have NVLinks")
    for gpu in job.gpus:
        if (gap := unseen(gpu.series, WINDOW)) is not None:
            return gap
    shares = [share for gpu in job.gpus if (share := _share(gpu)) is not None]
    if len(shares) < len(job.gpus):
        return NotEvaluated("what its PCIe links carry")
    share = min(shares)
    if share < scene.limits.of(ID, "pcie"):
        return CLEAR
    advice = tuple(
        line.format(wide=wide) for line in _TRY.get(job.facts.engine, ("pipeline or data parallelism in place of the split",))
    )
    return Finding(
        name="split over PCIe",
        title=f"{job.label} splits each layer over {wide} GPUs without NVLink, and PCIe is in use for {percent(share)} of its rate.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("tensor parallelism", str(wide), "1", "command line"),
            Evidence("NVLinks", "0", "–", "NVML"),
            Evidence("PCIe in use", percent(share), percent(scene.limits.of(ID, "pcie")), "NVML"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount before it is tried.",
        try_first=advice,
        then="tensor parallelism only between GPUs that NVLink connects (nvidia-smi topo -m)",
        gain="up to what its GPUs wait for each other: test it",
        gain_source="vLLM's guide (S24)",
        wrong_if=("one answer's speed is what counts, and PCIe does not limit it",),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=share,
        sql=of_gpus("pcie_rx_bytes, pcie_tx_bytes", job.gpus, WINDOW),
    )


def _share(gpu: GpuSubject) -> float | None:
    received, sent, rate = gpu.series.mean("pcie_rx", WINDOW), gpu.series.mean("pcie_tx", WINDOW), pcie_rate(gpu)
    return max(received, sent) / rate if received is not None and sent is not None and rate else None
