"""URI search: the whole URI, literally, or with `:below` and `:above` a URL's place in a hierarchy.

A canonical (`_profile`) is found by its URL with or without the version it was written with. Hierarchies go by what
stands between slashes: https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hie.errors import InvalidSearch
from hie.fhir.search_values import UriValue as Stored
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import CODE, Clause, Token, either
from hie.store.search.string import ORDERS
from hie.store.search.syntax import unescape

#: So many of a URL's beginnings are hashed. Parameters of every resource keep the server's name alone: there would
#: else be five tokens for each profile.
LEVELS, LEVELS_OF_COMMON = 12, 1
_COMMON = frozenset({"_profile", "_source"})
#: How a filter may compare URIs, letter by letter.
TEXTS: dict[str, Callable[[str, str], bool]] = {
    "co": str.__contains__, "sw": str.startswith, "ew": str.endswith, **ORDERS,
}  # fmt: skip
#: What stands behind `#` in it is one message or request of the system that the URL names, as HAPI writes it.
_SOURCE = "_source"


@dataclass(frozen=True, slots=True)
class UriValue:
    """One alternative; `modifier` may also be a comparison of a filter as of strings (TEXTS), which no index knows."""

    uri: str
    modifier: str = ""
    version: str | None = None
    """The version that is asked for beside a URL: of the resource that has it, or with :below one that begins so."""
    is_open: bool = False
    """Whether the resource's own version may go on behind the one that is asked for."""


def index(value: Stored) -> Iterator[Form]:
    """Yield what is hashed for one URI."""
    uri = value[1]
    yield "uri", uri
    url, bar, _ = uri.partition("|")
    if bar and url:
        yield "uri", url
    for above in list(_beginnings(url))[: _levels(value[0])]:
        yield "below", above


def _levels(parameter: str) -> int:
    return LEVELS_OF_COMMON if parameter in _COMMON else LEVELS


def _beginnings(url: str) -> Iterator[str]:
    """Yield the URLs above one, from the server's name on, without it; nothing for a URN."""
    scheme, separator, _ = url.partition("://")
    if separator:
        place = len(scheme) + 3
        while (slash := url.find("/", place)) > 0 and slash + 1 < len(url):
            if url[slash - 1] != "/":
                yield url[:slash]
            place = slash + 1


def parse(text: str, modifier: str, name: str) -> UriValue:
    """Read one alternative."""
    uri = unescape(text).strip()
    if not uri:
        raise InvalidSearch(f"{name} has an empty value.")
    if modifier not in ("above", "below"):
        return UriValue(uri)
    url, bar, version = uri.partition("|")
    if modifier == "below" and bar and version:  # search.html#versions
        return UriValue(url, modifier, version)
    if bar:
        raise InvalidSearch(f"{name}={text[:200]}: :{modifier} takes a URL without a version.")
    url = uri.rstrip("/")
    if "://" not in url:
        raise InvalidSearch(
            f"{name}={text[:200]}: :{modifier} is for URLs such as http://example.org/fhir, not for URNs."
        )
    return UriValue(url, modifier)


def where(value: UriValue, parameter: str, hash_: Hash) -> Clause:
    """Return the resources with this URI; candidates where `is_exact` says so."""
    if value.modifier == "above":
        return either([Token(hash_("uri", url), CODE) for url in _above(value.uri)])
    if value.version is not None:
        return Token(hash_("uri", value.uri), CODE)
    if value.modifier == "below":
        itself = [Token(hash_("uri", url), CODE) for url in (value.uri, value.uri + "/")]
        indexed = [*_beginnings(value.uri), value.uri][: _levels(parameter)][-1]
        return either([*itself, Token(hash_("below", indexed), CODE)])
    return Token(hash_("uri", value.uri), CODE)


def _above(url: str) -> list[str]:
    return [written for one in (url, *_beginnings(url)) for written in (one, one + "/")]


def is_exact(value: UriValue, parameter: str) -> bool:
    """Tell whether the index decides."""
    if value.version is not None:
        return value.modifier != "below" and not value.is_open
    return value.modifier != "below" or len(list(_beginnings(value.uri))) < _levels(parameter)


def of_version(text: str, modifier: str, name: str) -> UriValue:
    """Read the URL of a resource that has one, with its version as in `url|1.0`: search.html#uri"""
    value = parse(text, modifier, name)
    if value.version is not None:
        return UriValue(value.uri, version=value.version, is_open=True)
    url, _, version = value.uri.partition("|")
    return UriValue(url, version=version) if url and version else value


def is_own(value: UriValue, version: str) -> bool:
    """Tell whether the own version of a resource is the one that is asked for."""
    return is_below(version, value.version or "") if value.is_open else version == value.version


def is_below(version: str, asked: str) -> bool:
    """Tell whether a version is another or one of those that it stands above, by what stands between dots."""
    return version == asked or version.startswith(f"{asked}.")


def matches(value: UriValue, stored: Stored) -> bool:
    """Tell whether one URI of the resource is asked for."""
    uri = stored[1]
    if value.modifier in TEXTS:
        return TEXTS[value.modifier](uri, value.uri)
    url, _, version = uri.partition("|")
    if value.modifier == "below" and value.version is not None:
        return url == value.uri and is_below(version, value.version)
    if value.modifier == "below":
        marks = ("/", "#") if stored[0] == _SOURCE else ("/",)
        under = tuple(value.uri + mark for mark in marks)
        return any(one == value.uri or one.startswith(under) for one in (uri, url))
    if value.modifier == "above":
        return not {uri, url}.isdisjoint(_above(value.uri))
    return value.uri in (uri, url)
