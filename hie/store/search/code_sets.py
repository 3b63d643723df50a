"""Token modifiers that ask the terminology: `:in`, `:not-in`, `:above`, `:below`. https://hl7.org/fhir/R4/search.html#token

They are read into the codes they stand for, so that the index is asked for tokens as it always is; the database learns
how many codes were asked for, not which. What the value sets and code systems are, the token's grant decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hie.errors import FhirError, Forbidden, Gone, InvalidSearch, NotFound, NotSupported, TooCostly
from hie.fhir.terminology.value_set import ValueSet
from hie.store.search.syntax import split, unescape
from hie.store.search.token import TokenValue, parse

if TYPE_CHECKING:
    from hie.fhir.terminology import Terminology
    from hie.fhir.terminology.code_system import CodeSystem

#: What is left of each modifier when the codes are known.
PLAIN = {"in": "", "not-in": "not", "above": "", "below": ""}
#: Codes that one criterion may stand for.
MOST_CODES = 10_000
_MOST_SETS = 20
#: A request looks at 3,000,000 steps at most (hie.fhir.terminology): some 30,000 codes in all of its criteria.
_STEPS_PER_CODE = 100


class _Unknown(InvalidSearch):
    code = "not-found"


class _Undecidable(InvalidSearch):
    code = "not-supported"


class _TooMany(InvalidSearch):
    code = "too-costly"


def values(
    modifier: str, name: str, text: str, terminology: Callable[[], Terminology] | None
) -> tuple[TokenValue, ...]:
    """Return the tokens that one criterion stands for; none where its value sets are empty."""
    if terminology is None:
        raise NotSupported(f"{name[:80]}: the modifier :{modifier} is not supported here; name the codes.",
                           expression=name[:80])
    alternatives = [one.strip() for one in split(text, ",")]
    if not all(alternatives):
        raise InvalidSearch(f"{name} has an empty value.")
    if len(alternatives) > _MOST_SETS:
        raise InvalidSearch(f"{name} has {len(alternatives)} alternatives; with :{modifier} at most {_MOST_SETS}.")
    service = terminology()
    found: dict[TokenValue, None] = {}
    for one in alternatives:
        try:
            codes = _of_value_set(unescape(one), service) if modifier.endswith("in") else _around(
                one, name, modifier, service)
            service.spend(len(codes) * _STEPS_PER_CODE)
        except FhirError as error:
            raise _as_search_error(error, name, one) from None
        found.update(dict.fromkeys(codes))
    if len(found) > MOST_CODES:
        raise _TooMany(f"{name}={text[:200]} stands for {len(found)} codes; at most {MOST_CODES} can be searched for.")
    return tuple(found)


def _as_search_error(error: FhirError, name: str, text: str) -> FhirError:
    """Say in a search's own terms why a value set or code system cannot be used."""
    if isinstance(error, InvalidSearch | Forbidden):
        return error
    told = f"{name}={text[:200]}: {error.diagnostics}"
    if isinstance(error, TooCostly):
        return _TooMany(told)
    if isinstance(error, NotFound | Gone) or error.issues[0].code == "not-found":
        return _Unknown(told)
    return _Undecidable(told)


def _of_value_set(text: str, service: Terminology) -> list[TokenValue]:
    """Return what stands for a value set: its codes, and a whole code system where its codes are not all here."""
    value_set = service.value_set_named(text)
    whole = value_set.whole_systems()
    if whole is None:
        return _tokens(value_set)
    found: list[TokenValue] = []
    for url, system in whole:
        found += _of_system(url, system)
    return found


def _tokens(value_set: ValueSet) -> list[TokenValue]:
    return [TokenValue(system, code) for system, code in value_set.members()]


def _of_system(url: str, system: CodeSystem | None) -> list[TokenValue]:
    if system is None or not system.is_complete or len(system.concepts) > MOST_CODES:
        return [TokenValue(url, None)]
    return [TokenValue(url, code) for code in system.concepts]


def _around(text: str, name: str, modifier: str, service: Terminology) -> list[TokenValue]:
    """Return a code with all that stand above or below it in its code system."""
    asked = parse(text, name)
    if not asked.system or asked.code is None:
        raise InvalidSearch(f"{name}={text[:200]}: :{modifier} needs system|code.")
    system = service.code_system(asked.system)
    concept = system.get(asked.code)
    if concept is None:
        raise _Unknown(f"{name}={text[:200]}: the code system has no such code here.")
    if not system.is_subsuming:
        raise _Undecidable(f"{name}={text[:200]}: the hierarchy of the code system means {system.hierarchy_meaning}: "
                           "no code of it stands for another.")
    others = system.ancestors(concept.code) if modifier == "above" else system.descendants(concept.code)
    return [TokenValue(asked.system, code) for code in (concept.code, *others)]
