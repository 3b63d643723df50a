"""The OperationDefinitions of this server, read at their addresses and found by them.

https://hl7.org/fhir/R4/operationdefinition.html; docs/adr/0027-operations-are-defined-at-addresses.md
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from hie import __version__
from hie.context import Context
from hie.errors import NotFound
from hie.fhir import capability, json_format, operation_definitions
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.search_parameters import extract
from hie.interactions import answers
from hie.interactions.capabilities import offered_parameters
from hie.registry import Operation
from hie.store.models import CREATED
from hie.store.search.criteria import Criterion
from hie.store.search.query import SearchQuery
from hie.store.search.uri import UriValue
from hie.store.search.verifying import holds
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.search.engine import SearchPage

#: What names one definition.
_KEYS = frozenset({"_id", "url"})


def definition(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the definition of an operation that is offered here."""
    found = next((one for one in ctx.registry.operations if operation_definitions.id_of(one) == request.id), None)
    if found is None:
        raise NotFound(f"There is no operation here that {operation_definitions.TYPE}/{request.id} defines; the "
                       "CapabilityStatement names the definitions that there are.",
                       expression=operation_definitions.TYPE)
    content = json_format.dump(defined(found, ctx))
    return answers.if_other(request, content, blake2b(content, digest_size=8).hexdigest())


def defined(operation: Operation, ctx: Context) -> dict[str, object]:
    """Return the definition of an operation as it is served."""
    return operation_definitions.operation_definition(
        operation, base_url=ctx.base_url, version=__version__, searched_by=_searched_by(operation, ctx))


def _searched_by(operation: Operation, ctx: Context) -> list[dict[str, str]]:
    """Name the search parameters that an operation takes: of its one type, or those of all types."""
    if not operation.takes_search:
        return []
    (type_name,) = operation.types if operation.types and len(operation.types) == 1 else ("Resource",)
    offered = offered_parameters(ctx.settings.content_search, type_name)
    controls = [one for one in capability.CONTROLS if one["name"] in operation.takes_search]
    return [*capability.search_parameter_rows(offered), *controls]


def beside(page: SearchPage, query: SearchQuery, ctx: Context) -> SearchPage:
    """Return a page on which nothing stored is with the definitions that the search names by URL or id.

    So a canonical that the CapabilityStatement names leads somewhere, whether it is read or resolved by a search:
    https://hl7.org/fhir/R4/references.html#canonical
    """
    if page.matches or page.total or not _names_own(query, ctx):
        return page
    found = [one for operation in ctx.registry.operations if (one := _matching(operation, query, ctx)) is not None]
    if not found:
        return page
    return replace(page, matches=found if query.count else [], total=None if query.total == "none" else len(found))


def _names_own(query: SearchQuery, ctx: Context) -> bool:
    """Tell whether a search names definitions of this server, and asks of them what needs no database."""
    is_plain = (query.type == operation_definitions.TYPE and query.cursor is None and not query.offset
                and query.contained is None and ctx.store.at is None)
    criteria = [one for one in query.criteria if isinstance(one, Criterion)]
    if not is_plain or len(criteria) != len(query.criteria):
        return False
    beginnings = (operation_definitions.PREFIX, f"{ctx.base_url}/{operation_definitions.TYPE}/")
    return any(_text(value).startswith(beginnings) for one in criteria
               if one.parameter.code in _KEYS and not one.modifier for value in one.values)


def _text(value: object) -> str:
    return value.uri if isinstance(value, UriValue) else str(value)


def _matching(operation: Operation, query: SearchQuery, ctx: Context) -> StoredVersion | None:
    resource = defined(operation, ctx)
    values = extract(resource)
    if not all(holds(one, operation_definitions.TYPE, values) for one in query.criteria if isinstance(one, Criterion)):
        return None
    return StoredVersion(operation_definitions.TYPE, str(resource["id"]), 1, CREATED, 0, json_format.dump(resource))
