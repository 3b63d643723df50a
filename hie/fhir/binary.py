"""Binary, the one resource that also travels in a format of its own: https://hl7.org/fhir/R4/binary.html#rest"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from hie.errors import InvalidRequest, InvalidResource
from hie.fhir import json_format, references

#: What says the securityContext of content in its own format.
CONTEXT_HEADER = "X-Security-Context"
CONTEXT_IN_ENVIRON = "HTTP_X_SECURITY_CONTEXT"

#: RFC 2045 section 5.1: type/subtype and parameters
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:\s*;\s*[A-Za-z0-9!#$&^_.+-]+=(?:[^\s;\"]+|\"[^\"\r\n]*\"))*",
    re.ASCII,
)
_HEADER = re.compile(r"[!-~]{1,2000}", re.ASCII)
_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[>]*(?:\[[^\]]*\]\s*)?>")
_XML_ROOT = re.compile(rb"<(?:[\w.\-]+:)?Binary[\s/>]")
_JSON_TYPE = re.compile(rb'"resourceType"\s*:\s*"Binary"')
_JSON_START = re.compile(rb'\s*\{\s*"resourceType"\s*:\s*"([A-Za-z]+)"')


def is_resource(body: bytes, *, xml: bool) -> bool:
    """Tell whether a body of a FHIR type is a Binary resource; anything else is what a Binary is to hold.

    "including when the content type is application/fhir+xml or application/fhir+json": binary.html#rest. What is
    broken and says that it is one is taken for one, so that the client is told.
    """
    if xml:
        return _XML_ROOT.match(body, _root_of(body)) is not None
    start = _JSON_START.match(body)
    if start is not None:
        return start[1] == b"Binary"
    try:
        found = json_format.parse(body)
    except json_format.JsonError:
        return _JSON_TYPE.search(body) is not None
    return isinstance(found, dict) and found.get("resourceType") == "Binary"


def _root_of(body: bytes) -> int:
    """Return where the first element of XML begins, behind instructions, comments and a document type."""
    place = len(body) - len(body.removeprefix(b"\xef\xbb\xbf"))
    while True:
        while body[place : place + 1].isspace():
            place += 1
        doctype = _DOCTYPE.match(body, place)
        if doctype is not None:
            place = doctype.end()
            continue
        opened = next((pair for pair in ((b"<?", b"?>"), (b"<!--", b"-->")) if body.startswith(pair[0], place)), None)
        end = -1 if opened is None else body.find(opened[1], place)
        if opened is None or end < 0:
            return place
        place = end + len(opened[1])


def wrapped(body: bytes, content_type: str, security_context: str | None, id_: str | None) -> dict[str, Any]:
    """Make the Binary resource of content that was sent in its own format."""
    if _MEDIA_TYPE.fullmatch(content_type) is None:
        raise InvalidRequest(f"Content-Type {content_type[:80]!r} is not a media type.",
                             expression="Binary.contentType")
    if not body:
        raise InvalidRequest("The request has no body; the content of the Binary is expected.",
                             expression="Binary.data")
    resource: dict[str, Any] = {"resourceType": "Binary"}
    if id_ is not None:
        resource["id"] = id_
    resource["contentType"] = content_type
    if security_context is not None:
        resource["securityContext"] = {"reference": security_context}
    resource["data"] = base64.b64encode(body).decode("ascii")
    return resource


def refuse_other_context(resource: Any, header: str | None) -> None:
    """Refuse a Binary resource beside a header that says another context: it would be seen by whom it is not for."""
    if header is None:
        return
    named = resource.get("securityContext") if isinstance(resource, dict) else None
    if not isinstance(named, dict) or named.get("reference") != header:
        raise InvalidRequest(f"{CONTEXT_HEADER} is for content in its own format; the body is a Binary resource, whose "
                             "securityContext says it.", expression=f"http.{CONTEXT_HEADER}")


def security_context(resource: dict[str, Any], base_url: str) -> str | None:
    """Return Type/id of the resource of this server that is the proxy for who may read a Binary; None: there is none.

    Empty where securityContext names nothing that is here: by an identifier alone, on another server, in itself. Of a
    version the resource itself is meant. https://hl7.org/fhir/R4/binary.html#security-context
    """
    named = resource.get("securityContext")
    if named is None:
        return None
    text = str(named.get("reference", ""))
    found = references.parse(text.removeprefix(f"{base_url}/") if base_url else text)
    return f"{found.type}/{found.id}" if found.kind == "relative" and "#" not in text else ""


def told_context(resource: dict[str, Any]) -> str | None:
    """Return what the header X-Security-Context says beside the content; None where no header can say it."""
    named = resource.get("securityContext")
    text = named.get("reference") if isinstance(named, dict) else None
    return text if isinstance(text, str) and _HEADER.fullmatch(text) else None


def opened(resource: dict[str, Any]) -> tuple[bytes, str]:
    """Return the content of a Binary resource and its media type."""
    content_type = str(resource.get("contentType", ""))
    if _MEDIA_TYPE.fullmatch(content_type) is None:
        content_type = "application/octet-stream"
    try:
        return base64.b64decode(resource.get("data", ""), validate=False), content_type
    except (binascii.Error, ValueError) as error:
        raise InvalidResource("The data of this Binary are not base64; read it as application/fhir+json.",
                              expression="Binary.data") from error
