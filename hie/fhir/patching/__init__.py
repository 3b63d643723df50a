"""Patches of resources, in four formats; FHIR's own travels as JSON or XML: https://hl7.org/fhir/R4/http.html#patch

    parse("application/json-patch+json", [{"op": "replace", "path": "/active", "value": False}]).applied(patient)

What no patch of its kind can be is refused as it is read (400). What does not fit the resource as it stands, such as a
test that fails, is a conflict (409), and what could never fit it cannot be processed (422): RFC 5789 section 2.2.
"""

from __future__ import annotations

from typing import Any, Protocol

from hie.errors import InvalidRequest, UnsupportedMediaType
from hie.fhir import resource
from hie.fhir.fhirpath import Allowance
from hie.fhir.patching import fhirpath_patch, json_patch, merge_patch

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
XML_PATCH = "application/xml-patch+xml"
FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
#: What Accept-Patch and the CapabilityStatement name.
FORMATS = (JSON_PATCH, MERGE_PATCH, XML_PATCH, FHIR_JSON, FHIR_XML)
ACCEPTED = ", ".join(FORMATS)
#: Those that are no resources: in a Bundle a Binary carries them.
DOCUMENTS = FORMATS[:3]

_PLAIN = "a Parameters resource (FHIRPath Patch) is what any other JSON holds."

__all__ = ["ACCEPTED", "DOCUMENTS", "FHIR_JSON", "FORMATS", "JSON_PATCH", "MERGE_PATCH", "XML_PATCH", "Patch", "parse",
           "read", "read_resource", "unsupported"]  # fmt: skip


class Patch(Protocol):
    """A patch that can be applied."""

    def applied(self, resource: dict[str, Any], allowance: Allowance | None = None) -> Any:
        """Return the patched resource; the one that is given may be changed on the way.

        `allowance` is what paths may look at altogether, where other patches go before.
        """


def read(format_: str, content: bytes) -> Any:
    """Read the JSON or XML of a patch that is no resource; what comes out may be kept as JSON."""
    if not content:
        raise InvalidRequest("The request has no body; a patch is expected.")
    if format_ != XML_PATCH:
        return resource.parse_json(content)
    from hie.fhir.patching import xml_document  # loaded by the first client that sends one

    return xml_document.read(content)


def read_resource(content: bytes) -> Any:
    """Read the resource of a FHIRPath Patch; another patch is told the media type that it is sent as."""
    document = resource.parse_json(content) if content else None
    if isinstance(document, list):
        raise InvalidRequest(f"An array of operations is a JSON Patch, which is sent as {JSON_PATCH}; {_PLAIN}",
                             expression="http.Content-Type")
    if not isinstance(document, dict):
        return resource.parse(content)  # which refuses it
    if "resourceType" not in document:
        raise InvalidRequest(f"Part of a resource is a merge patch, which is sent as {MERGE_PATCH}; {_PLAIN}",
                             expression="http.Content-Type")
    resource.type_of(document)
    return document


def parse(format_: str, document: Any) -> Patch:
    """Read a patch that was read as JSON or XML; any format that is not named is FHIR's own, a Parameters resource."""
    if format_ == XML_PATCH:
        from hie.fhir.patching import xml_patch

        return xml_patch.parse(document)
    if format_ == JSON_PATCH:
        return json_patch.parse(document)
    if format_ == MERGE_PATCH:
        return merge_patch.parse(document)
    return fhirpath_patch.parse(document)


def unsupported(content_type: str | None) -> UnsupportedMediaType:
    """Build the refusal of a patch in another format; Accept-Patch says which there are: RFC 5789 section 3.1"""
    found = "The body has no Content-Type" if not content_type else f"Content-Type {content_type[:80]!r} is no patch"
    error = UnsupportedMediaType(
        f"{found}; taken are {', '.join(DOCUMENTS)}, and {FHIR_JSON} or {FHIR_XML} with a Parameters resource "
        "(FHIRPath Patch).",
        expression="http.Content-Type")
    error.headers["Accept-Patch"] = ACCEPTED
    return error
