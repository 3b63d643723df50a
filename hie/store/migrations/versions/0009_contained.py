"""Index contained resources, for `_contained` and for chains into them; what is stored is indexed anew on opening.

A frozen copy of the tables as they were; hie.store.models may move on, this file does not.
"""

from alembic import op
from sqlalchemy import ARRAY, BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text, text

revision = "0009"
down_revision = "0008"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})
_row_id = BigInteger().with_variant(Integer, "sqlite")
_tokens = ARRAY(BigInteger).with_variant(LargeBinary, "sqlite")

contained = Table(
    "contained",
    metadata,
    Column("key", _row_id, primary_key=True, autoincrement=True),
    Column("container", BigInteger, nullable=False),
    Column("vid", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("tenant", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("fragment", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("date_low", BigInteger),
    Column("date_high", BigInteger),
    Column("presence", BigInteger, nullable=False),
    Column("tokens", _tokens),
    Index("ix_contained_container", "container", "until"),
    Index("ix_contained_type", "tenant", "type", "key"),
    Index(
        "ix_contained_tokens",
        "tokens",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    ).ddl_if(dialect="postgresql"),
    sqlite_autoincrement=True,
)

contained_token = Table(
    "contained_token",
    metadata,
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_contained_token_key", "key"),
    sqlite_with_rowid=False,
)

contained_date = Table(
    "contained_date",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("low", BigInteger, primary_key=True, autoincrement=False),
    Column("high", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_contained_date_parameter", "parameter", "low", "high", "key"),
    sqlite_with_rowid=False,
)

contained_number = Table(
    "contained_number",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("low", Double, primary_key=True, autoincrement=False),
    Column("high", Double, primary_key=True, autoincrement=False),
    Column("unit", BigInteger, primary_key=True, autoincrement=False),
    Column("code", BigInteger, primary_key=True, autoincrement=False),
    Column("text", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_contained_number_parameter", "parameter", "low", "high", "key"),
    sqlite_with_rowid=False,
)


def upgrade() -> None:
    """Make the tables, that of tokens on SQLite only, and note that what is stored must be indexed anew."""
    connection = op.get_bind()
    tables = [t for t in metadata.sorted_tables if connection.dialect.name == "sqlite" or t.name != "contained_token"]
    metadata.create_all(connection, tables=tables, checkfirst=False)
    connection.execute(text("DELETE FROM reindexing"))
    connection.execute(text("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource"))
