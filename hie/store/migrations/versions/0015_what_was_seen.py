"""Keep with each version which transaction wrote it and which ended it, for pages that show what the first one saw.

What was written before has no number and was seen by all. PostgreSQL changes no row for it.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, text

revision = "0015"
down_revision = "0014"

_COLUMNS = {
    "resource": ("written",),
    "resource_history": ("written",),
    "past_version": ("written", "ended"),
    "contained": ("written", "ended"),
}


def upgrade() -> None:
    """Add the columns, the index of what was ended and, on SQLite, the count of transactions that change resources."""
    for table, names in _COLUMNS.items():
        for name in names:
            op.add_column(table, Column(name, BigInteger))
    if op.get_bind().dialect.name == "sqlite":
        op.create_table("write_count", Column("number", BigInteger, nullable=False))
        op.execute("INSERT INTO write_count (number) VALUES (0)")
    else:
        op.execute("ALTER TABLE resource ALTER COLUMN written SET DEFAULT pg_current_xact_id()::text::bigint")
    known = text("ended IS NOT NULL")
    op.create_index(
        "ix_past_version_ended", "past_version", ["tenant", "ended"], sqlite_where=known, postgresql_where=known
    )
