"""All tables and indices of the first release."""

from __future__ import annotations

from alembic import op

from gpuwatch.migrations.frozen import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    run_script(op.get_bind(), "schema-1")
    op.execute("INSERT INTO meta VALUES('min_reader','1')")
