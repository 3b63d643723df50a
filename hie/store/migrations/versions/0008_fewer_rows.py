"""Index again with fewer rows: no tokens of ids, one for a code with one system, none for what links tell already.

What is stored is indexed anew when the store is opened. Indexing anew takes no tokens away on SQLite, so their tables
are emptied here.
"""

from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Note that everything must be indexed anew."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        connection.execute(text("DELETE FROM token"))
        connection.execute(text("DELETE FROM token_past"))
    connection.execute(text("DELETE FROM reindexing"))
    connection.execute(text("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource"))
