"""Index who refers to whom, for chained searches and _has; existing resources are indexed when the store is opened.

A frozen copy of the tables as they were; hie.store.models may move on, this file does not.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, text

revision = "0002"
down_revision = "0001"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

reference_index = Table(
    "reference_index",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("target", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_reference_index_target", "target", "parameter", "key"),
    sqlite_with_rowid=False,
)
reindexing = Table(
    "reindexing",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("after", BigInteger, nullable=False),
)


def upgrade() -> None:
    """Make the tables, and note that what is stored must be indexed anew."""
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    connection.execute(text("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource"))
