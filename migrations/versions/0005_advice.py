"""What the ledger and its advice need: what work and waiting is known of a GPU, links, pressure, findings over time, mutes."""

from __future__ import annotations

from alembic import op

from gpuwatch.migrations.frozen import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only additions: nothing is rebuilt, so no backup is needed. No release has written a finding before."""
    run_script(op.get_bind(), "schema-5")
