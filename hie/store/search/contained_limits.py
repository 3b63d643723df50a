"""What contained resources are not indexed by: parameters that SearchParameter resources define (docs/adr/0020)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from hie.errors import Forbidden, NotSupported
from hie.fhir import search_parameters
from hie.fhir.scopes import Grant
from hie.fhir.search_parameters import SearchParameter

if TYPE_CHECKING:
    from hie.store.search.query import SearchQuery


def check(query: SearchQuery) -> None:
    """Refuse a search by such parameters. NotSupported."""
    check_criteria(query.criteria)
    asked = [one.parameter for one in query.sort]
    asked += [one.parameter for one in query.includes if one.reverse and one.parameter is not None]
    _refuse_defined(asked)


def check_criteria(asked: Any) -> None:
    """Refuse criteria by such parameters."""
    _refuse_defined(_parameters(asked))


def _refuse_defined(parameters: Iterable[SearchParameter]) -> None:
    for one in parameters:
        if one.state:
            raise NotSupported(
                f"{one.code} is defined by a SearchParameter here; of what is contained only R4's own parameters "
                "can be asked.",
                expression=one.code,
            )


def _parameters(asked: Any) -> Iterator[SearchParameter]:
    """Yield every search parameter of a criterion, whatever it is made of."""
    if isinstance(asked, SearchParameter):
        yield asked
    elif isinstance(asked, tuple):
        for part in asked:
            yield from _parameters(part)
    elif is_dataclass(asked):
        for field in fields(asked):
            yield from _parameters(getattr(asked, field.name))


def names_ids(grant: Grant, type_name: str) -> bool:
    """Tell whether a condition of the token names resources of a type by ids, which what is contained has not."""
    return any(name.partition(":")[0] == "_id" for scope in grant.scopes for name, _ in scope.query
               if scope.type in ("*", type_name))


def check_grant(grant: Grant) -> None:
    """Refuse a token whose conditions ask for such parameters, or for ids, which name no contained resource. Forbidden.
    """
    for scope in grant.scopes:
        known = search_parameters.for_type("Resource" if scope.type == "*" else scope.type)
        for name, _ in scope.query or ():
            found = known.get(name.partition(":")[0])
            if found is not None and (found.state or found.code == "_id"):
                raise Forbidden(f"The token's condition {name} cannot be decided of what is contained.")
