"""What a grant lets through, as part of every query (D11).

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Text, and_, bindparam, exists, literal_column, or_, select

from hie.errors import Forbidden
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.scopes import BINARY
from hie.store.models import DELETED, ERASED, past_version, resource, resource_history
from hie.store.prepared import Prepared
from hie.store.search import type_conditions
from hie.store.search.clauses import Clause, Shaped, Types, both, either
from hie.store.search.joined_clauses import StandsNow
from hie.store.search.proxies import in_context, in_context_met_by
from hie.store.search.scope_conditions import of_queries
from hie.store.search.statements import prepared, sql_for
from hie.store.search.tables import CURRENT, PAST, Tables, place

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore


def clause(store: ResourceStore, type_name: str, letter: str) -> Clause | None:
    """Return what resources of a type must match; None: no restriction. Forbidden where nothing is allowed."""
    queries = store.grant.queries(type_name, letter)
    if queries is None and type_name != BINARY:
        return None
    if queries is not None and not queries:
        raise Forbidden(f"The token has no scope for this: system/{type_name}.{letter} is needed.")
    asked = _covered(store, type_name, letter)
    return None if asked is None else _as_it_was_and_is(store, asked)


def _covered(store: ResourceStore, type_name: str, letter: str) -> Clause | None:
    """Return what the scopes of the token, and the security contexts of Binaries, let through; None: everything."""
    queries = store.grant.queries(type_name, letter)
    asked = None if queries is None else of_queries(store.blind, type_name, queries)
    if type_name != BINARY or store.grant.meets_all(letter):
        return asked
    context = in_context(store, letter)
    return context if asked is None else both([asked, context])


def _as_it_was_and_is(store: ResourceStore, asked: Clause) -> Clause:
    """Of the past, a version is shown that the grant covers and whose resource it still covers: as vread does."""
    return asked if store.at is None else both([asked, StandsNow(asked)])


def allowed_types(store: ResourceStore, letter: str, wanted: frozenset[str] | None = None) -> frozenset[str]:
    """Return the types that are wanted, or else all that the grant allows; Forbidden where it does not allow one."""
    allowed = store.grant.types(letter)
    if not allowed:
        raise Forbidden(f"The token has no scope to search over types: system/*.{letter} is needed.")
    if wanted is None:
        return allowed
    if not wanted <= allowed:
        closed = ", ".join(f"system/{name}.{letter}" for name in sorted(wanted - allowed))
        raise Forbidden(f"The token has no scope for all of the types: {closed} is needed.")
    return wanted


def over_types(store: ResourceStore, letter: str, wanted: frozenset[str] | None = None) -> Clause | None:
    """Return what resources of any of the wanted types must match; None: no restriction."""
    conditions = {name: _covered(store, name, letter) for name in sorted(allowed_types(store, letter, wanted))}
    free = tuple(name for name, asked in conditions.items() if asked is None)
    if len(free) == len(RESOURCE_TYPES):
        return None
    bound = {name: asked for name, asked in conditions.items() if asked is not None}
    parts = [_as_it_was_and_is(store, type_conditions.over_types(bound))] if bound else []
    return either([*([Types(free)] if free else []), *parts])


def restriction(
    store: ResourceStore, type_name: str, letter: str, tables: Tables = CURRENT
) -> ColumnElement[bool] | None:
    """Return the grant's WHERE for rows of `resource` (or of the past) of one type; None: no restriction."""
    asked = clause(store, type_name, letter)
    if asked is None:
        return None
    tells = not tables.is_past and _tells_of_deletion(store, type_name, letter)
    values = itertools.chain(asked.values(), asked.values())
    return _condition(asked, store.database.dialect, tables, tells, supply=lambda: next(values))


@dataclass(frozen=True, slots=True)
class Stated:
    """What the grant asks of resources of one type, for a statement that is kept: it equals others of its shape."""

    asked: Shaped
    tells: bool
    """Whether the deletion of what matched is shown too."""

    def now(self, dialect: str, prefix: str) -> ColumnElement[bool]:
        """Return the WHERE for rows of `resource`; `prefix` begins the names of what it binds."""
        return _condition(self.asked.clause, dialect, CURRENT, self.tells, prefix=prefix, binds=[])

    def then(self, dialect: str, prefix: str) -> ColumnElement[bool]:
        """Return that for rows of `resource_history`, of which what they were is asked."""
        return _then(_condition(self.asked.clause, dialect, PAST, False, prefix=prefix, binds=[]))

    def values(self, prefix: str) -> dict[str, Any]:
        """Return the values of `now`, of this very grant."""
        twice = range(2 if self.tells else 1)
        return {f"{prefix}{n}": one for n, one in enumerate(one for _ in twice for one in self.asked.clause.values())}

    def values_then(self, prefix: str) -> dict[str, Any]:
        """Return those of `then`."""
        return {f"{prefix}{n}": one for n, one in enumerate(self.asked.clause.values())}


def stated(store: ResourceStore, type_name: str, letter: str) -> Stated | None:
    """Return what resources of a type must match, to be kept; None: no restriction. Forbidden."""
    asked = clause(store, type_name, letter)
    return None if asked is None else Stated(Shaped(asked), _tells_of_deletion(store, type_name, letter))


class Read(NamedTuple):
    """A read of a resource of one type by its id, with the grant in it, and the values of that."""

    statement: Prepared
    values: dict[str, Any]


def read(store: ResourceStore, type_name: str) -> Read | None:
    """Return how a resource of a type is read by its id under the grant; None: without restriction. Forbidden."""
    asked = clause(store, type_name, "r")
    if asked is None:
        return None
    tells = _tells_of_deletion(store, type_name, "r")
    statement, names = _reading(Shaped(asked), store.database.dialect, tells)
    values = [*asked.values(), *(asked.values() if tells else ())]
    return Read(statement, dict(zip(names, values, strict=True)))


@lru_cache(maxsize=512)
def _reading(shaped: Shaped, dialect: str, tells: bool) -> tuple[Prepared, list[str]]:
    binds: list[BindParameter[Any]] = []
    holds = _condition(shaped.clause, dialect, CURRENT, tells, binds=binds)
    found = select(*(resource.c[name] for name in _READ)).where(*place(resource, typed=True), holds)
    return prepared(found.where(resource.c.id == bindparam("id", type_=Text()))), [one.key for one in binds]


_READ = ("type", "id", "vid", "method", "updated", "data_key", "sealed")


def _condition(asked: Clause, dialect: str, tables: Tables, tells: bool, **options: Any) -> ColumnElement[bool]:
    """Return that a row matches; `tells`: or that it is the deletion of what matched."""
    holds = asked.sql(sql_for(dialect, tables=tables, **options))
    if tables.is_past:
        return holds
    # What was deleted has no values at all: no :not and no :missing may open what it was.
    shown = and_(holds, *tables.live)
    return or_(shown, _was_in_context(asked, dialect, **options)) if tells else shown


def _tells_of_deletion(store: ResourceStore, type_name: str, letter: str) -> bool:
    """Tell whether nothing restricts what is deleted but the security context that it had."""
    return store.at is None and store.grant.queries(type_name, letter) is None


def _was_in_context(asked: Clause, dialect: str, **options: Any) -> ColumnElement[bool]:
    """Return whether a Binary was deleted whose last version matched."""
    last = asked.sql(sql_for(dialect, tables=PAST, **options))
    before = (past_version.c.key == resource.c.key, past_version.c.vid == resource.c.vid - literal_column("1"))
    is_deleted = resource.c.method == literal_column(str(DELETED))
    return and_(is_deleted, exists(select(literal_column("1")).where(*before, last)))


def of_any_scope(store: ResourceStore, type_name: str, letters: frozenset[str]) -> Clause:
    """Return what resources of one type match that a scope of the token with some letters covers."""
    queries = store.grant.conditions(type_name, letters)
    parts = [of_queries(store.blind, type_name, queries)] if queries is not None else []
    if type_name == BINARY:
        parts.append(in_context_met_by(store, letters - {"c"}))
    return both(parts)


def _then(holds: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return that for a version of `resource_history`, or of one that is empty: it was deleted, or is erased.

    That a resource was deleted for a time, or that a version was erased, is told with the resource as it stands.
    """
    empty = resource_history.c.method.in_([literal_column(str(one)) for one in (DELETED, ERASED)])
    return or_(empty, exists(select(literal_column("1")).where(*PAST.live, holds)))
