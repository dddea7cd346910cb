"""Alembic's own commands (``alembic revision`` for developers); a store is upgraded by ``gpuwatch.store.upgrade``."""

from __future__ import annotations

from alembic import context

from gpuwatch.store.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    context.configure(dialect_name="sqlite", target_metadata=metadata, literal_binds=True)
else:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
