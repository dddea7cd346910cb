"""Shared by all tests: a clean environment, so that no variable or config of the person who runs them changes a result."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED = CHECKOUT.parent / "shared"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in ("NO_COLOR", "COLORTERM", "GPUWATCH_STORE", "GPUWATCH_CONFIG", "TZ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The studies and fixtures beside the checkout; tests that need them skip where they are not."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there")
    return SHARED
