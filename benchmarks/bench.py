"""What all groups of measurements share: the programs under test, a clean environment, a row of the table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scene import FakeDriver, home


@dataclass(slots=True)
class Row:
    """One line of the table. ``met`` None: shown for comparison, no budget."""

    what: str
    ours: str
    peer: str = ""
    budget: str = ""
    met: bool | None = None
    values: dict[str, Any] = field(default_factory=dict)
    """The figures behind the text, for the JSON."""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(slots=True)
class Bench:
    """``gpuwatch`` is the program of a wheel install; ``peer`` a Python that has nvitop, or None."""

    gpuwatch: Path
    peer: str | None
    seconds: float
    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter of the wheel install."""
        return self.gpuwatch.parent / "python"

    @property
    def nvitop(self) -> list[str] | None:
        """nvitop's command, None when there is none."""
        return [self.peer, "-m", "nvitop"] if self.peer else None

    def env(self, fake: FakeDriver | None = None) -> dict[str, str]:
        """An environment with a home, and so a store, of its own each time it is asked for."""
        base: Mapping[str, str] = fake.env if fake else os.environ
        return home(Path(tempfile.mkdtemp(dir=self.folder)), base)

    def ours(self, *arguments: str) -> list[str]:
        """A command line of gpuwatch."""
        return [str(self.gpuwatch), *arguments]


def ratio(ours: float, peer: float | None) -> str:
    """``1.5x``, or nothing without a peer."""
    return f" ({ours / peer:.2f}x)" if peer else ""


def within(ours: float, peer: float | None, factor: float) -> bool | None:
    """Whether ours is at most ``factor`` times the peer's; None without one."""
    return None if not peer else ours <= factor * peer


def spread(values: Sequence[float], digits: int = 2) -> str:
    """``median (min-max)``."""
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.{digits}f} ({ordered[0]:.{digits}f}-{ordered[-1]:.{digits}f})"
