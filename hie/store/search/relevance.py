"""How well a match fits where that can be said: search.score of full text, the distance of near.

https://hl7.org/fhir/R4/search.html#relevance
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hie.store.opening import parsed
from hie.store.search import near
from hie.store.search.chain import PerType
from hie.store.search.criteria import Criterion
from hie.store.search.near import Near
from hie.store.search.query import SearchQuery
from hie.store.search.words import FullText, score
from hie.store.versions import StoredVersion


def told(query: SearchQuery, matches: Sequence[StoredVersion]) -> tuple[dict[str, Any], ...]:
    """Return elements of Bundle.entry.search for each match; nothing where the search asks for neither."""
    asked = [one.by_type[0][1] if isinstance(one, PerType) else one for one in query.criteria]
    values = [value for one in asked if isinstance(one, Criterion) for value in one.values]
    texts = [value for value in values if isinstance(value, FullText)]
    points = [value for value in values if isinstance(value, Near)]
    if not texts and not points:
        return ()
    return tuple(_of_one(parsed(match), texts, points) for match in matches)


def _of_one(resource: dict[str, Any], texts: list[FullText], points: list[Near]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    distances = [one for point in points if (one := near.distance(point, resource)) is not None]
    if distances:
        found["extension"] = [min(distances, key=lambda one: one["valueDistance"]["value"])]
    if texts:
        found["score"] = round(sum(score(value, resource) for value in texts) / len(texts), 4)
    return found
