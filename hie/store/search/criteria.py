"""One search criterion, `name[:modifier]=value,value…`, as it is read.

What it asks of the index says hie.store.search.compiling, what is verified of opened resources verifying.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hie.errors import InvalidSearch, NotSupported
from hie.fhir import references, search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.fhirpath.paths import routes
from hie.fhir.search_parameters import IndexValues, SearchParameter
from hie.store.crypto import Blind
from hie.store.search import (
    code_sets,
    composite,
    date,
    near,
    number,
    phonetic,
    quantity,
    reference,
    string,
    token,
    uri,
    words,
)
from hie.store.search.clauses import Clause
from hie.store.search.intervals import PREFIXES
from hie.store.search.syntax import split, unescape

if TYPE_CHECKING:
    from hie.fhir.terminology import Terminology

MOST_ALTERNATIVES = 500
#: Criteria without a modifier on codes and references are kept, with what they ask of the index: codes come again with
#: nearly every search, a patient with those of one session. Lists are not.
KEPT, KEPT_LENGTH = 1_024, 200
_KEPT_TYPES = frozenset({"token", "reference"})
#: Parameters without an expression of their own that a search can ask.
SPECIAL = frozenset({*words.PARAMETERS, near.PARAMETER})
_LATER_MODIFIERS = {"reference": frozenset({"above", "below"})}
#: Codes that are media types, of which `:below` asks for one with whatever parameters: search.html#mimetype
MEDIA_TYPES = frozenset({"contenttype", "content-type", "format", "payload"})
_MODIFIERS = {
    "string": ("exact", "contains"),
    "token": ("not", "text", "of-type", "in", "not-in", "above", "below"),
    "reference": ("not", "identifier", "below"),
    "uri": ("not", "above", "below"),
}
_BOOLEANS = frozenset({"boolean", "System.Boolean"})

Value = (
    token.TokenValue | token.TypedIdentifier | token.Words | token.MediaType | string.StringValue
    | reference.ReferenceValue | date.DateValue | number.NumberValue | quantity.QuantityValue | uri.UriValue
    | composite.CompositeValue | words.FullText | near.Near | str
)  # fmt: skip
Verify = Callable[[IndexValues], bool]


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a value needs besides its text: the server's own base, the time, and codes by value set."""

    base_url: str = ""
    now: int = 0
    terminology: Callable[[], Terminology] | None = None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter of a search with its alternatives; a resource matches by any of them."""

    parameter: SearchParameter
    modifier: str
    values: tuple[Value, ...]
    kept: dict[tuple[Blind, str], Compiled] | None = field(default=None, compare=False, repr=False)
    """What it asks of the index, by tenant and type: of a criterion that is kept; None: compiled each time."""

    @property
    def type(self) -> str:
        """The resource type searched, or Resource for all."""
        return self.parameter.base_type


@dataclass(frozen=True, slots=True)
class InCompartment:
    """Membership of a compartment, such as Patient/123: https://hl7.org/fhir/R4/compartmentdefinition.html"""

    compartment: str
    types: frozenset[str]
    """The member types that are wanted."""


@dataclass(frozen=True, slots=True)
class InAnyCompartment:
    """Membership of one at least of several compartments of one kind."""

    compartments: tuple[str, ...]
    types: frozenset[str]
    """The member types that are wanted."""


@dataclass(frozen=True, slots=True)
class BelongsTo:
    """Membership of a compartment, or a reference to its owner by an element that no search parameter of R4 reads.

    Such are extensions, and AllergyIntolerance.encounter.
    """

    compartment: str
    types: frozenset[str]
    """The types that are wanted, members of the compartment or not."""


@dataclass(frozen=True, slots=True)
class InSomeCompartment:
    """Membership of the compartment of anybody, as far as presence tells: a parameter that decides it has a value."""

    kind: str
    types: frozenset[str]
    """The member types that are wanted."""


@dataclass(frozen=True, slots=True)
class CareBetween:
    """The clinical date lies at least in part within [low, high), in microseconds; a resource without one is in."""

    low: int
    high: int


Place = InCompartment | InAnyCompartment | BelongsTo | InSomeCompartment | CareBetween
"""What a search asks beside its parameters."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The question to the index, and where that only narrows, the test of the opened resource."""

    clause: Clause
    verify: Verify | None = None


def parameter_of(type_name: str, code: str) -> SearchParameter:
    """Return a search parameter; InvalidSearch names what may have been meant."""
    found = search_parameters.for_type(type_name).get(code)
    if found is None:
        parameters = search_parameters.for_type(type_name)
        known = ", ".join(sorted(name for name, one in parameters.items() if not one.is_special))
        raise InvalidSearch(
            f"{type_name} has no search parameter {code[:80]!r}"
            + search_parameters.meant(type_name, code)
            + f" It has: {known}.",
            expression=code[:80],
        )
    if not found.is_searchable:
        raise InvalidSearch(
            f"{type_name} is still being indexed for {code}; it can be searched by when that is done ($reindex tells).",
            expression=code[:80],
        )
    return found


def parse(type_name: str, name: str, text: str, reading: Reading) -> Criterion:
    """Read one criterion."""
    parameter = search_parameters.for_type(type_name).get(name)
    if parameter is None or parameter.type not in _KEPT_TYPES or name == "_id" or len(text) > KEPT_LENGTH:
        return _parsed(type_name, name, text, reading)
    return _kept(type_name, name, text, reading.base_url, search_parameters.installed())


@lru_cache(maxsize=KEPT)
def _kept(type_name: str, name: str, text: str, base_url: str, _custom: object) -> Criterion:
    """Read a criterion whose meaning depends on nothing else."""
    return _parsed(type_name, name, text, Reading(base_url), {})


def _parsed(
    type_name: str, name: str, text: str, reading: Reading, kept: dict[tuple[Blind, str], Compiled] | None = None
) -> Criterion:
    code, colon, modifier = name.partition(":")
    if code == "_has" or "." in name:
        raise NotSupported(f"{name[:80]}: no chain can stand here.", expression=name[:80])
    parameter = parameter_of(type_name, code)
    if parameter.is_special and code not in SPECIAL:
        raise NotSupported(f"{code} is not supported yet.", expression=code)
    if colon:
        _check_modifier(parameter, modifier, name)
    try:
        if parameter.type == "token" and modifier in code_sets.PLAIN and not is_of_media(parameter, modifier):
            codes = code_sets.values(modifier, name, text, reading.terminology)
            return Criterion(parameter, code_sets.PLAIN[modifier], codes)
        return Criterion(parameter, modifier, _values(parameter, modifier, name, text, reading), kept)
    except InvalidSearch as error:
        raise type(error)(error.diagnostics, expression=name[:80]) from None


def is_of_media(parameter: SearchParameter, modifier: str) -> bool:
    """Tell whether a modifier asks for media types with whatever parameters."""
    return modifier == "below" and parameter.code in MEDIA_TYPES and parameter.element_types == {"code"}


def _check_modifier(parameter: SearchParameter, modifier: str, name: str) -> None:
    is_canonical = parameter.element_types == {"canonical"}
    if modifier in _LATER_MODIFIERS.get(parameter.type, ()) and not (is_canonical and modifier == "below"):
        raise NotSupported(f"{name[:80]}: the modifier :{modifier} is not supported yet.", expression=name[:80])
    allowed = ("missing", *_MODIFIERS.get(parameter.type, ()))
    if parameter.code == "_id":
        allowed = ("missing", "not")
    elif parameter.code in words.PARAMETERS:
        allowed = ()
    elif parameter.type == "reference" and not is_canonical:
        allowed = tuple(one for one in allowed if one != "below")
    elif "Identifier" not in parameter.element_types:
        allowed = tuple(one for one in allowed if one != "of-type")
    if modifier in allowed:
        return
    if parameter.type == "reference" and modifier in RESOURCE_TYPES:
        targets = _targets(parameter)
        if modifier in targets:
            return
        raise InvalidSearch(f"{parameter.code} cannot refer to a {modifier}, only to {', '.join(sorted(targets))}.",
                            expression=name[:80])
    if parameter.type == "reference":
        allowed = (*allowed, "[type]")
    its = f"its modifiers are :{', :'.join(allowed)}" if allowed else "it has no modifiers"
    if parameter.type in ("date", "number", "quantity") and modifier in PREFIXES:
        its += f"; a prefix stands before the value, as in {parameter.code}={modifier}…"
    raise InvalidSearch(
        f"{name[:80]}: {parameter.code} is of type {parameter.type}; {its}.",
        expression=name[:80],
    )


def _targets(parameter: SearchParameter) -> frozenset[str]:
    return frozenset({parameter.restricts[1]}) if parameter.restricts else parameter.targets


def _values(
    parameter: SearchParameter, modifier: str, name: str, text: str, reading: Reading
) -> tuple[Value, ...]:
    if modifier == "missing":
        if text not in ("true", "false"):
            raise InvalidSearch(f"{name}={text[:80]}: :missing is true or false.")
        return (text,)
    if parameter.code in words.PARAMETERS:
        return (words.parse(text, name),)
    alternatives = split(text, ",")
    if len(alternatives) > MOST_ALTERNATIVES:
        raise InvalidSearch(f"{name} has {len(alternatives)} alternatives; at most {MOST_ALTERNATIVES} are accepted.")
    if not all(one.strip() for one in alternatives):
        raise InvalidSearch(f"{name} has an empty value.")
    if parameter.code == "_profile" and not modifier:  # search.html#all has one of this server, by Type/id
        alternatives += [f"{reading.base_url}/{one}" for one in alternatives if one.startswith("StructureDefinition/")]
    return tuple(dict.fromkeys(_value(parameter, modifier, name, one, reading) for one in alternatives))


def _value(parameter: SearchParameter, modifier: str, name: str, text: str, reading: Reading) -> Value:
    if parameter.code == "_id":
        return _id(text, name)
    if parameter.code == near.PARAMETER:
        return near.parse(text, name)
    if parameter.type == "composite":
        return _composite(parameter, name, text, reading)
    if parameter.type == "uri" and parameter.code == "url" and _has_version(parameter):
        return uri.of_version(text, modifier, name)
    if parameter.url in phonetic.PARAMETERS and not modifier:
        return string.parse_sounds(text, name)
    types = frozenset({modifier}) if modifier in RESOURCE_TYPES else _targets(parameter)
    if parameter.type == "reference" and "canonical" in parameter.element_types:
        return reference.parse(text, modifier, types, name, reading.base_url, is_canonical=True)
    return _meant(_plain(parameter.type, modifier, types, name, text, reading), parameter.element_types, name)


def _meant(value: Any, element_types: frozenset[str], name: str) -> Any:
    """Return what is asked of elements of some types, which may say no system, or one of few."""
    if isinstance(value, token.TokenValue) and element_types <= _BOOLEANS:
        return value.of_boolean()
    if isinstance(value, token.TokenValue) and element_types == {"ContactPoint"}:
        return value.of_contact(name)
    return value


def _plain(
    type_name: str, modifier: str, targets: Iterable[str], name: str, text: str, reading: Reading
) -> Any:
    match type_name:
        case "token":
            return _token(modifier, name, text)
        case "string":
            return string.parse(text, modifier, name)
        case "reference":
            return reference.parse(text, modifier, targets, name, reading.base_url)
        case "date":
            return date.parse(text, name, reading.now)
        case "number":
            return number.parse(text, name)
        case "quantity":
            return quantity.parse(text, name)
        case "uri":
            return uri.parse(text, modifier, name)
    raise NotSupported(f"{name} is not supported yet.", expression=name)


def _has_version(parameter: SearchParameter) -> bool:
    """Tell whether resources of the type have versions of their own beside their URL, that a search can ask for."""
    return "version" in search_parameters.for_type(parameter.base_type)


def _token(
    modifier: str, name: str, text: str
) -> token.TokenValue | token.TypedIdentifier | token.Words | token.MediaType:
    if modifier == "of-type":
        return token.parse_typed(text, name)
    if modifier == "below":
        return token.parse_media(text, name)
    return token.parse_text(text, name) if modifier == "text" else token.parse(text, name)


def _id(text: str, name: str) -> str:
    id_ = unescape(text).strip()
    if not reference.ID.fullmatch(id_):
        within = references.parse(id_).id
        raise InvalidSearch(f"{name}={id_[:80]}: an id is 1 to 64 of A-Z, a-z, 0-9, - and '.'"
                            + (f"; use {within} alone." if within else "."))
    return id_


def _composite(parameter: SearchParameter, name: str, text: str, reading: Reading) -> composite.CompositeValue:
    parts = split(text, "$")
    codes = [component.code for component in parameter.components]
    if len(parts) != len(codes) or not all(part.strip() for part in parts):
        raise InvalidSearch(f"{name}={text[:80]}: {parameter.code} is written {'$'.join(codes)}.")
    values = []
    for component, part in zip(parameter.components, parts, strict=True):
        targets = component.targets or _component_targets(parameter.base_type, component.code)
        named = f"{name}({component.code})"
        value = _plain(component.type, "", targets, named, part, reading)
        types = _component_types(parameter.base_type, parameter.expression or "", component.expression)
        values.append(_meant(value, types, named))
    return composite.CompositeValue(tuple(values))


@lru_cache(maxsize=KEPT)
def _component_types(type_name: str, expression: str, of_component: str) -> frozenset[str]:
    """Return the types of what a component of a composite is; none where its paths cannot be told."""
    elements = routes(expression, type_name) or ()
    return frozenset(part.type for element in elements for part in routes(of_component, element.type) or ())


def _component_targets(type_name: str, code: str) -> frozenset[str]:
    found = search_parameters.for_type(type_name).get(code)
    return found.targets if found else frozenset()
