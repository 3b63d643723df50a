"""Index codings and identifiers that have a system alone, for `system|`, and the dates of what is contained.

Any resource may have such a coding, which only its content says, so everything is indexed anew when a store is opened.
"""

from alembic import op
from sqlalchemy import text

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Make the indexes of dates, and note that what is stored must be indexed anew."""
    dated, far = text("date_low IS NOT NULL"), text("date_high - date_low > 86400000000")
    op.create_index(
        "ix_contained_date", "contained", ["tenant", "type", "date_low", "key"],
        sqlite_where=dated, postgresql_where=dated,
    )  # fmt: skip
    op.create_index(
        "ix_contained_date_far", "contained", ["tenant", "type", "date_high"], sqlite_where=far, postgresql_where=far
    )
    op.execute("DELETE FROM reindexing")
    op.execute("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource")
