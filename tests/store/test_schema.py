"""The schema: one definition, the checked-in script, the model's order, and the migrations say the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.kept import objects

from gpuwatch.measure import measures
from gpuwatch.model import GpuSample, ProcessSample
from gpuwatch.store import columns, connection, generate, views
from gpuwatch.store.schema import metadata


def test_the_checked_in_script_is_what_the_metadata_generate() -> None:
    assert generate.DDL_FILE.read_text(encoding="utf-8") == generate.ddl()


def test_a_fresh_store_has_every_table_and_view_and_its_marks(path: Path) -> None:
    db = connection.open_write(path)
    found = objects(db)
    assert set(columns.TABLES) == set(metadata.tables)
    assert set(columns.TABLES) | set(views.NAMES) <= set(found)
    assert db.execute("PRAGMA application_id").fetchone() == (columns.APPLICATION_ID,)
    assert db.execute("PRAGMA user_version").fetchone() == (columns.SCHEMA_VERSION,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert path.stat().st_mode & 0o777 == 0o600
    db.close()


def test_migrations_from_nothing_give_the_same_store_as_the_script(path: Path, tmp_path: Path) -> None:
    from gpuwatch.store.upgrade import revisions, upgrade

    migrated = tmp_path / "migrated.db"
    assert upgrade(migrated) == (0, columns.SCHEMA_VERSION)
    fresh, other = connection.open_write(path), connection.open_write(migrated)
    assert objects(fresh) == objects(other)
    assert fresh.execute("SELECT * FROM meta").fetchall() == other.execute("SELECT * FROM meta").fetchall()
    assert len(revisions()) == columns.SCHEMA_VERSION
    assert upgrade(migrated) == (columns.SCHEMA_VERSION, columns.SCHEMA_VERSION)
    fresh.close()
    other.close()


def test_a_migration_that_fails_leaves_the_old_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuwatch.errors import StoreError
    from gpuwatch.store import upgrade

    monkeypatch.setattr(
        "gpuwatch.store.views.VIEWS", (*views.VIEWS, views.View("v_bad", "", (views.Col("a", "nothing", "", ""),), "nowhere"))
    )
    with pytest.raises(StoreError, match="could not be upgraded"):
        upgrade.upgrade(path)
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert db.execute("PRAGMA user_version").fetchone() == (0,)
    db.close()


@pytest.mark.parametrize("table", [*columns.SAMPLES])
def test_sample_columns_stand_in_the_order_of_quantise(table: str) -> None:
    stored = [c.name for c in metadata.tables[table].columns]
    kept = [m.column for m in measures(columns.SAMPLES[table]).values()]
    assert stored[-len(kept) :] == kept


def test_every_gauge_and_amount_of_the_model_is_rolled_up() -> None:
    for sample_type in (GpuSample, ProcessSample):
        rolled = {c.source for c in columns.rollup(sample_type)}
        assert rolled >= {m.column for m in measures(sample_type).values() if m.kind in ("gauge", "delta")}
        names = [c.name for c in columns.rollup(sample_type)]
        assert len(names) == len(set(names))


def test_two_programs_that_create_the_store_at_once_both_get_it(path: Path) -> None:
    first = connection.connect(str(path))
    second = connection.connect(str(path))
    connection._create_schema(first)
    connection._create_schema(second)
    assert second.execute("SELECT count(*) FROM v_gpu").fetchone() == (0,)
    first.close()
    second.close()


def test_the_hot_path_and_readers_import_no_heavy_library() -> None:
    import subprocess
    import sys

    modules = ["writer", "reader", "rollup", "window", "lease", "check", "backup", "location", "views"]
    code = "import sys\n" + "".join(f"import gpuwatch.store.{name}\n" for name in modules)
    code += "print([m for m in ('sqlalchemy', 'alembic', 'pydantic', 'textual', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
