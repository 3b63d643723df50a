"""Index the encounter that another one is associated with by an extension where it is part of it too.

Lists may say so as well, and past versions: everything is indexed anew when a store is opened.
"""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Note that what is stored must be indexed anew."""
    op.execute("DELETE FROM reindexing")
    op.execute("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource")
