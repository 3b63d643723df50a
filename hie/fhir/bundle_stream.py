"""A large transaction or batch, read entry by entry from its bytes: https://hl7.org/fhir/R4/http.html#transaction

As Python objects a body takes ten times its size. Here one entry at a time exists as objects; what is kept of it is
where it stands, and of a transaction's its request, so that its resource can be read again when it is its turn.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hie.errors import InvalidResource, TooLarge
from hie.fhir import bundle, json_format
from hie.fhir.bundle import RequestEntry

LARGE = 8_000_000
"""Bodies from so many bytes on are read in this way; it reads every entry twice, so that smaller ones are not."""
_WINDOW = 1 << 21
_SPACE = re.compile(r"[ \t\n\r]*")
_ENTRY_DEPTH = json_format.DEFAULT_MAX_DEPTH - 2


class NotStreamed(Exception):
    """The body cannot be read in this way: it is broken, or laid out otherwise. Reading it whole tells which."""


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of one entry."""

    body: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes the entry is."""
        return self.end - self.start

    def read(self) -> Any:
        """Return the entry's resource, read anew."""
        return self.entry().get("resource")

    def entry(self) -> Any:
        """Return the whole entry, read anew."""
        return json_format.parse(self.body[self.start : self.end], max_depth=_ENTRY_DEPTH)


def begin(body: bytes) -> dict[str, Any] | None:
    """Return a transaction or batch whose "entry" is an `Entries`; None where its type does not come before them."""
    header: dict[str, Any] = {}
    cursor = _Cursor(body)
    try:
        cursor.take("{")
        while True:
            name = cursor.name()
            if name == "entry":
                is_ours = header.get("resourceType") == "Bundle" and header.get("type") in ("transaction", "batch")
                return {**header, "entry": Entries(body, cursor, header)} if is_ours and cursor.peek() == "[" else None
            if name in header:
                return None
            header[name] = cursor.value()
            cursor.take(",")
    except NotStreamed:
        return None


def sound(body: bytes) -> dict[str, Any] | None:
    """Return the same of a body that was read to its end; None where it does not come as it should."""
    begun = begin(body)
    return begin(body) if begun is not None and begun["entry"].is_sound() else None


class Entries:
    """The entries of a body, to be gone through once."""

    def __init__(self, body: bytes, cursor: _Cursor, header: dict[str, Any]) -> None:
        self.body = body
        self._cursor, self._header = cursor, header
        self.named: dict[str | None, int] = {}
        """The fullUrls that stand for resources to be stored, and the number of the entry, once `checked`."""

    def requests(self, most_entries: int) -> Iterator[RequestEntry]:
        """Yield the entries, each checked around its resource, and then check what stands behind them."""
        for index, (entry, part) in enumerate(self._read()):
            if index >= most_entries:
                raise TooLarge(f"The Bundle has more than {most_entries} entries; so many are taken at once.",
                               expression="Bundle.entry")
            yield _request_entry(index, entry, part, str(self._header["type"]))
        bundle.validate_envelope(self._header, [])

    def is_sound(self) -> bool:
        """Go through all entries and what stands behind them; tell whether they can be read."""
        try:
            for _ in self._read():
                continue
        except NotStreamed:
            return False
        return True

    def checked(self, most_entries: int) -> Iterator[RequestEntry]:
        """Check all entries, then return them, each read again: nothing of a broken batch may be done."""
        places = array("Q")
        for entry in self.requests(most_entries):
            assert isinstance(entry.stretch, Part)  # noqa: S101 - that of a large body
            places.extend((entry.stretch.start, entry.stretch.end))
            if bundle.is_placeholder(entry.full_url):
                self.named[entry.full_url] = entry.index
        return self._again(places)

    def _again(self, places: array[int]) -> Iterator[RequestEntry]:
        for index in range(len(places) // 2):
            part = Part(self.body, *places[2 * index : 2 * index + 2])
            yield bundle.request_entry(index, part.entry())

    def _read(self) -> Iterator[tuple[Any, Part]]:
        cursor = self._cursor
        cursor.take("[")
        if cursor.peek() == "]":
            raise NotStreamed
        while cursor.peek() != "]":
            start = cursor.start
            entry = cursor.value()
            part = Part(self.body, start, cursor.start)
            if not json_format.is_strict(self.body[part.start : part.end], _ENTRY_DEPTH):
                raise NotStreamed
            yield entry, part
            if cursor.peek() != "]":
                cursor.take(",")
                if cursor.peek() == "]":
                    raise NotStreamed
        cursor.take("]")
        while cursor.peek() == ",":
            cursor.take(",")
            name = cursor.name()
            if name in self._header or name == "entry":
                raise NotStreamed
            self._header[name] = cursor.value()
        cursor.take("}")
        if cursor.peek() or not json_format.is_strict(json_format.dump(self._header), json_format.DEFAULT_MAX_DEPTH):
            raise NotStreamed


def _request_entry(index: int, entry: Any, part: Part, type_: str) -> RequestEntry:
    try:
        bundle.validate_envelope({"resourceType": "Bundle", "type": type_, "entry": [entry]}, [entry], index)
    except InvalidResource as error:
        here = f"Bundle.entry[{index}]"
        raise InvalidResource(error.diagnostics, issues=[
            replace(one, expression=(one.expression or here).replace("Bundle.entry[0]", here, 1))
            for one in error.issues]) from None
    found = bundle.request_entry(index, entry)
    for name in ("method", "url"):  # few distinct texts
        if isinstance(found.request.get(name), str):
            found.request[name] = sys.intern(found.request[name])
    return replace(found, stretch=part)


class _Cursor:
    """A place in the body: a window of it as text, and the offset in bytes that it has reached."""

    def __init__(self, body: bytes) -> None:
        self._body, self._text, self._at, self._loaded = body, "", 0, 0
        self.start = 0

    def peek(self) -> str:
        """Return the next character behind spaces; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._go(found.end() if found else self._at)
            if self._at < len(self._text) or not self._load():
                return self._text[self._at : self._at + 1]

    def take(self, character: str) -> None:
        """Go past a character that must stand here."""
        if self.peek() != character:
            raise NotStreamed
        self._go(self._at + 1)

    def name(self) -> str:
        """Read the name of a property, and its colon."""
        if self.peek() != '"':
            raise NotStreamed
        name = self.value()
        self.take(":")
        return str(name)

    def value(self) -> Any:
        """Read one JSON value."""
        self.peek()
        while True:
            found = json_format.scan(self._text, self._at)
            # what ends with the window may go on behind it, as a number does
            if found is not None and (found[1] < len(self._text) or self._loaded == len(self._body)):
                self._go(found[1])
                return found[0]
            if not self._load():
                raise NotStreamed

    def _go(self, to: int) -> None:
        passed = self._text[self._at : to]
        self.start += len(passed) if passed.isascii() else len(passed.encode())
        self._at = to

    def _load(self) -> bool:
        """Move the window on; tell whether there was more."""
        if self._loaded == len(self._body):
            return False
        rest = self._text[self._at :]
        end = min(len(self._body), self._loaded + max(_WINDOW, len(rest)))
        while end < len(self._body) and self._body[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        try:
            self._text, self._at = rest + self._body[self._loaded : end].decode(), 0
        except UnicodeDecodeError:
            raise NotStreamed from None
        self._loaded = end
        return True
