"""A short recording that is made once, and a copy of it to write findings into."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.advice import Advice
from support.story import Hold, Story, process

from gpuwatch.names import Context


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes of three GPUs; bob's notebook holds GPU 1 and does nothing."""
    story = Story(tmp_path_factory.mktemp("recorded") / "store.db", 3)
    story.gpus[1].context = Context.PROCESS
    story.holds.append(Hold(process(4711, user="bob", command="python -m ipykernel"), 1, memory_mib=40_000))
    story.run(1200)
    story.writer.close()
    return Path(str(story.writer.path))


@pytest.fixture
def advice(recorded: Path, tmp_path: Path) -> Iterator[Advice]:
    """Writes into a copy of it, ``tmp_path / "store.db"``."""
    db = sqlite3.connect(shutil.copy(recorded, tmp_path / "store.db"), isolation_level=None)
    yield Advice(db)
    db.close()
