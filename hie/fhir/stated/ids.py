"""Ids of elements, in the data and in narratives: https://hl7.org/fhir/R4/narrative.html#id

Each is there once in a resource, what it contains included, so that `#id` means one thing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem

from .walk import Found


class Ids:
    """The ids of the elements seen so far, by the resource that they are of."""

    def __init__(self) -> None:
        self._of: dict[str, set[str]] = defaultdict(set)

    def of(self, one: Found) -> Iterator[Problem]:
        """Tell the id of an element that another one has; those of definitions' elements go by rules of their own."""
        id_ = one.value.get("id")
        if isinstance(id_, str) and one.path != one.resource and one.type != "ElementDefinition":
            yield from self.add(one, (id_,), ".id")

    def add(self, one: Found, ids: Iterable[str], where: str) -> Iterator[Problem]:
        """Tell those ids that are there already."""
        known = self._of[one.root]
        for id_ in ids:
            if id_ in known:
                yield where, "error", "duplicate", f"Another element of the resource has the id {shown(id_)}."
            known.add(id_)

    def known(self, root: str) -> set[str]:
        """Give the ids of a resource."""
        return self._of[root]
