"""CodeSystem/$lookup: https://hl7.org/fhir/R4/codesystem-operation-lookup.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, NotFound
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.parameters import parameters, parts, value
from hie.fhir.terminology.code_system import CodeSystem, Concept
from hie.fhir.terminology.languages import Languages, display_in, names_beside
from hie.fhir.terminology.member import Member
from hie.fhir.terminology.terminology import split_canonical
from hie.operations import terminology_inputs as inputs
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.terminology import terminology

Json = dict[str, Any]

#: Properties that every code system can be asked for; of those it declares itself all are given.
_ALWAYS = ("parent", "child", "inactive", "definition")
_EVERY = "*"


def lookup(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return what is known of a code."""
    asked = next(iter(inputs.codings(request, ways=("code", "coding"))), None)
    if asked is None:
        raise InvalidRequest("coding has no code.", expression="coding")
    if asked.system is None:
        raise InvalidRequest("$lookup needs the system of the code.", expression="system")
    url, stated = split_canonical(asked.system)  # of a coding
    service = inputs.use_supplements(request, terminology(ctx.store))
    system = service.code_system(url, asked.version or stated, supplemented=True)
    concept = system.get(asked.code)
    if concept is None:
        told = "" if system.content == "complete" else f", of which only a part is here ({system.content})"
        raise NotFound(f"The code {asked.code[:200]} is not in the code system {url}{told}.", expression="code")
    return FhirResponse(200, json_format.dump(parameters(list(
        _rows(system, concept, _wanted(request), inputs.languages(request))))))


def _wanted(request: FhirRequest) -> set[str]:
    """Name the properties that are asked for; none for all, which `*` means as well."""
    wanted = {name for text in inputs.all_of(request, "property") for name in text.split(",")}
    return set() if _EVERY in wanted else wanted


def _rows(system: CodeSystem, concept: Concept, wanted: set[str], languages: Languages | None) -> Iterator[Json]:
    member = Member(system.url, concept.code, system.version, concept.display, tuple(concept.designations),
                    concept.is_abstract, concept.is_inactive, system.language)
    yield value("name", "String", system.name)
    if system.version is not None:
        yield value("version", "String", system.version)
    shown = display_in(languages, member)
    yield value("display", "String", shown or concept.code)
    if "url" in wanted:
        yield parts("property", [value("code", "Code", "url"), value("value", "Uri", system.url)])
    for one in names_beside(shown, member):
        if not wanted or "designation" in wanted or f"lang.{one.get('language')}" in wanted:
            yield parts("designation", list(_designation(one)))
    for name in _ALWAYS:
        if not wanted or name in wanted:
            yield from _standard(system, concept, name)
    described = {one.get("code"): one.get("description") for one in reversed(system.resource.get("property", []))}
    for one in concept.properties:
        if one["code"] not in _ALWAYS and (not wanted or one["code"] in wanted):
            yield parts("property", list(_property(one, described.get(one["code"]))))


def _designation(row: Json) -> Iterator[Json]:
    if "language" in row:
        yield value("language", "Code", row["language"])
    if "use" in row:
        yield value("use", "Coding", row["use"])
    yield value("value", "String", row["value"])


def _standard(system: CodeSystem, concept: Concept, name: str) -> Iterator[Json]:
    for found in system.values(concept, name):
        rows = [value("code", "Code", name)]
        match found:
            case bool():
                rows.append(value("value", "Boolean", found))
            case _ if name == "definition":
                rows.append(value("value", "String", found))
            case _:
                rows.append(value("value", "Code", found))
                other = system.concepts.get(found)
                if other is not None and other.display is not None:
                    rows.append(value("description", "String", other.display))
        yield parts("property", rows)


def _property(row: Json, description: str | None) -> Iterator[Json]:
    yield value("code", "Code", row["code"])
    for name, found in row.items():
        if name.startswith("value"):
            yield {"name": "value", name: found}
    if description is not None:
        yield value("description", "String", description)


_TOLD = {name: inputs.TOLD_OF_CODES[name] for name in ("code", "system", "coding", "displayLanguage")} | {
    "version": "The version of the code system.",
    "property": "What is told alone: a property, definition, designation, lang.xx, url; repeated, or with commas.",
}

OPERATION = Operation(
    code="lookup",
    levels=frozenset({"type"}),
    types=frozenset({"CodeSystem"}),
    function=lookup,
    definition="http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
    parameters=(*standard_parameters("lookup@CodeSystem", _TOLD, inputs.NO_DATE), inputs.USED_SUPPLEMENTS),
    returns=standard_returns("lookup@CodeSystem", {
        "name": "The name of the code system.",
        "version": "The version of the code system.",
        "display": "What the code is called.",
        "designation": "Another name of the code.",
        "designation.language": "Its language.",
        "designation.use": "What it is for.",
        "designation.value": "The name.",
        "property": "A property of the code.",
        "property.code": "The property.",
        "property.value": "Its value.",
        "property.description": "What the property means, or the display of the code that is its value.",
    }),
    documentation="What a code system says of a code.",
)
