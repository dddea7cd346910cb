"""Bringing an older store to this version's schema: the only importer of Alembic, used only when ``user_version`` is behind.

The ordinal of a migration is its file's number; it is written to ``user_version`` in the migration's own transaction, so a crash
leaves the old schema or the new one. The caller holds the lease.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from gpuwatch.errors import StoreError
from gpuwatch.store.columns import APPLICATION_ID, SCHEMA_VERSION
from gpuwatch.store.connection import NewerStore


def revisions() -> list[Any]:
    """The migrations in order; the first has ordinal 1."""
    config = Config()
    config.set_main_option("script_location", str(files("gpuwatch.migrations")))
    config.set_main_option("path_separator", "os")
    return list(reversed(list(ScriptDirectory.from_config(config).walk_revisions())))


def sqlite_engine(path: Path | str) -> Engine:
    """An engine whose transactions also cover schema changes (the driver would commit before each of them)."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _autocommit(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def upgrade(path: Path | str) -> tuple[int, int]:
    """Upgrade the SQLite file and return (schema before, schema after). Raises :class:`NewerStore` or :class:`StoreError`."""
    engine = sqlite_engine(path)
    try:
        with engine.connect() as connection:
            before = int(connection.execute(text("PRAGMA user_version")).scalar_one())
        if before > SCHEMA_VERSION:
            raise NewerStore(f"{path} was written by a newer gpuwatch (schema {before})", "update gpuwatch")
        for ordinal, revision in enumerate(revisions(), 1):
            if ordinal > before:
                with engine.begin() as connection:
                    run_revision(connection, revision)
                    connection.execute(text(f"PRAGMA application_id={APPLICATION_ID}"))
                    connection.execute(text(f"PRAGMA user_version={ordinal}"))
        return before, max(before, SCHEMA_VERSION)
    except DBAPIError as error:
        raise StoreError(f"{path} could not be upgraded: {error.orig}", f"gpuwatch db check --store {path}") from error
    finally:
        engine.dispose()


def run_revision(connection: Connection, revision: Any) -> None:
    """Run one migration in the open transaction, on SQLite or PostgreSQL."""
    with Operations.context(MigrationContext.configure(connection)):
        revision.module.upgrade()
