"""Token search: a code, identifier or flag, with or without its system. https://hl7.org/fhir/R4/search.html#token

Matches are literal and case-sensitive. A primitive code has the system of its required value set:
`gender=http://hl7.org/fhir/administrative-gender|male` finds what `gender=male` finds. A contact point has that of
its own: `telecom=phone|555-1234`. `:of-type` asks for an
identifier with its type, `:text` for the beginning of the words beside a code, as a string, `:below` of media types for
`text/xml` with whatever parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hie.errors import InvalidSearch
from hie.fhir.datatypes import normalize_string
from hie.fhir.search_values import SystemValue, TextValue, TypedIdentifierValue
from hie.fhir.search_values import TokenValue as Stored
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import CATEGORY, IDENTIFIER, NOTHING, STRING, Clause, Token
from hie.store.search.syntax import split, unescape

#: The system that booleans have, as R4 says: https://hl7.org/fhir/R4/search.html#token
SPECIAL_VALUES = frozenset({"http://hl7.org/fhir/special-values",
                            "http://terminology.hl7.org/CodeSystem/special-values"})
#: What ContactPoint.system may be: https://hl7.org/fhir/R4/valueset-contact-point-system.html
CONTACT_SYSTEMS = ("phone", "fax", "email", "pager", "url", "sms", "other")
#: How long the beginning of a text is that is hashed: one only, as there are two texts beside most codes and a token
#: costs 5 µs. What is asked for is narrowed by it and then verified.
TEXT_BEGINNING = 3


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

    def of_contact(self, name: str) -> TokenValue:
        """Return what is asked of a contact point, which R4 gives no system: here it is ContactPoint.system.

        So `|555` is 555. Another system than those of the required value set finds nothing ever. InvalidSearch.
        """
        if self.system and self.system not in CONTACT_SYSTEMS:
            raise InvalidSearch(f"{name}: {self.system[:80]!r} is no system of a contact point; these are "
                                f"{', '.join(CONTACT_SYSTEMS)}, as in phone|555-1234. The number or address alone "
                                "is found whatever its system.")
        return TokenValue(None, self.code) if self.system == "" else self

    def of_boolean(self) -> TokenValue:
        """Return what is asked of a boolean, which may be named with the system that R4 gives it, or without one."""
        return TokenValue(None, self.code) if self.system in SPECIAL_VALUES and self.code else self


def index(value: Stored) -> Iterator[Form]:
    """Yield every form under which a value can be asked for."""
    _, system, code = value
    yield "code", code
    if system:
        yield "pair", system, code
        yield index_system(system)
    else:
        yield "bare", code


def index_code(value: Stored) -> Iterator[Form]:
    """Yield the form under which a value of a parameter with one system stands."""
    yield "code", value[2]


def index_system(system: str) -> Form:
    """Return the form under which a value is asked for by its system alone, whether it has a code or not."""
    return "system", system


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
    """Return the resources with such a value; a system alone is that of many."""
    return Token(hash_(*value.form), rank if value.code is not None else CATEGORY)


def where_code(value: TokenValue, system: str, hash_: Hash, rank: int, present: Clause) -> Clause:
    """Return the resources with such a value of a parameter all of whose values have one system ("": none)."""
    if value.system is not None and value.system != system:
        return NOTHING
    return present if value.code is None else Token(hash_("code", value.code), rank)


def matches(value: TokenValue, stored: Stored) -> bool:
    """Tell whether one value of the resource is asked for."""
    return value.form in index(stored)


def matches_system(value: TokenValue, stored: SystemValue) -> bool:
    """Tell whether what has a system and no code is asked for."""
    return value.code is None and value.system == stored[1]


# ---- :of-type --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypedIdentifier:
    """An identifier with one of its type's codes."""

    system: str
    code: str
    value: str


def index_typed(value: TypedIdentifierValue) -> Form:
    """Return what is hashed for an identifier's value with its type."""
    return "of-type", *value[1:]


def parse_typed(text: str, name: str) -> TypedIdentifier:
    """Read `system|code|value`; all three are needed: search.html#token"""
    parts = [unescape(part).strip() for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise InvalidSearch(
            f"{name}={text[:80]}: :of-type is written system|code|value, the type's system and code and the value of "
            "the identifier."
        )
    return TypedIdentifier(*parts)


def where_typed(value: TypedIdentifier, hash_: Hash) -> Clause:
    """Return the resources with such an identifier."""
    return Token(hash_("of-type", value.system, value.code, value.value), IDENTIFIER)


def matches_typed(value: TypedIdentifier, stored: TypedIdentifierValue) -> bool:
    """Tell whether one typed identifier of the resource is asked for."""
    return stored[1:] == (value.system, value.code, value.value)


# ---- :below of media types -------------------------------------------------------------------------------------------


#: What a media type may be of; these alone can be asked for without what stands behind the slash, as R5 has it.
KINDS_OF_MEDIA = frozenset({
    "application", "audio", "example", "font", "haptics", "image", "message", "model", "multipart", "text", "video",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type whatever its parameters, or all of a kind (image), in lower case: search.html#mimetype"""

    name: str


def parse_media(text: str, name: str) -> MediaType:
    """Read one alternative."""
    found = unescape(text).partition(";")[0].strip().lower()
    kind, slash, subtype = found.partition("/")
    if not (kind and subtype and "/" not in subtype) and (slash or kind not in KINDS_OF_MEDIA):
        raise InvalidSearch(
            f"{name}={text[:80]}: a media type is expected, as in text/xml, or a kind of them, as in image."
        )
    return MediaType(found)


def matches_media(value: MediaType, stored: Stored) -> bool:
    """Tell whether one code of the resource is such a media type."""
    found = stored[2].partition(";")[0].strip().lower()
    return value.name in (found, found.partition("/")[0])


# ---- :text -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """The beginning of a text, normalised."""

    text: str


def index_text(value: TextValue) -> Iterator[Form]:
    """Yield what is hashed for the text beside a code."""
    normal = normalize_string(value[1])
    if len(normal) >= TEXT_BEGINNING:
        yield "text", normal[:TEXT_BEGINNING]


def parse_text(text: str, name: str) -> Words:
    """Read one alternative."""
    normal = normalize_string(unescape(text))
    if not normal:
        raise InvalidSearch(f"{name} has an empty value.")
    return Words(normal)


def where_text(value: Words, hash_: Hash) -> Clause | None:
    """Return the candidates; None for fewer letters, of which the index knows nothing."""
    if len(value.text) < TEXT_BEGINNING:
        return None
    return Token(hash_("text", value.text[:TEXT_BEGINNING]), STRING)


def is_exact(value: Words) -> bool:
    """Tell whether the index decides."""
    return len(value.text) == TEXT_BEGINNING


def matches_text(value: Words, stored: TextValue) -> bool:
    """Tell whether one text of the resource is asked for."""
    return normalize_string(stored[1]).startswith(value.text)
