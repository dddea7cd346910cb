"""One recorder over a store in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.recording import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    made.writer.close()
