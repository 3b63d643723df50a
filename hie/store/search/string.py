"""String search: by beginning, `:exact` and `:contains`. https://hl7.org/fhir/R4/search.html#string

Stored are keyed hashes of every beginning up to PREFIX characters, of the exact text, and of the text's trigrams. What
they cannot decide (longer beginnings, `:contains`) is verified on the opened resource.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hie.errors import InvalidSearch
from hie.fhir.datatypes import normalize_string
from hie.fhir.search_values import StringValue as Stored
from hie.store.search import phonetic
from hie.store.search.blinding import Form, Hash
from hie.store.search.clauses import STRING, AllTokens, Clause, Token, either
from hie.store.search.syntax import unescape

PREFIX = 64
SHORTEST_CONTAINS = 3
#: Trigrams of longer texts are not kept: such a text is a candidate of every :contains, and is then read.
TRIGRAM_TEXT = 1_000
#: Which of two texts comes first, by their code points: search_filter.html
ORDERS: dict[str, Callable[[str, str], bool]] = {
    "gt": operator.gt, "lt": operator.lt, "ge": operator.ge, "le": operator.le,
}  # fmt: skip
#: What the index gives candidates for.
_NARROWED = frozenset({"contains", "whole", "ends", "sounds"})


@dataclass(frozen=True, slots=True)
class StringValue:
    """One alternative of a string search; `text` is normalised unless exact.

    `modifier` may also be what _filter asks for: the whole text ("whole"), how it ends ("ends"), or
    which comes first (ORDERS), of which the index knows nothing; or what the parameter `phonetic` asks for: words that
    sound like it at the beginning ("sounds").
    """

    text: str
    modifier: str = ""

    @property
    def needs_verification(self) -> bool:
        """Tell whether the index gives candidates only."""
        return self.modifier in _NARROWED or (self.modifier == "" and len(self.text) > PREFIX)


def index(value: Stored) -> Iterator[Form]:
    """Yield what is hashed for one string."""
    text = value[1]
    yield "exact", text
    normal = normalize_string(text)
    for length in range(1, min(len(normal), PREFIX) + 1):
        yield "begins", normal[:length]
    if len(normal) > TRIGRAM_TEXT:
        yield ("long",)
    else:
        for trigram in _trigrams(normal):
            yield "holds", trigram


def _trigrams(normal: str) -> Iterable[str]:
    return dict.fromkeys(normal[start : start + 3] for start in range(len(normal) - 2))


def parse(text: str, modifier: str, name: str) -> StringValue:
    """Read one alternative."""
    plain = unescape(text)
    if modifier == "exact":
        if not plain:
            raise InvalidSearch(f"{name} has an empty value.")
        return StringValue(plain, "exact")
    normal = normalize_string(plain)
    if not normal:
        raise InvalidSearch(f"{name} has an empty value.")
    if modifier == "contains" and len(normal) < SHORTEST_CONTAINS:
        raise InvalidSearch(
            f"{name}={text[:80]}: :contains needs {SHORTEST_CONTAINS} characters at least; without it, beginnings of "
            "any length are found."
        )
    return StringValue(normal, modifier)


def parse_sounds(text: str, name: str) -> StringValue:
    """Read one alternative of a parameter that finds what sounds alike."""
    value = parse(text, "", name)
    if not phonetic.sounds(value.text):
        raise InvalidSearch(f"{name}={text[:80]} has no word in it.")
    return StringValue(value.text, "sounds")


def where(value: StringValue, hash_: Hash) -> Clause:
    """Return the candidates; exact unless the value needs verification."""
    if value.modifier == "exact":
        return Token(hash_("exact", value.text), STRING)
    if value.modifier in ("contains", "ends"):
        trigrams = AllTokens(tuple(hash_("holds", trigram) for trigram in _trigrams(value.text)))
        return either([trigrams, Token(hash_("long"), STRING)])
    if value.modifier == "sounds":
        return either([Token(hash_("begins", one), STRING) for one in phonetic.beginnings(value.text)])
    return Token(hash_("begins", value.text[:PREFIX]), STRING)


def matches(value: StringValue, stored: Stored) -> bool:
    """Tell whether one string of the resource is asked for."""
    if value.modifier == "exact":
        return stored[1] == value.text
    normal = normalize_string(stored[1])
    if value.modifier in ORDERS:
        return ORDERS[value.modifier](normal, value.text)
    if value.modifier == "whole":
        return normal == value.text
    if value.modifier == "sounds":
        return phonetic.begins_alike(normal, value.text)
    if value.modifier == "ends":
        return normal.endswith(value.text)
    return value.text in normal if value.modifier == "contains" else normal.startswith(value.text)
