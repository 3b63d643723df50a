"""How well a match fits where that can be said: search.score of full text, the distance of near; and what sorts by it.

https://hl7.org/fhir/R4/search.html#relevance
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hie.fhir.search_parameters import SearchParameter
from hie.store.opening import parsed
from hie.store.search import near
from hie.store.search.chain import Asked, PerType
from hie.store.search.criteria import Criterion
from hie.store.search.near import Near
from hie.store.search.words import FullText, score
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.search.query import SearchQuery

#: What `_sort=_score` sorts by; no parameter that can be asked for.
SCORE = SearchParameter("_score", "special", "Resource", None, frozenset(), (), "", frozenset(), is_special=True)


@dataclass(frozen=True, slots=True)
class Relevance:
    """What a search asks for that fits more or less well."""

    texts: tuple[FullText, ...]
    points: tuple[Near, ...]

    @classmethod
    def asked(cls, criteria: Sequence[Asked]) -> Relevance:
        """Return what the criteria of a search say by themselves, not at the end of a chain."""
        own = [one.by_type[0][1] if isinstance(one, PerType) else one for one in criteria]
        values = [value for one in own if isinstance(one, Criterion) for value in one.values]
        return cls(tuple(value for value in values if isinstance(value, FullText)),
                   tuple(value for value in values if isinstance(value, Near)))

    def score(self, resource: dict[str, Any]) -> float:
        """Return how well a resource fits the texts, from 0 to 1."""
        return round(sum(score(value, resource) for value in self.texts) / len(self.texts), 4)

    def nearest(self, resource: dict[str, Any]) -> tuple[float, Near] | None:
        """Return how many metres a resource is from the nearest of the points; None where it has no position."""
        found = near.position(resource)
        if found is None or not self.points:
            return None
        return min(((near.metres(point, found), point) for point in self.points), key=lambda one: one[0])

    def place(self, code: str, resource: dict[str, Any]) -> float | None:
        """Return what `_sort` by `_score` or `near` compares: the best fit, and the nearest place, come first."""
        if code == SCORE.code:
            return -self.score(resource)
        found = self.nearest(resource)
        return found and found[0]

    def told(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Return elements of Bundle.entry.search."""
        found: dict[str, Any] = {}
        nearest = self.nearest(resource)
        if nearest is not None:
            found["extension"] = [near.distance(nearest[1], nearest[0])]
        if self.texts:
            found["score"] = self.score(resource)
        return found


def told(query: SearchQuery, matches: Sequence[StoredVersion]) -> tuple[dict[str, Any], ...]:
    """Return elements of Bundle.entry.search for each match; nothing where the search asks for neither."""
    asked = Relevance.asked(query.criteria)
    if not asked.texts and not asked.points:
        return ()
    return tuple(asked.told(parsed(match)) for match in matches)
