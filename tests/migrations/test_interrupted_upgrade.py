"""An upgrade that fails or is killed in the middle leaves the old schema as it was, and the next try goes through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import kept

from gpuwatch.errors import StoreError
from gpuwatch.store import check, columns, upgrade
from gpuwatch.store.connection import open_read

KILLED = """
import os, signal, sys
from pathlib import Path
from gpuwatch.store import upgrade, views

class Statements(list):
    def __iter__(self):
        yield self[0]
        os.kill(os.getpid(), signal.SIGKILL)

statements = Statements(views.view_ddl())
views.view_ddl = lambda: statements
upgrade.upgrade(Path(sys.argv[1]))
"""
"""A program that dies when the tables are changed and the first view is made, with none of it committed."""


def _is_as_it_was(store: Path, packed: Path, rows: int) -> None:
    assert check.check(store) == []
    reader = open_read(store)
    assert reader.execute("PRAGMA user_version").fetchone() == (kept.ordinal(packed),)
    assert reader.execute("SELECT count(*) FROM v_gpu_minute").fetchone() == (rows,)
    assert reader.execute("SELECT count(*) FROM sqlite_master WHERE name='mute'").fetchone() == (0,)
    reader.close()


def _rows(store: Path) -> int:
    reader = open_read(store)
    found = int(reader.execute("SELECT count(*) FROM v_gpu_minute").fetchone()[0])
    reader.close()
    return found


def test_killed_in_the_middle(packed: Path, store: Path) -> None:
    rows = _rows(store)
    died = subprocess.run([sys.executable, "-c", KILLED, str(store)], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    _is_as_it_was(store, packed, rows)
    assert upgrade.upgrade(store) == (kept.ordinal(packed), columns.SCHEMA_VERSION)
    assert _rows(store) == rows


def test_failed_in_the_middle(packed: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(store)
    real = upgrade.revisions()

    def fails() -> None:
        from alembic import op

        op.execute("CREATE TABLE half(a INTEGER)")
        op.execute("INSERT INTO nowhere VALUES(1)")

    broken: list[Any] = [*real, SimpleNamespace(module=SimpleNamespace(upgrade=fails))]
    monkeypatch.setattr(upgrade, "revisions", lambda: broken)
    with pytest.raises(StoreError, match="could not be upgraded: no such table: nowhere") as caught:
        upgrade.upgrade(store)
    assert caught.value.hint == f"gpuwatch db check --store {store}"
    _is_as_it_was(store, packed, rows)
    monkeypatch.undo()
    assert upgrade.upgrade(store) == (kept.ordinal(packed), columns.SCHEMA_VERSION)


def test_a_reader_in_the_middle_sees_the_old_schema_and_then_the_new_one(store: Path) -> None:
    reader = open_read(store)
    reader.execute("PRAGMA journal_mode")
    before = reader.execute("SELECT count(*) FROM v_gpu").fetchone()
    upgrade.upgrade(store)
    assert reader.execute("SELECT count(*) FROM v_gpu").fetchone() == before
    assert reader.execute("SELECT count(*) FROM v_mute").fetchone() == (0,)
    reader.close()
