"""Index past versions, for searches as of an instant; what is stored is indexed anew when the store is opened.

A frozen copy of the tables as they were; hie.store.models may move on, this file does not.
"""

from alembic import op
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

revision = "0007"
down_revision = "0006"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})
_tokens = ARRAY(BigInteger).with_variant(LargeBinary, "sqlite")

past_version = Table(
    "past_version",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("vid", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("method", SmallInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("date_low", BigInteger),
    Column("date_high", BigInteger),
    Column("presence", BigInteger, nullable=False),
    Column("tokens", _tokens),
    Index("ix_past_version_id", "tenant", "type", "id"),
    Index("ix_past_version_until", "tenant", "until"),
    Index(
        "ix_past_version_tokens",
        "tokens",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    ).ddl_if(dialect="postgresql"),
    sqlite_with_rowid=False,
)

token_past = Table(
    "token_past",
    metadata,
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("vid", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

date_past = Table(
    "date_past",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("vid", Integer, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("low", BigInteger, primary_key=True, autoincrement=False),
    Column("high", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_date_past_parameter", "parameter", "low", "high", "key", "vid"),
    sqlite_with_rowid=False,
)

number_past = Table(
    "number_past",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("vid", Integer, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("low", Double, primary_key=True, autoincrement=False),
    Column("high", Double, primary_key=True, autoincrement=False),
    Column("unit", BigInteger, primary_key=True, autoincrement=False),
    Column("code", BigInteger, primary_key=True, autoincrement=False),
    Column("text", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_number_past_parameter", "parameter", "low", "high", "key", "vid"),
    sqlite_with_rowid=False,
)


def upgrade() -> None:
    """Make the tables, that of tokens on SQLite only; note that what has a past must be indexed anew."""
    connection = op.get_bind()
    tables = [t for t in metadata.sorted_tables if connection.dialect.name == "sqlite" or t.name != "token_past"]
    metadata.create_all(connection, tables=tables, checkfirst=False)
    connection.execute(text("DELETE FROM reindexing WHERE tenant IN (SELECT tenant FROM resource_history)"))
    connection.execute(text("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource_history"))
