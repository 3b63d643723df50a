"""_include and _revinclude: resources that matches refer to, and that refer to matches; within the grant.

https://hl7.org/fhir/R4/search.html#revinclude. One statement for each type that is included, one for each _revinclude;
never one for each match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Select, bindparam
from sqlalchemy.types import BigInteger, Integer, Text

from hie.errors import Forbidden
from hie.fhir import references
from hie.fhir.search_parameters import IndexValues
from hie.store.models import resource
from hie.store.rows import Current
from hie.store.search import grants, reference
from hie.store.search.blinding import hash_of
from hie.store.search.clauses import AnyToken, Clause, both
from hie.store.search.index import answering, plan_of, reference_walk
from hie.store.search.query import Include
from hie.store.search.statements import COLUMNS, sql_for
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: One answer includes at most so many resources.
MOST_INCLUDED = 1_000

Target = tuple[str, str]


def included(
    store: ResourceStore, includes: Sequence[Include], page: Sequence[StoredVersion]
) -> tuple[list[StoredVersion], bool]:
    """Return what the directives add to the page's matches, each resource once, and whether more was left out."""
    matched = {(one.type, one.id) for one in page}
    forward = [one for one in includes if not one.reverse]
    targets = dict.fromkeys(_targets(store, forward, page)) if forward else {}
    wanted = [target for target in targets if target not in matched]
    found = store.read_many(wanted[:MOST_INCLUDED])
    result = [found[target] for target in wanted if target in found]
    for directive in includes:
        if directive.reverse:
            room = MOST_INCLUDED + 1 - len(result)
            known = matched.union((one.type, one.id) for one in result)
            result += [one for one in _referring(store, directive, page, room) if (one.type, one.id) not in known]
    is_cut = len(wanted) > MOST_INCLUDED or len(result) > MOST_INCLUDED
    return result[:MOST_INCLUDED], is_cut


# ---- _include --------------------------------------------------------------------------------------------------------


def _targets(store: ResourceStore, includes: Sequence[Include], page: Sequence[StoredVersion]) -> Iterator[Target]:
    for version in page:
        for directive in includes:
            if directive.source == version.type:
                yield from _referred(directive, version, store.base_url)


def _referred(directive: Include, version: StoredVersion, base_url: str) -> Iterator[Target]:
    allowed = _allowed(directive)
    resource_ = orjson.loads(version.content or b"{}")  # references need no decimal's digits
    values = IndexValues(resource_)
    reference_walk(version.type, directive.parameter.code)(resource_, values)
    for value in values.references:
        to = references.parse(reference.target(value, base_url) or "")
        if to.kind == "relative" and to.type in allowed and to.id is not None:
            yield to.type, to.id


def _allowed(directive: Include) -> frozenset[str]:
    if directive.target:
        return frozenset({directive.target})
    restricts = directive.parameter.restricts
    return frozenset({restricts[1]}) if restricts else directive.parameter.targets


# ---- _revinclude -----------------------------------------------------------------------------------------------------


def _referring(
    store: ResourceStore, directive: Include, page: Sequence[StoredVersion], room: int
) -> list[StoredVersion]:
    try:
        granted = grants.clause(store, directive.source, "s")
    except Forbidden:
        return []
    allowed = _allowed(directive)
    names = [f"{one.type}/{one.id}" for one in page if one.type in allowed]
    if not names or room <= 0:
        return []
    hashes = tuple(
        hash_of(store.blind, directive.source, code)("to", name)
        for code in answering(plan_of(directive.source).parameters, directive.parameter.code)
        for name in names
    )
    asked: Clause = AnyToken(hashes)
    if granted is not None:
        asked = both([asked, granted])
    sql = sql_for(store.database.dialect)
    statement = _statement(sql, asked)
    bound: dict[str, Any] = dict(zip((bind.key for bind in sql.binds), asked.values(), strict=True))
    bound |= {"tenant": store.tenant, "type": directive.source, "row_limit": room}
    return store.open([Current(*row) for row in store.connection().execute(statement, bound)])


def _statement(sql: Any, asked: Clause) -> Select[Any]:
    place = [
        resource.c.tenant == bindparam("tenant", type_=Integer()),
        resource.c.type == bindparam("type", type_=Text()),
    ]
    statement: Select[Any] = sql.page(COLUMNS, asked, place)
    return statement.order_by(sql.key).limit(bindparam("row_limit", type_=BigInteger()))
