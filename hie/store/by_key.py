"""Going through a tenant's resources by their keys, in batches.

SQLite would take an index that begins with the tenant, read all of its rows for each batch, and sort them: a store of
100 batches would be read 100 times. A unary plus leaves it the keys themselves.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Integer, literal, literal_column

from hie.store.models import resource

_of: ColumnElement[int] = literal_column(f"+{resource.name}.{resource.c.tenant.name}", Integer())


def of_tenant(tenant: int) -> ColumnElement[bool]:
    """Return the condition that a resource is the tenant's, where it is looked for by its key."""
    return _of == literal(tenant)


def after(tenant: int, key: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions of the next batch, in the order of keys, behind a key."""
    return of_tenant(tenant), resource.c.key > key
