"""Observation/$lastn: https://hl7.org/fhir/R4/observation-operation-lastn.html

Matches are read from the most recent on; of each group of equivalent codes only those are kept that will be answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, InvalidSearch, TooCostly
from hie.fhir import bundle, json_format, search_parameters, summary
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import link
from hie.fhir.summary import Selection
from hie.interactions import search
from hie.operations import scanning
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.opening import size_of
from hie.store.search import inclusion
from hie.store.search import query as search_query
from hie.store.search.query import SearchQuery
from hie.store.search.sort_keys import SortKey
from hie.store.terminology import Later
from hie.store.versions import StoredVersion

#: One answer holds so many resources at most.
MOST = 10_000
_HINT = "ask for a smaller max, a category, a code or a date, or for some elements."
_SUBJECTS = frozenset({"patient", "subject"})
#: They mean pages and an order, of which $lastn has its own.
_REFUSED = frozenset({"_count", "_sort", "_total", "_cursor"})

Code = tuple[str, str]
"""System and code; of a code that is text alone, "text:" and the text."""


def lastn(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the most recent Observations that match, `max` of each group of codes, and what ties with the last."""
    query = _query(request, ctx)
    selection = summary.asked(request, "Observation")
    counts_only = selection is not None and selection.counts_only
    is_cut_before = counts_only or not query.includes  # what they include is read from all that they refer to
    groups = Groups(_max(request), selection if is_cut_before else None)
    for page in scanning.pages(query, ctx, "name a category, a code or a date."):
        for stored in page:
            groups.add(stored, json_format.parse(stored.content or b"{}"))
    matches = list(groups.members())
    shown_matches = [] if counts_only else matches
    included, is_cut = inclusion.included(ctx.store, query.includes, shown_matches) if query.includes else ([], False)
    rows = list(search.outcomes(query, len(included), "a smaller max or a narrower search leads to less" if is_cut
                                else None))  # fmt: skip
    of_included = selection and selection.of_included()
    of_matches = None if is_cut_before else selection
    for mode, versions, part in (("match", shown_matches, of_matches), ("include", included, of_included)):
        for one in versions:
            content = one.content or b"{}"
            shown = content if part is None else part.of(json_format.parse(content))
            rows.append(bundle.match_entry(ctx.base_url, one.type, one.id, shown, mode))
    most = tuple(pair for pair in request.parameters if pair[0] == "max")
    links = [("self", link(f"{ctx.base_url}/Observation/$lastn", (*query.self_link, *most)))]
    return FhirResponse(200, bundle.listing("searchset", ctx.new_id(), ctx.clock(), links, rows, len(matches)))


def _query(request: FhirRequest, ctx: Context) -> SearchQuery:
    asked = [pair for pair in request.parameters if pair[0] != "max"]
    for name, _ in asked:
        if name in _REFUSED:
            raise InvalidSearch(f"$lastn has no {name}: it answers the last of each code, the most recent first; "
                                "max says how many.", expression=name)
    named = {name.partition(":")[0].partition(".")[0] for name, _ in asked if not name.endswith((":missing", ":not"))}
    if not named & _SUBJECTS:
        raise InvalidRequest("$lastn needs a subject: the search parameter patient or subject.", expression="subject")
    query = search_query.parse(
        "Observation", asked, handling=request.preferences.handling, base_url=ctx.base_url, now=ctx.clock(),
        terminology=Later(ctx.store),
    )  # fmt: skip
    date = search_parameters.for_type("Observation")["date"]
    return replace(query, sort=(SortKey(date, descending=True),))


def _max(request: FhirRequest) -> int:
    given = [value for name, value in request.parameters if name == "max"]
    text = given[0] if given else "1"
    if len(given) > 1 or not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise InvalidRequest(f"max is {', '.join(given)[:80]!r}; it must be one whole number from 1.", expression="max")
    return int(text)


# ---- groups ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """Observations of equivalent codes, the most recent first; `merged` names the group that took this one in."""

    kept: list[tuple[int | None, StoredVersion]] = field(default_factory=list)
    merged: _Group | None = None

    def root(self) -> _Group:
        group = self
        while group.merged is not None:
            group = group.merged
        return group


class Groups:
    """Resources by a concept, as Observations by their code: codes of one are equal, and equality is transitive.

    `shown`: the part of each that is kept; None: all of it. `hint` says how to ask for less, `expression` by what.
    `undated_tie`: what has no date is as recent as any other without one, where nothing of the group has one.
    """

    def __init__(
        self, most: int, shown: Selection | None = None, *, element: str = "code", hint: str = _HINT,
        expression: str = "max", undated_tie: bool = False,
    ) -> None:  # fmt: skip
        self._most, self._of_code, self._shown = most, dict[Code, _Group](), shown
        self._element, self._hint, self._expression, self._undated_tie = element, hint, expression, undated_tie
        self._kept = 0
        self._room = scanning.Kept(hint, expression)

    def add(self, stored: StoredVersion, resource: dict[str, Any]) -> None:
        """Take the next one, not more recent than the one before."""
        when = next((one[1] for one in search_parameters.extract(resource).dates if one[0] == "date"), None)
        group = self._group(_codes(resource.get(self._element) or {}))
        before = len(group.kept)
        is_tie = before > 0 and group.kept[-1][0] == when and (when is not None or self._undated_tie)
        if before < self._most or is_tie:
            kept = as_shown(stored, resource, self._shown)
            group.kept.append((when, kept))
            self._kept += 1
            self._room.take(len(kept.content or b""))
        if self._kept > MOST:
            raise TooCostly(f"More than {MOST} resources would be answered; {self._hint}",
                            expression=self._expression)

    def members(self) -> Iterator[StoredVersion]:
        """Yield what was kept, group after group, the group with the most recent one first."""
        roots = {id(group.root()): group.root() for group in self._of_code.values()}
        for group in sorted(roots.values(), key=lambda one: _newest_first(one.kept[0][0])):
            yield from (stored for _, stored in group.kept)

    def _group(self, codes: list[Code]) -> _Group:
        known = {id(root): root for code in codes if code in self._of_code for root in [self._of_code[code].root()]}
        roots = list(known.values())
        group = roots[0] if roots else _Group()
        for other in roots[1:]:
            other.merged = group
        if len(roots) > 1:
            together = sorted((one for root in roots for one in root.kept), key=lambda one: _newest_first(one[0]))
            self._kept -= len(together)
            group.kept = _last(together, self._most)
            self._kept += len(group.kept)
            self._room.take(-size_of(version for _, version in together[len(group.kept) :]))
        self._of_code.update(dict.fromkeys(codes, group))
        return group


def as_shown(stored: StoredVersion, resource: dict[str, Any], selection: Selection | None) -> StoredVersion:
    """Return what is kept of a resource: the part that will be shown."""
    if selection is None:
        return stored
    return stored._replace(content=None if selection.counts_only else json_format.dump(selection.of(resource)))


def _newest_first(when: int | None) -> tuple[bool, int]:
    return when is None, -(when or 0)


def _last(sorted_: list[tuple[int | None, StoredVersion]], most: int) -> list[tuple[int | None, StoredVersion]]:
    end = min(most, len(sorted_))
    while end < len(sorted_) and sorted_[end][0] is not None and sorted_[end][0] == sorted_[end - 1][0]:
        end += 1
    return sorted_[:end]


def _codes(concept: Any) -> list[Code]:
    """Return what the concept's group is found by: its codes, or the text of a concept without any."""
    codings = [one for one in concept.get("coding", []) if one.get("code")]
    if codings:
        return [(one.get("system", ""), one["code"]) for one in codings]
    shown = next((one["display"] for one in concept.get("coding", []) if one.get("display")), "")
    return [("text:", concept.get("text") or shown)]


OPERATION = Operation(
    code="lastn",
    levels=frozenset({"type"}),
    types=frozenset({"Observation"}),
    function=lastn,
    definition="http://hl7.org/fhir/OperationDefinition/Observation-lastn",
    parameters=standard_parameters("lastn@Observation", {
        "max": "So many of each group of codes, and what ties with the last of them; 1 unless given."}),
    returns=standard_returns("lastn@Observation", {
        "return": "A Bundle of the type searchset, the group with the most recent Observation first."}),
    documentation="The most recent Observations of each code of a subject. Beside max all search parameters of "
                  "Observation are taken, `patient` or `subject` among them, with their modifiers and chains.",
    takes_search=frozenset({"_summary", "_elements", "_include", "_revinclude", "_has", "_list", "_not-referenced"}),
)
