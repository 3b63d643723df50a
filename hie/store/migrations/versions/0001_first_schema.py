"""The first schema.

A frozen copy of the tables as they were; hie.store.models may move on, this file does not.
"""

from alembic import op
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
RowId: TypeEngine = BigInteger().with_variant(Integer, "sqlite")
Tokens: TypeEngine = ARRAY(BigInteger).with_variant(LargeBinary, "sqlite")

tenant = Table(
    "tenant",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
)

data_key = Table(
    "data_key",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("kek", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("tenant", "owner"),
    sqlite_autoincrement=True,
)

resource = Table(
    "resource",
    metadata,
    Column("key", RowId, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("vid", Integer, nullable=False),
    Column("method", SmallInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("date_low", BigInteger),
    Column("date_high", BigInteger),
    Column("presence", BigInteger, nullable=False),
    Column("data_key", BigInteger, nullable=False),
    Column("sealed", LargeBinary),
    Column("tokens", Tokens),
    UniqueConstraint("tenant", "type", "id"),
    Index("ix_resource_updated", "tenant", "updated", "key"),
    Index("ix_resource_type_key", "tenant", "type", "key"),
    Index("ix_resource_type_updated", "tenant", "type", "updated", "key"),
    Index("ix_resource_type_date", "tenant", "type", "date_low", "key"),
    Index(
        "ix_resource_type_date_far",
        "tenant",
        "type",
        "date_high",
        sqlite_where=text("date_high - date_low > 86400000000"),
        postgresql_where=text("date_high - date_low > 86400000000"),
    ),
    Index(
        "ix_resource_tokens",
        "tokens",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    ).ddl_if(dialect="postgresql"),
    sqlite_autoincrement=True,
)

resource_history = Table(
    "resource_history",
    metadata,
    Column("tenant", Integer, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("vid", Integer, primary_key=True),
    Column("method", SmallInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("data_key", BigInteger, nullable=False),
    Column("sealed", LargeBinary),
    Index("ix_resource_history_type_updated", "tenant", "type", "updated"),
    Index("ix_resource_history_updated", "tenant", "updated"),
)
token = Table(
    "token",
    metadata,
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

date_index = Table(
    "date_index",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("low", BigInteger, primary_key=True, autoincrement=False),
    Column("high", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_date_index_parameter", "parameter", "low", "high", "key"),
    Index(
        "ix_date_index_far",
        "parameter",
        "high",
        "key",
        sqlite_where=text("high - low > 86400000000"),
        postgresql_where=text("high - low > 86400000000"),
    ),
    sqlite_with_rowid=False,
)
number_index = Table(
    "number_index",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("low", Double, primary_key=True, autoincrement=False),
    Column("high", Double, primary_key=True, autoincrement=False),
    Column("unit", BigInteger, primary_key=True, autoincrement=False),
    Column("code", BigInteger, primary_key=True, autoincrement=False),
    Column("text", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_number_index_parameter", "parameter", "low", "high", "key"),
    sqlite_with_rowid=False,
)

job = Table(
    "job",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("error", LargeBinary),
    Column("attempts", Integer, nullable=False),
    Column("run_after", BigInteger, nullable=False),
    Column("claimed_until", BigInteger),
    Column("worker", Text),
    Column("created", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Index("ix_job_state", "state", "run_after", "id"),
    sqlite_autoincrement=True,
)

client = Table(
    "client",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Integer, ForeignKey("tenant.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),
    UniqueConstraint("tenant", "name"),
)

access_token = Table(
    "access_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("client", Text, ForeignKey("client.id"), nullable=False),
    Column("scope", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("revoked", BigInteger),
    Index("ix_access_token_client", "client"),
)

audit = Table(
    "audit",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("client", Text, nullable=False),
    Column("interaction", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("entity", BigInteger, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Index("ix_audit_at", "tenant", "at"),
    Index("ix_audit_entity", "entity", "at"),
    Index("ix_audit_patient", "patient", "at"),
)

model = Table(
    "model",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("activated", BigInteger),
)


def upgrade() -> None:
    """Make every table; the token table on SQLite only."""
    connection = op.get_bind()
    tables = [t for t in metadata.sorted_tables if connection.dialect.name == "sqlite" or t.name != "token"]
    metadata.create_all(connection, tables=tables, checkfirst=False)
