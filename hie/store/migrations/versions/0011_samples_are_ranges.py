"""Index samples that are all the same as a range, so that a code and a quantity can be asked together (ADR 10).

What is stored is indexed anew when the store is opened.
"""

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Note that everything must be indexed anew."""
    connection = op.get_bind()
    connection.execute(text("DELETE FROM reindexing"))
    connection.execute(text("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource"))
