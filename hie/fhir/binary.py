"""Binary, the one resource that also travels in a format of its own: https://hl7.org/fhir/R4/binary.html#rest"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from hie.errors import InvalidRequest, InvalidResource
from hie.fhir import references

#: RFC 2045 section 5.1: type/subtype and parameters
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:\s*;\s*[A-Za-z0-9!#$&^_.+-]+=(?:[^\s;\"]+|\"[^\"\r\n]*\"))*",
    re.ASCII,
)


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
    if security_context:
        resource["securityContext"] = {"reference": security_context}
    resource["data"] = base64.b64encode(body).decode("ascii")
    return resource


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
