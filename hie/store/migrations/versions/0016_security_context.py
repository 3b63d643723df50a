"""Index what a Binary's securityContext names, which says who may read it.

Stores that have Binaries, contained ones too, are indexed anew when they are opened.
"""

from alembic import op
from sqlalchemy import text

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Note that everything must be indexed anew where there is a Binary."""
    connection = op.get_bind()
    having = (
        "SELECT tenant FROM resource WHERE type = 'Binary' UNION SELECT tenant FROM contained WHERE type = 'Binary'"
    )
    connection.execute(text(f"DELETE FROM reindexing WHERE tenant IN ({having})"))
    connection.execute(text(f"INSERT INTO reindexing (tenant, after) SELECT found.tenant, 0 FROM ({having}) AS found"))
