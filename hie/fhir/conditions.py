"""The conditional headers: https://hl7.org/fhir/R4/http.html#concurrency and #cread, RFC 9110 section 13"""

from __future__ import annotations

import re

from hie.errors import InvalidRequest, NotSupported, PreconditionFailed
from hie.fhir.http import Conditions
from hie.fhir.instants import parse_http_date, parse_instant

_ETAG = re.compile(r'(?:W/)?"([^"]{0,200})"')
_ETAGS = re.compile(r'\s*(?:W/)?"[^"]{0,200}"(?:\s*,\s*(?:W/)?"[^"]{0,200}")*\s*')
_VID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


def etag(vid: int) -> str:
    """Write the ETag of a version: https://hl7.org/fhir/R4/http.html#versioning"""
    return f'W/"{vid}"'


def wanted_version(conditions: Conditions) -> int | None:
    """Read If-Match of a change; None where it is absent, PreconditionFailed where no version can have that tag."""
    text = conditions.if_match
    # RFC 9110 section 13.1.4: beside If-Match it is void
    if text is None and conditions.if_unmodified_since is not None:
        raise NotSupported("If-Unmodified-Since is not supported: a date tells no two changes of one second apart; use "
                           "If-Match with the ETag.", expression="http.If-Unmodified-Since")
    if text is None:
        return None
    match = _ETAG.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(f"If-Match is {text[:80]!r}; one version is expected, as in W/\"3\".",
                             expression="http.If-Match")
    if _VID.fullmatch(match[1]) is None:
        raise PreconditionFailed(f"If-Match asks for version {match[1]!r}; versions are the numbers 1, 2, 3 …",
                                 expression="http.If-Match")
    return int(match[1])


def wants_absence(conditions: Conditions) -> bool:
    """Tell whether an update may only make what is not there: If-None-Match: *, RFC 9110 section 13.1.2."""
    text = conditions.if_none_match
    if text is not None and text.strip() != "*":
        raise NotSupported(f"If-None-Match is {text[:80]!r}; an update takes If-None-Match: * alone, which asks that "
                           "the resource is not there yet, and If-Match.", expression="http.If-None-Match")
    return text is not None


def refuse_if_none_match(conditions: Conditions, what: str) -> None:
    """Refuse, rather than pass over, a condition that a change of what is there cannot have."""
    if conditions.if_none_match is not None:
        raise NotSupported(f"If-None-Match is not supported for a {what}; use If-Match.",
                           expression="http.If-None-Match")


def has_tag(conditions: Conditions, tag: str) -> bool:
    """Tell whether the client already has what carries this ETag, in quotes: RFC 9110 section 13.1.2."""
    text = conditions.if_none_match
    return text is not None and (text.strip() == "*" or tag in _ETAG.findall(text))


def unchanged(conditions: Conditions, vid: int, updated: int) -> bool:
    """Tell whether the client already has this version, so that a read answers 304."""
    if conditions.if_none_match is not None:
        return _matches(conditions.if_none_match, vid)  # RFC 9110 section 13.1.3: If-Modified-Since counts no more
    if conditions.if_modified_since is not None:
        # Headers carry HTTP dates, Bundle entries instants.
        since = parse_http_date(conditions.if_modified_since)
        if since is not None:
            return updated // 1_000_000 * 1_000_000 <= since
        since = parse_instant(conditions.if_modified_since)
        return since is not None and updated <= since  # RFC 9110 section 13.1.3: what is no date is ignored
    return False


def _matches(text: str, vid: int) -> bool:
    if text.strip() == "*":
        return True
    if _VID.fullmatch(text) is not None:  # fhirpy refreshes so; a wrong guess costs no more than a body
        return text == str(vid)
    if _ETAGS.fullmatch(text) is None:
        raise InvalidRequest(f"If-None-Match is {text[:80]!r}; versions are expected, as in W/\"3\".",
                             expression="http.If-None-Match")
    return str(vid) in _ETAG.findall(text)
