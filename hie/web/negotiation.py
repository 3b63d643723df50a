"""Which format a client sends and wants: https://hl7.org/fhir/R4/http.html#mime-type, RFC 9110 section 12

Pure functions over header texts. FHIR JSON is what this server speaks; a Binary also travels in its own format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from hie.errors import InvalidRequest, NotAcceptable, UnsupportedMediaType
from hie.fhir.http import Preferences

FHIR_JSON = "application/fhir+json"
#: What `_format` may say for FHIR JSON; "fhir json" is "fhir+json" whose plus was not encoded.
_FORMATS = frozenset({"json", "application/json", FHIR_JSON, "application/fhir json", "text/json"})
_JSON = frozenset({FHIR_JSON, "application/json", "text/json"})
OFFERED = f"{FHIR_JSON} (or _format=json)"


class Accepted(NamedTuple):
    """What a client takes: whether FHIR JSON is fine, and whether it named it before everything else."""

    fhir: bool
    named: bool


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type with its parameters in lower case."""

    name: str
    parameters: dict[str, str]


def media_type(text: str) -> MediaType:
    """Read a Content-Type, or one part of an Accept header."""
    name, *rest = text.split(";")
    parameters = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if equals:
            parameters[key.strip().lower()] = value.strip().strip('"').lower()
    return MediaType(name.strip().lower(), parameters)


@lru_cache(maxsize=256)
def accepted(accept: str | None) -> Accepted:
    """Read an Accept header; absent, it accepts everything."""
    if accept is None or not accept.strip():
        return Accepted(True, False)
    json, other, wildcard = 0.0, 0.0, 0.0
    for part in accept.split(","):
        one = media_type(part)
        quality = _quality(one.parameters.get("q", "1"))
        if one.name in _JSON:
            if one.parameters.get("fhirversion", "4.0") in ("4.0", "4.0.1"):
                json = max(json, quality)
        elif one.name in ("*/*", "application/*"):
            wildcard = max(wildcard, quality)
        elif one.name:
            other = max(other, quality)
    return Accepted(json > 0 or wildcard > 0, json > 0 and json >= other)


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def wants_fhir(accept: str | None, format_: str | None) -> Accepted:
    """Tell whether the answer may be FHIR JSON; _format goes before the header."""
    if format_ is None:
        return accepted(accept)
    if format_.split(";")[0].strip().lower() not in _FORMATS:
        raise NotAcceptable(f"_format {format_[:80]!r} is not offered; offered is {OFFERED}.", expression="_format")
    return Accepted(True, True)


def refuse_unacceptable(answer: Accepted, accept: str | None) -> None:
    """Refuse a client that takes nothing of what is offered."""
    if not answer.fhir:
        raise NotAcceptable(f"Accept {str(accept)[:80]!r} is not offered; offered is {OFFERED}.",
                            expression="http.Accept")


def is_json(content_type: str | None) -> bool:
    """Tell whether a body is FHIR JSON; UnsupportedMediaType for JSON in another character set or version of FHIR."""
    if content_type is None:
        return False
    if content_type == FHIR_JSON:
        return True
    one = media_type(content_type)
    if one.name not in _JSON:
        return False
    if one.parameters.get("charset", "utf-8") not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"Content-Type {content_type[:80]!r}: FHIR JSON is UTF-8.",
                                   expression="http.Content-Type")
    if one.parameters.get("fhirversion", "4.0") not in ("4.0", "4.0.1"):
        raise UnsupportedMediaType(f"Content-Type {content_type[:80]!r}: this server speaks FHIR 4.0.",
                                   expression="http.Content-Type")
    return True


def unsupported(content_type: str | None, expected: str = FHIR_JSON) -> UnsupportedMediaType:
    """Build the refusal of a body in another format."""
    found = "The body has no Content-Type" if not content_type else f"Content-Type {content_type[:80]!r} is not taken"
    return UnsupportedMediaType(f"{found}; {expected} is expected.", expression="http.Content-Type")


_RETURNS = ("minimal", "representation", "OperationOutcome")
_HANDLINGS = ("strict", "lenient")


@lru_cache(maxsize=256)
def preferences(prefer: str | None, default_return: str) -> Preferences:
    """Read the Prefer header (RFC 7240); an unknown preference is ignored, as it must be, an unknown value is not."""
    return_, handling = default_return, "strict"
    for part in re.split("[,;]", prefer or ""):
        name, equals, value = (one.strip() for one in part.partition("="))
        value = value.strip('"')
        if name.lower() == "return" and equals:
            return_ = _one_of(_RETURNS, value, "return")
        elif name.lower() == "handling" and equals:
            handling = _one_of(_HANDLINGS, value, "handling")
        elif name.lower() == "respond-async":
            raise InvalidRequest("Prefer: respond-async is not supported; the answer comes at once.",
                                 expression="http.Prefer")
    return Preferences(return_, handling)


def _one_of(known: tuple[str, ...], value: str, name: str) -> str:
    for one in known:
        if one.lower() == value.lower():
            return one
    raise InvalidRequest(f"Prefer: {name}={value[:40]!r} is not known; known: {', '.join(known)}.",
                         expression="http.Prefer")
