"""What a grant lets through, as part of every query (D11); granular SMART scopes are searches themselves.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, exists, literal_column, or_, select

from hie.errors import FhirError, Forbidden
from hie.fhir import search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.scopes import Grant, Scope, ScopeError, parse_grant
from hie.store.crypto import Blind
from hie.store.models import DELETED, ERASED, resource_history
from hie.store.search import criteria
from hie.store.search.clauses import (
    AllTokens,
    AnyToken,
    Both,
    Clause,
    Constant,
    Either,
    Ids,
    Negation,
    NotDecidable,
    Present,
    StandsNow,
    Token,
    Types,
    both,
    either,
)
from hie.store.search.criteria import Reading
from hie.store.search.index import IndexRows, place
from hie.store.search.statements import sql_for
from hie.store.search.tables import CURRENT, PAST, Tables

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

Query = tuple[tuple[str, str], ...]
#: What can be decided does not depend on a tenant's key.
_ANY_TENANT = Blind(b"any tenant")


def clause(store: ResourceStore, type_name: str, letter: str) -> Clause | None:
    """Return what resources of a type must match; None: no restriction. Forbidden where nothing is allowed."""
    queries = store.grant.queries(type_name, letter)
    if queries is None:
        return None
    if not queries:
        raise Forbidden(f"The token has no scope for this: system/{type_name}.{letter} is needed.")
    return _as_it_was_and_is(store, _of_queries(store.blind, type_name, queries))


def _as_it_was_and_is(store: ResourceStore, asked: Clause) -> Clause:
    """Of the past, a version is shown that the grant covers and whose resource it still covers: as vread does."""
    return asked if store.at is None else both([asked, StandsNow(asked)])


def over_types(store: ResourceStore, letter: str, wanted: frozenset[str] | None = None) -> Clause | None:
    """Return what resources of any of the wanted types must match; None: no restriction."""
    allowed = store.grant.types(letter)
    if not allowed:
        raise Forbidden(f"The token has no scope to search over types: system/*.{letter} is needed.")
    if wanted is not None:
        if not wanted <= allowed:
            closed = ", ".join(f"system/{name}.{letter}" for name in sorted(wanted - allowed))
            raise Forbidden(f"The token has no scope for all of the types: {closed} is needed.")
        allowed = wanted
    bound = sorted(name for name in allowed if store.grant.queries(name, letter) is not None)
    free = tuple(sorted(allowed.difference(bound)))
    if len(free) == len(RESOURCE_TYPES):
        return None
    parts: list[Clause] = [Types(free)] if free else []
    for name in bound:
        asked = _as_it_was_and_is(store, _of_queries(store.blind, name, store.grant.queries(name, letter) or ()))
        parts.append(both([Types((name,)), asked]))
    return either(parts)


def restriction(
    store: ResourceStore, type_name: str, letter: str, tables: Tables = CURRENT
) -> ColumnElement[bool] | None:
    """Return the grant's WHERE for rows of `resource` (or of the past) of one type; None: no restriction."""
    asked = clause(store, type_name, letter)
    if asked is None:
        return None
    values = asked.values()
    holds = asked.sql(sql_for(store.database.dialect, tables=tables, supply=lambda: next(values)))
    # What was deleted has no values at all: no :not and no :missing may open what it was.
    return holds if tables.is_past else and_(holds, *tables.live)


def of_any_scope(store: ResourceStore, type_name: str) -> ColumnElement[bool]:
    """Return the WHERE for rows of `resource` of one type that any scope of the token covers, by its conditions."""
    asked = _of_queries(store.blind, type_name, store.grant.conditions(type_name) or ())
    values = asked.values()
    return asked.sql(sql_for(store.database.dialect, supply=lambda: next(values)))


def restriction_then(store: ResourceStore, type_name: str, letter: str) -> ColumnElement[bool] | None:
    """Return the grant's WHERE for rows of `resource_history`, of which what they were is asked; None: no restriction.

    That a resource was deleted for a time, or that a version was erased, is told with the resource as it stands.
    """
    holds = restriction(store, type_name, letter, PAST)
    if holds is None:
        return None
    empty = resource_history.c.method.in_((DELETED, ERASED))
    return or_(empty, exists(select(literal_column("1")).where(*PAST.live, holds)))


def matches(store: ResourceStore, type_name: str, rows: IndexRows, queries: Sequence[Query]) -> bool:
    """Tell from the index rows of a resource whether one of the queries covers it: for writes under granular scopes."""
    try:
        return _of_queries(store.blind, type_name, tuple(queries)).holds(rows)
    except NotDecidable as error:  # a token from before check_scope; never let through what cannot be judged
        raise Forbidden(f"The token's scopes for {type_name} cannot be decided for a write.") from error


def checked_grant(scopes: Iterable[str]) -> Grant:
    """Return the grant of scopes that are asked for a new token; ScopeError where one cannot be granted."""
    grant = parse_grant(scopes)
    for scope in grant.scopes:
        check_scope(scope)
    return grant


def check_scope(scope: Scope) -> None:
    """Refuse, by ScopeError, a granular scope that cannot be decided from the index of a resource alone."""
    if not scope.query:
        return
    type_name = "Patient" if scope.type == "*" else scope.type
    for name, text in scope.query:
        if scope.type == "*" and name == "_text":
            raise ScopeError(
                f"The scope's condition _text={text} cannot be granted for all types: "
                "a Bundle, a Binary and Parameters have no narrative."
            )
        try:
            parsed = criteria.parse("Resource" if scope.type == "*" else type_name, name, text, Reading())
        except FhirError as error:
            raise ScopeError(f"The scope's condition {name}={text} cannot be granted: {error.diagnostics}") from error
        compiled = criteria.compile_(parsed, _ANY_TENANT, type_name)
        if compiled.verify is not None or not _is_decidable(compiled.clause):
            raise ScopeError(
                f"The scope's condition {name}={text} cannot be granted: conditions are equalities on _id, token, "
                "reference, uri or string parameters, :not and :missing."
            )


def _of_queries(blind: Blind, type_name: str, queries: tuple[Query, ...]) -> Clause:
    return _compiled(blind, type_name, queries, search_parameters.installed().of(type_name))


@lru_cache(maxsize=1024)
def _compiled(blind: Blind, type_name: str, queries: tuple[Query, ...], _custom: object) -> Clause:
    return either([_of_query(blind, type_name, query) for query in queries])


def _of_query(blind: Blind, type_name: str, query: Query) -> Clause:
    parts = []
    for name, text in query:
        try:
            compiled = criteria.compile_(criteria.parse(type_name, name, text, Reading()), blind, type_name)
        except FhirError as error:
            raise Forbidden(f"A scope of the token cannot be understood: {error.diagnostics}") from error
        if compiled.verify is not None:
            raise Forbidden(f"A scope of the token has the condition {name}, which cannot be decided by the index.")
        parts.append(_with_places(compiled.clause, blind, type_name))
    return both(parts)


def _with_places(asked: Clause, blind: Blind, type_name: str) -> Clause:
    """Return a clause so that ids can be asked of a resource that is written, too."""
    match asked:
        case Ids(ids):
            return replace(asked, places=tuple(place(type_name, id_, blind) for id_ in ids))
        case Negation(part):
            return replace(asked, part=_with_places(part, blind, type_name))
    return asked


def _is_decidable(asked: Clause) -> bool:
    if isinstance(asked, Both | Either):
        return all(_is_decidable(part) for part in asked.parts)
    if isinstance(asked, Negation):
        return _is_decidable(asked.part)
    return isinstance(asked, Token | AnyToken | AllTokens | Present | Constant | Ids)
