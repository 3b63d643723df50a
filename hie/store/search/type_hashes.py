"""A type's plan with one tenant's keys: the hashes of its values, the frequent ones remembered."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from hie.fhir import references, search_parameters, texts
from hie.fhir.search_parameters import SearchParameter
from hie.fhir.search_values import NumberValue, ReferenceValue, TextValue, TokenValue
from hie.store.crypto import Blind
from hie.store.search import composite, number, quantity, reference, token
from hie.store.search.blinding import COMPARTMENT, REFERS, Form, Hash, hash_of, presence_bits, word_hash
from hie.store.search.literal_references import SELF_CONTAINED
from hie.store.search.plan import plan_of
from hie.store.search.remembered import remembering

T = TypeVar("T")
Amount = tuple[float, float, int, int, int]
Measured = tuple[Decimal | None, Decimal | None, str | None, str | None, str | None]
_ReferenceHere = tuple[ReferenceValue, str]
"""A reference, and the base by which one to this server is known."""
Link = tuple[int, int]
_Reference = tuple[tuple[int, ...], Link | None, str]
Equal = tuple[tuple[tuple[Any, ...], ...], ...]
"""The values of a composite's equality components."""

#: Codes, units and targets come again and again: remembering their hashes halves the work on an Observation. For each
#: type, of which there may be 146; of real and of generated records alike no more of them come again than of 1,024.
_REMEMBERED = 256
#: Amounts of one type with their units.
_AMOUNTS = 1_024
#: What is referred to; a Bundle of a patient has some hundreds of encounters, named by many types.
_PLACES = 2_048


def compartment_token(type_name: str, compartment: str, blind: Blind) -> int:
    """Return the token of the resources of a type in a compartment, such as Patient/123."""
    return blind.hash(type_name, COMPARTMENT, compartment)


class _Kept(dict[str, T]):
    """What is computed for each parameter at its first use; custom parameters come and go."""

    def __init__(self, compute: Callable[[str], T]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, code: str) -> T:
        value = self[code] = self._compute(code)
        return value


class Bound:
    """A type's plan with one tenant's keys."""

    def __init__(self, blind: Blind, type_name: str) -> None:
        self.type, self.plan, self.blind = type_name, plan_of(type_name), blind
        self.hashes: dict[str, Hash] = _Kept(lambda code: hash_of(blind, type_name, code))
        self.hidden: dict[str, int] = _Kept(lambda code: self.hashes[code]())
        self.ranges: dict[str, int] = _Kept(lambda code: self.hashes[code]("range"))
        self.bits = presence_bits(blind, type_name)
        self.systems = search_parameters.only_systems(type_name)
        self.place, self.refers_hash = _targets(blind)
        self.token_hashes = remembering(self._token_hashes, _REMEMBERED)
        self.word_hashes = remembering(self._word_hashes, _REMEMBERED)
        self.text_hashes = remembering(self._text_hashes, _REMEMBERED)
        self.reference = remembering(self._reference, _REMEMBERED)
        self.quantity_row = remembering(self._quantity_row, _AMOUNTS)
        self.unit_hashes = remembering(self._unit_hashes, _REMEMBERED)
        self.canonical = remembering(self._canonical, _REMEMBERED)
        self.combined = remembering(self._combined, _REMEMBERED)
        self._units = hash_of(blind, type_name, "unit")

    def _token_hashes(self, value: TokenValue) -> tuple[int, ...]:
        forms = token.index_code(value) if value[0] in self.systems else token.index(value)
        return tuple(self.blind.hash(self.type, value[0], *form) for form in forms)

    def _word_hashes(self, text: str) -> tuple[int, ...]:
        return tuple(word_hash(self.blind, self.type, "_content", word) for word in set(texts.words(text)))

    def _text_hashes(self, value: TextValue) -> tuple[int, ...]:
        return tuple(self.blind.hash(self.type, value[0], *form) for form in token.index_text(value))

    def _reference(self, reference_here: _ReferenceHere) -> _Reference:
        """Return the tokens of one reference, its own and the compartment's that it puts the resource in; and its link.

        The link is the parameter and the target of a reference to a resource here, of which Type/id comes last.
        """
        value, base_url = reference_here
        found = [self.blind.hash(self.type, value[0], *form) for form in reference.index(value, base_url)]
        found += self._identifiers(value)
        to = reference.target(value, base_url)
        if to is None or "://" in to:
            return tuple(found), None, ""
        if value[1] in self.plan.compartments.get(value[0], ()):
            found.append(compartment_token(self.type, to, self.blind))
        if value[2] is None or self.type in SELF_CONTAINED:
            return tuple(found), None, ""
        return tuple(found), (self.hidden[value[0]], self.place(to)), to

    def _identifiers(self, value: ReferenceValue) -> list[int]:
        """Return the tokens of a reference's identifier by the parameters that look at references to one type alone."""
        if value[4] is None:
            return []
        forms = [("identifier", *form) for form in reference.index_identifier(value)]
        codes = [code for code, one in self.plan.aliases.get(value[0], ()) if reference.is_of(value, one)]
        return [self.blind.hash(self.type, code, *form) for code in codes for form in forms]

    def _quantity_row(self, amount: Measured) -> tuple[Amount, quantity.Converted | None]:
        """Return an amount as it is written, and converted; a composite has the same one again."""
        low, high, *unit = amount
        row = *number.bounds(low, high), *self.unit_hashes((unit[0], unit[1], unit[2]))
        return row, quantity.converted(low, high, unit[0], unit[1])

    def _unit_hashes(self, unit: tuple[str | None, str | None, str | None]) -> tuple[int, int, int]:
        return quantity.unit_hashes(*unit, self._units)

    def _canonical(self, asked: tuple[str, Form, str]) -> tuple[int, int]:
        """Return the parameters of numbers and of ranges in a canonical unit."""
        code, form, unit = asked
        hash_, parts = self.hashes[code], (*form, *quantity.canonical_form(unit))
        return hash_(*parts), hash_(*parts, "range")

    def number_row(self, value: NumberValue) -> Amount:
        """Return low, high and no unit."""
        return (*number.index(value), 0, 0, 0)

    def _combined(self, value: tuple[str, Equal, str]) -> tuple[tuple[int, int, Form], ...]:
        """Return for each form of the equality components its hash, and the one under which ranges stand apart."""
        code, equal, base_url = value
        return self.combined_by(self.plan.parameters[code], equal, base_url, code in self.plan.at_root)

    def combined_by(
        self, parameter: SearchParameter, equal: Equal, base_url: str,
        at_root: bool = False,
    ) -> tuple[tuple[int, int, Form], ...]:
        """Return the same by a definition; of those that come and go it is not remembered."""
        hash_ = self.hashes[parameter.code]
        forms = composite.equal_forms(parameter, equal, base_url, at_root)
        return tuple((hash_(*form), hash_(*form, "range"), form) for form in forms)


@lru_cache(maxsize=16)
def _targets(blind: Blind) -> tuple[Callable[[str], int], Callable[[str], int | None]]:
    """Return what gives the target of Type/id, and that of a reference's text: the same for every type."""

    def hashed(to: str) -> int:
        return blind.hash(REFERS, to)

    def referred(text: str) -> int | None:
        parsed = references.parse(text)
        return place_of(f"{parsed.type}/{parsed.id}") if parsed.kind == "relative" else None

    place_of = remembering(hashed, _PLACES)
    return place_of, remembering(referred, _PLACES)


@lru_cache(maxsize=2048)
def bound_to(blind: Blind, type_name: str) -> Bound:
    return Bound(blind, type_name)
