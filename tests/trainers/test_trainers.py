"""Hugging Face's and Lightning's trainers under the agent, with and without the callback: exact counts, and nothing else changes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (scripts/test --all)")
pytest.importorskip("transformers", reason="transformers is not installed (scripts/test --all)")
pytest.importorskip("lightning.pytorch", reason="Lightning is not installed (scripts/test --all)")

CHECKOUT = Path(__file__).resolve().parents[2]
CHILD = CHECKOUT / "tests" / "support" / "trainer_child.py"
NAMES = ("hf", "hf_seen", "lightning", "lightning_callback")
DECLARED = ("hf_seen",)
"""Those whose trainer counts tokens itself: the first step's as well."""


class Ran(NamedTuple):
    """One run of the child."""

    results: dict[str, Any]
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """(with the agent, without it), at the same time."""
    folder = tmp_path_factory.mktemp("trainers")
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("GPUWATCH", "PYTHONPATH"))}
    watched = {"PYTHONPATH": str(CHECKOUT / "gpuwatch" / "inject"), "GPUWATCH_ATTACH": "1", "GPUWATCH_DIR": str(folder / "hooks")}
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), str(folder / name), *NAMES],
            env={**alone, "GPUWATCH_DIR": str(folder / "nobody"), **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        for name, more in (("with", watched), ("without", {}))
    ]
    said = [child.communicate(timeout=200) for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    assert not (folder / "nobody").exists()
    first, second = (
        Ran(json.loads((folder / name).read_text(encoding="utf-8")), *text) for name, text in zip(("with", "without"), said)
    )
    return first, second


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_the_script_s_own_but_for_the_first_step(both: tuple[Ran, Ran], name: str) -> None:
    own = both[0].results[name]
    counted = own["agent"]
    unseen = 0 if name in DECLARED else own["first"]
    assert own["first"] > 0 and own["evaluated"] > own["before"]
    assert (counted["steps"], counted["tokens"], counted["eval_tokens"], counted["checkpoints"]) == (
        own["steps"],
        own["tokens"] - unseen,
        own["evaluated"] - own["before"],
        2,
    )


def test_the_callbacks_tell_what_only_the_trainer_knows(both: tuple[Ran, Ran]) -> None:
    found = {name: own["agent"] for name, own in both[0].results.items()}
    assert {name: (each["step_number"], each["total_steps"], each["kind"]) for name, each in found.items()} == {
        "hf": (None, None, "INPUT_IDS"),
        "hf_seen": (8, 8, "HF_STATE"),
        "lightning": (None, None, "INTEGERS"),
        "lightning_callback": (16, 16, "INTEGERS"),
    }
    own = both[0].results["hf_seen"]
    assert found["hf_seen"]["loss"] == pytest.approx(own["reported"]["losses"][-2]), "the last one comes after the last step"
    assert own["reported"]["seen"] == own["tokens"]


def test_weights_are_the_same_to_the_last_bit(both: tuple[Ran, Ran]) -> None:
    watched, alone = ({name: own["weights"] for name, own in run.results.items()} for run in both)
    assert watched == alone
    assert alone["hf"] == alone["hf_seen"] and alone["lightning"] == alone["lightning_callback"]


def test_what_is_printed_is_the_same_but_for_timings(both: tuple[Ran, Ran]) -> None:
    timings = re.compile(r"'\w+(_runtime|_per_second)': '?[^',}]+'?|\[[^][]*(it/s|s/it)\]|[\d:]+<[\d:?]+|\d+\.\d+s")
    for watched, alone in zip(both[0][1:], both[1][1:]):
        assert timings.sub("", watched) == timings.sub("", alone)
        assert "--- lightning_callback" in alone
    assert "train_tokens_per_second" in both[0].stdout
