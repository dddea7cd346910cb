"""The acceptance tests use the programs of ``benchmarks/``: scenes, a measuring terminal, the end-to-end run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))

from fake_nvml import compiler


@pytest.fixture(autouse=True)
def _needs_a_compiler() -> None:
    if compiler() is None:
        pytest.skip("no C compiler")
