"""What history needs: day rollups, energy over gaps, imported files, and where a host's hours and days begin."""

from __future__ import annotations

from alembic import op

from gpuwatch.migrations.frozen import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only additions: nothing is rebuilt, so no backup is needed."""
    run_script(op.get_bind(), "schema-2")
    op.execute("UPDATE host SET hour_offset_seconds=(3600 - utc_offset_seconds % 3600) % 3600")
