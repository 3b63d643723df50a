"""Closure tables (ConceptMap/$closure): what each client was told of how its codes stand to one another.

A frozen copy of the tables as they were; hie.store.models may move on, this file does not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the tables closure_table and closure_change."""
    op.create_table(
        "closure_table",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.Integer, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("name", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_closure_table"),
        sa.UniqueConstraint("tenant", "client", "name", name="uq_closure_table_tenant_client_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "closure_change",
        sa.Column("table", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("table", "generation", "version", name="pk_closure_change"),
    )
