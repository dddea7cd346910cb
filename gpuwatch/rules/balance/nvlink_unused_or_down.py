"""E4: NVLinks that are down, or that a job does not use."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.balance.links import has_nvlink
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.queries import of_gpus, text
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict

ID = "nvlink-unused-or-down"
WINDOW = 600
"""How long nothing went over NVLink; links that are down are looked at each time."""


@rule(
    ID,
    "E4",
    "gpu",
    phase=1,
    severity=Severity.CRITICAL,
    confidence=Confidence.HIGH,
    window=60,
    bucket=Bucket.WAIT,
    limits=(
        ("looks", 2, "count", "S21 vendor", "a link is down in so many looks one after the other"),
        ("pcie_bytes", 2e9, "bytes", "pragmatic", "unused: PCIe carries so much a second, each way"),
        ("busy", 0.5, "ratio", "pragmatic", "while the GPU is at least this busy"),
    ),
)
def nvlink_unused_or_down(gpu: GpuSubject, scene: Scene) -> Verdict:
    """An NVLink is down that GPUs of the same kind have up, or a job on several linked GPUs moves its data over PCIe.

    Fires critical when fewer links are up than on other GPUs of the same product in this host, in two looks; a notice (told once a job) when no
    byte went over NVLink in 10 minutes while PCIe carried 2 GB/s each way.

    Waste: not known: collectives run at the speed of PCIe.
    Try: nvidia-smi nvlink -s, nvidia-smi topo -m; NCCL_P2P_DISABLE taken away; in containers --ipc=host, in virtual machines ACS.
    Gain: NVLink's rate in place of PCIe's.
    May be wrong for jobs whose GPUs have nothing to tell each other, and for bridges that were never on all cards.
    Sources: S19 (DCGM), S21 (gpud).
    """
    if gpu.gpu.parent_uuid:
        return Clear("a slice has no links of its own")
    peers = [other for other in scene.gpus.values() if other is not gpu and other.gpu.name == gpu.gpu.name]
    usual = max((count for other in peers if (count := other.series.last("nvlink_active")) is not None), default=0)
    if not usual and not has_nvlink(gpu):
        return Clear("no NVLink that the driver tells of")
    count = int(scene.limits.of(ID, "looks"))
    recent = gpu.series.looks(10 * count)
    active = [look.nvlink_active for look in recent if look.nvlink_active is not None]
    if usual and active and not max(active) and not gpu.gpu.nvlink_count:
        return Clear("none of its NVLinks was ever up: bridges are not on all cards")
    if usual > 0 and len(active) >= count and max(active) < usual:
        return _down(gpu, active[-1], usual)
    return _unused(gpu, scene)


def _unused(gpu: GpuSubject, scene: Scene) -> Verdict:
    job = next((job for job in scene.jobs_on(gpu) if len(job.gpus) > 1), None)
    if job is None or job.gpus[0] is not gpu:
        return CLEAR
    if (gap := unseen(gpu.series, WINDOW)) is not None:
        return gap
    nvlink, received, sent = (gpu.series.mean(name, WINDOW) for name in ("nvlink", "pcie_rx", "pcie_tx"))
    if nvlink is None:
        return NotEvaluated("what its NVLinks carry")
    if received is None or sent is None:
        return NotEvaluated("what its PCIe link carries")
    busy = gpu.series.mean("utilization", WINDOW) or 0.0
    if nvlink > 0 or min(received, sent) < scene.limits.of(ID, "pcie_bytes") or busy < scene.limits.of(ID, "busy"):
        return CLEAR
    return _idle(gpu, job, received, sent, scene.t_ms - 1000 * WINDOW)


def _down(gpu: GpuSubject, active: int, usual: int) -> Finding:
    return Finding(
        name="NVLink down",
        title=f"{gpu.label} has {active} NVLinks up; others of its kind have {usual}.",
        severity=Severity.CRITICAL,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("NVLinks up", str(active), str(usual), "NVML"),
            Evidence(
                "NVLinks when it was found",
                str(gpu.gpu.nvlink_count) if gpu.gpu.nvlink_count is not None else "–",
                str(usual),
                "NVML",
            ),
            Evidence("others like it with all of them", "yes", "–", "NVML"),
        ),
        gpus=(gpu.id,),
        waste_gpus=None,
        how="No amount: collectives run at the speed of the links that are left, or of PCIe.",
        try_first=(f"nvidia-smi nvlink -s -i {gpu.gpu.index}", "nvidia-smi topo -m"),
        then="look at XID 74 in the events, at the bridge or the switch; reset the linked GPUs when they are free",
        gain="the rate of all its links",
        gain_source="DCGM's and gpud's checks (S19, S21)",
        wrong_if=("bridges were never on all cards",),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=1 - active / usual,
        sql=f"SELECT ts_ms, gpu_index, nvlink_active_count FROM v_gpu_now WHERE gpu_uuid = {text(gpu.gpu.uuid)}",
    )


def _idle(gpu: GpuSubject, job: JobSubject, received: float, sent: float, since_ms: int) -> Finding:
    return Finding(
        name="NVLink unused",
        title=f"{job.label} moves {(received + sent) / 1e9:.1f} GB/s over PCIe and nothing over the NVLinks of its {len(job.gpus)} GPUs.",
        severity=Severity.NOTICE,
        confidence=Confidence.LOW,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("over NVLink in 10 minutes", "0 B", "0 B", "NVML"),
            Evidence("received over PCIe", f"{received / 1e9:.1f} GB/s", "2 GB/s", "NVML"),
            Evidence("sent over PCIe", f"{sent / 1e9:.1f} GB/s", "2 GB/s", "NVML"),
        ),
        gpus=tuple(one.id for one in job.gpus),
        waste_gpus=None,
        how="No amount: what its collectives cost at the speed of PCIe is not measured.",
        try_first=("unset NCCL_P2P_DISABLE", "nvidia-smi topo -m"),
        then="containers: --ipc=host; virtual machines: PCIe access control (ACS); NCCL_DEBUG=INFO says which path it takes",
        gain="up to NVLink's rate in place of PCIe's",
        gain_source="the rates of both",
        wrong_if=("its GPUs have nothing to tell each other, and the traffic is its input",),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=None,
        since_ms=since_ms,
        sql=of_gpus("nvlink_rx_bytes, nvlink_tx_bytes, pcie_rx_bytes, pcie_tx_bytes", job.gpus, WINDOW),
    )
