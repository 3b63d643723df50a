"""The server that is followed: its histories, page by page. Nothing that it says is trusted before it is looked at.

https://hl7.org/fhir/R4/http.html#history, https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

from hie.commands.connection import Answer, AnswerLost, AnswerTooLarge, Connection, ExchangeError, outcome_text
from hie.fhir import json_format
from hie.fhir.instants import instant, parse_http_date

#: A page may be so large, and a history have so many pages, and so many without an entry one after the other.
LARGEST_PAGE = 64_000_000
MOST_PAGES, MOST_EMPTY_PAGES = 1_000_000, 100
#: Where a server has no history of the whole system: no such interaction or route, or not for this token.
_NO_HISTORY = frozenset({400, 403, 404, 405, 406, 410, 422, 501})


class BrokenOff(ExchangeError):
    """A history ended before its last page: the address of the next one is not known there any more."""


class PageTooLarge(BrokenOff):
    """A page is larger than is read; smaller ones may be asked for."""


class NoHistory(ExchangeError):
    """The server has not the history that it was asked for; the text is its answer."""


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of a history, in their order."""

    entries: list[dict[str, Any]]
    total: int | None
    """How many versions all pages have together, where the server says so."""
    at: int | None
    """What the server's clock says, microseconds since 1970; None where it does not."""
    is_first: bool
    """It begins a history."""


class Source:
    """A FHIR server whose history is read."""

    def __init__(self, url: str, headers: Mapping[str, str], count: int) -> None:
        self._connection = Connection(url, headers, largest_answer=LARGEST_PAGE)
        self.url = self._connection.url
        self.count = count
        self._paths: list[str] | None = None
        if not self._connection.has(self.url):
            raise ExchangeError(f"{self.url} is no base of a FHIR server, such as https://fhir.example/r4.")

    def close(self) -> None:
        self._connection.close()

    def history(self, types: Sequence[str], since: int | None) -> Iterator[Page]:
        """Yield the pages of the system's history, or else of those of all types; of the named types alone, if any."""
        if types:
            yield from self._of_types([f"{name}/_history" for name in types], since)
            return
        if self._paths is None:
            try:
                yield from self.pages("_history", since)
                return
            except NoHistory as error:
                self._paths = self._declared(error)
        yield from self._of_types(self._paths, since)

    def pages(self, path: str, since: int | None) -> Iterator[Page]:
        """Yield the pages of one history; NoHistory, BrokenOff, ExchangeError."""
        # Without _since HAPI ends its pages by a count of up to a minute ago, and so before the oldest versions.
        asked = {"_count": self.count, "_since": instant(since or 0)}
        url, seen, empty, theirs = f"{self.url}/{path}?{urlencode(asked)}", set[int](), 0, self.url
        while True:
            seen.add(hash(url))
            answer = self._get(url)
            if answer.status != 200:
                raise self._refused(url, answer, is_first=len(seen) == 1)
            bundle = self._bundle(url, answer)
            page = Page(_entries(bundle), _total(bundle), parse_http_date(answer.headers.get("Date", "")),
                        is_first=len(seen) == 1)
            yield page
            empty = 0 if page.entries else empty + 1
            if len(seen) == 1:
                theirs = self._called(bundle, path)
            following = self._next(url, bundle, theirs)
            if following is None:
                return
            if hash(following) in seen or len(seen) == MOST_PAGES or empty == MOST_EMPTY_PAGES:
                raise ExchangeError(f"The history of {self.url} does not end: the link next of {url} leads "
                                    f"{'back' if hash(following) in seen else 'on and on'}.")
            url = following

    def _of_types(self, paths: Sequence[str], since: int | None) -> Iterator[Page]:
        for path in paths:
            try:
                yield from self.pages(path, since)
            except NoHistory as error:
                raise ExchangeError(f"{error} Name the types that are to be followed by --type.") from error

    def _declared(self, error: NoHistory) -> list[str]:
        """Return the histories of types that the CapabilityStatement declares."""
        rests = self._connection.meet().json().get("rest")
        found = [
            f"{resource['type']}/_history"
            for rest in (rests if isinstance(rests, list) else []) if isinstance(rest, dict)
            for resource in rest.get("resource") or [] if isinstance(resource, dict)
            if any(isinstance(one, dict) and one.get("code") == "history-type"
                   for one in resource.get("interaction") or [])
        ]  # fmt: skip
        if not found:
            raise ExchangeError(f"{self.url} cannot be followed: it has no history of the system ({error}), and its "
                                "CapabilityStatement declares history-type for no type.")
        return found

    def _get(self, url: str) -> Answer:
        try:
            return self._connection.request("GET", url, repeatable=True)
        except AnswerLost as error:
            raise ExchangeError(f"The connection to {self.url} broke: {error}.") from error
        except AnswerTooLarge as error:
            raise PageTooLarge(str(error)) from error

    def _refused(self, url: str, answer: Answer, *, is_first: bool) -> ExchangeError:
        told = f"GET {url} answers {answer.status}"
        if 300 <= answer.status < 400:
            to = answer.headers.get("Location", "nowhere")[:500]
            return ExchangeError(f"{told}, a redirect to {to}. It is not followed, as it would be told the token; name "
                                 "the address that the source has now.")
        told += f": {outcome_text(answer.json())[:1000]}"
        if answer.status in _NO_HISTORY and is_first:
            return NoHistory(told)
        if answer.status in (400, 404, 410):
            return BrokenOff(told)
        return ExchangeError(told)

    def _bundle(self, url: str, answer: Answer) -> dict[str, Any]:
        try:
            bundle = json_format.parse(answer.content)
        except json_format.JsonError as error:
            raise ExchangeError(f"GET {url} answers no JSON: {error}") from error
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle" or bundle.get("type") != "history":
            found = bundle.get("resourceType") if isinstance(bundle, dict) else type(bundle).__name__
            raise ExchangeError(f"GET {url} answers {str(found)[:80]!r}, where a Bundle of type history is expected.")
        return bundle

    def _called(self, bundle: dict[str, Any], path: str) -> str:
        """Return what the server calls its base in its links; behind a proxy that is not always what others call it."""
        told = (_link(bundle, "self") or "").partition("?")[0]
        return told.removesuffix(f"/{path}") if told.endswith(f"/{path}") else self.url

    def _next(self, url: str, bundle: dict[str, Any], theirs: str) -> str | None:
        """Return the address of the next page, which is at the source's own origin, or it is not asked."""
        found = _link(bundle, "next")
        if found is None:
            return None
        if found.startswith((f"{theirs}/", f"{theirs}?")):
            found = self.url + found.removeprefix(theirs)
        try:
            following = urljoin(url, found)
        except ValueError:
            following = found
        if not self._connection.has(following):
            raise ExchangeError(f"{self.url} says that its next page is at {following[:500]!r}, which is of another "
                                "origin, and not below what it calls itself in the link self: what answers there would "
                                "be told the token.")
        return following


def _link(bundle: dict[str, Any], relation: str) -> str | None:
    links = bundle.get("link")
    return next((str(link.get("url")) for link in (links if isinstance(links, list) else [])
                 if isinstance(link, dict) and link.get("relation") == relation), None)


def _entries(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what tells of versions; a note of the server on its answer is an OperationOutcome without an id."""
    entries = bundle.get("entry")
    return [
        entry if isinstance(entry, dict) else {} for entry in (entries if isinstance(entries, list) else [])
        if not (isinstance(entry, dict) and _is_note(entry.get("resource")))
    ]  # fmt: skip


def _is_note(resource: Any) -> bool:
    return isinstance(resource, dict) and resource.get("resourceType") == "OperationOutcome" and "id" not in resource


def _total(bundle: dict[str, Any]) -> int | None:
    total = bundle.get("total")
    return total if isinstance(total, int) and total >= 0 else None
