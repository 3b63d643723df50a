"""What R4 says of the form of single texts beyond their type, and of codes that are a grammar: languages, media types,
units, series, namespaces.

https://hl7.org/fhir/R4/datatypes.html, https://hl7.org/fhir/R4/references.html#Reference
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from hie.fhir import facts, ucum
from hie.fhir.primitives import shown
from hie.fhir.terminology.grammars import GRAMMARS, judged
from hie.fhir.validation.issue import Problem

from .walk import Found

Json = dict[str, Any]

_LANGUAGES, _MEDIA_TYPES, _URIS = "urn:ietf:bcp:47", "urn:ietf:bcp:13", "urn:ietf:rfc:3986"
#: Besides resources, what has a `language` that R4 binds to all languages; that of an Expression is another thing.
_IN_A_LANGUAGE = frozenset({"Attachment", "CodeSystem.concept.designation",
                            "ValueSet.compose.include.concept.designation"})
#: Namespaces of URIs: the URIs' own, and DICOM's, whose UIDs R4 writes as `urn:oid:…`.
_OF_URIS = frozenset({_URIS, "urn:dicom:uid"})
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_FULL_URI = re.compile(r"https?://\S|urn:(?:oid:[0-2]\.|uuid:)", re.ASCII)
_POINT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[EUL]", re.ASCII)
_STATUS = re.compile(r"[0-9]{3}(?![0-9])", re.ASCII)


def of(one: Found) -> Iterator[Problem]:
    """Give what is not as it should be about one object, at paths below it."""
    if "language" in one.value and (one.type in _IN_A_LANGUAGE or one.type in facts.RESOURCE_TYPES):
        yield from _language(one.value)
    rule = _OF_TYPES.get(one.type)
    if rule is not None:
        yield from rule(one.value)


def _language(value: Json) -> Iterator[Problem]:
    """The largest set of languages is BCP 47: https://hl7.org/fhir/R4/valueset-all-languages.html"""
    language = value["language"]
    if isinstance(language, str) and not GRAMMARS[_LANGUAGES](language):
        yield ".language", "error", "code-invalid", f"{shown(language)} is no tag of a language such as de or en-US."


def _content(value: Json) -> Iterator[Problem]:
    """Media types are those of BCP 13: https://hl7.org/fhir/R4/valueset-mimetypes.html"""
    type_ = value.get("contentType")
    if isinstance(type_, str) and not GRAMMARS[_MEDIA_TYPES](type_):
        yield ".contentType", "error", "code-invalid", f"{shown(type_)} is no media type such as image/png."


def _of_time(quantity: Json) -> Iterator[Problem]:
    """Ages and durations are times: https://hl7.org/fhir/R4/valueset-all-time-units.html"""
    yield from _unit(quantity, "s", "time")


def _of_length(quantity: Json) -> Iterator[Problem]:
    """https://hl7.org/fhir/R4/valueset-all-distance-units.html"""
    yield from _unit(quantity, "m", "length")


def _unit(quantity: Json, one: str, all_: str) -> Iterator[Problem]:
    code = quantity.get("code")
    if not isinstance(code, str) or quantity.get("system") != ucum.SYSTEM:
        return
    if judged(ucum.SYSTEM, [{"property": "canonical", "op": "=", "value": one}], code) is False:
        yield ".code", "error", "code-invalid", f"{shown(code)} is no unit of {all_}, as R4 has it here."


def _of_ucum(quantity: Json) -> Iterator[Problem]:
    """What is said to be of UCUM is a unit of it: https://hl7.org/fhir/R4/ucum.html"""
    code = quantity.get("code")
    if isinstance(code, str) and quantity.get("system") == ucum.SYSTEM and not GRAMMARS[ucum.SYSTEM](code):
        yield ".code", "warning", "code-invalid", f"{shown(code)} is no unit of UCUM."


def _series(value: Json) -> Iterator[Problem]:
    """Numbers with one space between them: https://hl7.org/fhir/R4/datatypes-definitions.html#SampledData.data"""
    data = value.get("data")
    wrong = next((one for one in data.split(" ") if not _POINT.fullmatch(one)), None) if isinstance(data, str) else None
    if wrong is not None:
        text = f"{shown(wrong)} is none of decimal numbers and E, U or L with one space between them."
        yield ".data", "error", "value", text


def _identifier(value: Json) -> Iterator[Problem]:
    """Namespaces are absolute, that of URIs their own: https://hl7.org/fhir/R4/datatypes-definitions.html#Identifier.value"""
    system, text = value.get("system"), value.get("value")
    if not isinstance(system, str):
        return
    if not _ABSOLUTE.match(system):
        yield ".system", "warning", "value", f"{shown(system)} is relative; the absolute URI of a namespace is meant."
    elif system not in _OF_URIS and isinstance(text, str) and _FULL_URI.match(text):
        yield ".system", "warning", "value", f"The value is a URI; the namespace of URIs is {_URIS}."


def _reference(value: Json) -> Iterator[Problem]:
    """https://hl7.org/fhir/R4/references.html#Reference"""
    type_ = value.get("type")
    if isinstance(type_, str) and type_ not in facts.RESOURCE_TYPES:
        yield ".type", "warning", "code-invalid", f"{shown(type_)} is no type of resource such as Patient."
    if {"reference", "identifier", "display", "extension"}.isdisjoint(value) and "_reference" not in value:
        yield "", "warning", "required", "A reference, an identifier or a display is needed to say what is meant."


def _response(value: Json) -> Iterator[Problem]:
    """https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response.status"""
    status = value.get("status")
    if isinstance(status, str) and not _STATUS.match(status):
        yield ".status", "error", "value", f"{shown(status)} does not begin with the three digits of HTTP."


_OF_TYPES: dict[str, Callable[[Json], Iterator[Problem]]] = {
    "Age": _of_time, "Duration": _of_time, "Distance": _of_length, "Quantity": _of_ucum,
    "Count": _of_ucum, "Attachment": _content, "Binary": _content,
    "SampledData": _series, "Identifier": _identifier, "Reference": _reference, "Bundle.entry.response": _response,
}  # fmt: skip
