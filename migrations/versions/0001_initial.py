"""All tables, indices and views of the first release."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from gpuwatch.store.schema import metadata
from gpuwatch.store.views import view_ddl

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything; a later release replaces the metadata here by a frozen copy before it changes the schema."""
    bind = op.get_bind()
    metadata.create_all(bind)
    for statement in view_ddl():
        op.execute(text(statement.replace(":", "\\:")))
    op.execute(text("INSERT INTO meta VALUES('min_reader','1')"))
