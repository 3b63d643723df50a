"""Find what is past by custom search parameters too: where there are any, what is stored is indexed anew on opening."""

from alembic import op
from sqlalchemy import text

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Note the tenants that have such parameters."""
    connection = op.get_bind()
    connection.execute(text("DELETE FROM reindexing WHERE tenant IN (SELECT tenant FROM custom_parameter)"))
    connection.execute(text("INSERT INTO reindexing (tenant, after) SELECT DISTINCT tenant, 0 FROM custom_parameter"))
