"""The conditions of granular SMART scopes: searches that a resource must match, which the index alone decides.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from hie.errors import FhirError, Forbidden
from hie.fhir import search_parameters
from hie.fhir.scopes import Grant, Scope, ScopeError, parse_grant
from hie.store.crypto import Blind
from hie.store.search import compiling, criteria
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
    Token,
    both,
    either,
)
from hie.store.search.criteria import Reading
from hie.store.search.index import IndexRows, place

Query = tuple[tuple[str, str], ...]
#: What can be decided does not depend on a tenant's key.
_ANY_TENANT = Blind(b"any tenant")


def matches(blind: Blind, type_name: str, rows: IndexRows, queries: Sequence[Query]) -> bool:
    """Tell from the index rows of a resource whether one of the queries covers it: for writes under granular scopes."""
    try:
        return of_queries(blind, type_name, tuple(queries)).holds(rows)
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
        compiled = compiling.compile_(parsed, _ANY_TENANT, type_name)
        if compiled.verify is not None or not _is_decidable(compiled.clause):
            raise ScopeError(
                f"The scope's condition {name}={text} cannot be granted: conditions are equalities on _id, token, "
                "reference, uri or string parameters, :not and :missing."
            )


def of_queries(blind: Blind, type_name: str, queries: tuple[Query, ...]) -> Clause:
    """Return that one of the searches matches. Forbidden where one is not understood any more."""
    return _compiled(blind, type_name, queries, search_parameters.installed().of(type_name))


@lru_cache(maxsize=1024)
def _compiled(blind: Blind, type_name: str, queries: tuple[Query, ...], _custom: object) -> Clause:
    return either([_of_query(blind, type_name, query) for query in queries])


def _of_query(blind: Blind, type_name: str, query: Query) -> Clause:
    parts = []
    for name, text in query:
        try:
            compiled = compiling.compile_(criteria.parse(type_name, name, text, Reading()), blind, type_name)
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
