"""Index quantities in canonical units, texts beside codes, typed identifiers, URLs above URLs, words and positions.

What is stored is indexed anew when the store is opened, as its setting then says; a frozen copy of the table as it was.
"""

from alembic import op
from sqlalchemy import Boolean, Column, Integer, MetaData, Table, text

revision = "0006"
down_revision = "0005"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

index_setting = Table(
    "index_setting",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("content_words", Boolean, nullable=False),
)


def upgrade() -> None:
    """Make the table, and note that what is stored must be indexed anew."""
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    connection.execute(text("DELETE FROM reindexing"))
    connection.execute(text("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM resource"))
