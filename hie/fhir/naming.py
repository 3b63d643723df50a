"""Identifiers of naming systems: URI, OID, UUID, or a code of HL7 v2 table 0396.

https://hl7.org/fhir/R4/namingsystem-definitions.html#NamingSystem.uniqueId
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from hie.fhir import datatypes
from hie.fhir.datatypes import InvalidDate
from hie.fhir.terminology import shipped

Json = dict[str, Any]

TYPES = ("oid", "uuid", "uri", "other")
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def plain(text: str) -> str:
    """Return an OID or UUID without urn:oid: or urn:uuid:, any other identifier as it is."""
    inner = text.removeprefix("urn:oid:")
    if _OID.fullmatch(inner):
        return inner
    inner = text.removeprefix("urn:uuid:")
    return inner.lower() if _UUID.fullmatch(inner) else text


def forms(text: str) -> tuple[str, ...]:
    """Return every way in which an identifier may be written."""
    inner = plain(text)
    if _OID.fullmatch(inner):
        return inner, f"urn:oid:{inner}"
    if _UUID.fullmatch(inner):
        return tuple(dict.fromkeys((text, inner, inner.upper(), f"urn:uuid:{inner}", f"urn:uuid:{inner.upper()}")))
    return (text,)


def is_named(system: Json, text: str) -> bool:
    """Tell whether a NamingSystem has an identifier."""
    return any(plain(one["value"]) == plain(text) for one in _told(system))


def identifiers(system: Json, kind: str, now: int) -> list[str]:
    """Return a NamingSystem's identifiers of one type, the preferred one alone where one is; those valid now."""
    found = [one for one in _told(system) if one.get("type") == kind and _is_valid(one.get("period", {}), now)]
    preferred = [one for one in found if one.get("preferred") is True]
    return list(dict.fromkeys(_shown(one["value"]) for one in preferred or found))


def of_code_system(system: Json, kind: str) -> list[str]:
    """Return a CodeSystem's identifiers of one type: its URL, and the OID or UUID among its identifiers."""
    if kind == "uri":
        return [system["url"]] if "url" in system else []
    pattern = {"oid": _OID, "uuid": _UUID}.get(kind)
    told = (plain(str(one.get("value", ""))) for one in system.get("identifier", []))
    return list(dict.fromkeys(one for one in told if pattern is not None and pattern.fullmatch(one)))


def shipped_under(text: str) -> list[str]:
    """Return the URLs of the specification's code systems that have an OID or UUID."""
    return list(_shipped().get(plain(text), ()))


@cache
def _shipped() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for url in shipped.index("CodeSystem"):
        system = shipped.resource("CodeSystem", url) or {}
        for one in (*of_code_system(system, "oid"), *of_code_system(system, "uuid")):
            found[one] = (*found.get(one, ()), url)
    return found


def _told(system: Json) -> Iterable[Json]:
    return (one for one in system.get("uniqueId", []) if "value" in one)  # an extension may stand in its place


def _shown(text: str) -> str:
    inner = plain(text)
    return inner if _OID.fullmatch(inner) else text


def _is_valid(period: Json, now: int) -> bool:
    try:
        low = datatypes.date_bounds(period["start"])[0] if "start" in period else datatypes.OPEN_LOW
        high = datatypes.date_bounds(period["end"])[1] if "end" in period else datatypes.OPEN_HIGH
    except InvalidDate:  # pragma: no cover  # what is stored is valid
        return True
    return low <= now < high
