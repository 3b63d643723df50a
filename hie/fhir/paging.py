"""Pages of searches and histories: https://hl7.org/fhir/R4/search.html#count"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import quote

from hie.errors import InvalidSearch
from hie.fhir.http import FhirRequest

#: Where a next link carries on; its value is sealed by the store and means nothing to anyone else.
CURSOR = "_cursor"
#: So many matches, or versions, the first page of a search or history leaves out. No parameter of R4, but one that HAPI
#: and Medplum have.
OFFSET = "_offset"
#: They are met one by one: a client that asks page by page for what lies further would do so again for each.
MOST_OFFSET = 10_000
#: In front of a cursor: the page that ends there is wanted, not the one that begins there.
UNTIL = "until."
#: What `_total` may be.
TOTALS = ("none", "estimate", "accurate")
#: What HAPI's client calls an estimate, by its SearchTotalModeEnum; it has no other word.
_ESTIMATED = "estimated"
#: How long links to further pages are good for.
LINK_HOURS = 24
#: The record as it was: an instant, for read, search and $everything. A parameter of this server's own.
AS_OF = "_asOf"

#: What stands in a link as it is, and the bar beside, which stands between the parts of most values.
_PLAIN = re.compile(r"[A-Za-z0-9_.\-~:,/$|]*", re.ASCII)


class PageSizes(Protocol):
    """The settings that bound a page."""

    @property
    def default_page_size(self) -> int: ...
    @property
    def max_page_size(self) -> int: ...


def page_size(request: FhirRequest, sizes: PageSizes) -> int:
    """Read _count, cut to the largest page that the server gives."""
    text = request.once("_count")
    return sizes.default_page_size if text is None else counted(text, sizes.max_page_size)


def counted(text: str, most: int) -> int:
    """Read _count, cut to the largest page: clients write the largest integer that they have for all that there is."""
    if not text.isascii() or not text.isdigit():
        raise InvalidSearch(f"_count is {text[:80]!r}; it must be a whole number from 0.", expression="_count")
    digits = text.lstrip("0") or "0"
    return most if len(digits) > 9 else min(int(digits), most)


class TooFar(InvalidSearch):
    """An offset beyond what is answered."""

    code = "too-costly"


def offset_of(text: str) -> int:
    """Read _offset."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidSearch(f"{OFFSET} is {text[:80]!r}; it must be a whole number from 0 to {MOST_OFFSET}.",
                            expression=OFFSET)
    if int(text) > MOST_OFFSET:
        raise TooFar(f"{OFFSET} is {text}: what it leaves out is met one by one, so {MOST_OFFSET} is the most. The "
                     "link next leads to the page behind at the same cost wherever it is.", expression=OFFSET)
    return int(text)


def both_places() -> InvalidSearch:
    """Return what tells that a page cannot begin at two places."""
    return InvalidSearch(f"{CURSOR} says where its page begins, so that {OFFSET} cannot stand beside it.",
                         expression=OFFSET)


def total_of(text: str) -> str:
    """Read _total."""
    if text == _ESTIMATED:
        return "estimate"
    if text not in TOTALS:
        raise InvalidSearch(f"_total is {text[:80]!r}; it must be one of {', '.join(TOTALS)}.", expression="_total")
    return text


def link(address: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Write the URL of a page: the separators of values stay readable as far as a URL may hold them.

    It may hold no bar (https://www.rfc-editor.org/rfc/rfc3986#section-3.4): Java's URI refuses a link with one.
    """
    query = "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in parameters])
    return f"{address}?{query}" if query else address


def _quoted(text: str) -> str:
    return text.replace("|", "%7C") if _PLAIN.fullmatch(text) else quote(text, safe=":,/$")
