"""Custom search parameters, and the runs that index for them."""

from alembic import op
from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

metadata = MetaData()
_row_id = BigInteger().with_variant(Integer, "sqlite")

custom_parameter = Table(
    "custom_parameter",
    metadata,
    Column("number", _row_id, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("run", BigInteger, nullable=False),
    Index("ix_custom_parameter_tenant", "tenant"),
    sqlite_autoincrement=True,
)

custom_version = Table(
    "custom_version",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

index_run = Table(
    "index_run",
    metadata,
    Column("number", _row_id, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("types", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("after", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("done", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("finished", BigInteger),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """Make the tables."""
    metadata.create_all(op.get_bind(), checkfirst=False)
