"""One search criterion, `name[:modifier]=value,value…`: read, turned into a clause of the index, and verified.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from hie.errors import InvalidSearch, NotSupported
from hie.fhir import compartments, search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.search_parameters import IndexValues, SearchParameter, answering
from hie.store.crypto import Blind
from hie.store.search import (
    code_sets,
    composite,
    date,
    fragments,
    near,
    number,
    quantity,
    reference,
    string,
    token,
    uri,
    words,
)
from hie.store.search.blinding import hash_of, presence_bits, word_hash
from hie.store.search.clauses import (
    CATEGORY,
    CODE,
    EVERYTHING,
    IDENTIFIER,
    NOTHING,
    REFERENCE,
    WIDE,
    Both,
    Clause,
    Either,
    Ids,
    Negation,
    Present,
    Token,
    both,
    either,
    negation,
)
from hie.store.search.index import CUSTOM_PRESENCE, compartment_token
from hie.store.search.plan import plan_of
from hie.store.search.range_clauses import CareDate, Interval
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
#: Token parameters whose few values are shared by very many resources.
_COARSE = frozenset(
    {"status", "category", "gender", "intent", "active", "class", "_security", "_tag", "type", "priority", "use"}
    | {"clinical-status", "verification-status", "vaccine-status", "deceased", "experimental", "context", "language"}
)

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


Place = InCompartment | InSomeCompartment | CareBetween
"""What a search asks beside its parameters."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The question to the index, and where that only narrows, the test of the opened resource."""

    clause: Clause
    verify: Verify | None = None


# ---- reading ---------------------------------------------------------------------------------------------------------


def parameter_of(type_name: str, code: str) -> SearchParameter:
    """Return a search parameter; InvalidSearch names what may have been meant."""
    found = search_parameters.for_type(type_name).get(code)
    if found is None:
        near = search_parameters.nearest(type_name, code)
        parameters = search_parameters.for_type(type_name)
        known = ", ".join(sorted(name for name, one in parameters.items() if not one.is_special))
        raise InvalidSearch(
            f"{type_name} has no search parameter {code[:80]!r}"
            + (f"; did you mean {near}?" if near else ".")
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
    if parameter.type == "uri" and parameter.code == "url" and not modifier and _has_version(parameter):
        return uri.of_version(text, name)
    types = frozenset({modifier}) if modifier in RESOURCE_TYPES else _targets(parameter)
    value: Value = _plain(parameter.type, modifier, types, name, text, reading)
    if isinstance(value, token.TokenValue) and parameter.element_types <= _BOOLEANS:
        return value.of_boolean()
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
        raise InvalidSearch(f"{name}={id_[:80]}: an id is 1 to 64 of A-Z, a-z, 0-9, - and '.'.")
    return id_


def _composite(parameter: SearchParameter, name: str, text: str, reading: Reading) -> composite.CompositeValue:
    parts = split(text, "$")
    codes = [component.code for component in parameter.components]
    if len(parts) != len(codes) or not all(part.strip() for part in parts):
        raise InvalidSearch(f"{name}={text[:80]}: {parameter.code} is written {'$'.join(codes)}.")
    values = []
    for component, part in zip(parameter.components, parts, strict=True):
        targets = component.targets or _component_targets(parameter.base_type, component.code)
        values.append(_plain(component.type, "", targets, f"{name}({component.code})", part, reading))
    return composite.CompositeValue(tuple(values))


def _component_targets(type_name: str, code: str) -> frozenset[str]:
    found = search_parameters.for_type(type_name).get(code)
    return found.targets if found else frozenset()


# ---- asking the index ------------------------------------------------------------------------------------------------


def compile_(criterion: Criterion | Place, blind: Blind, type_name: str) -> Compiled:
    """Return what the index is asked for a type, with one tenant's keys."""
    if not isinstance(criterion, Criterion):
        return Compiled(_place_clause(criterion, blind, type_name))
    if criterion.kept is None:
        return _compiled(criterion, blind, type_name)
    found = criterion.kept.get((blind, type_name))
    if found is None:
        found = criterion.kept[blind, type_name] = _compiled(criterion, blind, type_name)
    return found


def _compiled(criterion: Criterion, blind: Blind, type_name: str) -> Compiled:
    parameter = criterion.parameter
    if criterion.modifier == "missing":
        return Compiled(_missing(criterion, blind, type_name))
    if parameter.code == "_id":
        clause: Clause = Ids(tuple(str(value) for value in criterion.values))
        return Compiled(negation(clause) if criterion.modifier == "not" else clause)
    answers = indexed_by(type_name, parameter)
    parts = [_one(answer, value, blind, type_name) for answer in answers for value in criterion.values]
    clause = either([part.clause for part in parts])
    if parameter.type == "composite":
        clause = _led(clause)
    if criterion.modifier == "not":
        return Compiled(negation(clause))
    if any(part.verify for part in parts):
        return Compiled(clause, _any_of(answers, criterion.values))
    return Compiled(clause)


def _place_clause(place: Place, blind: Blind, type_name: str) -> Clause:
    if isinstance(place, CareBetween):
        return CareDate(place.low, place.high)
    if type_name not in place.types:
        return NOTHING
    if isinstance(place, InCompartment):
        return Token(compartment_token(type_name, place.compartment, blind), REFERENCE)
    if type_name == place.kind:
        return EVERYTHING
    known = plan_of(type_name).parameters
    codes = {base for code in compartments.members(place.kind).get(type_name, ()) for base in answering(known, code)}
    bits, bit = presence_bits(blind, type_name), 0
    for code in codes:
        bit |= bits[code]
    return Present(bit) if bit else NOTHING


def indexed_by(type_name: str, parameter: SearchParameter) -> list[SearchParameter]:
    """Return the indexed parameters that answer one that only repeats others."""
    known = plan_of(type_name).parameters
    if parameter.restricts:
        return [known[parameter.restricts[0]]]
    if parameter.union_of:
        return [one for code in parameter.union_of for one in indexed_by(type_name, known[code])]
    return [known.get(parameter.code, parameter)]


def present(parameter: SearchParameter, blind: Blind, type_name: str) -> Clause:
    """Return the resources in which a parameter has a value."""
    return _missing(Criterion(parameter, "missing", ("false",)), blind, type_name)


def _missing(criterion: Criterion, blind: Blind, type_name: str) -> Clause:
    wanted = criterion.values == ("true",)
    parameter = criterion.parameter
    if parameter.code in ("_id", "_lastUpdated"):
        return NOTHING if wanted else EVERYTHING
    if parameter.state:
        token_ = Token(hash_of(blind, type_name, parameter.code)(*CUSTOM_PRESENCE), CATEGORY)
        return negation(token_) if wanted else token_
    bits = presence_bits(blind, type_name)
    codes = [one.code for one in indexed_by(type_name, parameter)] if parameter.union_of else [parameter.code]
    bit = 0
    for code in codes:
        bit |= bits[code]
    return Negation(Present(bit)) if wanted else Present(bit)


def _one(parameter: SearchParameter, value: Any, blind: Blind, type_name: str) -> Compiled:
    """Return what one alternative asks of one indexed parameter."""
    hash_ = hash_of(blind, type_name, parameter.code)
    if isinstance(value, words.FullText):
        return full_text(value, blind, [type_name])
    if isinstance(value, near.Near):
        return Compiled(near.where(value, hash_, presence_bits(blind, type_name)[parameter.code]), _anything)
    match parameter.type:
        case "token":
            return _one_token(parameter, value, blind, type_name)
        case "string":
            return Compiled(string.where(value, hash_), _anything if value.needs_verification else None)
        case "reference":
            return Compiled(reference.where(value, hash_), None if value.below is None else _anything)
        case "date":
            if parameter.code == "_lastUpdated":
                return Compiled(Interval("updated", value.prefix, value.low, value.high))
            return Compiled(date.where(value, _place(type_name, parameter.code), hash_))
        case "number":
            return Compiled(number.where(value, hash_))
        case "quantity":
            return Compiled(quantity.where(value, hash_, hash_of(blind, type_name, "unit")))
        case "uri":
            clause = uri.where(value, parameter.code, hash_)
            if value.version is not None and not value.modifier:
                version = plan_of(type_name).parameters["version"]
                clause = both([clause, _one_token(version, token.TokenValue(None, value.version), blind, type_name)
                               .clause])
            return Compiled(clause, None if uri.is_exact(value, parameter.code) else _anything)
    return _one_composite(parameter, value, blind, type_name)


def full_text(value: words.FullText, blind: Blind, type_names: Iterable[str]) -> Compiled:
    """Return what words ask of resources of one type, or of several."""
    clause = words.where(value, [partial(word_hash, blind, one) for one in type_names])
    return Compiled(clause, None if words.is_exact(value) else lambda found: words.matches(value, found.root))


def _one_token(parameter: SearchParameter, value: Any, blind: Blind, type_name: str) -> Compiled:
    hash_ = hash_of(blind, type_name, parameter.code)
    if isinstance(value, token.TypedIdentifier):
        return Compiled(token.where_typed(value, hash_))
    if isinstance(value, token.Words):
        clause = token.where_text(value, hash_) or present(parameter, blind, type_name)
        return Compiled(clause, None if token.is_exact(value) else _anything)
    if isinstance(value, token.MediaType):
        return Compiled(present(parameter, blind, type_name), _anything)
    system = search_parameters.only_systems(type_name).get(parameter.code)
    if system is not None and not parameter.state:
        rank = _token_rank(parameter.code)
        return Compiled(token.where_code(value, system, hash_, rank, present(parameter, blind, type_name)))
    return Compiled(token.where(value, hash_, _token_rank(parameter.code)))


def _one_composite(
    parameter: SearchParameter, value: composite.CompositeValue, blind: Blind, type_name: str
) -> Compiled:
    hash_ = hash_of(blind, type_name, parameter.code)
    known, at_root = plan_of(type_name).parameters, parameter.code in plan_of(type_name).at_root
    clause = composite.where(parameter, value, hash_, hash_of(blind, type_name, "unit"), at_root)
    if clause is not None:
        with_systems = [
            _one_token(known[component.code], part, blind, type_name).clause
            for component, part in zip(parameter.components, value.parts, strict=True)
            if at_root and isinstance(part, token.TokenValue) and part.system is not None
        ]
        return Compiled(both([clause, *map(_not_first, with_systems)]))
    narrowing = [present(parameter, blind, type_name)] if parameter.state else []
    for one, part in zip(plan_of(type_name).narrowed_by[parameter.code], value.parts, strict=True):
        if one is not None:
            criterion = Criterion(replace(one, base_type=type_name), "", (part,))
            narrowing.append(compile_(criterion, blind, type_name).clause)
    return Compiled(both(narrowing), _anything)


def _led(asked: Clause) -> Clause:
    """Let the numbers of several alternatives lead to what is then asked whole: an AND in an OR leads nowhere."""
    if not isinstance(asked, Either) or not any(isinstance(part, Both) for part in asked.parts):
        return asked
    firsts = either([part.parts[0] if isinstance(part, Both) else part for part in asked.parts])
    return both([firsts, replace(asked, rank=WIDE)])


def _not_first(asked: Clause) -> Clause:
    """Return a token that is only asked of what a number beside it leads to."""
    return replace(asked, rank=WIDE) if isinstance(asked, Token) else asked


def _token_rank(code: str) -> int:
    if code == "identifier":
        return IDENTIFIER
    return CATEGORY if code in _COARSE else CODE


def _place(type_name: str, code: str) -> str:
    if code in date.BLIND:
        return "blind"
    return "row" if plan_of(type_name).primary_date == code else "index"


# ---- verifying -------------------------------------------------------------------------------------------------------


def _anything(_: IndexValues) -> bool:
    return True


#: How a value asked for is found among those extracted from a resource, by the parameter's type, and of tokens by what
#: a modifier made of the value.
_MATCHES: dict[str | type, tuple[str, Callable[[Any, Any], bool]]] = {
    "token": ("tokens", token.matches),
    "string": ("strings", string.matches),
    "reference": ("references", reference.matches),
    "date": ("dates", date.matches),
    "number": ("numbers", number.matches),
    "quantity": ("quantities", quantity.matches),
    "uri": ("uris", uri.matches),
    token.TypedIdentifier: ("identifier_types", token.matches_typed),
    token.Words: ("texts", token.matches_text),
    token.MediaType: ("tokens", token.matches_media),
}


def holds(criterion: Criterion, type_name: str, found: IndexValues) -> bool:
    """Tell from the values of an opened resource whether it is what a criterion asks for."""
    parameter = criterion.parameter
    if criterion.modifier == "missing":
        return _is_present(parameter, type_name, found) is (criterion.values == ("false",))
    if parameter.code == "_id":
        return (found.root.get("id") in criterion.values) is not (criterion.modifier == "not")
    answers = indexed_by(type_name, parameter)
    matched = any(_has(answer, value, found) for answer in answers for value in criterion.values)
    return matched is not (criterion.modifier == "not")


def has_another(criterion: Criterion, type_name: str, found: IndexValues) -> bool:
    """Tell whether a parameter has a value besides those that a criterion asks for."""
    if criterion.parameter.code == "_id":
        return found.root.get("id") not in criterion.values
    for answer in indexed_by(type_name, criterion.parameter):
        kind, matches = _MATCHES[answer.type]
        stored = [one for one in getattr(found, kind) if one[0] == answer.code and _is_of(criterion.parameter, one)]
        if not all(any(matches(value, one) for value in criterion.values) for one in stored):
            return True
    return False


def _is_present(parameter: SearchParameter, type_name: str, found: IndexValues) -> bool:
    if parameter.code in ("_id", "_lastUpdated"):
        return True
    codes = {one.code for one in indexed_by(type_name, parameter)}
    if parameter.restricts:
        return parameter.code in fragments.restricted(found.root) or any(
            stored[0] in codes and _is_of(parameter, stored) for stored in found.references)
    kinds = (found.tokens, found.references, found.strings, found.dates, found.numbers, found.quantities, found.uris,
             found.composites)  # fmt: skip
    return not codes.isdisjoint(found.present) or any(stored[0] in codes for kind in kinds for stored in kind)


def _is_of(parameter: SearchParameter, stored: Any) -> bool:
    """Tell whether a value is one of a parameter that looks at references to one type alone."""
    return not parameter.restricts or stored[1] == parameter.restricts[1]


def _any_of(parameters: list[SearchParameter], values: tuple[Value, ...]) -> Verify:
    """Return the test that a resource has a value that one of the alternatives asks for."""

    def verify(found: IndexValues) -> bool:
        return any(_has(parameter, value, found) for parameter in parameters for value in values)

    return verify


def _has(parameter: SearchParameter, value: Any, found: IndexValues) -> bool:
    if isinstance(value, words.FullText):
        return words.matches(value, found.root)
    if isinstance(value, near.Near):
        return near.matches(value, found.root)
    if parameter.type == "composite":
        return any(
            stored[0] == parameter.code and _has_all(parameter, value, stored[1]) for stored in found.composites
        )
    if isinstance(value, uri.UriValue) and value.version is not None and not value.modifier and not any(
            one[0] == "version" and one[2] == value.version for one in found.tokens):
        return False
    kind, matches = _MATCHES.get(type(value)) or _MATCHES[parameter.type]
    if any(stored[0] == parameter.code and matches(value, stored) for stored in getattr(found, kind)):
        return True
    if not isinstance(value, token.TokenValue):
        return False
    return any(stored[0] == parameter.code and token.matches_system(value, stored) for stored in found.systems)


def _has_all(parameter: SearchParameter, value: composite.CompositeValue, stored: tuple[list[Any], ...]) -> bool:
    return all(
        any(_MATCHES[component.type][1](part, ("", *item)) for item in items)
        for component, part, items in zip(parameter.components, value.parts, stored, strict=True)
    )
