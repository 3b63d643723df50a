"""Which web pages may call the FHIR API from a browser: https://fetch.spec.whatwg.org/#http-cors-protocol

A token travels in the Authorization header, which a page must hold itself: credentials of the browser (cookies) play no
part, so that Access-Control-Allow-Credentials is never sent, and "*" opens nothing to who has no token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hie.fhir import routes
from hie.web.reply import Headers

_TAKEN = (
    "Accept, Authorization, Content-Encoding, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, "
    "If-Unmodified-Since, Prefer, X-Cascade, X-Correlation-Id, X-Provenance, X-Request-Id, X-Security-Context"
)
#: What a page may read besides the body.
EXPOSED = (
    "Accept-Patch, Allow, Content-Disposition, Content-Location, Date, ETag, Expires, Last-Modified, Location, "
    "Preference-Applied, Retry-After, WWW-Authenticate, X-Correlation-Id, X-Progress, X-Request-Id, X-Security-Context"
)
#: How long a browser remembers what a preflight said.
_MAX_AGE = "3600"


@dataclass(frozen=True, slots=True)
class Cors:
    """The origins that may ask; "*" among them means all."""

    origins: frozenset[str]

    def allowed(self, origin: str | None, *, is_public: bool = False) -> str | None:
        """Return what Access-Control-Allow-Origin says to this origin; None where it may not ask.

        `is_public`: what needs no token is for every page, as SMART has it, where any page may ask at all.
        """
        if origin is None or not self.origins:
            return None
        if "*" in self.origins:
            return "*"
        return origin if origin.lower() in self.origins else "*" if is_public else None

    def headers(self, environ: dict[str, Any], *, is_public: bool = False) -> Headers:
        """Return what an answer carries for the page that asked."""
        allowed = self.allowed(environ.get("HTTP_ORIGIN"), is_public=is_public)
        if allowed is None:
            return []
        if is_preflight(environ):
            return [
                ("Access-Control-Allow-Origin", allowed),
                ("Access-Control-Allow-Methods", ", ".join(sorted(routes.METHODS))),
                ("Access-Control-Allow-Headers", _TAKEN),
                ("Access-Control-Max-Age", _MAX_AGE),
            ]
        return [("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", EXPOSED)]


def is_preflight(environ: dict[str, Any]) -> bool:
    """Tell whether a browser asks what it may ask."""
    return environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
