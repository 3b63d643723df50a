"""A snapshot of a profile, from its differential and the snapshot of its base: https://hl7.org/fhir/R4/profiling.html#snapshot"""

from __future__ import annotations

from typing import Any, Protocol

from hie.fhir import json_format
from hie.fhir.snapshots import merging, tree
from hie.fhir.snapshots.problems import SnapshotError, place, refused
from hie.fhir.snapshots.tree import Node
from hie.fhir.snapshots.walking import Walk

Json = dict[str, Any]

#: Elements of one snapshot, of one differential, and profiles that lead to one another.
MOST_ELEMENTS, MOST_CHANGED, MOST_DEEP = 20_000, 2_000, 12
#: Bytes of all elements together: each slice says again what its element does, however long that is.
MOST_BYTES = 20_000_000
#: Elements of all definitions that are read, of most of which a snapshot takes the first.
MOST_READ = 100_000


class Definitions(Protocol):
    """Where the definitions come from that a profile is made of."""

    def find(self, canonical: str) -> Json | None:
        """Return the StructureDefinition with this canonical URL, as it was published; None where it is not here."""


class Allowance:
    """What may be made: of one snapshot, or of all that one request makes."""

    def __init__(self) -> None:
        self._count = self._bytes = self._read = 0

    def count(self, element: Json) -> None:
        """Count an element; more than MOST_ELEMENTS, or than MOST_BYTES of them, are refused."""
        self._count += 1
        self._bytes += len(json_format.dump(element))
        if self._count > MOST_ELEMENTS or self._bytes > MOST_BYTES:
            raise refused(f"The snapshot would be made of more than {MOST_ELEMENTS} elements, or {MOST_BYTES} bytes.",
                          "StructureDefinition.differential", "too-costly")

    def read(self, number: int) -> None:
        """Count the elements of a definition that is read; more than MOST_READ are refused."""
        self._read += number
        if self._read > MOST_READ:
            raise refused(f"The definitions that it is made of have more than {MOST_READ} elements.",
                          "StructureDefinition.differential", "too-costly")


def generated(definition: Json, definitions: Definitions, allowance: Allowance | None = None) -> Json:
    """Return a profile with its snapshot, made anew; SnapshotError."""
    return _Generator(definitions, allowance or Allowance()).with_snapshot(definition, ())


class _Generator:
    """Makes the snapshot of one profile, and those of the profiles that it is made of."""

    def __init__(self, definitions: Definitions, allowance: Allowance) -> None:
        self._definitions, self._allowance = definitions, allowance
        self._trees: dict[str, Node | None] = {}

    def with_snapshot(self, definition: Json, above: tuple[str, ...]) -> Json:
        """Return a definition with a snapshot made anew; `above`: those for which it is made."""
        url, base_url = str(definition.get("url")), str(definition.get("baseDefinition", ""))
        if definition.get("derivation") != "constraint":
            raise refused("A snapshot is generated of a profile, of which derivation is constraint.",
                          "StructureDefinition.derivation", "not-supported")
        above = (*above, url)
        base = self.tree_of(base_url, above)
        if base is None:
            raise refused(f"The base definition {base_url[:200]} is not known here.",
                          "StructureDefinition.baseDefinition", "not-found")
        walk = Walk(self.tree_of, self._allowance.count, base, above, base_url.partition("|")[0])
        snapshot = list(tree.written(walk.merged(base, _change(definition, base))))
        if walk.issues:
            raise SnapshotError(walk.issues)
        kept = {name: value for name, value in definition.items() if name not in ("snapshot", "differential")}
        last = {name: value for name, value in definition.items() if name == "differential"}
        return kept | {"snapshot": {"element": snapshot}} | last

    def tree_of(self, canonical: str, above: tuple[str, ...]) -> Node | None:
        """Return the tree of a definition's snapshot, made where it has none; None where it is not here."""
        if canonical not in self._trees:
            url = canonical.partition("|")[0]
            if url in above or len(above) > MOST_DEEP:
                raise _astray((*above, url))
            found = self._definitions.find(canonical)
            if found is not None and not found.get("snapshot", {}).get("element"):
                try:
                    found = self.with_snapshot(found, above)
                except SnapshotError as error:
                    raise error.below(url) from None
            if found is not None:
                self._allowance.read(len(found["snapshot"]["element"]))
            self._trees[canonical] = None if found is None else _inherited(found)
        return self._trees[canonical]


def _astray(above: tuple[str, ...]) -> SnapshotError:
    """Return the error of profiles that come to no end."""
    told = ' > '.join(above)[:800]
    if above[-1] in above[:-1]:
        first = refused(f"The profiles lead to one another: {told}.", "StructureDefinition.baseDefinition")
    else:
        first = refused(f"More than {MOST_DEEP} profiles stand on one another: {told}.",
                        "StructureDefinition.baseDefinition", "too-costly")
    return SnapshotError(first.issues, of=above[-1])


def _change(definition: Json, base: Node) -> Node:
    """Read the differential as a tree of the base's type."""
    elements = definition.get("differential", {}).get("element", [])
    if len(elements) > MOST_CHANGED:
        raise refused(f"The differential has {len(elements)} elements; at most {MOST_CHANGED} are put together.",
                      place(None), "too-costly")
    try:
        change = tree.read(elements)
    except tree.Misplaced as error:
        raise refused(str(error), place(error.at)) from None
    if change.name not in ("", base.name):
        raise refused(f"The differential is of {change.name[:80]!r}, its base of {base.name}.", place(0))
    return change


def _inherited(definition: Json) -> Node:
    """Read a snapshot as what profiles inherit."""
    url = str(definition.get("url"))
    if len(definition["snapshot"]["element"]) > MOST_ELEMENTS:
        raise refused(f"The snapshot of {url[:200]} has more than {MOST_ELEMENTS} elements.",
                      "StructureDefinition.baseDefinition", "too-costly")
    try:
        return tree.read([merging.inherited(one, url) for one in definition["snapshot"]["element"]])
    except tree.Misplaced as error:
        raise refused(f"The snapshot of {url[:200]} cannot be read: {error}", "StructureDefinition.baseDefinition"
                      ) from None
