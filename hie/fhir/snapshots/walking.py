"""A differential beside the snapshot of its base, element by element: https://hl7.org/fhir/R4/profiling.html#slicing"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hie.errors import OutcomeIssue
from hie.fhir.snapshots import choices, merging, narrowing
from hie.fhir.snapshots.problems import place
from hie.fhir.snapshots.slices import Slices
from hie.fhir.snapshots.tree import Node

Json = dict[str, Any]

_TYPES = "http://hl7.org/fhir/StructureDefinition/"
_FHIRPATH = "http://hl7.org/fhirpath/"
_BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "ordered": False, "rules": "open"}
#: More would not be read.
MOST_ISSUES = 50

TreeOf = Callable[[str, tuple[str, ...]], Node | None]


class Walk:
    """Walks the differential of one profile; `issues` are what cannot be."""

    def __init__(
        self, tree_of: TreeOf, count: Callable[[Json], None], root: Node, above: tuple[str, ...], base_url: str
    ) -> None:
        self._tree_of, self._count, self._root = tree_of, count, root
        self._above, self._base_url = above, base_url
        self.issues: list[OutcomeIssue] = []

    def merged(self, base: Node, change: Node | None, within: bool = False) -> Node:
        """Return a node as the differential has it, with all that is below; `within`: it is in a slice."""
        if change is None:
            self._count(base.element or {})
            return Node(base.name, base.slice, base.element, [self.merged(one, None) for one in base.children])
        element, children = self._element(base, change), base.children
        self._count(element)
        if change.children and not children:
            children = self._unfolded(element, change)
            if "contentReference" in element:
                element = {name: value for name, value in element.items() if name != "contentReference"}
                element["type"] = [{"code": "BackboneElement"}]
        return Node(base.name, base.slice, element, self._below(children, change, within))

    # ---- one element -------------------------------------------------------------------------------------------------

    def _element(self, base: Node, change: Node) -> Json:
        before, said = base.element or {}, change.element
        if said is None:
            return before
        for told in narrowing.misfits(before, said, is_slice=change.slice is not None):
            self._wrong(change, told)
        profile = self._profile(said)
        if profile is not None:
            is_extension = said["type"][0].get("code") == "Extension"
            before = merging.told_by_profile(before, profile, is_extension=is_extension)
        found = merging.merged(before, said, source=self._above[-1], base_url=self._base_url)
        if change.slice is not None and base.slice is None and "slicing" not in said:
            found.pop("slicing", None)
        return found

    def _profile(self, said: Json) -> Json | None:
        """Return the root of the profile that a differential gives an element's one type; None where it is not here."""
        types = said.get("type", [])
        if len(types) != 1 or len(types[0].get("profile", [])) != 1:
            return None
        url = types[0]["profile"][0]
        if url.partition("|")[0] in self._above:  # a type that holds itself
            return None
        found = self._tree_of(url, self._above)
        return None if found is None else found.element

    def _wrong(self, change: Node, told: str) -> None:
        if len(self.issues) < MOST_ISSUES:
            named = (change.element or {}).get("id") or (change.element or {}).get("path") or change.label
            self.issues.append(OutcomeIssue("processing", f"{str(named)[:200]}: {told}", place(change.at)))

    # ---- what is below -----------------------------------------------------------------------------------------------

    def _below(self, base: list[Node], change: Node, within: bool) -> list[Node]:
        by_name: dict[str, list[Node]] = {}
        for one in base:
            by_name.setdefault(one.name, []).append(one)
        changes: dict[str, list[Node]] = {}
        stems = choices.stems(by_name)
        for one in change.children:
            meant = one if one.name in by_name else choices.as_slice(one, stems)
            changes.setdefault(meant.name, []).append(meant)
        found = [made for name, same in by_name.items() for made in self._group(same, changes.pop(name, []), within)]
        for unknown in (one for rest in changes.values() for one in rest):
            self._wrong(unknown, "the base has no such element here.")
        return found

    def _group(self, base: list[Node], changes: list[Node], within: bool) -> list[Node]:
        """Return an element and its slices."""
        whole = base[0]
        main = next((one for one in changes if one.slice is None), None)
        slices = {one.slice: one for one in changes if one.slice is not None}
        if not slices and len(base) == 1:
            return [self.merged(whole, main, within)]
        if len(base) == 1 and main is None and len(slices) == 1 and "slicing" not in (whole.element or {}):
            (only,) = slices.values()
            if choices.is_whole(whole, only, within):
                made = self.merged(whole, only.unsliced(), within)
                return [made if only.is_short else Node(made.name, only.slice, made.element, made.children)]
            main = choices.narrowed(whole, only, is_extension=self._root.name == "Extension")
        return self._sliced(base, self.merged(whole, main, within), slices)

    def _sliced(self, base: list[Node], first: Node, slices: dict[str, Node]) -> list[Node]:
        element, usual = first.element or {}, choices.by_type(first)
        if "slicing" not in element:
            usual = _BY_URL if first.name in ("extension", "modifierExtension") else usual
            if usual is None:
                self._wrong(next(iter(slices.values())), "it is a slice, and nothing says how slices are told apart.")
            element = element | {"slicing": usual or {}}
        elif usual is not None and not element["slicing"].get("discriminator"):
            element = element | {"slicing": usual | element["slicing"]}
        self._check_names(base, slices)
        found = Slices([first, *(self.merged(one, slices.pop(one.slice or "", None), True) for one in base[1:])])
        for name, change in slices.items():
            above = name.rpartition("/")[0]  # a/b is a slice of the slice a
            whole = found.named(above) if above else None
            found.add(self._new_slice(base[0] if whole is None else whole, change))
        first.element = choices.decided(element, found)
        return list(found)

    def _check_names(self, base: list[Node], slices: dict[str, Node]) -> None:
        """See that a slice is one of the base's, or none of them, where it says so.

        https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.sliceIsConstraining
        """
        known = {one.slice for one in base[1:]}
        for name, change in slices.items():
            told = (change.element or {}).get("sliceIsConstraining")
            if told is True and name not in known:
                self._wrong(change, "it says that it constrains a slice of the base, which has none of this name.")
            elif told is False and name in known:
                self._wrong(change, "it says that it is a new slice; the base has one of this name.")

    def _new_slice(self, whole: Node, change: Node) -> Node:
        """Return a new slice: the element as the base has it, of which there need not be any."""
        element = {name: value for name, value in (whole.element or {}).items() if name != "slicing"} | {"min": 0}
        made = self.merged(Node(whole.name, None, element, whole.children), change, True)
        return Node(made.name, change.slice, made.element, made.children)

    def _unfolded(self, element: Json, change: Node) -> list[Node]:
        """Return what is below an element of a data type, of its profile, or of another element's content."""
        if "contentReference" in element:
            found = _at(self._root, str(element["contentReference"]).rpartition("#")[2])
            if found is None:
                self._wrong(change, f"{element['contentReference']} names no element of the base.")
            return [] if found is None else found.children
        types = element.get("type", [])
        if len(types) > 1:
            types = [{"code": "Element"}]  # what all types have
        if not types or str(types[0].get("code", "")).startswith(_FHIRPATH):
            self._wrong(change, "there is nothing below it.")
            return []
        profiles = types[0].get("profile", [])
        url = profiles[0] if len(profiles) == 1 else _TYPES + str(types[0].get("code"))
        root = self._tree_of(url, self._above)
        if root is None:
            self._wrong(change, f"what is below it is defined by {url[:200]}, which is not known here.")
        return [] if root is None else root.children


def _at(root: Node, path: str) -> Node | None:
    """Find the element of a path, such as Questionnaire.item."""
    node = root
    for part in path.split(".")[1:]:
        found = next((one for one in node.children if one.name == part and one.slice is None), None)
        if found is None:
            return None
        node = found
    return node
