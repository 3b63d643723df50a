"""From the bytes of JSON or XML to a resource that may be stored: https://hl7.org/fhir/R4/validation.html"""

from __future__ import annotations

import re
from typing import Any

from hie.errors import InvalidJson, InvalidRequest, InvalidResource, InvalidXml, NotAcceptable, OutcomeIssue
from hie.fhir import facts, json_format, validation

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_REFUSING = frozenset({"fatal", "error"})


def parse(body: bytes) -> dict[str, Any]:
    """Read a resource's JSON; InvalidJson says what is wrong and where."""
    if not body:
        raise InvalidJson("The request has no body; a resource in JSON is expected.")
    value = parse_json(body)
    if not isinstance(value, dict):
        raise InvalidJson("The body is JSON, but not an object; a resource is expected.")
    type_of(value)
    return value


def parse_json(body: bytes) -> Any:
    """Read any JSON value; InvalidJson says what is wrong and where."""
    try:
        return json_format.parse(body)
    except json_format.JsonError as error:
        raise InvalidJson(f"{error.message} Line {error.line}, column {error.column}.",
                          expression=error.expression) from None


def parse_xml(body: bytes, wrong: list[OutcomeIssue] | None = None) -> dict[str, Any]:
    """Read a resource's XML into its JSON; InvalidXml says what is wrong and where.

    With `wrong` what is XML, and no FHIR, is told there, as validation does of JSON.
    """
    from hie.fhir import xml_format  # loaded by the first client that speaks XML

    if not body:
        raise InvalidXml("The request has no body; a resource in XML is expected.")
    found: list[xml_format.XmlError] | None = None if wrong is None else []
    try:
        read = xml_format.parse(body, wrong=found)
    except xml_format.XmlError as error:
        raise InvalidXml(str(error), expression=error.expression) from None
    if wrong is not None and found:
        wrong += [OutcomeIssue(InvalidXml.code, str(one), one.expression) for one in found]
    return read


def as_xml(content: bytes, *, pretty: bool = False) -> bytes:
    """Write the JSON of a resource as XML; NotAcceptable where XML cannot hold it."""
    from hie.fhir import xml_format

    try:
        return xml_format.dump(json_format.parse(content), pretty=pretty)
    except xml_format.XmlError as error:
        raise NotAcceptable(f"{error} Ask for JSON.", expression="http.Accept") from None


def type_of(resource: Any, expression: str | None = None) -> str:
    """Return the resource's type, or say why it has none."""
    if not isinstance(resource, dict):
        raise InvalidJson("A resource is expected, as a JSON object.", expression=expression)
    type_name = resource.get("resourceType")
    if type_name is None:
        raise InvalidResource("The resource does not say its resourceType.", expression=expression or "resourceType")
    if not isinstance(type_name, str) or type_name not in facts.RESOURCE_TYPES:
        raise InvalidResource(f"resourceType {str(type_name)[:80]!r} is not a resource type of FHIR R4.",
                              expression=expression or "resourceType")
    return type_name


def validated(resource: Any, type_name: str, *, is_whole: bool = True) -> list[OutcomeIssue]:
    """Check that `resource` is a valid one of the type; return its warnings, raise InvalidResource with all issues.

    Of what is not whole, as the parts of a patch, `#id` may name what is contained elsewhere.
    """
    found = type_of(resource)
    if found != type_name:
        raise InvalidResource(f"The URL says {type_name}, the resource is of type {found}.", expression="resourceType")
    issues = validation.validate(resource, type_name, is_whole=is_whole)
    if not issues:
        return []
    shown = [OutcomeIssue(one.code, one.diagnostics, one.expression, one.severity) for one in issues]
    refusing = [one for one in shown if one.severity in _REFUSING]
    if refusing:
        raise InvalidResource(refusing[0].diagnostics, issues=shown)
    return shown


def to_create(resource: Any) -> Any:
    """Return what is created without an id that could be none, such as urn:uuid:…; whatever it says is ignored.

    https://hl7.org/fhir/R4/http.html#create
    """
    if not isinstance(resource, dict):
        return resource
    id_ = resource.get("id")
    if not isinstance(id_, str) or _ID.fullmatch(id_) is not None:
        return resource
    return {name: value for name, value in resource.items() if name != "id"}


def check_id(resource: dict[str, Any], id_: str) -> None:
    """Check that an update's resource carries the id of its URL: https://hl7.org/fhir/R4/http.html#update"""
    type_name = resource["resourceType"]
    if "id" not in resource:
        raise InvalidRequest(f"The resource has no id; an update to {type_name}/{id_} needs \"id\": \"{id_}\".",
                             expression=f"{type_name}.id")
    if resource["id"] != id_:
        raise InvalidRequest(f"The URL says {type_name}/{id_}, the resource has id {str(resource['id'])[:80]!r}.",
                             expression=f"{type_name}.id")
