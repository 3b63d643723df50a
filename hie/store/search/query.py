"""The parameters of a search request -> a SearchQuery; pure, no database. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from hie.errors import InvalidRequest, InvalidSearch, NotSupported
from hie.fhir import compartments, search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.paging import AS_OF, CURSOR, OFFSET, both_places, counted, offset_of, total_of
from hie.fhir.peers import PLACES_OF_PAGES
from hie.fhir.search_parameters import SearchParameter
from hie.store.contents import MOST_BYTES
from hie.store.search import chain, criteria, filter, near, relevance, sort_keys
from hie.store.search.chain import Asked
from hie.store.search.criteria import InCompartment, Reading
from hie.store.search.sort_keys import SortKey

if TYPE_CHECKING:
    from hie.fhir.terminology import Terminology

MOST_PARAMETERS = 100
MOST_SORT_KEYS = 5
#: So many parameters that cannot be understood are told.
MOST_TOLD = 10
#: They say how the answer looks; the search does not read them.
RESULT_PARAMETERS = frozenset({"_format", "_pretty", "_summary", "_elements"})
#: What has no modifier, though R3 and others had some; `_include` and its kin have one.
_UNMODIFIED = RESULT_PARAMETERS | {CURSOR, OFFSET, AS_OF, "_count", "_total", "_sort"}
#: What R4 speaks of, and is no criterion here.
_NO_CRITERIA = {
    "_query": "_query names a query that a server defines, and this one defines none; what is searched for stands in "
              "search parameters.",
    "_score": "_score is how well a match fits, and no criterion; _sort=_score puts the best match of _text or "
              "_content first.",
}  # fmt: skip
_CONTAINED, _CONTAINED_TYPE = "_contained", "_containedType"
T = TypeVar("T")
#: What every container has, whatever its type.
_OF_CONTAINERS = frozenset({"_id", "_lastUpdated"})


@dataclass(frozen=True, slots=True)
class Include:
    """One _include or, `reverse`, _revinclude: the references of `source` by `parameter`, to `target` only if said.

    `source` "*": of every type; `parameter` None: by every parameter; `iterate`: of what is included, too.
    """

    source: str
    parameter: SearchParameter | None
    target: str | None
    reverse: bool
    iterate: bool = False

    @property
    def text(self) -> str:
        """The directive as it was written."""
        if self.source == "*":
            return "*"
        name = f"{self.source}:{self.parameter.code if self.parameter else '*'}"
        return f"{name}:{self.target}" if self.target else name


@dataclass(frozen=True, slots=True)
class Containment:
    """What _contained and _containedType ask beside or instead: https://hl7.org/fhir/R4/search.html#contained"""

    alone: bool
    """Contained resources only; False: also those that stand by themselves."""
    whole: bool
    """Answer with what contains them; False: with the contained resource alone."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search that was understood; `type` None: over all types."""

    type: str | None
    """The one type searched; None: `types`, or every type."""
    criteria: tuple[Asked, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = 20
    total: str | None = None
    """What _total asked for; None: a total where it is cheap (hie.store.search.totals)."""
    includes: tuple[Include, ...] = ()
    cursor: str | None = None
    result: tuple[tuple[str, str], ...] = ()
    """_format, _pretty, _summary, _elements as they were given."""
    ignored: tuple[str, ...] = ()
    """Unknown parameters that Prefer: handling=lenient left out."""
    types: frozenset[str] | None = None
    address: str | None = None
    """Where the search was sent, below the base; None: to its type."""
    self_link: tuple[tuple[str, str], ...] = ()
    """The parameters as they were understood: without ignored ones, _count as it was cut, without the cursor."""
    contained: Containment | None = None
    """None: contained resources are not asked."""
    offset: int = 0
    """So many matches the first page leaves out."""
    most_bytes: int = MOST_BYTES
    """Bytes of the matches of a page, beyond which it ends before it is full: whoever needs all follows `next`."""


def parse(
    type_name: str | None,
    parameters: Sequence[tuple[str, str]],
    *,
    handling: str = "strict",
    default_count: int = 20,
    max_count: int = 1_000,
    base_url: str = "",
    now: int = 0,
    terminology: Callable[[], Terminology] | None = None,
    compartment: tuple[str, str] | None = None,
    at: int | None = None,
    contained: bool = False,
    offset: bool = False,
) -> SearchQuery:
    """Read the parameters of a search. InvalidSearch or NotSupported says which parameter cannot be answered.

    `now` (microseconds) is what the prefix ap measures from; `terminology` is asked by modifiers such as :in. `at` is
    the instant that _asOf names, for those who answer as of it: others must not leave it unheard. So with `contained`
    and `offset`: whether _contained and _offset are answered.
    """
    if len(parameters) > MOST_PARAMETERS:
        raise InvalidSearch(f"The search has {len(parameters)} parameters; at most {MOST_PARAMETERS} are accepted.")
    reading = Reading(base_url, now, terminology)
    if at is None and any(name == AS_OF for name, _ in parameters):
        raise NotSupported(f"{AS_OF} is for read, search, $everything, $graph, $summary and the URL of $graphql; not "
                           "for this.", expression=AS_OF)
    read = _Reader(type_name, handling == "lenient", max_count, reading).read(parameters, default_count)
    if read.contained is not None and not contained:
        raise NotSupported(f"{_CONTAINED} is for searches; not for this.", expression=_CONTAINED)
    if not offset and any(name == OFFSET for name, _ in parameters):
        raise NotSupported(f"{OFFSET} is for searches; not for this.", expression=OFFSET)
    if type_name is None:
        read = replace(read, address="")
    return read if compartment is None else _within(read, type_name, compartment)


def _within(query: SearchQuery, type_name: str | None, compartment: tuple[str, str]) -> SearchQuery:
    """Hold a search to a compartment: https://hl7.org/fhir/R4/http.html#search"""
    kind, id_ = compartment
    place = InCompartment(f"{kind}/{id_}", frozenset(compartments.members(kind)) | {kind})
    return replace(query, criteria=(place, *query.criteria), address=f"{kind}/{id_}/{type_name or '*'}")


class _Reader:
    """Reads one search, parameter by parameter."""

    def __init__(self, type_name: str | None, lenient: bool, max_count: int, reading: Reading) -> None:
        self._type = type_name
        self._types = [type_name] if type_name else []
        self._lenient, self._max_count, self._reading = lenient, max_count, reading
        self._criteria: list[Asked] = []
        self._sort: list[SortKey] = []
        self._includes: list[Include] = []
        self._count: int | None = None
        self._total: str | None = None
        self._cursor: str | None = None
        self._offset: int | None = None
        self._result: list[tuple[str, str]] = []
        self._ignored: list[str] = []
        self._self_link: list[tuple[str, str]] = []
        self._contained: str | None = None
        self._contained_type: str | None = None
        self._sources: list[tuple[str, str, str, frozenset[str]]] = []

    def read(self, parameters: Sequence[tuple[str, str]], default_count: int) -> SearchQuery:
        self._read_types(parameters)
        self._read_each(parameters)
        count = default_count if self._count is None else self._count
        if ("_summary", "count") in self._result:
            count = 0
        if self._includes and ("_summary", "text") in self._result:
            raise InvalidSearch("_include and _revinclude cannot be asked with _summary=text.", expression="_summary")
        if self._offset is not None and self._cursor is not None:
            raise both_places()
        self._check_fit()
        contained = None if self._contained in (None, "false") else self._containment()
        if contained is None or not contained.whole:  # else matches may be of any type
            for source in self._sources:
                self._check_include(*source)
        only = self._types[0] if len(self._types) == 1 else None
        return SearchQuery(
            only, tuple(self._criteria), tuple(self._sort), count, self._total,
            tuple(dict.fromkeys(self._includes)), self._cursor, tuple(self._result), tuple(self._ignored),
            frozenset(self._types) if len(self._types) > 1 else None, None, tuple(self._self_link), contained,
            self._offset or 0,
        )  # fmt: skip

    def _read_each(self, parameters: Sequence[tuple[str, str]]) -> None:
        """Read all parameters, and refuse those that cannot be understood together."""
        wrong: list[InvalidRequest] = []
        for name, text in parameters:
            try:
                self._read_one(name, text)
            except InvalidRequest as error:
                wrong.append(error)
                if len(wrong) == MOST_TOLD:
                    break
        if wrong:
            raise type(wrong[0])(wrong[0].diagnostics, issues=[issue for one in wrong for issue in one.issues])

    def _read_one(self, name: str, text: str) -> None:
        code, _, modifier = name.partition(":")
        if name in RESULT_PARAMETERS:
            self._result.append((name, text))
        elif name == CURSOR:
            self._cursor = _once(name, self._cursor, text)
            return
        elif name == OFFSET:
            self._offset = _once(name, self._offset, offset_of(text))
            return
        elif name == "_count":
            self._count = _once(name, self._count, counted(text, self._max_count))
            text = str(self._count)
        elif name == "_total":
            self._total = _once(name, self._total, total_of(text))
        elif name == "_sort":
            self._sort += self._sort_keys(text)
        elif code in ("_include", "_revinclude"):
            self._includes.append(self._include(code, modifier, text))
        elif code in _NO_CRITERIA:
            raise NotSupported(_NO_CRITERIA[code], expression=code)
        elif code in (_CONTAINED, _CONTAINED_TYPE):
            self._read_contained(name, code, text)
        elif name in ("_type", AS_OF):
            pass  # read before all others, which depend on it
        elif code in _UNMODIFIED:
            hint = "; descending is _sort=-date" if code == "_sort" else ""
            raise InvalidSearch(f"{name[:80]}: {code} takes no modifier{hint}.", expression=name[:80])
        elif self._lenient and name not in PLACES_OF_PAGES and self._is_unknown(name):
            self._ignored.append(name)
            return
        else:
            self._criteria.append(self._criterion(name, text))
        self._self_link.append((name, text))

    def _read_types(self, parameters: Sequence[tuple[str, str]]) -> None:
        """Read _type, which names what a search over all types is for: search.html#all"""
        found: str | None = None
        for name, text in parameters:
            if name.partition(":")[0] == "_type":
                if name != "_type" or self._type is not None:
                    raise InvalidSearch("_type takes no modifier, and only a search over all types takes it.",
                                        expression="_type")
                found = _once(name, found, text)
        if found is None:
            return
        self._types = list(dict.fromkeys(part.strip() for part in found.split(",")))
        for one in self._types:
            if one not in RESOURCE_TYPES:
                raise InvalidSearch(f"_type names {one[:80]!r}, which is no resource type of FHIR R4.",
                                    expression="_type")

    def _read_contained(self, name: str, code: str, text: str) -> None:
        """Read _contained or _containedType: search.html#contained"""
        if name != code:
            raise InvalidSearch(f"{name[:80]}: {code} has no modifiers.", expression=code)
        if code == _CONTAINED:
            self._contained = _once(name, self._contained, _choice(name, text, ("true", "false", "both")))
        else:
            self._contained_type = _once(name, self._contained_type, _choice(name, text, ("container", "contained")))

    def _containment(self) -> Containment:
        asked = Containment(self._contained == "true", self._contained_type != "contained")
        self._check_contained(asked)
        return asked

    def _check_contained(self, asked: Containment) -> None:
        """Refuse what contained resources, or the resources that contain them, cannot be asked."""
        if asked.whole and any(one.parameter.code not in _OF_CONTAINERS for one in self._sort):
            raise NotSupported(
                f"_sort with {_CONTAINED}: the containers are of any type, so they are sorted by _id and _lastUpdated "
                f"alone; {_CONTAINED_TYPE}=contained sorts by the parameters of what is searched for.",
                expression="_sort")  # fmt: skip
        if not asked.whole and any(one.reverse for one in self._includes):
            raise NotSupported(
                f"_revinclude with {_CONTAINED_TYPE}=contained: only its container can refer to a contained resource.",
                expression="_revinclude")  # fmt: skip

    def _criterion(self, name: str, text: str) -> Asked:
        """Read one criterion; of several types each must have its parameter."""
        names = self._types or ["Resource"]
        parse_ = _filter if name.partition(":")[0] == "_filter" else chain.parse
        read = [(one, parse_(one, name, text, self._reading)) for one in names]
        return read[0][1] if len(read) == 1 else chain.PerType(tuple(read))

    def _is_unknown(self, name: str) -> bool:
        """Tell whether lenient handling may leave a parameter out: never a chain."""
        code = name.partition(":")[0]
        names = self._types or ["Resource"]
        return not chain.is_chain(name) and any(code not in search_parameters.for_type(one) for one in names)

    def _sort_keys(self, text: str) -> list[SortKey]:
        keys = [sort_keys.read(part.strip(), self._types or ["Resource"]) for part in text.split(",")]
        if len(self._sort) + len(keys) > MOST_SORT_KEYS:
            raise InvalidSearch(f"_sort has more than {MOST_SORT_KEYS} keys.", expression="_sort")
        return keys

    def _check_fit(self) -> None:
        """Refuse an order of how well matches fit where the search asks for nothing that fits more or less."""
        asked = relevance.Relevance.asked(self._criteria) if self._sort else None
        for one in self._sort:
            if one.parameter == relevance.SCORE and asked and not asked.texts:
                raise InvalidSearch("_sort by _score is the order of search.score, which matches of _text and _content "
                                    "have; ask for one of them too.", expression="_sort")
            if one.parameter.code == near.PARAMETER and asked and not asked.points:
                raise InvalidSearch("_sort by near is the order of distances from where near=latitude|longitude asks "
                                    "for; ask for it too.", expression="_sort")

    def _include(self, code: str, modifier: str, text: str) -> Include:
        """Read one directive: https://hl7.org/fhir/R4/search.html#revinclude"""
        if modifier not in ("", "iterate"):
            hint = "; R4 calls it :iterate" if modifier == "recurse" else "; it has :iterate"
            raise InvalidSearch(f"{code} has no modifier :{modifier[:80]}{hint}.", expression=code)
        reverse, iterate = code == "_revinclude", modifier == "iterate"
        if text in ("*", "*:*"):  # the second as Microsoft's server writes it
            return Include("*", None, None, reverse, iterate)
        source, _, rest = text.partition(":")
        wanted, colon, target = rest.partition(":")
        if source not in RESOURCE_TYPES or not wanted or (colon and target not in RESOURCE_TYPES):
            raise InvalidSearch(
                f"{code}={text[:80]}: written as Type:parameter or Type:parameter:TargetType, for example "
                "Observation:subject:Patient; Type:* for all parameters, * for all of all types.",
                expression=code,
            )
        parameter = None if wanted == "*" else self._referring(code, text, source, wanted)
        allowed = RESOURCE_TYPES if parameter is None else chain.targets(parameter)
        if colon and target not in allowed:
            raise InvalidSearch(
                f"{code}={text[:80]}: {wanted} of {source} refers to {', '.join(sorted(allowed))}.", expression=code
            )
        if not iterate:  # what is included may be of any type
            self._sources.append((code, text, source, frozenset({target}) if target else allowed))
        return Include(source, parameter, target or None, reverse, iterate)

    def _referring(self, code: str, text: str, source: str, wanted: str) -> SearchParameter:
        try:
            parameter = criteria.parameter_of(source, wanted)
        except InvalidSearch as error:
            raise InvalidSearch(f"{code}: {error.diagnostics}", expression=code) from None
        if parameter.type != "reference":
            raise InvalidSearch(f"{code}={text[:80]}: {wanted} of {source} is no reference.", expression=code)
        return parameter

    def _check_include(self, code: str, text: str, source: str, targets: frozenset[str]) -> None:
        if not self._types:
            return
        if code == "_include" and source not in self._types:
            raise InvalidSearch(
                f"{code}={text[:80]}: the search is for {', '.join(self._types)}, whose references are meant; "
                "with :iterate also those of what is included.", expression=code,
            )  # fmt: skip
        if code == "_revinclude" and targets.isdisjoint(self._types):
            raise InvalidSearch(f"{code}={text[:80]}: this cannot refer to a {self._types[0]}.", expression=code)


def _filter(type_name: str, name: str, text: str, reading: Reading) -> Asked:
    if name != "_filter":
        raise InvalidSearch(f"{name[:80]}: _filter has no modifiers.", expression="_filter")
    asked: Asked = filter.parse(type_name, text, reading)
    return asked


def _once(name: str, before: T | None, value: T) -> T:
    if before is not None and before != value:
        raise InvalidSearch(f"{name} is given twice.", expression=name)
    return value


def _choice(name: str, text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise InvalidSearch(f"{name} is {text[:80]!r}; it must be one of {', '.join(choices)}.", expression=name)
    return text
