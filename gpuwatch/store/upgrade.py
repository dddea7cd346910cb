"""Bringing an older store to this version's schema: the only importer of Alembic, used only when ``user_version`` is behind.

The ordinal of a migration is its file's number; all that are open run in one transaction together with ``user_version``, so a
crash leaves the old schema or the new one. Migrations change tables only: the views are dropped before them and made anew from
this version's list after them. The caller holds the lease.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError

from gpuwatch.errors import StoreError
from gpuwatch.store import views
from gpuwatch.store.columns import APPLICATION_ID, SCHEMA_VERSION
from gpuwatch.store.connection import file_schema, newer


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
    """Upgrade the SQLite file and return (schema before, schema after).

    Raises :class:`StoreError`; for a newer file :class:`gpuwatch.store.connection.NewerStore`, before it is touched.
    """
    if (ahead := file_schema(path)) > SCHEMA_VERSION:
        raise newer(path, ahead)
    engine = sqlite_engine(path)
    try:
        with engine.connect() as connection:
            before = int(connection.execute(text("PRAGMA user_version")).scalar_one())
        if before > SCHEMA_VERSION:
            raise newer(path, before)
        if before < SCHEMA_VERSION:
            with engine.begin() as connection:
                run_revisions(connection, before)
                connection.execute(text(f"PRAGMA application_id={APPLICATION_ID}"))
                connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
        return before, max(before, SCHEMA_VERSION)
    except DBAPIError as error:
        raise StoreError(f"{path} could not be upgraded: {error.orig}", f"gpuwatch db check --store {path}") from error
    finally:
        engine.dispose()


def run_revisions(connection: Connection, before: int = 0) -> None:
    """Run the migrations after ordinal ``before`` in the open transaction, on SQLite or PostgreSQL, and make the views anew."""
    for name in reversed(inspect(connection).get_view_names()):
        connection.execute(text(f"DROP VIEW {name}"))
    with Operations.context(MigrationContext.configure(connection)):
        for revision in revisions()[before:]:
            revision.module.upgrade()
    for statement in views.view_ddl():
        connection.exec_driver_sql(statement.replace("%", "%%") if connection.dialect.name == "postgresql" else statement)
