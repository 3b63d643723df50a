"""A resource -> the rows it is found by: keyed hashes, dates and numbers under keyed parameters, presence bits (D6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hie.fhir import facts, references, search_parameters, texts
from hie.fhir.compartments import single_patient_of
from hie.fhir.scopes import BINARY
from hie.fhir.search_parameters import IndexValues
from hie.fhir.search_values import CompositeValue, QuantityValue
from hie.store.crypto import Blind
from hie.store.models import ITSELF
from hie.store.search import (
    all_codes,
    associated,
    composite,
    date,
    fragments,
    near,
    security_context,
    string,
    token,
    uri,
)
from hie.store.search.blinding import REFERS, Form, word_hash
from hie.store.search.literal_references import literal_references
from hie.store.search.type_hashes import Amount, Bound, Link, bound_to, compartment_token

_DateRow = tuple[int, int, int]
_NumberRow = tuple[int, float, float, int, int, int]


@dataclass(slots=True)
class IndexRows:
    """What the database keeps to find one resource."""

    tokens: list[int]
    """Sorted, each once."""
    dates: list[_DateRow]
    """(parameter, low, high) of all dates but the primary one."""
    numbers: list[_NumberRow]
    """(parameter, low, high, unit, code, text)."""
    presence: int
    date_low: int | None
    date_high: int | None
    links: tuple[tuple[int, int], ...] = ()
    """(parameter, target) of references to resources here, and of the resource itself; in order, each once."""
    refers: frozenset[str] = frozenset()
    """The distinct texts of Reference.reference, those to this server relative; not stored, but known here first."""
    patient: str | None = None
    """The one patient whose record the resource is; not stored either."""
    contained: tuple[Contained, ...] = ()
    """What it contains, each found by rows of its own."""


@dataclass(frozen=True, slots=True)
class Contained:
    """A contained resource: its place among those of its container, the hash of its id, and what it is found by."""

    part: int
    type: str
    fragment: int
    rows: IndexRows


def index_rows(
    resource: dict[str, Any], blind: Blind, base_url: str = "", *, content_words: bool = False, dumped: bytes = b"",
    is_new: bool = False, said: set[str] | None = None,
) -> IndexRows:
    """Return the rows of a resource; `base_url` makes absolute references to this server relative.

    `content_words`: every string is to be found by its words (`_content`), not the narrative alone.
    `dumped`: the resource as `hie.fhir.json_format.dump` writes it, where that is known; references are found there.
    `is_new`: it is being written, and refused where it could not be indexed at once (Unprocessable).
    `said`: the texts of its references, those to what it contains left out, where somebody found them before.
    """
    values = search_parameters.extract(resource)
    if is_new:
        composite.refuse_too_many(resource["resourceType"], values.composites)
    bound = bound_to(blind, resource["resourceType"])
    tokens: set[int] = set()
    _add_tokens(values, bound, tokens)
    links, linked = _add_references(values, bound, base_url, tokens)
    id_ = resource.get("id")
    if id_:
        own = f"{bound.type}/{id_}"
        links.add((ITSELF, bound.place(own)))
        linked.add(own)
    refers = literal_references(resource, dumped, said, base_url)
    tokens.update(_places(resource, bound))
    tokens.update(_unlinked(refers, linked, bound))
    tokens.update(_associated(resource, refers, bound, base_url, tokens))
    tokens.update(_words(resource, bound, content_words))
    dates: set[_DateRow] = set()
    numbers: set[_NumberRow] = set()
    patient = single_patient_of(values, base_url)
    low, high = _add_dates(values, bound, tokens, dates)
    _add_numbers(values, bound, numbers)
    for value in values.composites:
        _add_composite(value, bound, base_url, tokens, dates, numbers)
    if "securityContext" in resource:
        dates.add(security_context.row(resource, blind, base_url))
    if bound.type == BINARY:
        tokens.add(security_context.token(resource, blind, base_url))
    presence = _presence(values, bound, tokens)
    rows = IndexRows(
        sorted(tokens), sorted(dates), sorted(numbers), presence, low, high, tuple(sorted(links)), refers, patient
    )
    if "contained" in resource:
        rows.contained = tuple(_contained(resource, blind, base_url, content_words, is_new))
    return rows


def moving_rows(resource: dict[str, Any], blind: Blind, base_url: str = "") -> IndexRows | None:
    """Return the rows by custom parameters that some resources do not have yet, or still have; None: no such ones."""
    return _rows_of(resource, search_parameters.moving(resource), blind, base_url)


def lasting_rows(resource: dict[str, Any], index: IndexRows, blind: Blind, base_url: str = "") -> IndexRows:
    """Return of a resource's rows those by R4's own parameters, which what is contained is found by."""
    custom = _rows_of(resource, search_parameters.defined_here(resource), blind, base_url)
    if custom is None:
        return index
    return replace(
        index, tokens=sorted(set(index.tokens).difference(custom.tokens)),
        dates=sorted(set(index.dates).difference(custom.dates)),
        numbers=sorted(set(index.numbers).difference(custom.numbers)),
    )  # fmt: skip


def _rows_of(
    resource: dict[str, Any], values: IndexValues | None, blind: Blind, base_url: str
) -> IndexRows | None:
    if values is None:
        return None
    bound = bound_to(blind, resource["resourceType"])
    tokens, dates, numbers = set[int](), set[_DateRow](), set[_NumberRow]()
    _add_tokens(values, bound, tokens)
    links, _ = _add_references(values, bound, base_url, tokens)
    tokens.update(bound.hashes[code](*CUSTOM_PRESENCE) for code in _present(values, bound))
    _add_dates(values, bound, tokens, dates)
    _add_numbers(values, bound, numbers)
    for value in values.composites:
        _add_composite(value, bound, base_url, tokens, dates, numbers)
    return IndexRows(sorted(tokens), sorted(dates), sorted(numbers), 0, None, None, tuple(sorted(links)))


def place(type_name: str, id_: str, blind: Blind) -> int:
    """Return the target that references to Type/id have, in whatever parameter."""
    return blind.hash(REFERS, f"{type_name}/{id_}")


def refers_beside(resource: dict[str, Any], target: tuple[str, str], blind: Blind, base_url: str) -> bool:
    """Tell whether a resource refers to another one by an element that no search parameter of R4 reads.

    An encounter that it is associated with is such a one, whatever search parameter reads that as well.
    """
    bound, tokens = bound_to(blind, resource["resourceType"]), set[int]()
    refers = literal_references(resource, b"", None, base_url)
    wanted = place(*target, blind)
    if wanted not in map(bound.refers_hash, refers):
        return False
    _, linked = _add_references(search_parameters.extract(resource), bound, base_url, tokens)
    return (wanted in _unlinked(refers, linked, bound)
            or wanted in _associated(resource, refers, bound, base_url, tokens))


# ---- contained resources: docs/adr/0020 ------------------------------------------------------------------------------


def _contained(
    resource: dict[str, Any], blind: Blind, base_url: str, content_words: bool, is_new: bool
) -> Iterator[Contained]:
    """Yield what a resource contains. Its id is none of a resource here; who refers to what is its container's."""
    referring: dict[str, set[int]] = {}
    for code, named in fragments.referred(resource):
        referring.setdefault(named, set()).add(fragments.referred_token(resource["resourceType"], code, blind))
    for part, one in enumerate(resource["contained"]):
        content = {name: value for name, value in one.items() if name not in ("id", "contained")}
        rows = index_rows(content, blind, base_url, content_words=content_words, is_new=is_new)
        lasting = lasting_rows(content, rows, blind, base_url)
        id_ = str(one.get("id", ""))
        tokens = {*lasting.tokens, *referring.get(id_, ()), fragments.fragment_token(one["resourceType"], id_, blind)}
        rows = replace(lasting, tokens=sorted(tokens), links=(), refers=frozenset())
        yield Contained(part, one["resourceType"], fragments.fragment_hash(id_, blind), rows)


# ---- rows ------------------------------------------------------------------------------------------------------------


def _add_tokens(values: IndexValues, bound: Bound, tokens: set[int]) -> None:
    for token_value in values.tokens:
        tokens.update(bound.token_hashes(token_value))
    for text_value in values.texts:
        tokens.update(bound.text_hashes(text_value))
    hash_, type_name = bound.blind.hash, bound.type
    for code, system in values.systems:
        tokens.add(hash_(type_name, code, *token.index_system(system)))
    for typed_identifier in values.identifier_types:
        tokens.add(hash_(type_name, typed_identifier[0], *token.index_typed(typed_identifier)))
    for string_value in dict.fromkeys(values.strings):
        tokens.update([hash_(type_name, string_value[0], *form) for form in string.index(string_value)])
    for uri_value in values.uris:
        tokens.update([hash_(type_name, uri_value[0], *form) for form in uri.index(uri_value)])


def _add_references(
    values: IndexValues, bound: Bound, base_url: str, tokens: set[int]
) -> tuple[set[Link], set[str]]:
    """Return the links by all parameters, and Type/id of those that R4's own parameters make."""
    links: set[Link] = set()
    linked: set[str] = set()
    custom = {one.code for one in search_parameters.installed().of(bound.type).indexed}  # theirs come and go
    for value in values.references:
        hashes, link, text = bound.reference((value, base_url))
        tokens.update(hashes)
        if link is not None:
            links.add(link)
            if value[0] not in custom:
                linked.add(text)
    return links, linked


def _words(resource: dict[str, Any], bound: Bound, content_words: bool) -> Iterator[int]:
    """Yield the tokens of the words of the narrative, and of other strings where these are to be searched."""
    narrative = texts.narrative(resource)
    if narrative:
        for word in set(texts.words(narrative)):
            yield word_hash(bound.blind, bound.type, "_text", word)
    if content_words:
        for text in texts.strings(resource):
            yield from bound.word_hashes(text)


def _places(resource: dict[str, Any], bound: Bound) -> Iterator[int]:
    """Yield the tokens of a position, of a named value set, and of the compartment that the resource itself names."""
    for form in near.index(resource):
        yield bound.hashes[near.PARAMETER](*form)
    for form in all_codes.index(resource):
        yield bound.hashes[all_codes.CODE](*form)
    id_ = resource.get("id")
    if bound.type in facts.COMPARTMENTS and id_:
        yield compartment_token(bound.type, f"{bound.type}/{id_}", bound.blind)


def _unlinked(refers: frozenset[str], linked: set[str], bound: Bound) -> set[int]:
    """Return the tokens of what the resource refers to in places that no search parameter of R4 looks at.

    With the links by parameters these say who refers to what (hie.store.reference_targets.referring).
    """
    found = {hash_ for text in refers - linked if (hash_ := bound.refers_hash(text)) is not None}
    return found.difference(map(bound.place, linked)) if found else found  # linked in another version, perhaps


def _associated(
    resource: dict[str, Any], refers: frozenset[str], bound: Bound, base_url: str, tokens: set[int]
) -> set[int]:
    """Return the tokens of the encounters it is associated with, but in whose compartment it is not.

    An Encounter may be part of the same one, which is a search parameter's and makes no compartment.
    """
    found = set()
    for text in associated.encounters(resource, base_url) & refers:
        target = bound.refers_hash(text)
        own = references.parse(text)
        inside = compartment_token(bound.type, f"{own.type}/{own.id}", bound.blind)
        if target is not None and inside not in tokens:
            found.add(target)
    return found


def _add_dates(
    values: IndexValues, bound: Bound, tokens: set[int], dates: set[_DateRow]
) -> tuple[int | None, int | None]:
    primary = bound.plan.primary_date
    row: tuple[int | None, int | None] = (None, None)
    for value in values.dates:
        code, low, high, _ = value
        if code == primary:
            row = (low, high)
        elif code in date.BLIND:
            tokens.update(bound.hashes[code](*form) for form in date.index_blind(value))
        elif code != "_lastUpdated":  # it is a column of its own
            dates.add((bound.hidden[code], low, high))
    return row


def _add_numbers(values: IndexValues, bound: Bound, numbers: set[_NumberRow]) -> None:
    for value in values.numbers:
        _add_number((bound.hidden[value[0]], bound.ranges[value[0]]), bound.number_row(value), numbers)
    sampled = "valueSampledData" in values.root
    for amount in values.quantities:
        code = amount[0]
        parameters = bound.ranges[code] if sampled else bound.hidden[code], bound.ranges[code]
        _add_quantity(code, (), amount, parameters, bound, numbers)


def _add_number(parameters: tuple[int, int], row: Amount, numbers: set[_NumberRow]) -> None:
    numbers.add((parameters[0] if row[0] == row[1] else parameters[1], *row))


def _add_quantity(
    code: str, form: Form, amount: QuantityValue, parameters: tuple[int, int], bound: Bound, numbers: set[_NumberRow]
) -> None:
    """Add a quantity as it is written, and in the canonical unit of its kind.

    Samples are ranges even where all are the same: what is not a range is one Quantity (hie.store.search.pairs).
    """
    row, converted = bound.quantity_row(amount[1:])
    _add_number(parameters, row, numbers)
    if converted is not None:
        unit, low, high = converted
        points, ranges = bound.canonical((code, form, unit))
        is_point = parameters[0] != parameters[1]
        _add_number((points if is_point else ranges, ranges), (low, high, 0, 0, 0), numbers)


def _add_composite(
    value: CompositeValue,
    bound: Bound,
    base_url: str,
    tokens: set[int],
    dates: set[_DateRow],
    numbers: set[_NumberRow],
) -> None:
    code, parts, *custom = value
    kind = composite.plan(custom[0]) if custom else bound.plan.composites[code]
    if not kind:
        return
    equal = tuple([tuple(items) for items in (parts if kind == "token" else parts[:-1])])
    combined = bound.combined_by(custom[0], equal, base_url) if custom else bound.combined((code, equal, base_url))
    for plain, ranges, form in combined:
        if kind == "token":
            tokens.add(plain)
            continue
        for item in parts[-1]:
            if kind == "date":
                dates.add((plain, item[0], item[1]))
            elif kind == "quantity":
                _add_quantity(code, form, (code, *item), (plain, ranges), bound, numbers)
            else:
                _add_number((plain, ranges), bound.number_row((code, *item)), numbers)


#: Bits are for R4's own parameters: their places must not change. A custom parameter has a token that says it is there.
CUSTOM_PRESENCE = ("custom", "present")


def _present(values: IndexValues, bound: Bound) -> set[str]:
    """Return the parameters that have a value, or an element without one."""
    kinds = (
        values.tokens, values.references, values.strings, values.dates, values.numbers, values.quantities,
        values.uris, values.composites,
    )  # fmt: skip
    present = {value[0] for kind in kinds for value in kind}
    present.update(values.present)
    for value in values.references:
        for alias, type_name in bound.plan.aliases.get(value[0], ()):
            if value[1] == type_name:
                present.add(alias)
    return present


def _presence(values: IndexValues, bound: Bound, tokens: set[int]) -> int:
    """Return the bits of what is present, and add the tokens of custom parameters."""
    bits, result = bound.bits, 0
    if near.position(values.root) is not None:
        result |= bits[near.PARAMETER]
    for code in _present(values, bound) | fragments.restricted(values.root):
        bit = bits.get(code)
        if bit is None:
            tokens.add(bound.hashes[code](*CUSTOM_PRESENCE))
        else:
            result |= bit
    return result
