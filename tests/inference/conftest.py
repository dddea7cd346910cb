"""Captured pages of real servers, and a server that answers what a test gives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.inference_bench import hang_up
from support.replay_server import ReplayServer, replay


@pytest.fixture
def fixtures(shared: Path) -> Path:
    """Pages of real servers."""
    return shared / "fixtures" / "inference"


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    """It has no page yet."""
    with replay() as found:
        yield found


@pytest.fixture(autouse=True)
def _hang_up() -> Iterator[None]:
    """Close the collectors of a test's benches."""
    yield
    hang_up()
