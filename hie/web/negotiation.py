"""Which format a client sends and wants: https://hl7.org/fhir/R4/http.html#mime-type, RFC 9110 section 12

Pure functions over header texts. This server speaks FHIR JSON and FHIR XML; a Binary also travels in its own format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from hie.errors import NotAcceptable, UnsupportedMediaType
from hie.fhir.http import Preferences

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
FHIR_NDJSON = "application/fhir+ndjson"
#: What no more than JSON is, as clients of GraphQL ask for it.
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
#: What `_format` and Accept may say, with the names that DSTU2 had; "fhir json" is "fhir+json" whose plus was not
#: encoded in a URL.
_JSON = frozenset({FHIR_JSON, "application/json", "text/json", "application/json+fhir"})
_XML = frozenset({FHIR_XML, "application/xml", "text/xml", "application/xml+fhir"})
_JSON_FORMATS = _JSON | {"json", "application/fhir json", "application/json fhir"}
_XML_FORMATS = _XML | {"xml", "application/fhir xml", "application/xml fhir"}
_NDJSON = frozenset({FHIR_NDJSON, "application/ndjson", "application/x-ndjson", "ndjson", "application/fhir ndjson"})
#: Media ranges, by what stands before the slash; "*" alone is what Java's HttpURLConnection sends for "*/*".
_RANGES = {"*/*": "*", "*": "*", "application/*": "application", "text/*": "text"}
_VERSIONS = frozenset({"4.0", "4.0.1"})
OFFERED = f"{FHIR_JSON} (or _format=json) and {FHIR_XML} (or _format=xml)"
_BULK_ONLY = " NDJSON is the format of bulk files alone (https://hl7.org/fhir/R4/nd-json.html)."


class Accepted(NamedTuple):
    """What a client takes.

    `fhir`: whether it may be FHIR JSON or XML; `named`: whether one of them was named before everything else, so that a
    Binary is wanted as a resource; `xml`: whether it is XML that is wanted; `generic`: the media type that says no more
    than JSON or XML by which it was asked for, and is answered: http.html#mime-type. Empty: FHIR's own.
    """

    fhir: bool
    named: bool
    xml: bool = False
    generic: str = ""


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
    """Read an Accept header; absent, it accepts everything. Of two with one quality the first named is taken."""
    if accept is None or not accept.strip():
        return Accepted(True, False)
    json, xml, own_xml, other = -1.0, -1.0, -1.0, 0.0
    is_xml_first = False
    ranges: dict[str, float] = {}
    asked: dict[bool, tuple[float, bool, str]] = {}  # by whether it is XML: quality, whether it is FHIR's own, the name
    for part in accept.split(","):
        one = media_type(part)
        quality = _quality(one.parameters.get("q", "1"))
        if one.name in _RANGES:
            range_ = _RANGES[one.name]
            ranges[range_] = max(ranges.get(range_, -1.0), quality)
        elif one.name in _JSON or one.name in _XML:
            if one.parameters.get("fhirversion", "4.0") not in _VERSIONS:
                continue
            is_xml, own = one.name in _XML, one.name in (FHIR_JSON, FHIR_XML)
            if is_xml not in asked or (quality, own) > asked[is_xml][:2]:
                asked[is_xml] = (quality, own, one.name)
            if one.name in _JSON:
                json = max(json, quality)
            else:
                is_xml_first = is_xml_first or json < 0
                xml = max(xml, quality)
                own_xml = max(own_xml, quality if one.name == FHIR_XML else 0)
        elif one.name:
            other = max(other, quality)
    own_range, text_range = (ranges.get(one, ranges.get("*", -1.0)) for one in ("application", "text"))
    text = max(json, ranges.get("text", 0.0)) if json else 0.0  # what text/* means is JSON, unless that is refused
    chosen = _chosen(text or json, xml, own_xml, other, max(own_range, text_range), is_xml_first)
    if text > json and not chosen.xml:
        chosen = chosen._replace(named=0 < json >= other)
    quality, own, name = asked.get(chosen.xml, (-1.0, True, ""))
    if quality != 0 and text_range > max(own_range, quality):
        return chosen._replace(generic="text/xml" if chosen.xml else "text/json")
    return chosen if own or quality <= 0 else chosen._replace(generic=name)


def _chosen(json: float, xml: float, own_xml: float, other: float, wildcard: float, is_xml_first: bool) -> Accepted:
    """Choose by quality; a range stands for what is not named (-1), and means JSON where it decides."""
    fhir_json = json if json >= 0 else wildcard
    fhir_xml = xml if xml >= 0 else wildcard
    wants_xml = fhir_xml > 0 and (fhir_xml > fhir_json or (xml >= 0 and fhir_xml == fhir_json and is_xml_first))
    named = own_xml if wants_xml else json
    return Accepted(fhir_json > 0 or fhir_xml > 0, named > 0 and named >= other, wants_xml)


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def wants_fhir(accept: str | None, format_: str | None) -> Accepted:
    """Tell which format the answer may have; _format goes before the header, unless it is empty and names none."""
    if format_ is None or not format_.strip():
        return accepted(accept)
    one = media_type(format_)
    if one.name not in _JSON_FORMATS and one.name not in _XML_FORMATS:
        raise NotAcceptable(f"_format {format_[:80]!r} is not offered; offered is {OFFERED}."
                            + (_BULK_ONLY if one.name in _NDJSON else ""), expression="_format")
    if one.parameters.get("fhirversion", "4.0") not in _VERSIONS:
        raise NotAcceptable(f"_format {format_[:80]!r}: this server speaks FHIR 4.0.", expression="_format")
    return Accepted(True, True, one.name in _XML_FORMATS)


def refuse_unacceptable(answer: Accepted, accept: str | None) -> None:
    """Refuse a client that takes nothing of what is offered."""
    if not answer.fhir:
        bulk = _BULK_ONLY if any(name in str(accept) for name in _NDJSON) else ""
        raise NotAcceptable(f"Accept {str(accept)[:80]!r} is not offered; offered is {OFFERED}.{bulk}",
                            expression="http.Accept")


def takes_ndjson(accept: str | None) -> bool:
    """Tell whether a client takes bulk files: https://hl7.org/fhir/R4/nd-json.html"""
    parts = [media_type(one) for one in (accept or "").split(",")]
    return any(one.name in _NDJSON and _quality(one.parameters.get("q", "1")) > 0 for one in parts)


def of_refusal(accept: str | None, query: str) -> bool:
    """Tell whether a refusal is written as XML: as wanted, as far as the request can be read; JSON otherwise."""
    try:
        wanted = [value for name, value in parse_qsl(query) if name == "_format" and value.strip()]
    except ValueError:
        wanted = []
    if wanted:
        return media_type(wanted[-1]).name in _XML_FORMATS
    return accepted(accept).xml


def is_json(content_type: str | None) -> bool:
    """Tell whether a body is FHIR JSON; UnsupportedMediaType for JSON in another character set or version of FHIR."""
    return content_type == FHIR_JSON or _is(content_type, _JSON, "FHIR JSON")


def is_xml(content_type: str | None, *, is_binary: bool = False) -> bool:
    """Tell whether a body is FHIR XML; of a Binary any XML but FHIR's own is content (binary.html#rest)."""
    return _is(content_type, frozenset({FHIR_XML}) if is_binary else _XML, "FHIR XML")


def is_patch(content_type: str | None, format_: str) -> bool:
    """Tell whether a body is a patch of the format; UnsupportedMediaType for one in another character set."""
    return _is(content_type, frozenset({format_}), "a patch")


def is_form(content_type: str | None) -> bool:
    """Tell whether a body is a form; UnsupportedMediaType for one in another character set."""
    return _is(content_type, frozenset({FORM}), "a form")


def _is(content_type: str | None, names: frozenset[str], what: str) -> bool:
    if content_type is None:
        return False
    one = media_type(content_type)
    if one.name not in names:
        return False
    if one.parameters.get("charset", "utf-8") not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"Content-Type {content_type[:80]!r}: {what} is UTF-8.",
                                   expression="http.Content-Type")
    if one.parameters.get("fhirversion", "4.0") not in _VERSIONS:
        raise UnsupportedMediaType(f"Content-Type {content_type[:80]!r}: this server speaks FHIR 4.0.",
                                   expression="http.Content-Type")
    return True


def unsupported(content_type: str | None, expected: str = f"{FHIR_JSON} or {FHIR_XML}") -> UnsupportedMediaType:
    """Build the refusal of a body in another format."""
    found = "The body has no Content-Type" if not content_type else f"Content-Type {content_type[:80]!r} is not taken"
    bulk = _BULK_ONLY if content_type and media_type(content_type).name in _NDJSON else ""
    return UnsupportedMediaType(f"{found}; {expected} is expected.{bulk}", expression="http.Content-Type")


_RETURNS = ("minimal", "representation", "OperationOutcome")
_HANDLINGS = ("strict", "lenient")


@lru_cache(maxsize=256)
def preferences(prefer: str | None, default_return: str) -> Preferences:
    """Read the Prefer header; what is unknown is ignored, preferences and values: https://www.rfc-editor.org/rfc/rfc7240#section-2

    Clients do send unknown values: SMART's in JavaScript asks for return=presentation with each patch.
    """
    return_ = handling = ""
    respond_async = False
    for part in re.split("[,;]", prefer or ""):
        name, equals, value = (one.strip() for one in part.partition("="))
        value = value.strip('"')
        if name.lower() == "return" and equals:  # of several the first counts
            return_ = return_ or _one_of(_RETURNS, value)
        elif name.lower() == "handling" and equals:
            handling = handling or _one_of(_HANDLINGS, value)
        elif name.lower() == "respond-async" and value.lower() in ("", "true"):
            respond_async = True
    return Preferences(return_ or default_return, handling or "strict", respond_async)


def _one_of(known: tuple[str, ...], value: str) -> str:
    return next((one for one in known if one.lower() == value.lower()), "")
