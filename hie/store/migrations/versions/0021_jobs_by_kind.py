"""Find the next job of each kind by an index, however many of another kind wait."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Replace the index of what is due by one that knows the kinds."""
    op.execute("DROP INDEX IF EXISTS ix_job_state")
    op.create_index("ix_job_due", "job", ["state", "kind", "run_after", "id"])
