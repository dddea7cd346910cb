"""Each finding carries a query on the public views: all of them run, and say what their finding has seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.rule_queries import queries

from gpuwatch.clock import FakeClock
from gpuwatch.store import reader
from gpuwatch.store.writer import StoreWriter


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("queries") / "fresh.db"
    StoreWriter.open(made, clock=FakeClock(1.0), tmpfs_fallback=False).close()
    return made


def test_every_query_of_a_rule_runs_on_a_fresh_store(path: Path) -> None:
    db = reader.open_reader(path)
    found = queries()
    assert len(found) >= 45
    for module, sql in found:
        names, rows = reader.query(db, sql)
        assert names, module
        assert rows == [], module
    db.close()
