"""Index CodeSystem.valueSet, and that a resource refers to a Patient which it contains (patient:missing).

Stores that have code systems, or resources that contain others, are indexed anew when they are opened.
"""

from alembic import op
from sqlalchemy import text

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Note that everything must be indexed anew where there is something of the kind."""
    connection = op.get_bind()
    having = "SELECT tenant FROM resource WHERE type = 'CodeSystem' UNION SELECT tenant FROM contained"
    connection.execute(text(f"DELETE FROM reindexing WHERE tenant IN ({having})"))
    connection.execute(text(f"INSERT INTO reindexing (tenant, after) SELECT found.tenant, 0 FROM ({having}) AS found"))
