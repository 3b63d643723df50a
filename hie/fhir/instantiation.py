"""Whether this server does all that a published CapabilityStatement says a server SHALL do.

https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.instantiates; what is wanted how much
says https://hl7.org/fhir/R4/extension-capabilitystatement-expectation.html. What has no such extension is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]

EXPECTATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation"
COMBINATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-search-parameter-combination"
#: Profiles of R4 itself, which need no package.
_R4 = "http://hl7.org/fhir/StructureDefinition/"
#: What is compared of a statement, and so kept of one.
_KEPT = ("resourceType", "url", "version", "kind", "fhirVersion", "format", "_format", "imports", "instantiates")
_KEPT_OF_REST = ("mode", "interaction", "operation", "searchParam")
_KEPT_OF_TYPE = (
    "type", "extension", "interaction", "searchParam", "searchInclude", "_searchInclude", "searchRevInclude",
    "_searchRevInclude", "supportedProfile", "_supportedProfile", "operation",
)  # fmt: skip
_TEXTS = frozenset({"documentation", "requirements"})


def is_of_servers(resource: Json) -> bool:
    """Tell whether a resource is a statement of what servers have to do."""
    rests = resource.get("rest")
    return (resource.get("resourceType") == "CapabilityStatement" and resource.get("kind") == "requirements"
            and isinstance(resource.get("url"), str) and isinstance(rests, list)
            and any(isinstance(one, dict) and one.get("mode") == "server" for one in rests))  # fmt: skip


def compared(statement: Json) -> Json:
    """Return what is compared of a statement of servers, without its texts."""
    rests = [one for one in statement["rest"] if one.get("mode") == "server"]
    return {name: statement[name] for name in _KEPT if name in statement} | {"rest": [_of_rest(one) for one in rests]}


def _of_rest(rest: Json) -> Json:
    types = [{name: _bare(row[name]) for name in _KEPT_OF_TYPE if name in row} for row in rest.get("resource", [])]
    return {name: _bare(rest[name]) for name in _KEPT_OF_REST if name in rest} | {"resource": types}


def _bare(value: Any) -> Any:
    if isinstance(value, list):
        return [_bare(one) for one in value]
    return {name: one for name, one in value.items() if name not in _TEXTS} if isinstance(value, dict) else value


def instantiated(own: Json, published: Iterable[Json]) -> list[str]:
    """Name the statements, by their canonical URLs, that ask for nothing which this server's statement lacks."""
    return sorted({one["url"] for one in published if next(lacking(own, one), None) is None})


def lacking(own: Json, statement: Json) -> Iterator[str]:
    """Yield what a statement asks for and this server does not do, in words."""
    others = [*statement.get("imports", []), *statement.get("instantiates", [])]
    yield from (f"what {one} asks for" for one in others if one.partition("|")[0] != statement["url"])
    formats = _with_extensions(statement, "format")
    is_told = any(how for _, how in formats)  # where none is told from another, one of them will do
    lacked = [one for one, how in formats if _wanted(how) and one not in own["format"]]
    yield from (f"the format {one}" for one in lacked if is_told or len(lacked) == len(formats))
    (offered,) = own["rest"]
    by_type = {row["type"]: row for row in offered["resource"]}
    for rest in statement["rest"]:
        yield from _of_place("the system", rest, offered)
        for row in rest["resource"]:
            if _wanted(row):
                yield from _of_type(row, by_type.get(row.get("type")))


def _of_type(asked: Json, found: Json | None) -> Iterator[str]:
    name = str(asked.get("type"))
    if found is None:
        yield name
        return
    yield from _of_place(name, asked, found)
    profiles = found.get("supportedProfile", [])
    for one, how in _with_extensions(asked, "supportedProfile"):
        if _wanted(how) and one.partition("|")[0] not in profiles and not one.startswith(_R4):
            yield f"the profile {one}"
    for kind in ("searchInclude", "searchRevInclude"):
        offered = found.get(kind, [])
        for one, how in _with_extensions(asked, kind):
            source_and_name = ":".join(one.split(":")[:2])
            if _wanted(how) and not {source_and_name, one} & set(offered):
                yield f"{kind} {one}"
    names = {row["name"] for row in found.get("searchParam", [])}
    for one in asked.get("extension", []):
        if one.get("url") == COMBINATION and _wanted(one):
            wanted = [part.get("valueString") for part in one.get("extension", []) if part.get("url") == "required"]
            yield from (f"the search parameter {part} of {name}" for part in wanted if part not in names)


def _of_place(place: str, asked: Json, found: Json) -> Iterator[str]:
    """Compare interactions by code, search parameters by name and type, operations by definition."""
    codes = {row["code"] for row in found.get("interaction", [])}
    parameters = {(row["name"], row["type"]) for row in found.get("searchParam", [])}
    operations = {row["definition"] for row in found.get("operation", [])}
    for row in filter(_wanted, asked.get("interaction", [])):
        if row.get("code") not in codes:
            yield f"{row.get('code')} of {place}"
    for row in filter(_wanted, asked.get("searchParam", [])):
        if (row.get("name"), row.get("type")) not in parameters:
            yield f"the search parameter {row.get('name')} of {place}"
    for row in filter(_wanted, asked.get("operation", [])):
        if str(row.get("definition")).partition("|")[0] not in operations:
            yield f"the operation {row.get('name')} of {place}"


def _wanted(element: Json) -> bool:
    """Tell whether a server SHALL have something: it says so, or says nothing."""
    said = [one.get("valueCode") for one in element.get("extension", []) if one.get("url") == EXPECTATION]
    return not said or "SHALL" in said


def _with_extensions(element: Json, name: str) -> list[tuple[str, Json]]:
    """Give each value of a primitive element with what extends it."""
    values = element.get(name, [])
    beside = element.get(f"_{name}", [])
    return [(one, (beside[number] if number < len(beside) else None) or {}) for number, one in enumerate(values)]
