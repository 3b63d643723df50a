"""The tables: one schema for SQLite and PostgreSQL. Nothing of a record that a person could read stands in clear.

Times are microseconds since 1970-01-01T00:00:00Z. `hash` columns are keyed 64-bit BLAKE2b values (hie.store.crypto).
What each clear column tells somebody who holds the file: docs/adr/0006.
"""

from __future__ import annotations

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

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite counts its row ids only in a column declared INTEGER.
RowId: TypeEngine = BigInteger().with_variant(Integer, "sqlite")
#: PostgreSQL keeps a resource's tokens in the row (GIN); SQLite keeps them in the table `token` and leaves this NULL.
Tokens: TypeEngine = ARRAY(BigInteger).with_variant(LargeBinary, "sqlite")

CREATED, UPDATED, DELETED = 1, 2, 3  # resource.method: the interaction that made this version
ERASED = 4  # resource_history.method: its content was erased for good (hie.store.erasure)
REVIVED, PATCHED = 5, 6  # resource.method: an update of what was deleted; a patch

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
    Column("owner", Text, nullable=False),  # id of the Patient; empty: the tenant's key for everything else
    Column("wrapped", LargeBinary, nullable=False),
    Column("kek", Integer, nullable=False),  # version of the key-encryption key that wraps it
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("tenant", "owner"),
    sqlite_autoincrement=True,
)

#: `written` is the number of the transaction that wrote a version (hie.store.search.seen). PostgreSQL gives it by
#: default; on SQLite NULL is that of a new resource, -key. What was written before schema 0015 has none.
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
    Column("date_low", BigInteger),  # the type's primary date parameter (hie.store.search.index), half-open interval
    Column("date_high", BigInteger),
    Column("presence", BigInteger, nullable=False),  # one blind bit for each search parameter that has a value
    Column("data_key", BigInteger, nullable=False),
    Column("sealed", LargeBinary),  # NULL: deleted
    Column("tokens", Tokens),
    Column("written", BigInteger),  # number of the transaction (hie.store.search.seen)
    UniqueConstraint("tenant", "type", "id"),
    Index("ix_resource_updated", "tenant", "updated", "key"),
    Index("ix_resource_type_key", "tenant", "type", "key"),
    Index("ix_resource_type_updated", "tenant", "type", "updated", "key"),
    Index("ix_resource_type_date", "tenant", "type", "date_low", "key"),
    # What is longer than a day reaches into ranges it does not start in: hie.store.search.sql.
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

#: SQLite only, one row: how many transactions have changed resources.
write_count = Table("write_count", metadata, Column("number", BigInteger, nullable=False))

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
    Column("written", BigInteger),  # as in `resource`
    Index("ix_resource_history_type_updated", "tenant", "type", "updated"),
    Index("ix_resource_history_updated", "tenant", "updated"),
)

#: SQLite only. Old rows are found again by deriving the old version's tokens, so no index by key is kept.
token = Table(
    "token",
    metadata,
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

#: What a Binary's securityContext names stands here as well (hie.store.search.security_context).
date_index = Table(
    "date_index",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),  # hash of (type, parameter)
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

#: Numbers and quantities. `unit`: hash of system|code, `code`: hash of code alone, `text`: hash of the unit's text;
#: 0 where absent.
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

#: Who refers to whom, for chains and _has: `parameter` is the hash of a reference parameter, `target` that of Type/id.
#: The row with parameter 0 (ITSELF) is the resource's own place; rows of those that refer to it have the same target.
reference_index = Table(
    "reference_index",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("parameter", BigInteger, primary_key=True, autoincrement=False),
    Column("target", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_reference_index_target", "target", "parameter", "key"),
    sqlite_with_rowid=False,
)
ITSELF = 0

#: Past versions as searches see them (hie.store.past): what `resource` and the index tables said of a superseded
#: version from `updated` until it was replaced. What was deleted or erased has no row. Keys are those of `resource`.
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
    Column("tokens", Tokens),
    Column("written", BigInteger),  # as in `resource`
    Column("ended", BigInteger),  # number of the transaction that replaced it
    Index("ix_past_version_id", "tenant", "type", "id"),
    Index("ix_past_version_until", "tenant", "until"),
    Index(
        "ix_past_version_ended",
        "tenant",
        "ended",
        sqlite_where=text("ended IS NOT NULL"),
        postgresql_where=text("ended IS NOT NULL"),
    ),
    Index(
        "ix_past_version_tokens",
        "tokens",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    ).ddl_if(dialect="postgresql"),
    sqlite_with_rowid=False,
)

#: SQLite only, as `token`.
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

#: Contained resources as `_contained` and chains see them (hie.store.contained): the rows of each version stay, from
#: `updated` until the container's version was replaced (FOREVER: it is the current one).
contained = Table(
    "contained",
    metadata,
    Column("key", RowId, primary_key=True, autoincrement=True),
    Column("container", BigInteger, nullable=False),  # resource.key
    Column("vid", Integer, nullable=False),  # the container's version
    Column("part", Integer, nullable=False),  # its place in `contained`
    Column("tenant", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("fragment", BigInteger, nullable=False),  # hash of its id, by which the container refers to it
    Column("updated", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("date_low", BigInteger),
    Column("date_high", BigInteger),
    Column("presence", BigInteger, nullable=False),
    Column("tokens", Tokens),
    Column("written", BigInteger),  # of the container, as in `resource`
    Column("ended", BigInteger),
    Index("ix_contained_container", "container", "until"),
    Index("ix_contained_type", "tenant", "type", "key"),
    # Of those that have a date, as most that are contained have none.
    Index(
        "ix_contained_date",
        "tenant",
        "type",
        "date_low",
        "key",
        sqlite_where=text("date_low IS NOT NULL"),
        postgresql_where=text("date_low IS NOT NULL"),
    ),
    Index(
        "ix_contained_date_far",
        "tenant",
        "type",
        "date_high",
        sqlite_where=text("date_high - date_low > 86400000000"),
        postgresql_where=text("date_high - date_low > 86400000000"),
    ),
    Index(
        "ix_contained_tokens",
        "tokens",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    ).ddl_if(dialect="postgresql"),
    sqlite_autoincrement=True,
)
FOREVER = 2**62

#: SQLite only, as `token`; rows are found again by their key.
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

#: What an upgrade left to be indexed anew: resources behind this key (hie.store.reindexing). Mostly empty.
reindexing = Table(
    "reindexing",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("after", BigInteger, nullable=False),
)

#: How a tenant's resources are indexed now; a start with another setting indexes them anew (hie.store.reindexing).
index_setting = Table(
    "index_setting",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("content_words", Boolean, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),  # ready | running | done | failed | cancelled
    Column("payload", LargeBinary, nullable=False),  # sealed JSON
    Column("error", LargeBinary),  # sealed text of the last failure
    Column("attempts", Integer, nullable=False),
    Column("run_after", BigInteger, nullable=False),
    Column("claimed_until", BigInteger),  # a worker that died loses its claim at this time
    Column("worker", Text),
    Column("created", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Index("ix_job_due", "state", "kind", "run_after", "id"),
    sqlite_autoincrement=True,
)

#: Requests that are answered later (hie.store.asynchronous).
async_request = Table(
    "async_request",
    metadata,
    Column("id", Text, primary_key=True),  # random: the address of its status cannot be guessed
    Column("tenant", Integer, nullable=False),
    Column("client", Text, nullable=False),
    Column("token", Text, nullable=False),  # id of the token that asked
    Column("request", LargeBinary),  # sealed JSON; NULL once it is done
    Column("result", LargeBinary),  # sealed Bundle; NULL until it is done
    Column("created", BigInteger, nullable=False),
    Column("begun", BigInteger),
    Column("finished", BigInteger),
    Column("expires", BigInteger, nullable=False),
    Index("ix_async_request_client", "client"),
)

#: Which resources stand in the files of a bulk export (hie.store.bulk_files).
bulk_file = Table(
    "bulk_file",
    metadata,
    Column("request", Text, primary_key=True),  # id of the async_request
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # list of the manifest
    Column("type", Text, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # ids, a line each; of outcomes what they say
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
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of the token; the token itself is not kept
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
    Column("stream", Text, primary_key=True),  # one hash chain for each writing connection of each process
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("client", Text, nullable=False),  # empty: refused before a client was known
    Column("interaction", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),  # HTTP status of the answer
    Column("entity", BigInteger, nullable=False),  # hash of Type/id; 0: none
    Column("patient", BigInteger, nullable=False),  # hash of Patient/id; 0: none
    Column("sealed", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),  # keyed hash over the row and the mac before it
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

#: Search parameters that SearchParameter resources define (hie.store.custom_parameters).
custom_parameter = Table(
    "custom_parameter",
    metadata,
    Column("number", RowId, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("id", Text, nullable=False),  # of the SearchParameter
    Column("state", Text, nullable=False),  # indexing | ready | removing
    Column("definition", Text, nullable=False),  # sealed JSON
    Column("run", BigInteger, nullable=False),  # the index_run that ends the state
    Index("ix_custom_parameter_tenant", "tenant"),
    sqlite_autoincrement=True,
)

#: Raised with every change of custom_parameter; processes look at it to know of changes.
custom_version = Table(
    "custom_version",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

#: Resources whose index rows are written anew (hie.store.index_runs); `after` is the key of the last one.
index_run = Table(
    "index_run",
    metadata,
    Column("number", RowId, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("types", Text, nullable=False),  # JSON list; empty: all
    Column("state", Text, nullable=False),  # waiting | running | done
    Column("after", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("done", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("finished", BigInteger),
    sqlite_autoincrement=True,
)

#: Definitions that others publish: nothing of a record, so it lies in clear.
package = Table(
    "package",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the file it came in
    Column("profiles", Text, nullable=False),  # JSON: resource type -> canonical URLs of its profiles
    Column("content", LargeBinary, nullable=False),  # JSON of what is kept, compressed
    Column("installed", BigInteger, nullable=False),
)

profile_validation = Table(
    "profile_validation",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("mode", Text, nullable=False),  # off, warn, reject; no row: off
)

#: What the versions that came by another server's history are called there (hie.store.followed).
followed_version = Table(
    "followed_version",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("number", Text, primary_key=True),
    Column("vid", Integer, nullable=False),
)

#: Closure tables (hie.store.closures), each of one client.
closure_table = Table(
    "closure_table",
    metadata,
    Column("number", RowId, primary_key=True, autoincrement=True),
    Column("tenant", Integer, nullable=False),
    Column("client", Text, nullable=False),
    Column("name", BigInteger, nullable=False),  # hash of the name that the client gave it
    Column("generation", Integer, nullable=False),  # raised each time it is initialized
    Column("version", Integer, nullable=False),
    UniqueConstraint("tenant", "client", "name"),
    sqlite_autoincrement=True,
)

#: What each version brought to a closure table.
closure_change = Table(
    "closure_change",
    metadata,
    Column("table", BigInteger, primary_key=True, autoincrement=False),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),  # sealed JSON
)

#: Tables that only one dialect has.
SQLITE_ONLY = frozenset({token.name, token_past.name, contained_token.name, write_count.name})
