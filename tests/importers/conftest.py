"""Logs written by hand, read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpuwatch.collectors.importers import detect
from gpuwatch.collectors.importers.types import ImportOptions, LogProcessRow, LogRow, PastLog
from gpuwatch.dataclass import dataclass
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample, ProcessSample

NAMES = list(measures(GpuSample))
PROCESS_NAMES = list(measures(ProcessSample))


def said(row: LogRow | LogProcessRow) -> dict[str, int]:
    """What a row says, by public name; what it does not say is left out."""
    names = NAMES if isinstance(row, LogRow) else PROCESS_NAMES
    assert len(names) == len(row.values)
    return {name: value for name, value in zip(names, row.values) if value is not None}


@dataclass(frozen=True, slots=True)
class Read:
    """A log that was read to its end."""

    log: PastLog
    rows: list[Any]

    @property
    def values(self) -> list[dict[str, int]]:
        return [said(row) for row in self.rows]

    @property
    def times(self) -> list[int]:
        return [row.ts_ms for row in self.rows]

    @property
    def gpus(self) -> list[str]:
        return [row.gpu.removeprefix("import:box:") for row in self.rows]

    @property
    def problems(self) -> list[tuple[int, str, int]]:
        return [(each.line, each.text, each.count) for each in self.log.problems]


Reader = Callable[..., Read]


def read_file(path: Path | str, **options: Any) -> Read:
    log = detect(str(path), ImportOptions(**options), "box")
    return Read(log, list(log.rows))


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Reads a text or bytes as a file of its own; times without a zone are UTC unless ``tz`` is given."""

    def read(content: str | bytes, name: str = "log.csv", tz: str = "UTC", **options: Any) -> Read:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_file(path, tz=tz, **options)

    return read
