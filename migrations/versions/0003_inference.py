"""What inference servers need: who they are, where their numbers come from, more numbers, and the buckets of their waiting times."""

from __future__ import annotations

from alembic import op

from gpuwatch.migrations.frozen import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only additions: nothing is rebuilt, so no backup is needed."""
    run_script(op.get_bind(), "schema-3")
    for tier in ("minute", "hour", "day"):  # how many wait was always known when it was known how many run
        op.execute(f"UPDATE workload_{tier} SET waiting_obs_ms=queue_obs_ms WHERE waiting_milli_ms IS NOT NULL")
