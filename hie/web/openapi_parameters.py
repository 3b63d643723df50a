"""Which headers and parameters each interaction hears, as OpenAPI has them: https://hl7.org/fhir/R4/http.html#parameters

What each means stands in docs/api/; searches and operations have more parameters, which the CapabilityStatement and the
definitions of operations list.
"""

from __future__ import annotations

from typing import Any

Parameter = dict[str, Any]

_TEXT = {"type": "string"}
_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "If-Match": ("The version that is meant, W/\"3\", several with commas, or *; another is 412.", _TEXT),
    "If-None-Match": ("Of a read: 304 where it is this version. Of an update: * makes only what is not there.", _TEXT),
    "If-Modified-Since": ("304 where nothing changed since.", _TEXT),
    "If-Unmodified-Since": ("412 where it was changed since; beside If-Match it counts no more.", _TEXT),
    "If-None-Exist": ("Search criteria; nothing is made where one matches.", _TEXT),
    "Prefer": ("return=minimal|representation|OperationOutcome, handling=strict|lenient, respond-async.", _TEXT),
    "X-Provenance": ("A Provenance in JSON, stored with what it tells of.", _TEXT),
    "X-Cascade": ("delete: what refers to the deleted goes, too.", {"enum": ["delete", "none"]}),
    "X-Security-Context": ("Of a Binary in its own format: the resource by which it is seen.", _TEXT),
}  # fmt: skip
_BOOLEAN = {"enum": ["true", "false"]}
_QUERY: dict[str, tuple[str, dict[str, Any]]] = {
    "_format": ("json, xml or their media types; it goes before Accept.", _TEXT),
    "_pretty": ("Whether the answer is indented.", _BOOLEAN),
    "_summary": ("Which part of each resource is answered.", {"enum": ["true", "text", "data", "count", "false"]}),
    "_elements": ("Elements at the top of each resource that are answered, with commas.", _TEXT),
    "_asOf": ("The instant whose state of the record is asked for.", {"type": "string", "format": "date-time"}),
    "_count": ("How many resources a page has at most.", {"type": "integer", "minimum": 0}),
    "_offset": ("How many of the newest versions are left out.", {"type": "integer", "minimum": 0}),
    "_since": ("Versions from that moment on.", _TEXT),
    "_at": ("Versions that were current at some time of this period.", _TEXT),
    "_list": ("Of what the List with this id names.", _TEXT),
    "_type": ("Versions of these types, with commas.", _TEXT),
    "_sort": ("Oldest first, or newest first as without it.", {"enum": ["_lastUpdated", "-_lastUpdated"]}),
    "_total": ("none spares the count of the versions.", {"enum": ["none", "estimate", "accurate"]}),
    "_cascade": ("delete: what refers to the deleted goes, too.", {"enum": ["delete", "none"]}),
    "mode": ("Which statement.", {"enum": ["full", "normative", "terminology"]}),
}

_ANSWER = ("_format", "_pretty", "_summary", "_elements")
_HISTORY = ("Prefer", "_since", "_at", "_list", "_count", "_offset", "_sort", "_total", *_ANSWER)
_SEARCH = ("Prefer", "_asOf", "_count", *_ANSWER)
_FORM = ("Prefer", *_ANSWER)
_READ = ("If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "Prefer")
_CHANGE = ("If-Match", "Prefer", "X-Provenance", *_ANSWER)
_DELETE = ("If-Match", "X-Cascade", "Prefer", "_cascade", *_ANSWER)
_HEARD: dict[str, tuple[str, ...]] = {
    "capabilities": ("If-None-Match", "mode", *_ANSWER), "definition": ("If-None-Match", *_ANSWER),
    "transaction": ("Prefer", "X-Provenance", *_ANSWER),
    "async-status": ("_format", "_pretty"), "async-cancel": ("_format", "_pretty"),
    "async-file": (),
    "history-system": (*_HISTORY, "_type"), "history-type": _HISTORY, "history-instance": _HISTORY,
    "search-system": _SEARCH, "search-type": _SEARCH, "search-compartment": _SEARCH,
    "search-form": _FORM, "search-compartment-form": _FORM,
    "create": ("If-None-Exist", "Prefer", "X-Provenance", "X-Security-Context", *_ANSWER),
    "update": ("If-None-Match", "X-Security-Context", *_CHANGE), "conditional-update": ("If-None-Match", *_CHANGE),
    "patch": _CHANGE, "conditional-patch": _CHANGE,
    "delete": _DELETE, "conditional-delete": ("_count", *_DELETE),
    "delete-history": _ANSWER, "delete-history-version": _ANSWER,
    "read": (*_READ, "_asOf", *_ANSWER), "vread": (*_READ, *_ANSWER),
    "operation": ("Prefer", "_format", "_pretty"),
}  # fmt: skip


def of_interaction(key: str) -> list[Parameter]:
    """Return the headers and parameters of an interaction, or of its conditional form."""
    return [_parameter(name) for name in _HEARD[key]]


def _parameter(name: str) -> Parameter:
    is_header = name in _HEADERS
    meaning, schema = _HEADERS[name] if is_header else _QUERY[name]
    return {"name": name, "in": "header" if is_header else "query", "description": meaning, "schema": schema}
