"""Index what an upgrade left to be indexed anew: each resource is opened and its index rows are written again.

A migration that changes what is indexed notes it in `reindexing`; opening the store does the work, in batches that
commit alone, so that a start that was interrupted goes on where it stopped. What is written in place of old rows is
everything but tokens of SQLite: these are added, so a migration that takes tokens away empties their table first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from hie.errors import IntegrityFailure
from hie.store import by_key, contained, past, rows
from hie.store.database import Database
from hie.store.keys import MetKeys
from hie.store.models import index_setting, reindexing, resource, token, token_past
from hie.store.opening import open_versions, parsed
from hie.store.search.index import IndexRows, index_rows
from hie.store.tenants import Tenant

log = logging.getLogger(__name__)
BATCH = 500


def bring_up_to_date(database: Database, tenants: dict[int, Tenant], base_url: str, *, decides: bool) -> None:
    """Do what is noted, and, where this process decides, what a changed setting asks for; nothing where nothing is.

    Others, such as a command in a shell without the server's environment, take the store as it is indexed.
    """
    known = {row.tenant: row.content_words for row in database.connection().execute(select(index_setting))}
    for tenant in tenants.values():
        if tenant.id in known and not decides:
            tenant.content_words = known[tenant.id]
        elif known.get(tenant.id) != tenant.content_words:
            database.write(partial(_settle, tenant))
    for tenant in database.connection().execute(select(reindexing.c.tenant)).scalars().all():
        if tenant in tenants:
            _reindex(database, tenants[tenant], base_url)


def _settle(tenant: Tenant, connection: Connection) -> None:
    """Write down the setting, and where it was another one that everything must be indexed anew."""
    its = index_setting.c.tenant == tenant.id
    before = connection.execute(select(index_setting.c.content_words).where(its).with_for_update()).scalar()
    if before == tenant.content_words:
        return
    connection.execute(delete(index_setting).where(its))
    connection.execute(insert(index_setting), {"tenant": tenant.id, "content_words": tenant.content_words})
    if before is None:
        return  # a new store, or one that the upgrade has indexed anew
    if connection.dialect.name == "sqlite" and before:
        keys = select(resource.c.key).where(resource.c.tenant == tenant.id)
        for table in (token, token_past):
            connection.execute(delete(table).where(table.c.key.in_(keys)))
    connection.execute(delete(reindexing).where(reindexing.c.tenant == tenant.id))
    connection.execute(insert(reindexing), {"tenant": tenant.id, "after": 0})


def _reindex(database: Database, tenant: Tenant, base_url: str) -> None:
    log.warning("indexing anew after an upgrade", extra={"tenant": tenant.id, "resources": _size(database, tenant)})
    while database.write(lambda connection: _batch(connection, tenant, base_url)):
        pass
    log.warning("indexed anew", extra={"tenant": tenant.id})


def _size(database: Database, tenant: Tenant) -> int:
    statement = select(func.count()).where(resource.c.tenant == tenant.id, resource.c.sealed.is_not(None))
    return int(database.connection().execute(statement.select_from(resource)).scalar_one())


def _batch(connection: Connection, tenant: Tenant, base_url: str) -> bool:
    """Index some resources; tell whether there may be more. Processes that start together take turns."""
    noted = reindexing.c.tenant == tenant.id
    after = connection.execute(select(reindexing.c.after).where(noted).with_for_update()).scalar()
    if after is None:
        return False
    found = list(connection.execute(_next(tenant, after)))
    if not found:
        connection.execute(delete(reindexing).where(noted))
        return False
    rows.replace_index(connection, list(_indexed(connection, tenant, base_url, found)))
    keys = [row.key for row in found]
    superseded = past.write_anew(connection, tenant, keys, partial(found_by, tenant, base_url))
    contained.write_past_anew(connection, keys, superseded)
    connection.execute(update(reindexing).where(noted).values(after=found[-1].key))
    return True


def _indexed(
    connection: Connection, tenant: Tenant, base_url: str, found: Sequence[Any]
) -> Iterator[tuple[int, IndexRows]]:
    met = MetKeys()
    for row in found:
        try:
            (version,) = open_versions(connection, tenant, [row], met)
        except IntegrityFailure:
            continue  # the alarm was raised; such a row must not keep all others from being served
        if version.content is not None:
            content = parsed(version)
            yield row.key, index_rows(content, tenant.blind, base_url, content_words=tenant.content_words)


def found_by(tenant: Tenant, base_url: str, content: dict[str, Any]) -> IndexRows:
    """Return what a version is found by, current or past."""
    return index_rows(content, tenant.blind, base_url, content_words=tenant.content_words)


def _next(tenant: Tenant, after: int) -> Any:
    return (
        select(
            resource.c.key, resource.c.type, resource.c.id, resource.c.vid, resource.c.method, resource.c.updated,
            resource.c.data_key, resource.c.sealed,
        )
        .where(*by_key.after(tenant.id, after))
        .order_by(resource.c.key)
        .limit(BATCH)
        .with_for_update()
    )  # fmt: skip
