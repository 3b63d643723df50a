"""NamingSystem/$preferred-id: https://hl7.org/fhir/R4/namingsystem-operation-preferred-id.html"""

from __future__ import annotations

import re
from typing import Any

from hie.context import Context
from hie.errors import Forbidden, InvalidRequest, NotFound, TooCostly, Unprocessable
from hie.fhir import json_format, naming
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.parameters import parameters, value
from hie.fhir.terminology.terminology import Terminology
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.search import chain
from hie.store.search.criteria import Reading
from hie.store.search.query import SearchQuery
from hie.store.terminology import terminology

Json = dict[str, Any]

_MOST = 100
#: What separates the values of a search parameter: https://hl7.org/fhir/R4/search.html#escaping
_SEPARATORS = re.compile(r"([\\,|$])")


class _Several(Unprocessable):
    code = "multiple-matches"


def preferred_id(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the identifier of the type that is asked for, of the system that has the one which is known."""
    text, kind = request.parameter("id") or "", request.parameter("type") or ""
    if kind not in naming.TYPES:
        raise InvalidRequest(f"type is {kind[:80]!r}; it must be one of {', '.join(naming.TYPES)}.", expression="type")
    found = _found(text, kind, ctx)
    if not found:
        raise NotFound(f"The system of {text[:200]} has no identifier of the type {kind} here.", expression="type")
    if len(found) > 1:
        raise _Several(f"The system of {text[:200]} has several identifiers of the type {kind}, and none is preferred: "
                       f"{', '.join(found)[:800]}.", expression="type")
    return FhirResponse(200, json_format.dump(parameters([value("result", "String", found[0])])))


def _found(text: str, kind: str, ctx: Context) -> list[str]:
    """Look in the naming systems, then in the code systems."""
    systems = _naming_systems(text, ctx)
    if systems:
        return naming.identifiers(_only(systems, text, [f"NamingSystem/{one.get('id')}" for one in systems]), kind,
                                  ctx.clock())
    known = _code_systems(text, terminology(ctx.store), ctx)
    if not known:
        raise NotFound(f"No naming system and no code system with the identifier {text[:200]} is known here.",
                       expression="id")
    return naming.of_code_system(_only(list(known.values()), text, list(known)), kind)


def _only(systems: list[Json], text: str, names: list[str]) -> Json:
    if len(systems) > 1:
        raise _Several(f"Several systems have the identifier {text[:200]}: {', '.join(names)[:800]}.", expression="id")
    return systems[0]


def _naming_systems(text: str, ctx: Context) -> list[Json]:
    """Return the stored naming systems with an identifier; those in use alone where there are any."""
    found = [one for one in _searched(ctx, "NamingSystem", "value:exact", ",".join(map(_escaped, naming.forms(text))))
             if naming.is_named(one, text)]
    return [one for one in found if one.get("status") != "retired"] or found


def _code_systems(text: str, service: Terminology, ctx: Context) -> dict[str, Json]:
    """Return the code systems with this URL, OID or UUID, by URL: stored ones, those of packages and of R4."""
    wanted = naming.plain(text)
    installed = [one["url"] for _, one in ctx.profiles.library().code_systems() if _has(one, wanted)]
    asked = ",".join(f"urn:ietf:rfc:3986|{_escaped(one)}" for one in naming.forms(text))
    stored = [str(one["url"]) for one in _searched(ctx, "CodeSystem", "identifier", asked) if "url" in one]
    urls = dict.fromkeys((text, *stored, *installed, *naming.shipped_under(text)))
    known = ((url, service.find("CodeSystem", url)) for url in urls)
    return {url: one.resource for url, one in known if one is not None}


def _has(system: Json, wanted: str) -> bool:
    return wanted in (*naming.of_code_system(system, "oid"), *naming.of_code_system(system, "uuid"))


def _searched(ctx: Context, type_name: str, name: str, text: str) -> list[Json]:
    """Search as the token may; where it may not search the type at all, nothing is there for it."""
    asked = chain.parse(type_name, name, text, Reading(ctx.base_url))
    try:
        page = ctx.store.search(SearchQuery(type_name, (asked,), count=_MOST, total="none"))
    except Forbidden:
        return []
    if page.next_cursor is not None:  # one that is passed over may be what is meant
        raise TooCostly(f"More than {len(page.matches)} resources {type_name} may be meant; remove those that are out "
                        "of date.", expression="id")
    return [json_format.parse(one.content or b"{}") for one in page.matches]


def _escaped(text: str) -> str:
    return _SEPARATORS.sub(r"\\\1", text)


OPERATION = Operation(
    code="preferred-id",
    levels=frozenset({"type"}),
    types=frozenset({"NamingSystem"}),
    function=preferred_id,
    definition="http://hl7.org/fhir/OperationDefinition/NamingSystem-preferred-id",
    parameters=standard_parameters("preferred-id@NamingSystem", {
        "id": "An identifier of the system; an OID or UUID with or without urn:oid: or urn:uuid:.",
        "type": "The type that is wanted: oid, uuid, uri or other.",
    }),
    returns=standard_returns("preferred-id@NamingSystem", {"result": "The identifier; an OID without urn:oid:."}),
    documentation="The preferred identifier of a type of the system that has another identifier.",
)
