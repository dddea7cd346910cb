"""The peaks of products as NVML names them; what is not known has none."""

from __future__ import annotations

import pytest

from gpuwatch.peaks import PEAKS, bf16_peak


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA L40S", 362.05),
        ("NVIDIA L40", 181.05),
        ("NVIDIA L4", 121),
        ("NVIDIA B200", 2250),
        ("NVIDIA GB200", 2500),
    ],
)
def test_products_have_the_peak_of_their_sheet(name: str, tera: float) -> None:
    assert bf16_peak(name) == pytest.approx(tera * 1e12)


@pytest.mark.parametrize(
    "name",
    ["Tesla V100-SXM2-32GB", "Tesla T4", "NVIDIA A10G", "NVIDIA H200 NVL", "NVIDIA GeForce RTX 4090", "NVIDIA H100", ""],
)
def test_a_product_that_is_not_known_has_no_peak(name: str) -> None:
    assert bf16_peak(name) is None


def test_every_peak_has_a_source() -> None:
    assert all(tera > 0 and source for _, tera, source in PEAKS)
    assert len({pattern for pattern, _, _ in PEAKS}) == len(PEAKS)
