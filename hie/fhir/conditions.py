"""The conditional headers: https://hl7.org/fhir/R4/http.html#concurrency and #cread, RFC 9110 section 13"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hie.errors import InvalidRequest, NotSupported, PreconditionFailed
from hie.fhir.http import Conditions
from hie.fhir.instants import http_date, parse_http_date, parse_instant

_ETAG = re.compile(r'(?:W/)?"([^"]{0,200})"')
_ETAGS = re.compile(r'\s*(?:W/)?"[^"]{0,200}"(?:\s*,\s*(?:W/)?"[^"]{0,200}")*\s*')
_VID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


def etag(vid: int) -> str:
    """Write the ETag of a version: https://hl7.org/fhir/R4/http.html#versioning"""
    return f'W/"{vid}"'


#: So many versions of If-Match are named in a refusal.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class WantedVersions:
    """Which versions If-Match lets a request mean; `vids` None: whichever there is, as `*` says."""

    vids: frozenset[int] | None

    def allow(self, vid: int | None) -> bool:
        """Tell whether the current version is one of them; None: there is none."""
        return vid is not None and (self.vids is None or vid in self.vids)

    def __str__(self) -> str:
        if self.vids is None:
            return "asks for any version (*)"
        named = ", ".join(map(str, sorted(self.vids)[:_NAMED])) + (" and more" if len(self.vids) > _NAMED else "")
        return f"names version{'s' if len(self.vids) > 1 else ''} {named}"


#: What a change is asked to take the place of: the versions of the header, or the one that was read before.
IfMatch = WantedVersions | int


def wanted_versions(conditions: Conditions) -> WantedVersions | None:
    """Read If-Match; None where it is absent, PreconditionFailed where no version can have such a tag.

    Tags are one version's or several's, weak or not, or `*`: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
    """
    text = conditions.if_match
    # RFC 9110 section 13.1.4: beside If-Match it is void
    if text is None and conditions.if_unmodified_since is not None:
        raise NotSupported("If-Unmodified-Since is not supported: a date tells no two changes of one second apart; use "
                           "If-Match with the ETag.", expression="http.If-Unmodified-Since")
    if text is None:
        return None
    if text.strip() == "*":
        return WantedVersions(None)
    if _ETAGS.fullmatch(text) is None:
        raise InvalidRequest(
            f'If-Match is {text[:80]!r}; the ETag of a version is expected, as in W/"3", several with commas, or *.',
            expression="http.If-Match",
        )
    tags = _ETAG.findall(text)
    vids = frozenset(int(tag) for tag in tags if _VID.fullmatch(tag) is not None)
    if not vids:
        raise PreconditionFailed(
            f"If-Match asks for version {tags[0]!r}; versions are the numbers 1, 2, 3 …", expression="http.If-Match"
        )
    return WantedVersions(vids)


def refuse_other_versions(conditions: Conditions, vid: int, updated: int) -> None:
    """Refuse to read a version that If-Match or If-Unmodified-Since does not mean."""
    wanted = wanted_versions(conditions) if conditions.if_match is not None else None
    if wanted is not None and not wanted.allow(vid):
        raise PreconditionFailed(f"If-Match {wanted}, but this is version {vid}.", expression="http.If-Match")
    if wanted is None and conditions.if_unmodified_since is not None:  # RFC 9110 section 13.1.4
        since = parse_http_date(conditions.if_unmodified_since)
        if since is not None and updated // 1_000_000 * 1_000_000 > since:
            raise PreconditionFailed(f"This was changed since, at {http_date(updated)}.",
                                     expression="http.If-Unmodified-Since")


def wants_absence(conditions: Conditions) -> bool:
    """Tell whether an update may only make what is not there: If-None-Match: *, RFC 9110 section 13.1.2."""
    text = conditions.if_none_match
    if text is not None and text.strip() != "*":
        raise NotSupported(f"If-None-Match is {text[:80]!r}; an update takes If-None-Match: * alone, which asks that "
                           "the resource is not there yet, and If-Match.", expression="http.If-None-Match")
    return text is not None


#: Which interactions ask each condition, and what else says what it would; the others would pass it over. What has no
#: ETag of its own is always other than what If-None-Match names: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
_CHANGES = frozenset({"update", "patch", "delete", "operation"})
_READS = frozenset({"read", "vread"})
_LISTS = frozenset({"search-type", "search-system", "history-instance", "history-type", "history-system"})
_COMPUTED = frozenset({"capabilities", "definition", "async-status", "async-file"})
_ASKED = {
    "if_match": ("If-Match", _CHANGES | _READS, "it is for update, patch, delete and read"),
    "if_none_match": ("If-None-Match", _CHANGES | _READS | _LISTS | _COMPUTED,
                      "a create that is to make no second one has If-None-Exist"),
    "if_none_exist": ("If-None-Exist", frozenset({"create", "operation"}),
                      "it is for create; an update that is to change nothing has If-None-Match: *"),
    "if_unmodified_since": ("If-Unmodified-Since", _CHANGES | _READS | _LISTS | _COMPUTED,
                            "use If-Match with the ETag"),
}  # fmt: skip


def refuse_unasked(interaction: str, conditions: Conditions) -> None:
    """Refuse a condition that the interaction would pass over: it would be done as if it held.

    Of a Bundle each entry has its own. What an operation means by a condition it says itself (refuse_unasked_by).
    """
    for name, (header, asking, instead) in _ASKED.items():
        if getattr(conditions, name) is not None and interaction not in asking:
            if interaction == "transaction":
                instead = "each entry of a Bundle has its own, in its request"
            raise NotSupported(
                f"{header} is no condition of this interaction ({interaction}), which would be done "
                f"whether it holds or not; {instead}.",
                expression=f"http.{header}",
            )


def refuse_unasked_by(name: str, asked: frozenset[str], conditions: Conditions, *, only_reads: bool) -> None:
    """Refuse a condition that an operation would pass over; of what only reads, If-None-Match always holds."""
    for one, (header, *_) in _ASKED.items():
        if getattr(conditions, one) is not None and one not in asked and not (only_reads and one == "if_none_match"):
            raise NotSupported(f"{header} is no condition of {name}, which would be done whether it holds or not; "
                               "leave it out.", expression=f"http.{header}")


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
