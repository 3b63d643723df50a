"""The fullUrl of a Bundle's entry: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl

It has to be absolute and to agree with the resource's id. HL7's own examples break that, and what is sent like it can
be read: so it is told, and nothing is refused.
"""

from __future__ import annotations

import re
from typing import Any

from hie.fhir import facts
from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem
from hie.fhir.validation.scope import Scope

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_REST_URL = re.compile(r"https?://.+/([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_NEEDED = frozenset({"document", "message"})


def problems(entry: dict[str, Any], scope: Scope) -> list[Problem] | None:
    """Give what is not as it should be about an entry's fullUrl."""
    return of_entry(entry, scope.resource)


def of_entry(entry: dict[str, Any], bundle: dict[str, Any]) -> list[Problem] | None:
    """Give the same, of an entry of this Bundle."""
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if not isinstance(resource, dict) or not isinstance(url, str | None):
        return None
    if url is None:
        kind = bundle.get("type")
        if not isinstance(kind, str) or kind not in _NEEDED or "_fullUrl" in entry:
            return None
        return _told("", "A resource of a document or a message has a fullUrl, which others refer to it by.")
    if url.startswith("urn:"):
        return None
    if not _ABSOLUTE.match(url):
        return _told(".fullUrl", f"{shown(url)} is no fullUrl: an absolute URL, or urn:uuid:… is expected.")
    named, id_ = _REST_URL.fullmatch(url), resource.get("id")
    if named is None or named[1] not in facts.RESOURCE_TYPES:
        return None
    type_name = resource.get("resourceType")
    if type_name == named[1] and id_ in (None, named[2]):
        return None
    here = str(type_name) if id_ is None else f"{type_name}/{id_}"
    return _told(".fullUrl", f"The fullUrl {shown(url)} names another resource than the entry has, {here[:140]}.")


def _told(where: str, text: str) -> list[Problem]:
    return [(where, "warning", "value", text)]
