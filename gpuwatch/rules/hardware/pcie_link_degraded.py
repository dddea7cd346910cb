"""F4: a PCIe link that is slower than it could be while the GPU works."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.looks import GpuLook
from gpuwatch.rules.queries import text
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "pcie-link-degraded"
WINDOW = 60
_LANE_GBYTES = {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}
"""Raw rate of a lane by generation, GB/s and direction (PCI-SIG's GT/s less the line code)."""


@rule(
    ID,
    "F4",
    "gpu",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    limits=(
        ("busy", 0.5, "ratio", "pragmatic", "a look counts at this utilization or more"),
        ("bytes_per_second", 100e6, "bytes", "pragmatic", "or with so much moved over PCIe"),
        ("looks", 5, "count", "pragmatic", "so many busy looks of the last minute, all of them degraded"),
    ),
)
def pcie_link_degraded(gpu: GpuSubject, scene: Scene) -> Verdict:
    """The PCIe link has fewer lanes or a lower generation than card and slot could have, while the GPU is busy.

    Fires when five busy looks of the last minute all have a narrower or slower link. Cards at rest go down to generation 1 by design, so
    looks that are partly quiet do not count.

    Waste: none by itself; host-to-device-copy-bound tells what it costs.
    Try: reseat the card, look at riser and cable, the slot's bifurcation in the firmware.
    May be wrong if the board wires only x8 to this slot: mute it once.
    Source: S19 (DCGM).
    """
    g = gpu.gpu
    if g.parent_uuid:
        return Clear("a MIG instance has no link of its own")
    if gpu.now is None:
        return NotEvaluated("gap: no row in the last ten seconds", "gpuwatch doctor")
    if g.pcie_width_max is None and g.pcie_generation_max is None:
        return NotEvaluated("the driver does not tell what the PCIe link could be")
    busy = [look for look in gpu.series.looks(WINDOW) if _busy(look, scene)]
    if len(busy) < scene.limits.of(ID, "looks"):
        return Clear("not busy")
    known = [look for look in busy if look.pcie_width is not None or look.pcie_generation is not None]
    if len(known) < scene.limits.of(ID, "looks"):
        return NotEvaluated("the driver does not tell the PCIe link's state")
    if not all(_degraded(gpu, look) for look in known):
        return CLEAR
    return _finding(gpu, known[-1])


def _busy(look: GpuLook, scene: Scene) -> bool:
    if look.quiet_ms:
        return False
    moved = (look.pcie_rx or 0.0) + (look.pcie_tx or 0.0)
    return (look.utilization or 0.0) >= scene.limits.of(ID, "busy") or moved >= scene.limits.of(ID, "bytes_per_second")


def _degraded(gpu: GpuSubject, look: GpuLook) -> bool:
    g = gpu.gpu
    narrow = look.pcie_width is not None and g.pcie_width_max is not None and 0 < look.pcie_width < g.pcie_width_max
    slow = (
        look.pcie_generation is not None and g.pcie_generation_max is not None and 0 < look.pcie_generation < g.pcie_generation_max
    )
    return narrow or slow


def _finding(gpu: GpuSubject, look: GpuLook) -> Finding:
    g = gpu.gpu
    width, generation = look.pcie_width or g.pcie_width_max or 0, look.pcie_generation or g.pcie_generation_max or 0
    best_width, best_generation = g.pcie_width_max or width, g.pcie_generation_max or generation
    share = width * _LANE_GBYTES.get(generation, 0.0) / ((best_width * _LANE_GBYTES.get(best_generation, 0.0)) or 1.0)
    bus = g.pci_bus_id[-12:].lower() if g.pci_bus_id else "BUS"
    return Finding(
        name="slow PCIe link",
        title=f"The PCIe link of {gpu.label} runs at generation {generation} x{width} while busy; it could at {best_generation} x{best_width}.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("lanes while busy", f"x{width}", f"x{best_width}", "NVML"),
            Evidence("generation while busy", str(generation), str(best_generation), "NVML"),
            Evidence("of the link's full rate", percent(share), "100%", "PCI Express"),
        ),
        gpus=(gpu.id,),
        waste_gpus=None,
        how="No amount: what moves over the link takes longer, and host-to-device-copy-bound tells what that costs.",
        try_first=(f"lspci -vv -s {bus} | grep LnkSta", f"nvidia-smi -i {g.index} -q -d PCIE"),
        then="reseat the card, look at riser and cable, and at the slot's bifurcation in the firmware",
        gain=f"up to {1 / share:.1f} times the link's rate" if share else "the link's full rate",
        gain_source="the rates of PCI Express by lanes and generation",
        wrong_if=("the board wires only so many lanes to this slot: mute it once",),
        measured=1 - share,
        sql=(
            "SELECT ts_ms, utilization_ratio, pcie_link_generation, pcie_link_width FROM v_gpu_raw "
            f"WHERE gpu_uuid = {text(g.uuid)} ORDER BY ts_ms DESC LIMIT 60"
        ),
    )
