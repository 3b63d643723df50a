"""Requests that are answered later.

A frozen copy of the table as it was; hie.store.models may move on, this file does not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table async_request."""
    op.create_table(
        "async_request",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Integer, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary),
        sa.Column("result", sa.LargeBinary),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("begun", sa.BigInteger),
        sa.Column("finished", sa.BigInteger),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_async_request"),
    )
    op.create_index("ix_async_request_client", "async_request", ["client"])
