"""How fast the links of a GPU are, and what moved over them."""

from __future__ import annotations

from gpuwatch.rules.scene import GpuSubject

NVLINK_BYTES = 50e9
"""A link of the third or fourth generation, both ways together, bytes a second (NVIDIA: 25 GB/s each way)."""
_PCIE_USABLE = {3: 12e9, 4: 24e9, 5: 48e9, 6: 96e9}
"""Sixteen lanes, one way (S14)."""


def pcie_rate(gpu: GpuSubject) -> float | None:
    """What its PCIe link can carry one way, bytes a second; ``None`` if its generation is not known."""
    now = gpu.now
    generation = (now.pcie_generation if now else None) or gpu.gpu.pcie_generation_max
    width = (now.pcie_width if now else None) or gpu.gpu.pcie_width_max or 16
    usable = _PCIE_USABLE.get(max(generation, 3)) if generation else None
    return usable * width / 16 if usable else None


def has_nvlink(gpu: GpuSubject) -> bool:
    """Whether it has an NVLink that is up. The driver names none where there are none."""
    return bool(gpu.gpu.nvlink_count or (gpu.now.nvlink_active if gpu.now else None))


def busy_share(gpu: GpuSubject, seconds: float) -> float | None:
    """The share of its links' rate that was in use: NVLink where there is one, else PCIe both ways; ``None`` if not known."""
    links = gpu.gpu.nvlink_count or gpu.series.last("nvlink_active")
    moved = gpu.series.mean("nvlink", seconds)
    if links and moved is not None:
        return float(moved) / (links * NVLINK_BYTES)
    received, sent, rate = gpu.series.mean("pcie_rx", seconds), gpu.series.mean("pcie_tx", seconds), pcie_rate(gpu)
    return (received + sent) / (2 * rate) if received is not None and sent is not None and rate else None
