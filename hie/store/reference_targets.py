"""The targets of references: which of them are there, and who refers to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from hie.store.models import ITSELF
from hie.store.prepared import Prepared

#: Type and id.
Target = tuple[str, str]

#: Resources that tell what happened may outlive what they tell of.
WITNESSES = frozenset({"AuditEvent", "Provenance"})

_LIVE_SQLITE = Prepared(
    text(
        "SELECT id FROM resource WHERE tenant = :tenant AND type = :type AND sealed IS NOT NULL "
        "AND id IN (SELECT value FROM json_each(:ids))"
    ),
    ["id"],
)
_LIVE_POSTGRES = Prepared(
    text(
        "SELECT id FROM resource WHERE tenant = :tenant AND type = :type AND sealed IS NOT NULL "
        "AND id = ANY(CAST(:ids AS text[]))"
    ),
    ["id"],
)


#: So many targets are looked up by a statement for just so many: json_each takes longer to begin than they do.
FEW = 8


@cache
def _live_of(number: int) -> Prepared:
    one = (
        "SELECT type, id FROM resource WHERE tenant = :tenant AND type = :type_{0} AND id = :id_{0} "
        "AND sealed IS NOT NULL"
    )
    return Prepared(text(" UNION ALL ".join(one.format(each) for each in range(number))), ["type", "id"])


def live(connection: Connection, tenant: int, targets: Sequence[Target]) -> set[Target]:
    """Return those of `targets` that exist and are not deleted."""
    found: set[Target] = set()
    on_sqlite = connection.dialect.name == "sqlite"
    if on_sqlite and 0 < len(targets) <= FEW:
        given: dict[str, Any] = {"tenant": tenant}
        for number, (type_name, id_) in enumerate(targets):
            given[f"type_{number}"], given[f"id_{number}"] = type_name, id_
        return {(row.type, row.id) for row in _live_of(len(targets)).all(connection, given)}
    statement = _LIVE_SQLITE if on_sqlite else _LIVE_POSTGRES
    for type_name, group in groupby(sorted(targets), key=lambda target: target[0]):
        ids = [id_ for _, id_ in group]
        parameters = {"tenant": tenant, "type": type_name, "ids": json.dumps(ids) if on_sqlite else ids}
        found.update((type_name, row.id) for row in statement.all(connection, parameters))
    return found


#: By links, or by the tokens of references that no parameter looks at (hie.store.search.index). CROSS JOIN: SQLite
#: keeps this order, else it may go through all resources of the tenant.
_REFERRING_SQLITE = text(
    f"""
    SELECT resource.type, resource.id FROM json_each(:places) AS wanted
    CROSS JOIN reference_index AS link ON link.target = wanted.value AND link.parameter <> {ITSELF}
    CROSS JOIN resource ON resource.key = link.key WHERE resource.tenant = :tenant
    UNION ALL
    SELECT resource.type, resource.id FROM json_each(:places) AS wanted CROSS JOIN token ON token.hash = wanted.value
    CROSS JOIN resource ON resource.key = token.key WHERE resource.tenant = :tenant
    """
)
#: What carries one of some tokens, on PostgreSQL.
CARRYING = """
    SELECT found.type, found.id FROM {wanted} AS wanted (hash) CROSS JOIN LATERAL (
        SELECT type, id FROM resource WHERE tokens @> ARRAY[wanted.hash] AND tenant = {tenant}
        AND sealed IS NOT NULL OFFSET 0) AS found
"""
#: One look into each index for each place: comparing arrays with a long one would take their product.
REFERRING = f"""
    SELECT found.type, found.id FROM {{wanted}} AS wanted (hash) CROSS JOIN LATERAL (
        SELECT resource.type, resource.id FROM reference_index AS link JOIN resource ON resource.key = link.key
        WHERE link.target = wanted.hash AND link.parameter <> {ITSELF} AND tenant = {{tenant}} AND sealed IS NOT NULL
        OFFSET 0) AS found
    UNION ALL {CARRYING}
"""
_REFERRING_TO_ONE_SQLITE = Prepared(
    text(
        f"""
        SELECT resource.type, resource.id FROM reference_index AS link CROSS JOIN resource ON resource.key = link.key
        WHERE link.target = :place AND link.parameter <> {ITSELF} AND resource.tenant = :tenant
        UNION ALL
        SELECT resource.type, resource.id FROM token CROSS JOIN resource ON resource.key = token.key
        WHERE token.hash = :place AND resource.tenant = :tenant
        """
    ),
    ("type", "id"),
)
_REFERRING_POSTGRES = text(REFERRING.format(wanted="unnest(CAST(:places AS bigint[]))", tenant=":tenant"))
_PREPARED_SQLITE = Prepared(_REFERRING_SQLITE, ("type", "id"))
_PREPARED_POSTGRES = Prepared(_REFERRING_POSTGRES, ("type", "id"))


def referring(connection: Connection, tenant: int, places: Sequence[int]) -> Iterable[Any]:
    """Return (type, id) of live resources that refer to one of the places, in whatever element; some more than once."""
    on_postgres = connection.dialect.name == "postgresql"
    if not on_postgres and len(places) == 1:
        return _REFERRING_TO_ONE_SQLITE.all(connection, {"place": places[0], "tenant": tenant})
    statement = _PREPARED_POSTGRES if on_postgres else _PREPARED_SQLITE
    given = list(places) if on_postgres else json.dumps(list(places))
    return statement.all(connection, {"places": given, "tenant": tenant})
