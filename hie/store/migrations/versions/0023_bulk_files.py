"""Keep which resources stand in the files of a bulk export.

A frozen copy of the table as it was; hie.store.models may move on, this file does not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the table bulk_file."""
    op.create_table(
        "bulk_file",
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("request", "number", name="pk_bulk_file"),
    )
