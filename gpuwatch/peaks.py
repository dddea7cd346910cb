"""How many BF16 operations a second the tensor cores of a GPU can do without sparsity: what an estimated utilization is a share of.

From NVIDIA's data sheets and white papers, accumulating in FP32; where a sheet gives the figure with sparsity only, half of it. A
product that is not listed, or whose figure could not be checked, has none: no share is better than one of a wrong whole. GPUs
before Ampere have no BF16.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

TERA = 1e12
PEAKS: tuple[tuple[str, float, str], ...] = (
    # product name as NVML tells it, TFLOP/s, source
    ("NVIDIA GB200*", 2500, "GB200 NVL72 data sheet: 5 PFLOPS with sparsity, a GPU"),
    ("NVIDIA B200*", 2250, "HGX B200 data sheet: 4.5 PFLOPS with sparsity, a GPU"),
    ("NVIDIA H200", 989.4, "H200 data sheet: 1 979 TFLOPS with sparsity (SXM)"),
    ("NVIDIA H100 NVL", 835, "H100 data sheet: 1 671 TFLOPS with sparsity (NVL)"),
    ("NVIDIA H100 PCIe", 756, "H100 data sheet: 1 513 TFLOPS with sparsity (PCIe)"),
    ("NVIDIA H100 80GB HBM3", 989.4, "H100 data sheet: 1 979 TFLOPS with sparsity (SXM)"),
    ("NVIDIA H20", 148, "H20 specification: 148 TFLOPS"),
    ("NVIDIA A100*", 312, "A100 data sheet: 312 TFLOPS"),
    ("NVIDIA A800*", 312, "A800: as A100, with less NVLink"),
    ("NVIDIA A40", 149.7, "A40 data sheet: 149.7 TFLOPS"),
    ("NVIDIA A10", 125, "A10 data sheet: 125 TFLOPS"),
    ("NVIDIA L40S", 362.05, "L40S data sheet: 362.05 TFLOPS"),
    ("NVIDIA L40", 181.05, "L40 data sheet: 181.05 TFLOPS"),
    ("NVIDIA L4", 121, "L4 data sheet: 242 TFLOPS with sparsity"),
    ("NVIDIA GeForce RTX 4090", 165.2, "Ada white paper: 165.2 TFLOPS, FP32 accumulate"),
    ("NVIDIA GeForce RTX 3090", 71, "GA102 white paper: 71 TFLOPS, FP32 accumulate"),
)


def bf16_peak(name: str) -> float | None:
    """Operations a second of a whole GPU with this product name; ``None``: not known."""
    found = next((peak for pattern, peak, _ in PEAKS if fnmatchcase(name, pattern)), None)
    return None if found is None else found * TERA
