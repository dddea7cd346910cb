"""How many operations a second the tensor cores of a GPU can do without sparsity: what an estimated utilization is a share of.

The figures are those of the makers' data sheets and white papers as product pages, tables of specifications and the tables of
training programs repeat them; the sheets themselves were not read. Where a sheet gives a figure with sparsity only, half of it; FP16
is with FP32 accumulation. A product that is not listed, or on whose figure these do not agree, has none: no share is better than
one of a wrong whole. GPUs before Ampere have no BF16 and no TF32, those before Ada and Hopper no FP8.

Names are taken as whole words: ``L40S`` is no ``L40``, and one with a word that is not known (``Laptop``) is another product.
"""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple

TERA = 1e12
_HOPPER = "NVIDIA H100 and H200 data sheets, halved from the figures with sparsity"
_ADA = "NVIDIA L4, L40 and L40S data sheets"
_AMPERE = "NVIDIA A100, A30, A40 and A10 data sheets"
_BLACKWELL = "NVIDIA Blackwell data sheets (HGX B200, GB200 NVL72, GB300 NVL72), halved from the figures with sparsity"


class Peak(NamedTuple):
    """The dense peaks of one product, TFLOP/s; ``words`` are all of its name but for the maker, the brand and its memory's size."""

    words: str
    bf16: float | None
    fp16: float | None
    fp8: float | None
    tf32: float | None
    fp32: float | None
    """Of the ordinary cores."""
    source: str


PEAKS: tuple[Peak, ...] = (
    Peak("GB300", 2500, 2500, 5000, 1250, None, _BLACKWELL),
    Peak("GB200", 2500, 2500, 5000, 1250, 80, _BLACKWELL),
    Peak("B200", 2250, 2250, 4500, 1100, 75, _BLACKWELL),
    Peak("H200", 989.4, 989.4, 1978.9, 494.7, 66.9, f"{_HOPPER}; the same SMs as an H100 SXM"),
    Peak("H200 NVL", 836, 836, 1671, 418, 60, _HOPPER),
    Peak("H100 HBM3", 989.4, 989.4, 1978.9, 494.7, 66.9, f"{_HOPPER} (SXM)"),
    Peak("H100 PCIE", 756, 756, 1513, 378, 51, _HOPPER),
    Peak("H100 NVL", 835, 835, 1671, 417, 60, _HOPPER),
    Peak("H20", 148, 148, 296, 74, 44, "the press and the tables of training programs; no public data sheet"),
    Peak("A100 SXM4", 312, 312, None, 156, 19.5, _AMPERE),
    Peak("A100 PCIE", 312, 312, None, 156, 19.5, _AMPERE),
    Peak("A800 SXM4", 312, 312, None, 156, 19.5, "as an A100, which it is but for NVLink"),
    Peak("A800 PCIE", 312, 312, None, 156, 19.5, "as an A100, which it is but for NVLink"),
    Peak("A30", 165, 165, None, 82, 10.3, _AMPERE),
    Peak("A40", 149.7, 149.7, None, 74.8, 37.4, _AMPERE),
    Peak("A10", 125, 125, None, 62.5, 31.2, _AMPERE),
    Peak("RTX A6000", 154.8, 154.8, None, 77.4, 38.7, "NVIDIA RTX A6000 data sheet, halved from 309.7 with sparsity"),
    Peak("L40S", 362.05, 362.05, 733, 183, 91.6, _ADA),
    Peak("L40", 181.05, 181.05, 362, 90.5, 90.5, _ADA),
    Peak("L4", 121, 121, 242.5, 60, 30.3, _ADA),
    Peak("RTX 4090", 165.2, 165.2, 330.3, 82.6, 82.6, "NVIDIA Ada GPU architecture, FP32 accumulation"),
    Peak("RTX 5090", 209.5, 209.5, 419, 104.8, 104.8, "NVIDIA RTX Blackwell GPU architecture, FP32 accumulation"),
    Peak("V100 SXM2", None, 125, None, None, 15.7, "NVIDIA V100 data sheet"),
    Peak("V100 PCIE", None, 112, None, None, 14, "NVIDIA V100 data sheet"),
    Peak("T4", None, 65, None, None, 8.1, "NVIDIA T4 data sheet"),
    Peak("MI300X", 1307.4, 1307.4, 2614.9, 653.7, 163.4, "AMD Instinct MI300X data sheet"),
    Peak("MI325X", 1307.4, 1307.4, 2614.9, 653.7, 163.4, "AMD Instinct MI325X data sheet"),
    Peak("MI355X", 2500, 2500, 5000, None, 157.3, "AMD Instinct MI355X data sheet, rounded as training programs do"),
)
_HOPPER_SHARE, _BLACKWELL_SHARE, _AMPERE_SHARE = 0.80, 0.78, 0.87
"""What large matrix products reach of the dense peak, of an H100, a B200 and an A100: stas00/ml-engineering, maximum achievable
matmul FLOPS (compute/accelerator). Products with the same chip are taken to reach as much; of others nobody has measured it there."""
_ACHIEVABLE = {
    **dict.fromkeys(("H100 HBM3", "H100 PCIE", "H100 NVL", "H200", "H200 NVL"), _HOPPER_SHARE),
    **dict.fromkeys(("B200", "GB200", "GB300"), _BLACKWELL_SHARE),
    **dict.fromkeys(("A100 SXM4", "A100 PCIE", "A800 SXM4", "A800 PCIE"), _AMPERE_SHARE),
}
PRECISIONS = ("bf16", "fp16", "fp8", "tf32", "fp32")
_UNSAID = frozenset({"NVIDIA", "TESLA", "GEFORCE", "AMD", "INSTINCT", "OAM"})
_BY_WORDS = {frozenset(peak.words.split()): peak for peak in PEAKS}


def _words(name: str) -> frozenset[str]:
    """The words of a name that tell products apart: without maker and brand, and without the size of its memory (``80GB``)."""
    words = name.upper().replace("-", " ").split()
    return frozenset(word for word in words if word not in _UNSAID and not (word.endswith("GB") and word[:-2].isdigit()))


def dense_peak(name: str, precision: str) -> float | None:
    """Operations a second, without sparsity, of a whole GPU with this product name (as NVML tells it) at one of ``PRECISIONS``.

    ``None``: the product or its figure is not known.
    """
    found = _BY_WORDS.get(_words(name)) if precision in PRECISIONS else None
    tera: float | None = getattr(found, precision) if found is not None else None
    return None if tera is None else tera * TERA


def achievable_share(name: str) -> float | None:
    """What of its dense peak a GPU reaches at best, in large matrix products; ``None``: it was not measured of this product."""
    found = _BY_WORDS.get(_words(name))
    return None if found is None else _ACHIEVABLE.get(found.words)


def bf16_peak(name: str) -> float | None:
    """The same in BF16."""
    return dense_peak(name, "bf16")
