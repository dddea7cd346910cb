"""${message}."""

from __future__ import annotations

from alembic import op

from gpuwatch.store.views import drop_ddl, view_ddl

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Views are dropped first and made anew at the end: neither database changes a table under them."""
    for statement in drop_ddl():
        op.execute(statement)
    ${upgrades if upgrades else ""}
    for statement in view_ddl():
        op.execute(statement)
