"""The parameters of a search request -> a SearchQuery; pure, no database. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hie.errors import InvalidSearch, NotSupported
from hie.fhir import search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.paging import CURSOR
from hie.fhir.search_parameters import SearchParameter
from hie.store.search import chain, criteria, date
from hie.store.search.chain import Asked
from hie.store.search.criteria import Reading

if TYPE_CHECKING:
    from hie.fhir.terminology import Terminology

MOST_PARAMETERS = 100
MOST_SORT_KEYS = 5
#: They say how the answer looks; the search does not read them.
RESULT_PARAMETERS = frozenset({"_format", "_pretty", "_summary", "_elements"})
_LATER = frozenset(
    {"_text", "_content", "_list", "_query", "_filter", "_contained", "_containedType", "_type", "_score"}
)
T = TypeVar("T")
_TOTALS = ("none", "estimate", "accurate")
_SORTABLE = frozenset({"date", "number", "quantity"})


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of _sort."""

    parameter: SearchParameter
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """One _include or, `reverse`, _revinclude: the references of `source` by `parameter`, to `target` only if said."""

    source: str
    parameter: SearchParameter
    target: str | None
    reverse: bool


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search that was understood; `type` None: over all types."""

    type: str | None
    criteria: tuple[Asked, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = 20
    total: str | None = None
    """What _total asked for; None: a total where it is cheap (hie.store.search.engine)."""
    includes: tuple[Include, ...] = ()
    cursor: str | None = None
    result: tuple[tuple[str, str], ...] = ()
    """_format, _pretty, _summary, _elements as they were given."""
    ignored: tuple[str, ...] = ()
    """Unknown parameters that Prefer: handling=lenient left out."""
    self_link: tuple[tuple[str, str], ...] = ()
    """The parameters as they were understood: without ignored ones, _count as it was cut, without the cursor."""


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
) -> SearchQuery:
    """Read the parameters of a search. InvalidSearch or NotSupported says which parameter cannot be answered.

    `now` (microseconds) is what the prefix ap measures from; `terminology` is asked by modifiers such as :in.
    """
    if len(parameters) > MOST_PARAMETERS:
        raise InvalidSearch(f"The search has {len(parameters)} parameters; at most {MOST_PARAMETERS} are accepted.")
    reading = Reading(base_url, now, terminology)
    return _Reader(type_name, handling == "lenient", max_count, reading).read(parameters, default_count)


class _Reader:
    """Reads one search, parameter by parameter."""

    def __init__(self, type_name: str | None, lenient: bool, max_count: int, reading: Reading) -> None:
        self._type = type_name
        self._lenient, self._max_count, self._reading = lenient, max_count, reading
        self._criteria: list[Asked] = []
        self._sort: list[SortKey] = []
        self._includes: list[Include] = []
        self._count: int | None = None
        self._total: str | None = None
        self._cursor: str | None = None
        self._result: list[tuple[str, str]] = []
        self._ignored: list[str] = []
        self._self_link: list[tuple[str, str]] = []

    def read(self, parameters: Sequence[tuple[str, str]], default_count: int) -> SearchQuery:
        for name, text in parameters:
            self._read_one(name, text)
        count = default_count if self._count is None else self._count
        if ("_summary", "count") in self._result:
            count = 0
        return SearchQuery(
            self._type, tuple(self._criteria), tuple(self._sort), count, self._total,
            tuple(dict.fromkeys(self._includes)), self._cursor, tuple(self._result), tuple(self._ignored),
            tuple(self._self_link),
        )  # fmt: skip

    def _read_one(self, name: str, text: str) -> None:
        code, _, modifier = name.partition(":")
        if name in RESULT_PARAMETERS:
            self._result.append((name, text))
        elif name == CURSOR:
            self._cursor = _once(name, self._cursor, text)
            return
        elif name == "_count":
            self._count = _once(name, self._count, _count(text, self._max_count))
            text = str(self._count)
        elif name == "_total":
            self._total = _once(name, self._total, _choice(name, text, _TOTALS))
        elif name == "_sort":
            self._sort += self._sort_keys(text)
        elif code in ("_include", "_revinclude"):
            self._includes.append(self._include(code, modifier, text))
        elif code in _LATER:
            raise NotSupported(f"{code} is not supported yet.", expression=code)
        elif chain.is_chain(name):
            self._criteria.append(chain.parse(self._type or "Resource", name, text, self._reading))
        elif self._is_unknown(code) and self._lenient:
            self._ignored.append(name)
            return
        else:
            self._criteria.append(criteria.parse(self._type or "Resource", name, text, self._reading))
        self._self_link.append((name, text))

    def _is_unknown(self, code: str) -> bool:
        """Tell whether lenient handling may leave a parameter out."""
        return code not in search_parameters.for_type(self._type or "Resource")

    def _sort_keys(self, text: str) -> list[SortKey]:
        keys = [self._sort_key(part.strip()) for part in text.split(",")]
        if len(self._sort) + len(keys) > MOST_SORT_KEYS:
            raise InvalidSearch(f"_sort has more than {MOST_SORT_KEYS} keys.", expression="_sort")
        return keys

    def _sort_key(self, text: str) -> SortKey:
        code = text.removeprefix("-")
        type_name = self._type or "Resource"
        known = search_parameters.for_type(type_name)
        if code in known:
            criteria.parameter_of(type_name, code)
        if code not in known or not is_sortable(known[code]):
            reason = "is no parameter of" if code not in known else "cannot be sorted by for"
            sortable = sorted(one.code for one in known.values() if is_sortable(one))
            raise InvalidSearch(
                f"_sort={text[:80]}: {code[:80]!r} {reason} {type_name}; it can be sorted by {', '.join(sortable)}.",
                expression="_sort",
            )
        return SortKey(known[code], text.startswith("-"))

    def _include(self, code: str, modifier: str, text: str) -> Include:
        name = f"{code}:{modifier}" if modifier else code
        if modifier in ("iterate", "recurse"):
            raise NotSupported(f"{name} is not supported yet; {code} without it is.", expression=name)
        if modifier:
            raise InvalidSearch(f"{code} has no modifier :{modifier[:80]}.", expression=code)
        source, _, rest = text.partition(":")
        wanted, colon, target = rest.partition(":")
        if text == "*" or wanted == "*":
            raise NotSupported(f"{code}={text[:80]}: * is not supported; name each parameter.", expression=code)
        if source not in RESOURCE_TYPES or not wanted:
            raise InvalidSearch(
                f"{code}={text[:80]}: written as Type:parameter or Type:parameter:TargetType, for example "
                "Observation:subject:Patient.",
                expression=code,
            )
        parameter = self._named(code, source, wanted)
        if parameter.type != "reference":
            raise InvalidSearch(f"{code}={text[:80]}: {wanted} of {source} is no reference.", expression=code)
        targets = frozenset({parameter.restricts[1]}) if parameter.restricts else parameter.targets
        if colon and target not in targets:
            raise InvalidSearch(
                f"{code}={text[:80]}: {wanted} of {source} refers to {', '.join(sorted(targets))}.", expression=code
            )
        self._check_include(code, text, source, targets, target)
        return Include(source, parameter, target or None, code == "_revinclude")

    def _named(self, code: str, source: str, wanted: str) -> SearchParameter:
        try:
            return criteria.parameter_of(source, wanted)
        except InvalidSearch as error:
            raise InvalidSearch(f"{code}: {error.diagnostics}", expression=code) from None

    def _check_include(self, code: str, text: str, source: str, targets: frozenset[str], target: str) -> None:
        if self._type is None:
            return
        if code == "_include" and source != self._type:
            raise InvalidSearch(
                f"{code}={text[:80]}: the search is for {self._type}, whose references are meant.", expression=code
            )
        if code == "_revinclude" and self._type not in ({target} if target else targets):
            raise InvalidSearch(f"{code}={text[:80]}: this cannot refer to a {self._type}.", expression=code)


def is_sortable(parameter: SearchParameter) -> bool:
    """Tell whether _sort takes a parameter: its order must stand in the index, and a birth date's never does."""
    if parameter.code == "_id":
        return True
    return parameter.type in _SORTABLE and parameter.code not in date.BLIND and not parameter.is_special


def _once(name: str, before: T | None, value: T) -> T:
    if before is not None and before != value:
        raise InvalidSearch(f"{name} is given twice.", expression=name)
    return value


def _choice(name: str, text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise InvalidSearch(f"{name} is {text[:80]!r}; it must be one of {', '.join(choices)}.", expression=name)
    return text


def _count(text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidSearch(f"_count is {text[:80]!r}; it must be a whole number from 0.", expression="_count")
    return min(int(text), most)
