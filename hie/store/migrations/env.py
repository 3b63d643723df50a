"""Alembic environment: runs on the connection that hie.store.schema hands over."""

from alembic import context

from hie.store.models import SQLITE_ONLY, metadata

connection = context.config.attributes["connection"]


def _belongs(item, name, kind, _reflected, _compare_to):  # type: ignore[no-untyped-def]
    table = name if kind == "table" else getattr(getattr(item, "table", None), "name", None)
    return not (connection.dialect.name == "postgresql" and table in SQLITE_ONLY)


context.configure(
    connection=connection, target_metadata=metadata, include_object=_belongs, render_as_batch=False,
    transaction_per_migration=True,
)  # fmt: skip
with context.begin_transaction():
    context.run_migrations()
