"""Token search: a code, identifier or flag, with or without its system. https://hl7.org/fhir/R4/search.html#token

Matches are literal and case-sensitive. A primitive code has the system of its required value set:
`gender=http://hl7.org/fhir/administrative-gender|male` finds what `gender=male` finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hie.errors import InvalidSearch
from hie.fhir.search_values import TokenValue as Stored
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import Clause, Token
from hie.store.search.syntax import split, unescape


@dataclass(frozen=True, slots=True)
class TokenValue:
    """One alternative: system None: any; "": none at all; code None: any of the system."""

    system: str | None
    code: str | None

    @property
    def form(self) -> Form:
        """Return what is hashed for this value."""
        if self.code is None:
            return "system", self.system or ""
        if self.system is None:
            return "code", self.code
        return ("pair", self.system, self.code) if self.system else ("bare", self.code)


def index(value: Stored) -> Iterator[Form]:
    """Yield every form under which a value can be asked for."""
    _, system, code = value
    yield "code", code
    if system:
        yield "pair", system, code
        yield "system", system
    else:
        yield "bare", code


def parse(text: str, name: str) -> TokenValue:
    """Read `code`, `system|code`, `|code` or `system|`."""
    parts = [unescape(part).strip() for part in split(text, "|")]
    if len(parts) > 2:
        raise InvalidSearch(f"{name}={text[:80]}: a token is code, system|code, |code or system|; escape | as \\|.")
    if len(parts) == 1:
        if not parts[0]:
            raise InvalidSearch(f"{name} has an empty value.")
        return TokenValue(None, parts[0])
    system, code = parts
    if not system and not code:
        raise InvalidSearch(f"{name}=| names neither system nor code.")
    return TokenValue(system, code or None)


def where(value: TokenValue, hash_: Hash, rank: int) -> Clause:
    """Return the resources with such a value."""
    return Token(hash_(*value.form), rank)


def matches(value: TokenValue, stored: Stored) -> bool:
    """Tell whether one value of the resource is asked for."""
    return value.form in index(stored)
