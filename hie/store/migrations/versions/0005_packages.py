"""Packages of profiles, and whether writes are judged by the profiles that they declare.

A frozen copy of the tables as they were; hie.store.models may move on, this file does not.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

revision = "0005"
down_revision = "0004"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

package = Table(
    "package",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("profiles", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("installed", BigInteger, nullable=False),
)
profile_validation = Table(
    "profile_validation",
    metadata,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("mode", Text, nullable=False),
)


def upgrade() -> None:
    """Make the tables."""
    metadata.create_all(op.get_bind(), checkfirst=False)
