"""The CapabilityStatement: https://hl7.org/fhir/R4/capabilitystatement.html

Computed from the route table, the search parameters and the registered operations, so that it promises what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from hie.fhir import facts, instantiation, operation_definitions, patching
from hie.fhir.instants import instant
from hie.fhir.routes import ROUTES, Route

_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"
_COMPARTMENT = "http://hl7.org/fhir/CompartmentDefinition/"
_SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"
#: What every type of reference becomes here: https://hl7.org/fhir/R4/valueset-reference-handling-policy.html
_REFERENCE_POLICY = ("literal", "logical")
_ENFORCED = "enforced"


#: What no SearchParameter defines: https://hl7.org/fhir/R4/search.html#2.21.1.1
CONTROLS = [{"name": name, "type": type_, "documentation": text} for name, type_, text in (
    ("_sort", "string", "Parameters and chains (subject:Patient.family), each with - before it to fall."),
    ("_count", "number", "Matches on a page."),
    ("_offset", "number", "So many matches are left out first."),
    ("_total", "token", "none, estimate or accurate."),
    ("_summary", "token", "true, text, data, count or false."),
    ("_elements", "string", "Elements that are wanted."),
    ("_include", "string", "As searchInclude of the type says; :iterate."),
    ("_revinclude", "string", "As searchRevInclude of the type says; :iterate."),
    ("_has", "string", "_has:[type]:[reference]:[parameter], also nested and in chains."),
    ("_list", "string", "What a List has as items, or a functional list ($current-problems and others)."),
    ("_not-referenced", "string", "[type]:[reference], [type]:* or *:*: what nothing refers to so."),
    ("_contained", "token", "true, false or both."),
    ("_containedType", "token", "container or contained."),
    ("_type", "token", "Types that a search of the system is for."),
    ("_asOf", "date", "The instant as of which everything is told."),
)]  # fmt: skip


class OfferedOperation(Protocol):
    """What is told of an operation."""

    @property
    def code(self) -> str: ...
    @property
    def types(self) -> frozenset[str] | None: ...
    @property
    def canonicals(self) -> tuple[str, ...]: ...
    def offered(self, type_name: str | None, instance: bool) -> bool: ...


class OfferedParameter(Protocol):
    """What is told of a search parameter."""

    @property
    def code(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def targets(self) -> frozenset[str]: ...


ParametersOf = Callable[[str], Mapping[str, OfferedParameter]]


def capability_statement(
    *, base_url: str, version: str, at: int, operations: Iterable[OfferedOperation], parameters_of: ParametersOf,
    cors: bool = False, profiles: Mapping[str, Sequence[str]] | None = None, enforced: bool = True,
    published: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Build the statement of this server at `base_url`; `enforced`: references always lead somewhere.

    `published`: what guides say that servers have to do; those all of which is done here are said to be instantiated.
    """
    checked = ", their references checked" if enforced else ""
    offered = list(operations)
    parameters = {name: parameters_of(name) for name in sorted(facts.RESOURCE_TYPES)}
    pointing = _pointing(parameters)
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": "FHIR JSON and XML over HTTP; Prefer: respond-async on any request. Writes are validated "
                         f"against R4{checked}; what is stored is what was sent, but for id, meta.versionId and "
                         "meta.lastUpdated, and a generated narrative that a patch made untrue. _asOf=[instant] on "
                         "read, search and $everything answers with the record as it was then. _contained and "
                         "_containedType search what resources contain.",
        "security": _security(cors),
        "resource": [
            _profiled(_resource(name, its, pointing.get(name, []), offered, enforced, base_url), profiles or {})
            for name, its in parameters.items()
        ],
        "interaction": [{"code": code} for code in _system_interactions()],
        "searchParam": [*search_parameter_rows(parameters_of("Resource")), *CONTROLS],
        "compartment": [_COMPARTMENT + name.lower() for name in facts.COMPARTMENTS],
    }
    operations_of_system = _operations(offered, None, base_url)
    if operations_of_system:
        rest["operation"] = operations_of_system
    statement: dict[str, Any] = {
        "resourceType": "CapabilityStatement",
        "id": "hie",
        "url": f"{base_url}/metadata",
        "version": version,
        "name": "HealthInformationExchange",
        "title": "FHIR R4 health information exchange",
        "status": "active",
        "date": instant(at),
        "kind": "instance",
        "software": {"name": "hie", "version": version},
        "implementation": {"description": "FHIR R4 health information exchange", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json", "application/fhir+xml", "xml"],
        "patchFormat": list(patching.FORMATS),
        "rest": [rest],
    }
    met = instantiation.instantiated(statement, published)
    return statement | ({"instantiates": met} if met else {})


def _security(cors: bool) -> dict[str, Any]:
    return {
        "cors": cors,
        "service": [{"coding": [{"system": _SECURITY, "code": "OAuth", "display": "OAuth"}],
                     "text": "Bearer token (RFC 6750) with SMART v2 system scopes"}],
        "description": "Every request but metadata needs Authorization: Bearer TOKEN. Scopes such as system/*.cruds or "
                       "system/Observation.rs?category=laboratory decide, inside every query, what the token can see; "
                       "of a Binary with a securityContext, the scopes for the resource that it names as well. "
                       "Tokens are handed out by the operator.",
    }  # fmt: skip


def _codes(wanted: Callable[[Route], bool]) -> list[str]:
    return list(dict.fromkeys(route.interaction for route in ROUTES if wanted(route)))


#: No codes of R4's restful-interaction: operations stand by themselves, delete-history came with R5.
_NOT_IN_R4 = frozenset({"operation", "delete-history"})


_NOT_STATED = frozenset({"capabilities", "definition", "operation", "async-status", "async-cancel", "async-file"})


def _type_interactions() -> list[str]:
    return [code for code in _codes(lambda route: route.path.startswith("[type]")) if code not in _NOT_IN_R4]


def _system_interactions() -> list[str]:
    codes = _codes(lambda route: not route.path.startswith("["))
    known = [code for code in codes if code not in _NOT_STATED]
    return [*known, "batch"] if "transaction" in known else known


def _is_conditional(interaction: str) -> bool:
    return any(route.conditional and route.interaction == interaction for route in ROUTES)


def _resource(
    type_name: str, parameters: Mapping[str, OfferedParameter], pointing: list[str],
    operations: list[OfferedOperation], enforced: bool, base_url: str,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": type_name,
        "profile": _DEFINITION + type_name,
        "interaction": [{"code": code} for code in _type_interactions()],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": _is_conditional("update"),
        "conditionalDelete": "multiple" if _is_conditional("delete") else "not-supported",
        "referencePolicy": [*_REFERENCE_POLICY, _ENFORCED] if enforced else [*_REFERENCE_POLICY],
    }
    includes = [f"{type_name}:{one.code}" for one in parameters.values() if one.type == "reference"]
    if includes:
        row["searchInclude"] = ["*", f"{type_name}:*", *includes]
    if pointing:
        row["searchRevInclude"] = ["*", *pointing]
    if parameters:
        row["searchParam"] = search_parameter_rows(parameters)
    offered = _operations(operations, type_name, base_url)
    if offered:
        row["operation"] = offered
    return row


def search_parameter_rows(parameters: Mapping[str, OfferedParameter]) -> list[dict[str, str]]:
    """Name search parameters with their definitions."""
    return [{"name": one.code, "definition": one.url, "type": one.type} for one in parameters.values()]


def _profiled(row: dict[str, Any], profiles: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Add the installed profiles of a type."""
    supported = profiles.get(row["type"])
    return row | {"supportedProfile": list(supported)} if supported else row


def _operations(
    operations: list[OfferedOperation], type_name: str | None, base_url: str
) -> list[dict[str, str]]:
    """Name the definitions of each operation: those of standards that it follows, then what is defined here."""
    return [{"name": one.code, "definition": definition} for one in operations
            if one.offered(type_name, False) or (type_name is not None and one.offered(type_name, True))
            for definition in (*one.canonicals, operation_definitions.url_of(one, base_url))]


def _pointing(parameters: dict[str, Mapping[str, OfferedParameter]]) -> dict[str, list[str]]:
    """Return for each type the reference parameters of all types that can point at it."""
    pointing: dict[str, list[str]] = {}
    for type_name, ones in parameters.items():
        for one in ones.values():
            if one.type == "reference":
                for target in one.targets or facts.RESOURCE_TYPES:
                    pointing.setdefault(target, []).append(f"{type_name}:{one.code}")
    return pointing
