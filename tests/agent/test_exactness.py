"""The agent counts exactly what the script counts, but for the tokens of the first step, and changes nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from gpuwatch.collectors.training.layout import FLAG_DECLARED, SNAP_NONPAD, SNAP_SAMPLES, SNAP_TOKENS
from gpuwatch.names import Phase

EXACT = (
    *(
        "plain",
        "fork_workers",
        "spawn_worker",
        "no_loader",
        "accumulation",
        "evaluation",
        "two_optimizers",
        "optimizer_in_backward",
    ),
    *(
        "closure",
        "checkpoints",
        "exported",
        "padded",
        "two_models_one_after_the_other",
        "recompute",
        "compiled_model",
        "compiled_in_place",
    ),
    *("compiled_later", "compiled_function", "watched_operations"),
)


@pytest.mark.parametrize("name", EXACT)
def test_steps_are_exact_and_tokens_are_all_but_those_of_the_first_step(attached: Any, name: str) -> None:
    own = attached.results[name]
    assert own["steps"] > 0 and own["tokens"] > own["first"] > 0
    counted = own["agent"]
    assert (counted["steps"], counted["tokens"], counted["eval_tokens"]) == (
        own["steps"],
        own["tokens"] - own["first"],
        own["evaluated"],
    )
    assert counted["known"] & SNAP_TOKENS


def test_a_compiled_optimizer_s_last_step_is_not_known_to_have_ended(attached: Any) -> None:
    own = attached.results["compiled_optimizer"]
    assert own["agent"]["steps"] == own["steps"] - 1
    assert own["agent"]["tokens"] == own["tokens"] - own["first"]


def test_where_all_of_a_step_is_compiled_the_loader_s_batches_count(attached: Any) -> None:
    own = attached.results["compiled_step"]
    assert own["agent"]["steps"] == own["steps"] - 1
    assert own["agent"]["kind"] == "LOADER"
    assert 0 < own["agent"]["tokens"] < own["tokens"]


def test_the_results_of_training_are_the_same_to_the_last_bit(attached: Any, alone: Any) -> None:
    def weights(run: Any) -> dict[str, str]:
        return {name: found["weights"] for name, found in run.results.items() if "weights" in found and name != "spawn_worker"}

    assert weights(attached) == weights(alone)
    assert len(set(weights(alone).values())) > 10


def test_padding_is_told_by_one_batch_in_sixteen(attached: Any) -> None:
    counted = attached.results["padded"]["agent"]
    assert counted["known"] & SNAP_NONPAD
    assert counted["counted_tokens"] == 2 * 32 and counted["nonpad_tokens"] == 32
    assert counted["kind"] == "INPUT_IDS"


def test_pixels_are_samples_and_never_tokens(attached: Any) -> None:
    counted = attached.results["pixels"]["agent"]
    assert counted["kind"] == "SAMPLES" and counted["known"] & (SNAP_TOKENS | SNAP_SAMPLES) == SNAP_SAMPLES
    assert (counted["tokens"], counted["samples"], counted["steps"]) == (0, 45, 10)


def test_micro_batches_samples_batches_and_checkpoints_are_counted(attached: Any) -> None:
    counted = attached.results["accumulation"]["agent"]
    assert (counted["micro_batches"] - counted["samples"] // 4, counted["batches"]) == (
        1,
        24,
    )  # one was held back with the first step
    assert attached.results["checkpoints"]["agent"]["checkpoints"] == 4
    assert attached.results["compiled_model"]["agent"]["compilations"] > 0
    assert attached.results["plain"]["agent"]["loss"] == pytest.approx(4.2, abs=0.8)


def test_what_is_known_of_the_model(attached: Any) -> None:
    known = attached.results["plain"]["agent"]
    parameters, multiplying = 64 * 16 + 16 * 64 + 64, 16 * 64 + 64
    assert (known["model"], known["parameters"], known["trainable_parameters"]) == ("Tiny", parameters, parameters)
    assert (known["flops_formula"], known["flops_per_token"]) == ("6N", 6 * multiplying)
    assert known["precision"] == "fp32"
    assert (known["rank"], known["world"], known["data_parallel_source"]) == (0, 1, "single")


def test_the_last_steps_are_listed_one_by_one(attached: Any) -> None:
    ring = attached.results["slow_other"]["agent"]["ring"]
    assert [line[0] for line in ring] == list(range(2, 13))
    for before, (_, end, whole, *parts, tokens) in pairwise(ring):
        assert end - before[1] == whole and 0 < sum(parts) < whole and tokens == 32


def test_what_the_script_declares_counts_instead(attached: Any) -> None:
    own = attached.results["declared"]
    counted = own["agent"]
    assert (counted["steps"], counted["tokens"], counted["samples"]) == (own["steps"], own["tokens"], 4 * own["steps"])
    assert counted["nonpad_tokens"] * 2 == counted["counted_tokens"] == own["tokens"]
    assert (counted["loss"], counted["step_number"], counted["total_steps"]) == (1.5, 124, 24)
    assert (counted["flops_per_token"], counted["flops_formula"], counted["precision"]) == (123.0, "declared", "fp8")
    assert (counted["kind"], counted["data_parallel_source"], counted["flags"]) == ("DECLARED", "declared", FLAG_DECLARED)
    assert [(line[0], line[-1]) for line in counted["ring"]][:9] == [(step, 64) for step in range(2, 11)]


def test_nothing_counts_twice_when_the_script_begins_to_declare(attached: Any) -> None:
    own = attached.results["declared_later"]
    assert (own["agent"]["steps"], own["agent"]["tokens"]) == (own["steps"], own["tokens"] - own["first"])


def test_within_a_declared_phase_the_hooks_only_count(attached: Any) -> None:
    own = attached.results["declared_phases"]
    assert own["agent"]["phases"][Phase.CHECKPOINT] / 1e9 == pytest.approx(own["slept"], rel=0.1)
    assert own["agent"]["phases"][Phase.EVAL] == 0 and own["agent"]["eval_tokens"] == own["evaluated"] > 0


def test_parameters_that_multiply_and_what_they_cost(attached: Any) -> None:
    known = attached.results["known_of_models"]
    table, out, adapter = 64 * 16, 16 * 64 + 64, 32
    assert (known["lora"]["flops"], known["lora"]["flops_kind"]) == (4 * (out + adapter) + 2 * adapter, "4N+2Nt")
    assert (known["lora"]["parameters"], known["lora"]["trainable"]) == (table + out + adapter, adapter)
    assert (known["tied"]["flops"], known["tied"]["parameters"]) == (6 * out, table + 64)
    assert (known["large"]["flops"], known["large"]["flops_kind"]) == (6 * out + 12 * 3 * 2 * 8 * 5, "6N+12LHQT")
    assert (known["mixed"]["flops"], known["mixed"]["flops_kind"]) == (6 * (64 + 64 + 8), "6Na")
    assert (known["mixed"]["parameters"], known["mixed"]["dtype"]) == (4 * 64 + 72, "torch.bfloat16")
