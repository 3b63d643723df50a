"""Index contact points by their system too, and the identifiers of references by parameters of one type.

Any resource may contain one that has them, which only its content says, so everything is indexed anew when a store is
opened.
"""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Note that what is stored must be indexed anew."""
    op.execute("DELETE FROM reindexing")
    op.execute("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource")
