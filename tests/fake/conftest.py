"""Plays a scenario on the real nvidia-ml-py within this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_nvml import FakeDriver, compiler

pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")

Play = Callable[..., FakeDriver]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Start a scenario with a manual clock and initialise pynvml on it; shut down and unload at the end."""
    if compiler() is None:
        pytest.skip("no C compiler")
    with ExitStack() as stack:

        def start(scenario: str | list[str], **options: Any) -> FakeDriver:
            options.setdefault("manual", True)
            fake = stack.enter_context(FakeDriver(scenario, folder=tmp_path, **options))
            stack.enter_context(fake.loaded())
            pynvml.nvmlInit()
            stack.callback(pynvml.nvmlShutdown)
            return fake

        yield start
