"""Remember which versions of other servers the versions are that came by their histories.

A frozen copy of the table as it was; hie.store.models may move on, this file does not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the table followed_version."""
    op.create_table(
        "followed_version",
        sa.Column("tenant", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("vid", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "type", "id", "number", name="pk_followed_version"),
    )
