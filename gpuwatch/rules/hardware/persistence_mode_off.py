"""F7: a driver that is initialised anew for each process."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.queries import text
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import span

ID = "persistence-mode-off"
DAY = 86_400


@rule(
    ID,
    "F7",
    "gpu",
    phase=1,
    severity=Severity.INFO,
    confidence=Confidence.HIGH,
    window=600,
    bucket=Bucket.OVERHEAD,
    limits=(
        ("starts", 5, "count", "pragmatic", "processes a day that opened the GPU while nobody had it open"),
        ("seconds", 3, "seconds", "pragmatic", "what an initialisation takes: 2 to 4 seconds"),
    ),
)
def persistence_mode_off(gpu: GpuSubject, scene: Scene) -> Verdict:
    """Persistence mode is off, so the driver starts the GPU anew whenever a process opens it while nobody else has it open.

    Fires when that happened five times in a day.

    Waste: those starts x 3 s ("up to": 2 to 4 seconds each). Small, and gone with one command.
    Try: the persistence daemon, or nvidia-smi -pm 1.
    May be wrong on laptops, which save power so.
    Source: S21 (gpud).
    """
    if gpu.gpu.parent_uuid:
        return Clear("a slice has no mode of its own")
    if gpu.gpu.persistence_mode is None:
        return NotEvaluated("the driver does not tell the persistence mode")
    if gpu.gpu.persistence_mode:
        return CLEAR
    day = scene.gpu_day(gpu)
    if day is None or day.starts is None:
        return NotEvaluated("starts of processes in the last day: not known before the first full hour")
    if day.starts < scene.limits.of(ID, "starts"):
        return CLEAR
    cost = day.starts * scene.limits.of(ID, "seconds")
    return Finding(
        name="persistence mode off",
        title=f"Persistence mode of {gpu.label} is off, and {day.starts} processes of a day had to wait for the driver to start it.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        basis=Basis.PROXY,
        evidence=(
            Evidence("persistence mode", "off", "on", "NVML"),
            Evidence(
                "starts of the driver in a day",
                str(day.starts),
                f"{scene.limits.of(ID, 'starts'):.0f}",
                "NVML processes",
            ),
            Evidence("waited for the driver, about", span(cost), "–", "starts x 3 s"),
        ),
        gpus=(gpu.id,),
        waste_gpus=cost / DAY,
        how="Starts of a day x 3 s (it takes 2 to 4), as a share of the day.",
        try_first=("systemctl enable --now nvidia-persistenced", f"nvidia-smi -i {gpu.gpu.index} -pm 1"),
        then="",
        gain=f"up to {span(cost)} a day",
        gain_source="2 to 4 s for an initialisation; gpud checks the same (S21)",
        wrong_if=("it is a laptop, which saves power so",),
        bucket=Bucket.OVERHEAD,
        measured=None,
        sql=f"SELECT gpu_index, persistence_mode FROM v_gpu WHERE gpu_uuid = {text(gpu.gpu.uuid)}",
    )
