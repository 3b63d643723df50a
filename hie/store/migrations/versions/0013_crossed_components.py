"""Index DocumentReference?relationship, whose components had each other's paths.

Stores that have such resources are indexed anew when they are opened.
"""

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Note that everything must be indexed anew where there is a DocumentReference."""
    connection = op.get_bind()
    having = "SELECT DISTINCT tenant FROM resource WHERE type = 'DocumentReference'"
    connection.execute(text(f"DELETE FROM reindexing WHERE tenant IN ({having})"))
    connection.execute(text(f"INSERT INTO reindexing (tenant, after) SELECT found.tenant, 0 FROM ({having}) AS found"))
