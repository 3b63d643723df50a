"""The keys of _sort, read: parameters of what is searched, and of what that refers to.

`-date`, `family`; `patient.family`, `subject:Patient.birthdate`, `encounter.service-provider.name` as chains are
written, and `Patient:subject.family` as HAPI writes them. https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hie.errors import InvalidSearch
from hie.fhir import search_parameters
from hie.fhir.facts import RESOURCE_TYPES
from hie.fhir.search_parameters import SearchParameter
from hie.store.search import chain, criteria, date, near, relevance
from hie.store.search.chain import Depth, HopReader

_ORDERED = frozenset({"date", "number", "quantity"})
_DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Path:
    """The references by a parameter, and what is sorted by of the types to which they lead."""

    parameter: SearchParameter
    ends: tuple[tuple[str, Path | SearchParameter], ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of _sort."""

    parameter: SearchParameter
    """Of a chain the first: by what matches refer."""
    descending: bool
    paths: tuple[tuple[str, Path], ...] = ()
    """What is sorted by lies behind these references, of each type that is searched; empty: it is the match's own."""
    chained: str = ""
    """The chain as it was written."""

    @property
    def name(self) -> str:
        """What is sorted by."""
        return self.chained or self.parameter.code


def read(text: str, type_names: Sequence[str]) -> SortKey:
    """Read one key of a search for some types, each of which must have it. InvalidSearch, NotSupported."""
    name, falls = text.removeprefix("-"), text.startswith("-")
    if name == relevance.SCORE.code:
        return SortKey(relevance.SCORE, falls)
    if "." in name:
        return _chained(name, falls, type_names)
    known = common(type_names)
    if name in known:
        for type_name in type_names:
            criteria.parameter_of(type_name, name)
    if name not in known or not is_sortable(known[name]):
        raise _refused(text, name, known, " and ".join(type_names))
    return SortKey(known[name], falls)


def _refused(text: str, name: str, known: dict[str, SearchParameter], types: str) -> InvalidSearch:
    reason = "cannot be sorted by for" if name in known else "is no parameter of"
    sortable = sorted(one.code for one in known.values() if is_sortable(one))
    named, _, direction = name.partition(":")
    if direction in _DIRECTIONS and named in known:
        reason = f"has no direction behind it: {named} is ascending, -{named} descending. It is no parameter of"
    return InvalidSearch(
        f"_sort={text[:80]}: {name[:80]!r} {reason} {types[:200]}; it can be sorted by {', '.join(sortable)}.",
        expression="_sort",
    )  # fmt: skip


def common(type_names: Sequence[str]) -> dict[str, SearchParameter]:
    """Return the parameters that every one of the types has, of one kind; each as it is of the first."""
    first, *others = (search_parameters.for_type(one) for one in type_names)
    return {code: one for code, one in first.items()
            if all(code in known and known[code].type == one.type for known in others)}


def is_sortable(parameter: SearchParameter) -> bool:
    """Tell whether _sort takes a parameter: one that is of several parts, or of none, has no order."""
    if parameter.code == near.PARAMETER and parameter.is_special:
        return True
    return parameter.type not in ("composite", "special") and not parameter.is_special


def is_ordered(parameter: SearchParameter) -> bool:
    """Tell whether a parameter's order stands in the index; that of names, codes and dates of birth never does."""
    if parameter.code == "_id":
        return True
    return parameter.type in _ORDERED and parameter.code not in date.BLIND and not parameter.is_special


# ---- what matches refer to -------------------------------------------------------------------------------------------


def _chained(name: str, falls: bool, type_names: Sequence[str]) -> SortKey:
    written, whole = ".".join(map(_type_behind, name.split("."))), f"_sort={name[:200]}"
    paths = tuple((one, _PathReader(whole, "_sort").path(one, written, Depth())) for one in type_names)
    _check_kinds(whole, paths)
    return SortKey(paths[0][1].parameter, falls, paths, name)


def _type_behind(hop: str) -> str:
    """Return a hop as chains are written; HAPI names the type in front of the reference."""
    type_name, colon, code = hop.partition(":")
    return f"{code}:{type_name}" if colon and type_name in RESOURCE_TYPES else hop


class _PathReader(HopReader):
    """Reads what is sorted by over references, by the rules of chained criteria."""

    def path(self, type_name: str, name: str, depth: Depth) -> Path:
        """Read a chain of a type."""
        self.check_depth(depth)
        head, _, rest = name.partition(".")
        if head.startswith(("_has", "_list", chain.NOT_REFERENCED)):
            raise self.not_supported(": sorted is by what matches refer to, not by what refers to them.")
        parameter, known = self.hop(type_name, head, rest, "")
        below = depth.further(branches=len(known) > 1)
        path = Path(parameter, tuple((one, self._behind(one, rest, below)) for one in known))
        if chain.is_inside(parameter):
            self._check_inside(path)
        return path

    def _check_inside(self, path: Path) -> None:
        """Refuse what a resource inside a Bundle cannot be asked."""
        for _, below in path.ends:
            if isinstance(below, Path):
                self._check_inside(below)
            if not _is_within(below):
                raise self.not_supported(": a resource inside a Bundle is sorted by what it says, and by what it "
                                         "refers to in the Bundle; not by canonical URLs and _lastUpdated.")

    def _behind(self, type_name: str, name: str, depth: Depth) -> Path | SearchParameter:
        if "." in name:
            return self.path(type_name, name, depth)
        self.check_depth(depth)
        self.count_end()
        return self._end(type_name, name)

    def _end(self, type_name: str, name: str) -> SearchParameter:
        code, colon, behind = name.partition(":")
        if behind in _DIRECTIONS:
            raise self.invalid("has no direction behind it: - in front of it is descending")
        if colon:
            raise self.invalid(f"ends in {name[:80]!r}: what is sorted by has no modifier")
        try:
            parameter = criteria.parameter_of(type_name, code)
        except InvalidSearch as error:
            raise InvalidSearch(f"{self._whole}: {error.diagnostics}", expression="_sort") from None
        if not is_sortable(parameter) or parameter.is_special:
            raise self.invalid(f"ends in {code}, which {type_name} cannot be sorted by")
        return parameter


def _is_within(below: Path | SearchParameter) -> bool:
    """Tell whether a resource inside a Bundle says it, or it stands in the same Bundle."""
    if isinstance(below, SearchParameter):
        return below.code != "_lastUpdated"
    return not chain.is_canonical(below.parameter) and not chain.is_inside(below.parameter)


def _check_kinds(whole: str, paths: tuple[tuple[str, Path], ...]) -> None:
    """Refuse values of several kinds, which have no order among each other."""
    kinds = {one.type: name for path in paths for name, one in _ends(*path)}
    if len(kinds) > 1:
        told = ", ".join(f"{kind} for {name}" for kind, name in sorted(kinds.items()))
        raise InvalidSearch(f"{whole} is of several kinds ({told}), which are not compared; name the type, as in "
                            "subject:Patient.family.", expression="_sort")


def _ends(type_name: str, found: Path | SearchParameter) -> Iterator[tuple[str, SearchParameter]]:
    """Yield each parameter in which a chain ends, with its type."""
    if isinstance(found, SearchParameter):
        yield type_name, found
        return
    for one, below in found.ends:
        yield from _ends(one, below)
