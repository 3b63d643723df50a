"""A search criterion -> what the index is asked, with one tenant's keys; and what then must be verified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hie.fhir import compartments, search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.search_parameters import SearchParameter, answering
from hie.store.crypto import Blind
from hie.store.search import (
    composite,
    date,
    near,
    number,
    quantity,
    reference,
    string,
    token,
    uri,
    verifying,
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
    AnyToken,
    Both,
    Clause,
    Either,
    Ids,
    Negation,
    Present,
    Token,
    Types,
    both,
    either,
    negation,
)
from hie.store.search.criteria import (
    BelongsTo,
    CareBetween,
    Compiled,
    Criterion,
    InAnyCompartment,
    InCompartment,
    Place,
)
from hie.store.search.index import CUSTOM_PRESENCE
from hie.store.search.index import place as referring_token
from hie.store.search.plan import indexed_by, plan_of
from hie.store.search.range_clauses import CareDate, Interval
from hie.store.search.type_hashes import compartment_token

#: Token parameters whose few values are shared by very many resources.
_COARSE = frozenset(
    {"status", "category", "gender", "intent", "active", "class", "_security", "_tag", "type", "priority", "use"}
    | {"clinical-status", "verification-status", "vaccine-status", "deceased", "experimental", "context", "language"}
)


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
    by_type = parameter.restricts and criterion.modifier == "identifier"
    answers = [parameter] if by_type else indexed_by(type_name, parameter)
    parts = [_one(answer, value, blind, type_name) for answer in answers for value in criterion.values]
    clause = either([part.clause for part in parts])
    if parameter.type == "composite":
        clause = _led(clause)
    if criterion.modifier == "not":
        return Compiled(negation(clause))
    if any(part.verify for part in parts):
        return Compiled(clause, verifying.any_of(answers, criterion.values))
    return Compiled(clause)


def _place_clause(place: Place, blind: Blind, type_name: str) -> Clause:
    if isinstance(place, CareBetween):
        return CareDate(place.low, place.high)
    if isinstance(place, BelongsTo):
        return belonging(place, blind, [type_name])
    if type_name not in place.types:
        return NOTHING
    if isinstance(place, InCompartment):
        return Token(compartment_token(type_name, place.compartment, blind), REFERENCE)
    if isinstance(place, InAnyCompartment):
        return AnyToken(tuple(compartment_token(type_name, one, blind) for one in place.compartments), REFERENCE)
    if type_name == place.kind:
        return EVERYTHING
    known = plan_of(type_name).parameters
    codes = {base for code in compartments.members(place.kind).get(type_name, ()) for base in answering(known, code)}
    bits, bit = presence_bits(blind, type_name), 0
    for code in codes:
        bit |= bits[code]
    return Present(bit) if bit else NOTHING


def belonging(place: BelongsTo, blind: Blind, type_names: Sequence[str]) -> Clause:
    """Return what belongs to the owner of a compartment, of some types; the token of what refers to it tells none."""
    kind, _, id_ = place.compartment.partition("/")
    wanted = [name for name in type_names if name in place.types]
    members = {kind, *compartments.members(kind)}
    tokens = [compartment_token(name, place.compartment, blind) for name in wanted if name in members]
    found = either([Token(one, REFERENCE) for one in (*tokens, referring_token(kind, id_, blind))])
    if not wanted or len(wanted) == len(RESOURCE_TYPES):
        return found if wanted else NOTHING
    return both([found, Types(tuple(wanted))])


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
        return Compiled(near.where(value, hash_, presence_bits(blind, type_name)[parameter.code]), verifying.anything)
    match parameter.type:
        case "token":
            return _one_token(parameter, value, blind, type_name)
        case "string":
            return Compiled(string.where(value, hash_), verifying.anything if value.needs_verification else None)
        case "reference":
            return Compiled(reference.where(value, hash_), None if value.below is None else verifying.anything)
        case "date":
            if parameter.code == "_lastUpdated":
                return Compiled(Interval("updated", value.prefix, value.low, value.high))
            clause = date.where(value, _place(type_name, parameter.code), hash_)
            return Compiled(clause, verifying.anything if value.needs_verification else None)
        case "number":
            return Compiled(number.where(value, hash_))
        case "quantity":
            clause = quantity.where(value, hash_, hash_of(blind, type_name, "unit"))
            return Compiled(clause, verifying.anything if value.needs_verification else None)
        case "uri":
            clause = uri.where(value, parameter.code, hash_)
            if value.version is not None and not value.modifier and not value.is_open:
                version = plan_of(type_name).parameters["version"]
                clause = both([clause, _one_token(version, token.TokenValue(None, value.version), blind, type_name)
                               .clause])
            return Compiled(clause, None if uri.is_exact(value, parameter.code) else verifying.anything)
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
        return Compiled(clause, None if token.is_exact(value) else verifying.anything)
    if isinstance(value, token.MediaType):
        return Compiled(present(parameter, blind, type_name), verifying.anything)
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
        last = value.parts[-1]
        verify = verifying.anything if isinstance(last, quantity.QuantityValue) and last.needs_verification else None
        return Compiled(both([clause, *map(_not_first, with_systems)]), verify)
    narrowing = [present(parameter, blind, type_name)] if parameter.state else []
    for one, part in zip(plan_of(type_name).narrowed_by[parameter.code], value.parts, strict=True):
        if one is not None:
            criterion = Criterion(replace(one, base_type=type_name), "", (part,))
            narrowing.append(compile_(criterion, blind, type_name).clause)
    return Compiled(both(narrowing), verifying.anything)


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
