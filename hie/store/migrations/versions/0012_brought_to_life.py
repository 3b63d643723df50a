"""Tell updates that brought a deleted resource to life from others, as history does: their answer was 201, not 200."""

from alembic import op

revision = "0012"
down_revision = "0011"

_UPDATED, _DELETED, _REVIVED = 2, 3, 5


def upgrade() -> None:
    """Mark the versions that follow a deletion."""
    behind = f"SELECT tenant, type, id, vid + 1 FROM resource_history WHERE method = {_DELETED}"
    for table in ("resource", "resource_history", "past_version"):
        op.execute(f"UPDATE {table} SET method = {_REVIVED} WHERE method = {_UPDATED} "
                   f"AND (tenant, type, id, vid) IN ({behind})")
