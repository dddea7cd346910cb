"""``db check`` finds what is wrong with sealed hours and with how far tiers say they are closed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import kept

from gpuwatch.clock import FakeClock
from gpuwatch.recorder import Closer
from gpuwatch.store import check
from gpuwatch.store.upgrade import upgrade
from gpuwatch.store.writer import StoreWriter


@pytest.fixture
def sealed(path: Path) -> Iterator[StoreWriter]:
    """Forty minutes of a lab whose hour and day are closed and sealed."""
    kept.unpack(kept.FOLDER / "schema-1.db.xz", path)
    upgrade(path)
    writer = StoreWriter.open(path, clock=FakeClock(), simulated=True, tmpfs_fallback=False)
    now_ms = writer.connection.execute("SELECT max(ts_ms) FROM tick").fetchone()[0] + 2 * 86_400_000
    writer.begin_session(now_ms, 1000, "boot")
    closer = Closer(writer)
    for _ in range(500):
        closer.work(now_ms)
    yield writer
    writer.connection.close()


def test_a_whole_store_has_nothing_to_say(sealed: StoreWriter, path: Path) -> None:
    assert sealed.connection.execute("SELECT count(*) FROM chunk").fetchone()[0] > 10
    assert check.check(path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE chunk SET body=CAST(substr(body,1,100)||x'00'||substr(body,102) AS BLOB) WHERE kind=0 AND entity_id=3", "a sealed hour in the store is damaged"),
        ("UPDATE chunk SET cols='{}' WHERE kind=0 AND entity_id=3", "its columns cannot be read"),
        ("UPDATE chunk SET n=n+1 WHERE kind=0 AND entity_id=3", r"says 422 rows and holds 421"),
        ("UPDATE chunk SET t0_ms=t0_ms-3600000 WHERE kind=0 AND entity_id=3", "holds rows of another time"),
        ("UPDATE rollup_state SET done_s=done_s+9000000 WHERE tier='day'", "the day tier of host 1 is closed to .*, beyond the hour tier"),
        ("UPDATE rollup_state SET done_s=1 WHERE tier IN ('day','hour')", "8 rows of gpu_hour of host 1 lie beyond what is closed"),
    ],
)  # fmt: skip
def test_it_says_what_is_wrong(change: str, words: str, sealed: StoreWriter, path: Path) -> None:

    sealed.connection.execute(change)
    found = check.check(path)
    assert found and re.search(words, found[0]), found
    assert all(line.startswith(f"{path}: ") for line in found)
