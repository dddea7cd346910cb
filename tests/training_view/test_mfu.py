"""MFU with the numbers of its formula, and the word why there is none."""

from __future__ import annotations

from typing import Any

import pytest

from gpuwatch.view.training_mfu import Mfu, mfu

FACTS: dict[str, Any] = {
    "flops_per_token": 6 * 8.03e9 + 12 * 32 * 32 * 128 * 4096,
    "flops_formula": "6N+12LHQT",
    "precision": "bf16",
    "layers": 32,
    "heads": 32,
    "head_width": 128,
    "sequence_tokens": 4096,
}


def gpu(name: str = "NVIDIA H100 80GB HBM3", **more: Any) -> dict[str, Any]:
    return {"name": name, "mig_enabled": 0, "parent_uuid": "", "compute_fraction": 1.0, **more}


def of(facts: dict[str, Any], *gpus: dict[str, Any], tokens: float | None = 13_700.0, shared: bool = False, kind: str = "input_ids") -> Mfu:  # fmt: skip
    return mfu(tokens, FACTS | facts, gpus, shared=shared, tokens_kind=kind)


def test_the_formula_stands_there_with_its_numbers() -> None:
    found = of({}, gpu(), gpu())
    assert found.ratio == pytest.approx(13_700 * FACTS["flops_per_token"] / (2 * 989.4e12))
    assert found.terms == (
        "13.7k tok/s × 54.6 GFLOP/token = 748 TFLOP/s",
        "2 GPUs × 989 TFLOP/s (bf16 dense) = 1 979 TFLOP/s peak",
        "54.6 = 6 × 8.03 G parameters",
        "+ 12 × 32 layers × 4096 wide × 4096 tokens",
    )
    assert found.missing == ""


def test_without_attention_it_is_a_lower_bound() -> None:
    found = of({"flops_per_token": 6 * 124e6, "flops_formula": "6N"}, gpu())
    assert found.terms[2:] == ("0.744 = 6 × 124 M parameters; attention is not counted: at least",)


def test_frozen_parameters_and_experts_are_said_to_be() -> None:
    frozen = of({"flops_formula": "4N+2Nt+12LHQT"}, gpu())
    assert frozen.terms[2] == "54.6 = 48.2 for parameters, some of them frozen (4N+2Nt)"
    assert of({"flops_formula": "6Na+12LHQT"}, gpu()).terms[2] == "54.6 = 6 × 8.03 G active parameters"
    assert of({"flops_formula": "declared"}, gpu()).terms[2:] == ("54.6 GFLOP/token: declared",)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (of({}), "no GPU is known to be its own"),
        (of({}, gpu(), shared=True), "another workload shares its GPU"),
        (of({}, gpu(), tokens=None), "no tokens are counted"),
        (of({}, gpu(), tokens=None, kind="samples"), "it counts samples, no tokens"),
        (of({"flops_per_token": None}, gpu()), "how many operations a token needs is not known"),
        (of({"precision": ""}, gpu()), "its precision is not known"),
        (of({"precision": "fp64"}, gpu()), "the fp64 peak of NVIDIA H100 80GB HBM3 is not known"),
        (
            of({}, gpu(), gpu("NVIDIA GeForce RTX 4090 Laptop GPU")),
            "the bf16 peak of NVIDIA GeForce RTX 4090 Laptop GPU is not known",
        ),
        (of({"precision": "fp8"}, gpu("NVIDIA A100-SXM4-80GB")), "the fp8 peak of NVIDIA A100-SXM4-80GB is not known"),
        (of({}, gpu(mig_enabled=1)), "its GPU is cut into MIG instances"),
        (of({}, gpu(parent_uuid="GPU-0", compute_fraction=0.0)), "what share of the GPU its MIG instance has is not known"),
    ],
)
def test_why_there_is_none(found: Mfu, why: str) -> None:
    assert (found.ratio, found.terms, found.missing) == (None, (), why)


def test_an_instance_is_measured_by_its_share() -> None:
    found = of({}, gpu("NVIDIA A100-SXM4-40GB", parent_uuid="GPU-0", compute_fraction=3 / 7), tokens=1000.0)
    assert found.ratio == pytest.approx(1000 * FACTS["flops_per_token"] / (312e12 * 3 / 7))
    assert found.terms[1] == "1 MIG instance × 0.429 × 312 TFLOP/s (bf16 dense) = 134 TFLOP/s peak"


def test_gpus_of_several_kinds_are_added_up() -> None:
    found = of({}, gpu(), gpu("NVIDIA L4"))
    assert found.ratio == pytest.approx(13_700 * FACTS["flops_per_token"] / (989.4e12 + 121e12))
    assert found.terms[1] == "2 GPUs of several kinds, bf16 dense = 1 110 TFLOP/s peak"
