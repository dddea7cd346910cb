"""A hook folder of its own for each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.launched import until


@pytest.fixture(autouse=True)
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hook folder of the test."""
    folder = tmp_path / "hooks"
    monkeypatch.setenv("GPUWATCH_DIR", str(folder))
    for name in ("PYTHONPATH", "GPUWATCH_ATTACH"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def note(hooks: Path) -> Callable[[], dict[str, Any]]:
    """The one note there is, waited for."""

    def read() -> dict[str, Any]:
        until(lambda: any(hooks.glob("*.run")))
        (path,) = hooks.glob("*.run")
        found: dict[str, Any] = json.loads(path.read_bytes())
        assert path.name == f"{found['pid']}-{found['starttime']}.run" and path.stat().st_mode & 0o777 == 0o600
        return found

    return read
