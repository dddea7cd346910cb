"""What the screen remembers between two runs: an empty file in the state directory for each thing that was dismissed for good."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gpuwatch.paths import base_directory


def _first_steps(environ: Mapping[str, str]) -> Path:
    return base_directory("STATE", environ) / "gpuwatch" / "first-steps-hidden"


def first_steps_hidden(environ: Mapping[str, str]) -> bool:
    """Whether the first steps were dismissed in an earlier run; no when that cannot be read."""
    try:
        return _first_steps(environ).exists()
    except OSError:
        return False


def hide_first_steps(environ: Mapping[str, str]) -> None:
    """Remember it; where nothing can be written they come again, which harms nobody."""
    path = _first_steps(environ)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
