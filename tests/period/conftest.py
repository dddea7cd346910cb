"""One simulated store with more than two days of history, read by many tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.period_store import backfilled

LAB_HOURS = 50


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """(file, unix second of its end) of ``LAB_HOURS`` of the lab."""
    return backfilled(tmp_path_factory.mktemp("period"), "lab", LAB_HOURS)
