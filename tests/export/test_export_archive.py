"""What is archived is exported like what is hot: the same rows, each once, whatever is sealed and trimmed meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.archived import END_MS, FIRST_BORDER_MS, seal
from support.archived import told as told_in

from gpuwatch.store import export
from gpuwatch.store.archive.seal import due
from gpuwatch.store.connection import close_cleanly, open_read, open_write

BORDER_S = FIRST_BORDER_MS // 1000


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A store with all its seconds hot, and its end."""
    path = told_in(tmp_path_factory.mktemp("told") / "hot.db")
    db = open_write(path)
    for statement in ("DELETE FROM chunk", "DELETE FROM hist_hour", "DELETE FROM rollup_state WHERE tier LIKE 'seal%'"):
        db.execute(statement)
    close_cleanly(db)
    return path, END_MS


def rows_of(path: Path, what: str, start_s: int, end_s: int) -> list[dict[str, Any]]:
    source = export.source(what)
    db = open_read(path)
    try:
        names = [column.name for column in source.columns]
        return [dict(zip(names, row, strict=True)) | {"tick_id": None} for row in export.rows(db, source, start_s, end_s)]
    finally:
        db.close()


@pytest.mark.parametrize("what", ["gpu", "process", "host"])
@pytest.mark.parametrize("keep", [0, 1800, 4300])
def test_sealed_rows_are_the_hot_ones(told: tuple[Path, int], tmp_path: Path, what: str, keep: int) -> None:
    hot, now_ms = told
    sealed = seal(hot, tmp_path / "sealed.db", now_ms, 0 if keep == 0 else FIRST_BORDER_MS - 3_600_000 + keep * 1000)
    spans = ((0, now_ms // 1000), (BORDER_S - 700, BORDER_S + 950), (BORDER_S - 1, BORDER_S + 1), (BORDER_S + 500, BORDER_S + 501))
    for start, end in spans:
        expected = rows_of(hot, what, start, end)
        assert rows_of(sealed, what, start, end) == expected
        assert len({repr(row) for row in expected}) == len(expected) > 0


def test_a_half_sealed_hour_has_every_row_once(told: tuple[Path, int], tmp_path: Path) -> None:
    hot, now_ms = told
    path = Path(shutil.copy(hot, tmp_path / "half.db"))
    db = open_write(path)
    span = (BORDER_S - 90, BORDER_S + 30)
    expected = {what: rows_of(hot, what, *span) for what in ("gpu", "process", "host")}
    chunks = 0
    for job in due(db, now_ms):
        for number, _ in enumerate(job.steps(db)):
            found = db.execute("SELECT count(*) FROM chunk").fetchone()[0]
            if found != chunks or number == 0:
                chunks = found
                assert {what: rows_of(path, what, *span) for what in expected} == expected
    assert chunks > 6
    db.close()


def test_the_hosts_filter_holds_for_sealed_rows(told: tuple[Path, int], tmp_path: Path) -> None:
    hot, now_ms = told
    sealed = seal(hot, tmp_path / "sealed.db", now_ms, FIRST_BORDER_MS)
    db = open_read(sealed)
    for host, some in (("node-07", True), ("other", False)):
        assert bool(list(export.rows(db, export.source("gpu"), 0, now_ms // 1000, host))) is some
    db.close()
