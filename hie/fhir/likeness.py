"""How likely two Patients are the same person: weights of evidence, after Fellegi and Sunter.

https://hl7.org/fhir/R4/patient-operation-match.html, docs/api/operations.md#match

What both say adds its weight: the binary logarithm of how much more often it is so in two records of one person than in
those of two. The sum, beside how rarely any two records are of one person, gives the probability that is the score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from hie.fhir.datatypes import normalize_string

Json = dict[str, Any]
Grade = Literal["certain", "probable", "possible"]

#: What speaks against any two records being one person's, before anything of them is known.
_PRIOR = -20.0
_CERTAIN, _PROBABLE, _POSSIBLE = 0.99, 0.7, 0.05
#: Bits of a birth date that is the same to the day, the month or the year, that may be meant, or is another.
_OF_DATE = (13.0, 9.0, 5.0, 6.0, -6.0)
#: What one person has but one of, so that two of it tell two people apart.
_TELLING = frozenset({"identifier", "birthDate", "family", "given", "gender"})
#: Bits of a name that is the same, alike, or another.
_OF_FAMILY, _OF_GIVEN = (9.0, 5.0, -3.0), (7.0, 3.0, -4.0)
#: Texts alike by so much are one text, written or heard wrong.
_ALIKE = 0.88
#: Values of one kind that are compared; texts, and characters of each, each being held against each of the other's.
MOST_VALUES, _MOST_TEXTS, _MOST_CHARACTERS = 10, 5, 40
#: Texts of which one is so much shorter are never alike.
_LEAST_LENGTH = 0.4
_DIGITS = re.compile(r"[^0-9]+")
#: Digits of a telephone number by which it is compared: how it is dialled from abroad differs.
_LAST_DIGITS = 8
_WHOLE_DATE, _MONTH = 10, 7


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a Patient is compared, as it is compared."""

    identifiers: frozenset[tuple[str, str]] = frozenset()
    families: tuple[str, ...] = ()
    givens: tuple[str, ...] = ()
    birth_date: str = ""
    gender: str = ""
    telecoms: frozenset[str] = frozenset()
    postal_codes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Likeness:
    """A probability, and what it means."""

    score: float
    grade: Grade | None
    """None: nobody need look at it."""


@dataclass(slots=True)
class _Evidence:
    bits: float = _PRIOR
    same: set[str] = field(default_factory=set)
    other: set[str] = field(default_factory=set)

    def add(self, name: str, bits: float | None, whole: float = 0.0) -> None:
        """Take what a trait says; None: not both have it. From `whole` bits on it is the same, and not only alike."""
        if bits is not None:
            self.bits += bits
            if bits < 0:
                self.other.add(name)
            elif bits >= whole:
                self.same.add(name)


def traits(patient: Json) -> Traits:
    """Read what is compared of a Patient."""
    names, addresses = _rows(patient, "name"), _rows(patient, "address")
    return Traits(
        frozenset((str(one.get("system", "")), str(one["value"]).strip()) for one in _rows(patient, "identifier")
                  if one.get("value")),
        _texts(one.get("family") for one in names),
        _texts(given for one in names for given in one.get("given", ())),
        str(patient.get("birthDate", "")),
        str(patient.get("gender", "")),
        frozenset(filter(None, map(_dialled, _rows(patient, "telecom")))),
        _texts(one.get("postalCode") for one in addresses),
        _texts(line for one in addresses for line in one.get("line", ())),
    )  # fmt: skip


def compared(asked: Traits, found: Traits) -> Likeness:
    """Tell how likely two Patients are one person."""
    evidence = _Evidence()
    evidence.add("identifier", _of_identifiers(asked, found))
    evidence.add("birthDate", _of_dates(asked.birth_date, found.birth_date), _OF_DATE[0])
    family = _of_texts(asked.families, found.families, _OF_FAMILY)
    given = _of_texts(asked.givens, found.givens, _OF_GIVEN)
    if (family or 0) < 0 and (given or 0) < 0 and _are_exchanged(asked, found):
        family, given = _OF_FAMILY[1], _OF_GIVEN[1]
    evidence.add("family", family, _OF_FAMILY[0])
    evidence.add("given", given, _OF_GIVEN[0])
    if {asked.gender, found.gender} <= {"female", "male"}:
        evidence.add("gender", 1.0 if asked.gender == found.gender else -5.0)
    if asked.telecoms and found.telecoms:
        evidence.add("telecom", 10.0 if asked.telecoms & found.telecoms else -0.5)
    evidence.add("postalCode", _of_texts(asked.postal_codes, found.postal_codes, (4.0, 1.0, -0.5)))
    evidence.add("line", _of_texts(asked.lines, found.lines, (5.0, 3.0, -0.5)))
    score = 1 / (1 + 2**-evidence.bits)
    return Likeness(round(score, 4), _grade(score, evidence))


def effort(asked: Traits, found: Traits) -> int:
    """Return how many pairs of characters a comparison may look at: texts that are alike are found by nothing less."""
    return sum(len("".join(one)) * len("".join(other)) for one, other in (
        (asked.families, found.families), (asked.givens, found.givens),
        (asked.postal_codes, found.postal_codes), (asked.lines, found.lines),
    ))  # fmt: skip


def _grade(score: float, evidence: _Evidence) -> Grade | None:
    """Grade a probability. Households share names, addresses and telephones, and twins a birth date as well: what tells
    people apart goes before any sum of what they may share.
    """
    same, other = evidence.same, evidence.other
    is_named = {"family", "given"} <= same or ("identifier" in same and bool({"family", "given"} & same))
    if score >= _CERTAIN and "birthDate" in same and is_named and not other & _TELLING:
        return "certain"
    if score >= _PROBABLE and ("identifier" in same or not other & {"birthDate", "given"}):
        return "probable"
    return "possible" if score >= _POSSIBLE else None


def _of_identifiers(asked: Traits, found: Traits) -> float | None:
    if asked.identifiers & found.identifiers:
        return 22.0
    systems = {system for system, _ in asked.identifiers} & {system for system, _ in found.identifiers} - {""}
    return -4.0 if systems else None


def _of_dates(one: str, other: str) -> float | None:
    known = min(len(one), len(other))
    if not known:
        return None
    if one[:known] == other[:known]:
        return _OF_DATE[0 if known == _WHOLE_DATE else 1 if known == _MONTH else 2]
    return _OF_DATE[3 if known == _WHOLE_DATE and _is_slip(one, other) else 4]


def _is_slip(one: str, other: str) -> bool:
    """Tell whether a date is another one with day and month exchanged, or with one digit wrong."""
    year, month, day = one.split("-")
    return other == f"{year}-{day}-{month}" or sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _of_texts(asked: tuple[str, ...], found: tuple[str, ...], bits: tuple[float, float, float]) -> float | None:
    if not asked or not found:
        return None
    if not set(asked).isdisjoint(found):
        return bits[0]
    return bits[1] if any(_is_alike(one, other) for one in asked for other in found) else bits[2]


def _are_exchanged(asked: Traits, found: Traits) -> bool:
    """Tell whether what one calls the family name the other calls a given name, and the reverse."""
    return not set(asked.families).isdisjoint(found.givens) and not set(asked.givens).isdisjoint(found.families)


def _is_alike(one: str, other: str) -> bool:
    if min(len(one), len(other)) == 1:  # an initial
        return one[0] == other[0]
    shorter, longer = sorted((len(one), len(other)))
    return shorter >= longer * _LEAST_LENGTH and jaro_winkler(one, other) >= _ALIKE


def jaro_winkler(one: str, other: str) -> float:
    """Return how alike two texts are, from 0 to 1, the first characters counting for more."""
    reach = max(max(len(one), len(other)) // 2 - 1, 0)
    taken: set[int] = set()
    shared: list[str] = []
    for at, sign in enumerate(one):
        places = range(max(0, at - reach), min(len(other), at + reach + 1))
        place = next((each for each in places if each not in taken and other[each] == sign), None)
        if place is not None:
            taken.add(place)
            shared.append(sign)
    if not shared:
        return 0.0
    count = len(shared)
    moved = sum(a != other[b] for a, b in zip(shared, sorted(taken), strict=True)) / 2
    jaro = (count / len(one) + count / len(other) + (count - moved) / count) / 3
    alike = next((at for at, (a, b) in enumerate(zip(one[:4], other[:4], strict=False)) if a != b), min(
        len(one), len(other), 4))
    return jaro + alike * 0.1 * (1 - jaro)


def _rows(patient: Json, name: str) -> list[Json]:
    return [one for one in patient.get(name, [])[:MOST_VALUES] if isinstance(one, dict)]


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    found = (normalize_string(one)[:_MOST_CHARACTERS] for one in values if isinstance(one, str))
    return tuple(dict.fromkeys(one for one in found if one))[:_MOST_TEXTS]


def _dialled(contact: Json) -> str:
    """Write an address of mail, or a number as it is dialled near by, so that it can be compared."""
    value = str(contact.get("value", "")).strip().lower()
    if "@" in value:
        return value
    digits = _DIGITS.sub("", value)
    return digits[-_LAST_DIGITS:] if len(digits) >= _LAST_DIGITS else ""
