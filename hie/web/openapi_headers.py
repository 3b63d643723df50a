"""Which headers the answers of each interaction have, as OpenAPI has them: https://hl7.org/fhir/R4/http.html#summary

What each means stands in docs/api/. Those that come with some answers of a status alone are not `required`.
"""

from __future__ import annotations

from typing import Any

Headers = dict[str, Any]

_MEANINGS = {
    "Accept-Patch": "The formats that a patch may have.",
    "Content-Location": "Where the answer is fetched.",
    "ETag": "The version, as If-Match and If-None-Match name it.",
    "Expires": "When the answer is removed.",
    "Last-Modified": "When the version was written.",
    "Location": "The version that was written, or that was there already.",
    "Preference-Applied": "respond-async.",
    "Retry-After": "After how many seconds to ask again.",
    "WWW-Authenticate": "What the token lacks (RFC 6750).",
    "X-Progress": "How far the request is.",
    "X-Request-Id": "What the server's log and audit trail call this request.",
}
_VERSION = ("ETag", "Last-Modified")
_WRITTEN = ("Location", *_VERSION)
_LATER = ("Content-Location", "Preference-Applied")
#: By interaction and status.
_ALWAYS: dict[tuple[str, int], tuple[str, ...]] = {
    ("capabilities", 200): ("ETag",), ("capabilities", 304): ("ETag",),
    ("definition", 200): ("ETag",), ("definition", 304): ("ETag",),
    ("read", 200): _VERSION, ("read", 304): _VERSION, ("vread", 200): _VERSION, ("vread", 304): _VERSION,
    ("create", 200): _WRITTEN, ("create", 201): _WRITTEN,
    ("update", 200): _WRITTEN, ("update", 201): _WRITTEN,
    ("conditional-update", 200): _WRITTEN, ("conditional-update", 201): _WRITTEN,
    ("patch", 200): _WRITTEN, ("conditional-patch", 200): _WRITTEN,
    ("patch", 415): ("Accept-Patch",), ("conditional-patch", 415): ("Accept-Patch",),
    ("async-status", 200): ("Expires",), ("async-status", 202): ("X-Progress", "Retry-After"),
}  # fmt: skip
_SOMETIMES: dict[tuple[str, int], tuple[str, ...]] = {
    ("delete", 200): _VERSION, ("conditional-delete", 200): _VERSION, ("read", 410): ("ETag",),
}
_OF_STATUS = {401: ("WWW-Authenticate",), 403: ("WWW-Authenticate",)}
_NOT_LATER = frozenset({"async-status", "async-cancel"})


def of_answer(key: str, status: int) -> Headers:
    """Return the headers of an interaction's answer, or of its conditional form's."""
    always = ("X-Request-Id", *_ALWAYS.get((key, status), ()), *_OF_STATUS.get(status, ()))
    if status == 202 and key not in _NOT_LATER:
        always += _LATER
    found = {name: {**_header(name), "required": True} for name in sorted(always)}
    return found | {name: _header(name) for name in _SOMETIMES.get((key, status), ())}


def of_failure() -> Headers:
    """Return the headers of what is answered where the server fails, or is busy."""
    return {name: _header(name) for name in ("Retry-After", "X-Request-Id")}


def _header(name: str) -> dict[str, Any]:
    return {"description": _MEANINGS[name], "schema": {"type": "string"}}
