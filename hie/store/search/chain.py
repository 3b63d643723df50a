"""Chained searches and `_has`, read: criteria on what a resource refers to, or on what refers to it, over any depth.

`subject:Patient.name`, `patient.organization.name`, `_has:Observation:patient:code`, each within the other; and what
nothing refers to, by Microsoft's `_not-referenced=Encounter:subject`, `Encounter:*` and `*:*`.
https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from dataclasses import dataclass

from hie.errors import InvalidSearch, NotSupported
from hie.fhir import references, search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.search_parameters import SearchParameter
from hie.store.search import criteria
from hie.store.search.criteria import Criterion, Place, Reading
from hie.store.search.logic import AllOf, AnyOf, Logic, NotOf

#: A statement nests where a chain branches, and SQLite's parser has a bound.
MOST_BRANCHINGS = 3
#: A chain may branch at each hop that names no type; so many ends are asked at most, as each lengthens the statement.
MOST_ENDS = 50
#: Bounds the nesting of one statement, far beyond what records nest.
MOST_HOPS = 12
#: Microsoft's: https://learn.microsoft.com/azure/healthcare-apis/fhir/overview-of-search
NOT_REFERENCED = "_not-referenced"
#: Their `url` is an address on the network, not a canonical URL.
_REACHED_AT_URL = frozenset({"Device", "Subscription"})


@dataclass(frozen=True, slots=True)
class Chain:
    """The resource refers by `parameter` to one of the types, which matches what is asked of that type."""

    parameter: SearchParameter
    ends: tuple[tuple[str, Asked], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of type `source` refers here by `parameter`, and matches."""

    source: str
    parameter: SearchParameter
    asked: Asked


@dataclass(frozen=True, slots=True)
class Unreferenced:
    """No resource of type `source` (None: of whatever type) refers here, by whatever element."""

    source: str | None


@dataclass(frozen=True, slots=True)
class Inside:
    """The Bundle's first entry, a Composition or a MessageHeader, matches: tested on opened Bundles that have one."""

    parameter: SearchParameter
    type: str
    asked: Criterion | Chain


@dataclass(frozen=True, slots=True)
class PerType:
    """One criterion of a search over several types, read for each of them."""

    by_type: tuple[tuple[str, Asked], ...]


Asked = Criterion | Place | Chain | Has | Unreferenced | Inside | PerType | Logic


def leads_on(asked: Asked) -> bool:
    """Tell whether other resources decide whether one matches: a chain or `_has` is asked, or a combination of them."""
    match asked:
        case PerType(by_type):
            return any(leads_on(one) for _, one in by_type)
        case AllOf(parts) | AnyOf(parts):
            return any(map(leads_on, parts))
        case NotOf(part):
            return leads_on(part)
    return isinstance(asked, Chain | Has | Unreferenced)


def is_chain(name: str) -> bool:
    """Tell whether a parameter's name is that of a chain, of _has or of what stands for one."""
    return "." in name or name.partition(":")[0] in ("_has", "_list", NOT_REFERENCED)


# ---- reading ---------------------------------------------------------------------------------------------------------


def parse(type_name: str, name: str, text: str, reading: Reading) -> Asked:
    """Read a criterion, `reference[:Type].…=text` or `_has:Type:reference:…=text`."""
    if not is_chain(name):
        return criteria.parse(type_name, name, text, reading)
    return _Reader(name, text, reading).read(type_name, name, Depth())


@dataclass(frozen=True, slots=True)
class Depth:
    """How far a chain was read."""

    hops: int = 0
    branchings: int = 0

    def further(self, *, branches: bool = False) -> Depth:
        """Return that of what a hop leads to."""
        return Depth(self.hops + 1, self.branchings + branches)


class HopReader:
    """Reads the hops of a chain, which refusals name as it was written; at `expression` it stands in the request."""

    def __init__(self, whole: str, expression: str) -> None:
        self._whole, self._expression = whole, expression
        self._ends = 0

    def check_depth(self, depth: Depth) -> None:
        """Refuse a chain that leads on, or branches, beyond what one statement may."""
        if depth.hops > MOST_HOPS:
            raise self.invalid(f"has more than {MOST_HOPS} hops")
        if depth.branchings > MOST_BRANCHINGS:
            raise self.invalid(f"branches more than {MOST_BRANCHINGS} times; name types, as in subject:Patient.name")

    def count_end(self) -> None:
        """Refuse a chain that ends in too many types."""
        self._ends += 1
        if self._ends > MOST_ENDS:
            raise self.invalid(f"may end in more than {MOST_ENDS} types; name the types, as in subject:Patient.name")

    def hop(self, type_name: str, head: str, rest: str, text: str) -> tuple[SearchParameter, list[str]]:
        """Return by what a type refers, and to which types the chain goes on; `text`: what it asks for at its end."""
        code, colon, wanted = head.partition(":")
        if not rest or rest.startswith("."):
            raise self.invalid("has nothing behind a '.', where a parameter of what is referred to belongs")
        parameter = self.reference(type_name, code, into=True)
        allowed = ends_of(parameter)
        if colon and wanted not in allowed:
            listed = ", ".join(sorted(allowed)[:12])
            raise self.invalid(f"asks for a {wanted[:80]!r}, but {code} of {type_name} refers to {listed}")
        if colon:
            return parameter, [wanted]
        known = [one for one in sorted(allowed) if len(allowed) == 1 or _knows(one, rest, text)]
        if not known:
            first = rest.partition(".")[0].partition(":")[0]
            raise self.invalid(f"asks for {first!r}, a parameter of none of {', '.join(sorted(allowed)[:12])}")
        return parameter, known

    def reference(self, type_name: str, code: str, *, into: bool = False) -> SearchParameter:
        """Return a parameter by which a type refers; `into`: or for what stands inside of it."""
        try:
            parameter = criteria.parameter_of(type_name, code)
        except InvalidSearch as error:
            raise InvalidSearch(f"{self._whole}: {error.diagnostics}", expression=self._expression) from None
        if parameter.type != "reference":
            raise self.invalid(f"chains by {code} of {type_name}, which is of type {parameter.type}: no reference")
        if not is_chained(parameter) and not is_canonical(parameter) and not (into and is_inside(parameter)):
            raise self.not_supported(
                f": {code} of {type_name} holds no references but a resource inside, by which nothing leads back."
            )
        return parameter

    def invalid(self, told: str) -> InvalidSearch:
        """Return the refusal of a chain that says what cannot be."""
        return InvalidSearch(f"{self._whole} {told}.", expression=self._expression)

    def not_supported(self, told: str) -> NotSupported:
        """Return the refusal of one that is not answered here; `told` goes on behind its name."""
        return NotSupported(f"{self._whole}{told}", expression=self._expression)


class _Reader(HopReader):
    """Reads one chain; hop by hop, the rest of the name belongs to the type at the other end."""

    def __init__(self, name: str, text: str, reading: Reading) -> None:
        super().__init__(name[:200], name[:80])
        self._text, self._reading = text, reading

    def read(self, type_name: str, name: str, depth: Depth) -> Asked:
        self.check_depth(depth)
        if name == "_has" or name.startswith("_has:"):
            return self._has(type_name, name, depth)
        head, dot, rest = name.partition(".")
        if dot:
            return self._chain(type_name, head, rest, depth)
        self.count_end()
        if name.partition(":")[0] == "_list":
            return self._list(name)
        if name.partition(":")[0] == NOT_REFERENCED:
            return self._not_referenced(type_name, name)
        try:
            return criteria.parse(type_name, name, self._text, self._reading)
        except (InvalidSearch, NotSupported) as error:
            raise type(error)(f"{self._whole}: {error.diagnostics}", expression=self._whole[:80]) from None

    def _has(self, type_name: str, name: str, depth: Depth) -> Has:
        source, _, rest = name.removeprefix("_has").removeprefix(":").partition(":")
        code, _, rest = rest.partition(":")
        if not source or not code or not rest:
            raise self.invalid("is written _has:Type:reference:parameter, as in _has:Observation:patient:code")
        parameter = self._to_here(type_name, source, code)
        return Has(source, parameter, self.read(source, rest, depth.further()))

    def _to_here(self, type_name: str, source: str, code: str) -> SearchParameter:
        """Return the parameter by which resources of type `source` refer to one of a type."""
        if source not in RESOURCE_TYPES:
            raise self.invalid(f"names {source[:80]!r}, which is no resource type of FHIR R4")
        parameter = self.reference(source, code)
        if type_name != "Resource" and type_name not in ends_of(parameter):
            raise self.invalid(f"asks for references by {code} of {source}, which cannot refer to a {type_name}")
        return parameter

    def _list(self, name: str) -> Has:
        """Read `_list=id`: what a List has as an item, so the List is searched for. search.html#list"""
        if name != "_list":
            raise self.invalid("has no modifiers")
        if self._text.startswith("$"):
            raise NotSupported(
                f"{self._whole}={self._text[:80]}: functional lists are for a search's own `_list`; here a List is "
                "named by its id.",
                expression="_list",
            )
        parameter = criteria.parameter_of("List", "item")
        each = [references.id_here(one, "List", self._reading.base_url) for one in self._text.split(",")]
        try:
            ids = ",".join(one or "" for one in each)
            return Has("List", parameter, criteria.parse("List", "_id", ids, self._reading))
        except InvalidSearch:
            raise self.invalid(f"is {self._text[:80]!r}; a List is named by its id, as in _list=42 or _list=List/42"
                               ) from None

    def _not_referenced(self, type_name: str, name: str) -> Unreferenced | NotOf:
        """Read `_not-referenced=Type:parameter`: that no resource of the type refers here by the parameter."""
        if name != NOT_REFERENCED:
            raise self.invalid("has no modifiers")
        source, colon, code = self._text.partition(":")
        if not colon or not source or not code or "," in self._text:
            raise self.invalid(f"is {self._text[:80]!r}; it says by what nothing refers here, as Encounter:subject, "
                               "Encounter:* or *:* do, and is repeated for more")
        if source == "*" and code != "*":
            raise self.invalid(f"asks for {code[:80]} of every type; name the type, as in Encounter:{code[:80]}")
        if code != "*":
            return NotOf(Has(source, self._to_here(type_name, source, code), AllOf(())))
        if source != "*" and source not in RESOURCE_TYPES:
            raise self.invalid(f"names {source[:80]!r}, which is no resource type of FHIR R4")
        return Unreferenced(None if source == "*" else source)

    def _chain(self, type_name: str, head: str, rest: str, depth: Depth) -> Chain | Inside:
        parameter, known = self.hop(type_name, head, rest, self._text)
        if is_inside(parameter):
            (held,) = known
            return Inside(parameter, held, self._within(self.read(held, rest, depth.further())))
        below = depth.further(branches=len(known) > 1)
        return Chain(parameter, tuple((one, self.read(one, rest, below)) for one in known))

    def _within(self, asked: Asked) -> Criterion | Chain:
        """Return what can be asked of a resource inside a Bundle: by itself, and by what it refers to there."""
        if isinstance(asked, Criterion) and asked.parameter.code != "_lastUpdated":
            return asked
        if isinstance(asked, Chain) and not is_canonical(asked.parameter):
            return Chain(asked.parameter, tuple((one, self._within(below)) for one, below in asked.ends))
        raise self.not_supported(": a resource inside a Bundle is asked for what it says, and for what it refers to in "
                                 "the Bundle; not by _has, _list, _not-referenced, canonical URLs and _lastUpdated.")


def targets(parameter: SearchParameter) -> frozenset[str]:
    """Return the types that a reference parameter can lead to; those that name none lead to any."""
    if parameter.restricts:
        return frozenset({parameter.restricts[1]})
    return parameter.targets or RESOURCE_TYPES


def ends_of(parameter: SearchParameter) -> frozenset[str]:
    """Return the types that a chain by the parameter can lead to: by canonical URL those that are known by one."""
    found = targets(parameter)
    if not is_canonical(parameter):
        return found
    known = (one for one in found if "url" in search_parameters.for_type(one))
    return frozenset(known).difference(_REACHED_AT_URL)


def _knows(type_name: str, rest: str, text: str) -> bool:
    """Tell whether a type has what the rest of a chain begins with: an untyped chain asks only those that have.

    `text`: what the chain asks for at its end.
    """
    if rest.startswith("_has:"):
        source, _, behind = rest[5:].partition(":")
        return _leads_to(type_name, source, behind.partition(":")[0])
    if rest.startswith(NOT_REFERENCED):
        source, _, code = text.partition(":")
        return _leads_to(type_name, source, code)
    if rest.startswith("_list"):
        return True
    head, dot, _ = rest.partition(".")
    code, _, wanted = head.partition(":")
    parameter = search_parameters.for_type(type_name).get(code)
    if not dot or parameter is None:
        return parameter is not None
    leads = is_chained(parameter) or is_canonical(parameter) or is_inside(parameter)
    return leads and (not wanted or wanted in ends_of(parameter))


def _leads_to(type_name: str, source: str, code: str) -> bool:
    """Tell whether a parameter of `source` may refer to a type; what is unknown is refused where it is read."""
    found = search_parameters.for_type(source).get(code) if source in RESOURCE_TYPES else None
    return found is None or type_name in ends_of(found)


def is_chained(parameter: SearchParameter) -> bool:
    """Tell whether a parameter refers by Type/id to resources here: canonical URLs and a Bundle's entries do not."""
    return parameter.type == "reference" and "Reference" in parameter.element_types


def is_inside(parameter: SearchParameter) -> bool:
    """Tell whether a parameter is for a resource that stands inside, the first entry of a Bundle."""
    return parameter.type == "reference" and parameter.element_types == {"Resource"} and len(parameter.targets) == 1


def is_canonical(parameter: SearchParameter) -> bool:
    """Tell whether a parameter refers by canonical URL: https://hl7.org/fhir/R4/references.html#canonical"""
    return parameter.type == "reference" and not is_chained(parameter) and "canonical" in parameter.element_types
