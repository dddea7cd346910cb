"""The peaks of products as NVML names them; what is not known has none."""

from __future__ import annotations

import pytest

from gpuwatch.peaks import PEAKS, PRECISIONS, TERA, bf16_peak, dense_peak


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989.4),
        ("NVIDIA H200 NVL", 836),
        ("NVIDIA H20", 148),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("A100-SXM4-40GB", 312),
        ("NVIDIA A800-SXM4-80GB", 312),
        ("NVIDIA A30", 165),
        ("NVIDIA A40", 149.7),
        ("NVIDIA A10", 125),
        ("NVIDIA RTX A6000", 154.8),
        ("NVIDIA L40S", 362.05),
        ("NVIDIA L40", 181.05),
        ("NVIDIA L4", 121),
        ("NVIDIA B200", 2250),
        ("NVIDIA GB200", 2500),
        ("NVIDIA GB300", 2500),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 5090", 209.5),
        ("AMD Instinct MI300X OAM", 1307.4),
    ],
)
def test_products_have_the_peak_of_their_sheet(name: str, tera: float) -> None:
    assert bf16_peak(name) == pytest.approx(tera * TERA)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "NVIDIA A10G",
            "NVIDIA A100",
            "NVIDIA H100",
            "NVIDIA H100 80GB HBM2e",
            "NVIDIA GH200 480GB",
            "NVIDIA L40G",
            "NVIDIA B100",
        ),
        *(
            "NVIDIA GeForce RTX 4090 Laptop GPU",
            "NVIDIA GeForce RTX 4090 D",
            "NVIDIA GeForce RTX 5090 D",
            "NVIDIA GeForce GTX 1080 Ti",
        ),
        *("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA RTX 6000 Ada Generation", "NVIDIA A6000", "NVIDIA GB10", "4090", ""),
    ],
)
def test_a_product_that_is_not_known_has_no_peak(name: str) -> None:
    assert all(dense_peak(name, precision) is None for precision in PRECISIONS)


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "fp8", 1978.9),
        ("NVIDIA H100 80GB HBM3", "tf32", 494.7),
        ("NVIDIA H100 80GB HBM3", "fp64", None),
        ("NVIDIA A100-SXM4-80GB", "fp8", None),
        ("Tesla V100-SXM2-32GB", "fp16", 125),
        ("Tesla V100-PCIE-16GB", "fp16", 112),
        ("Tesla V100-SXM2-32GB", "bf16", None),
        ("Tesla V100S-PCIE-32GB", "fp16", None),
        ("Tesla T4", "fp16", 65),
        ("Tesla T4", "tf32", None),
        ("NVIDIA L4", "", None),
    ],
)
def test_each_precision_has_its_own(name: str, precision: str, tera: float | None) -> None:
    assert dense_peak(name, precision) == (None if tera is None else pytest.approx(tera * TERA))


def test_every_peak_has_a_source_and_is_dense() -> None:
    assert all(peak.source for peak in PEAKS)
    assert len({frozenset(peak.words.split()) for peak in PEAKS}) == len(PEAKS)
    for peak in PEAKS:  # figures with sparsity are twice as high: one that slipped in would stand out beside the others
        if peak.fp8 is not None and peak.bf16 is not None:
            assert peak.fp8 == pytest.approx(2 * peak.bf16, rel=0.02)
        if peak.tf32 is not None and peak.bf16 is not None:
            assert peak.tf32 == pytest.approx(peak.bf16 / 2, rel=0.03)
