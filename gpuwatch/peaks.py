"""How many BF16 operations a second the tensor cores of a GPU can do without sparsity: what an estimated utilization is a share of.

The figures are those of NVIDIA's data sheets as vendors' product pages, tables of specifications and the tables of training programs
repeat them; the sheets themselves were not read. Where a sheet gives a figure with sparsity only, half of it. A product that is not
listed, or on whose figure these do not agree, has none: no share is better than one of a wrong whole. GPUs before Ampere have no BF16.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

TERA = 1e12
PEAKS: tuple[tuple[str, float, str], ...] = (
    # product name as NVML tells it, TFLOP/s, what it is made from
    ("NVIDIA GB200*", 2500, "half of 5 PFLOPS with sparsity, for each GPU of a GB200 NVL72"),
    ("NVIDIA B200*", 2250, "half of 4.5 PFLOPS with sparsity, for each GPU of an HGX B200"),
    ("NVIDIA H200", 989.4, "as an H100 SXM: the same SMs, half of 1 979 with sparsity"),
    ("NVIDIA H100 NVL", 835, "half of 1 671 with sparsity"),
    ("NVIDIA H100 PCIe", 756, "half of 1 513 with sparsity"),
    ("NVIDIA H100 80GB HBM3", 989.4, "half of 1 979 with sparsity (SXM)"),
    ("NVIDIA H20", 148, "148 in the press and in training programs; no public data sheet"),
    ("NVIDIA A100*", 312, "312, 624 with sparsity"),
    ("NVIDIA A800*", 312, "as an A100, which it is but for NVLink"),
    ("NVIDIA A40", 149.7, "149.7, 299.3 with sparsity"),
    ("NVIDIA A10", 125, "125, 250 with sparsity"),
    ("NVIDIA L40S", 362.05, "362.05, 733 with sparsity"),
    ("NVIDIA L40", 181.05, "181.05, 362.1 with sparsity"),
    ("NVIDIA L4", 121, "half of 242 with sparsity"),
)


def bf16_peak(name: str) -> float | None:
    """Operations a second of a whole GPU with this product name; ``None``: not known."""
    found = next((peak for pattern, peak, _ in PEAKS if fnmatchcase(name, pattern)), None)
    return None if found is None else found * TERA


def dense_peak(name: str, precision: str) -> float | None:
    """Operations a second of a whole GPU with this product name at a precision (``bf16``), without sparsity; ``None``: not known."""
    return bf16_peak(name) if precision == "bf16" else None
