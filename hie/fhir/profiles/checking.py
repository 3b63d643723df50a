"""Whether values are as a profile's elements say: https://hl7.org/fhir/R4/profiling.html

The base rules of R4 are not repeated here: what profiles add is checked, on a resource that is valid without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hie.fhir import json_format
from hie.fhir.fhirpath import Element, FhirPathError, Watch, compile_once, model
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Issue, Severity

from . import bindings, constraints, extensions, limits, matching, references, slicing
from .base_types import SIMPLE_QUANTITY, base_type, is_base, is_of
from .library import Definition, Library, Stored
from .place import Around, Place, of_resource
from .resolving import Elsewhere
from .tree import Node

MAX_DEEP = 40
"""Profiles that lead to one another: a Bundle's entries refer in circles."""
MAX_CHECKS = 200_000
"""Of values by elements; and as many of what a definition has several of: slices, invariants, profiles of one type."""
MAX_ISSUES = 500
"""Of errors, and as many of what is less: that must not crowd out an error."""
MAX_TEXT = 2_000
"""Characters of one issue: what a definition says of itself may be long, and be said for each value."""
MAX_SECONDS = 1.0
MAX_LOOKED_AT = 200_000

InValueSet = Callable[[str, "str | None", str], "bool | None"]
"""Asks the terminology: canonical of the value set, system, code."""


class TooMuch(Exception):
    """More would be compared than one validation may."""


class Check:
    """One validation: what it found, and what it may ask."""

    def __init__(
        self, library: Library, terminology: Callable[[Definition], InValueSet], only: Stored | None = None,
        targets: Elsewhere | None = None,
    ) -> None:
        self.library = library
        self.only_stored = only is not None
        """Extensions are judged by stored definitions alone; another check asks the others."""
        self.elsewhere = only
        """Where a definition may be that the library has not."""
        self.targets = targets
        self.watch = Watch(MAX_SECONDS, MAX_LOOKED_AT) if only is not None else None
        """Bounds the expressions of definitions that clients stored."""
        self.issues: list[Issue] = []
        self._told = [0, 0]  # how many are no errors, and how many are
        self._terminology = terminology
        self._open: set[tuple[int, str]] = set()
        self._known: dict[tuple[int, str], bool | None] = {}
        self._checks = self._compared = 0
        self._quiet = 0
        self._failed = False
        self.unknown: set[str] = set()
        self._selected: dict[tuple[str, int], list[Element] | None] = {}
        self.is_cut = False
        """The resource was too large to be looked at whole."""

    # ---- telling -----------------------------------------------------------------------------------------------------

    def tell(self, severity: Severity, code: str, text: str, path: str) -> None:
        """Note an issue; while somebody only asks whether a value conforms, errors count and nothing is noted."""
        is_error = severity in ("error", "fatal")
        if is_error:
            self._failed = True
        if not self._quiet and self._told[is_error] < MAX_ISSUES:
            self._told[is_error] += 1
            told = text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
            self.issues.append(Issue(severity, code, told, path))

    def count(self, number: int = 1) -> None:
        """Count what a definition has several of, each of which is compared with a value; TooMuch."""
        self._compared += number
        if self._compared > MAX_CHECKS:
            raise TooMuch

    @property
    def is_quiet(self) -> bool:
        """Tell whether the answer alone is wanted, so that a first error is enough."""
        return self._quiet > 0 and self._failed

    @contextmanager
    def _asking(self) -> Iterator[None]:
        outer = self._failed
        self._quiet, self._failed = self._quiet + 1, False
        try:
            yield
        finally:
            self._quiet, self._failed = self._quiet - 1, outer

    # ---- profiles ----------------------------------------------------------------------------------------------------

    def against(self, place: Place, definition: Definition) -> None:
        """Check a value against a whole profile."""
        mark = (id(place.value), definition.canonical)
        if mark in self._open or len(self._open) >= MAX_DEEP:
            return  # it is being checked already, further up
        if not model.is_a(place.type, definition.type) and definition.type != "Resource":
            text = f"{place.type} is found; {definition.canonical} is for {definition.type}."
            self.tell("error", "structure", text, place.path)
            return
        self._open.add(mark)
        try:
            if definition.type == "Extension":
                extensions.check_context(self, place, definition)
            self.element(definition.root, place, definition)
        finally:
            self._open.discard(mark)

    def find(self, canonical: str, owner: Definition | None) -> Definition | None:
        """Find a profile as another one names it; one that no package has is remembered, to be told once."""
        found = self.library.find(canonical, owner.package if owner else None)
        if found is None and not is_base(canonical):
            self.unknown.add(canonical)
        return found

    def has_profile(self, place: Place, canonicals: Iterable[str], owner: Definition) -> bool | None:
        """Tell whether a value conforms to one of several profiles; None where one of them is not known."""
        answer: bool | None = False
        for canonical in canonicals:
            self.count()
            base = base_type(canonical)
            if base is not None:
                found: bool | None = model.is_a(place.type, base)
            else:
                definition = self.find(canonical, owner)
                found = None if definition is None else self.conforms(place, definition)
            if found:
                return True
            answer = None if found is None else answer
        return answer

    def conforms(self, place: Place, definition: Definition) -> bool | None:
        """Tell whether a value conforms, without noting what is wrong; the answer is kept."""
        mark = (id(place.value), definition.canonical)
        if mark in self._open:
            return None
        if mark not in self._known:
            with self._asking():
                self.against(place, definition)
                self._known[mark] = not self._failed
        return self._known[mark]

    def conforms_to(self, item: Element, canonical: str, around: Around) -> bool | None:
        """Answer FHIRPath's conformsTo(); None where no such profile is at hand, or it cannot be told."""
        definition = self.library.find(canonical)
        if definition is None or item.type.startswith("System."):
            return None
        value = item.value
        is_other = isinstance(value, dict) and "resourceType" in value and value is not around.resource
        try:
            return self.conforms(of_resource(value) if is_other else Place(item, item.type, around), definition)
        except (TooMuch, RecursionError):
            self.is_cut = True
            return None

    def silently(self, node: Node, place: Place, owner: Definition) -> bool:
        """Tell whether a value is as an element of a profile says."""
        with self._asking():
            self.element(node, place, owner)
            return not self._failed

    def profile_root(self, canonicals: list[str], owner: Definition) -> tuple[Node | None, Definition]:
        """Give the definition of a value that has exactly one profile."""
        definition = self.find(canonicals[0], owner) if len(canonicals) == 1 else None
        return (None, owner) if definition is None else (definition.root, definition)

    def selected(self, expression: str, resource: Any, owner: Definition) -> list[Element] | None:
        """Give what a FHIRPath selects of a resource; None where that cannot be decided. The answer is kept."""
        mark = (expression, id(resource))
        if mark not in self._selected:
            watch = self.watch if owner.is_stored else None
            try:
                compiled = compile_once(expression, str(resource["resourceType"]))
                found = compiled.items(resource, resource=resource, root_resource=resource, watch=watch)
                is_condition = any(type(one.value) is bool and one.type.startswith("System.") for one in found)
                self._selected[mark] = None if is_condition else found
            except FhirPathError as error:
                self.is_cut |= isinstance(error, FhirPathLimit)
                self._selected[mark] = None
        return self._selected[mark]

    def is_of(self, type_name: str, code: str) -> bool:
        """Tell whether a value's type is the one that is meant."""
        return is_of(type_name, code)

    def type_behind(self, canonical: str, owner: Definition | None) -> str | None:
        """Name the type that a profile is on; None where it is not known."""
        self.count()
        base = base_type(canonical)
        if base is not None:
            return base
        found = self.find(canonical, owner)
        return None if found is None else found.type

    # ---- elements ----------------------------------------------------------------------------------------------------

    def element(self, node: Node, place: Place, owner: Definition) -> None:
        """Check one value against one element: itself, then what lies below."""
        self._checks += 1
        if self._checks > MAX_CHECKS:
            raise TooMuch
        self._value(node, place)
        limits.check(self, node, place)
        if self.is_quiet:
            return
        self._types(node, place, owner)
        bindings.check(self, node, place, owner)
        constraints.check(self, node, place, owner)
        if self.is_quiet:
            return
        for child in self._children_of(node, owner).values():
            self.children(child, place, owner)
            if self.is_quiet:
                return

    def _children_of(self, node: Node, owner: Definition) -> dict[str, Node]:
        if node.children:
            return node.children
        if node.slice_name and node.parent is not None and (sliced := node.parent.children[node.name]).children:
            return sliced.children
        reference = node.definition.get("contentReference")
        target = owner.node(str(reference).rpartition("#")[2]) if reference else None
        return target.children if target is not None else {}

    def _value(self, node: Node, place: Place) -> None:
        fixed, pattern = node.value_of(matching.FIXED), node.value_of(matching.PATTERN)
        if fixed is not None and not matching.is_fixed(place.value, fixed):
            self.tell("error", "value", f"{_shown(place.value)} is found; {_shown(fixed)} is meant.", place.path)
        if pattern is not None and not matching.has_pattern(place.value, pattern, self.count):
            text = f"{_shown(place.value)} is found; it has to have {_shown(pattern)}."
            self.tell("error", "value", text, place.path)
        longest = node.definition.get("maxLength")
        if isinstance(longest, int) and isinstance(place.value, str) and len(place.value) > longest:
            self.tell("error", "too-long", f"{len(place.value)} characters are found; at most {longest} are allowed.",
                      place.path)

    def _types(self, node: Node, place: Place, owner: Definition) -> None:
        rows = node.types
        if not rows or node.parent is None:
            return
        fitting = [row for row in rows if is_of(place.type, str(row.get("code", "")))]
        if not fitting:
            if place.type in _codes(rows) or "." in place.type:
                return
            wanted = ", ".join(str(row.get("code")) for row in rows)
            self.tell("error", "structure", f"{place.type} is found; allowed here: {wanted}.", place.path)
            return
        profiles = [url for row in fitting for url in row.get("profile", ())]
        if profiles:
            self._profiled(place, profiles, owner)
        if place.type == "Reference":
            references.check(self, place, [url for row in fitting for url in row.get("targetProfile", ())], owner)
            references.check_kind(self, place, fitting)

    def _profiled(self, place: Place, profiles: list[str], owner: Definition) -> None:
        """Check a value against the profiles of its type, of which one is enough."""
        if len(profiles) == 1:
            is_simple = profiles[0].partition("|")[0] == SIMPLE_QUANTITY
            if is_simple and isinstance(place.value, dict) and "comparator" in place.value:
                text = "A SimpleQuantity has no comparator (sqty-1)."
                self.tell("error", "structure", text, f"{place.path}.comparator")
            base = base_type(profiles[0])
            if base is not None and not model.is_a(place.type, base):
                self.tell("error", "structure", f"{place.type} is found; {profiles[0]} is meant.", place.path)
            definition = self.find(profiles[0], owner) if base is None else None
            if definition is not None:
                self.against(place, definition)
            return
        if self.has_profile(place, profiles, owner) is False:
            self.tell("error", "structure", f"It conforms to none of {', '.join(profiles)}.", place.path)

    # ---- lists and slices --------------------------------------------------------------------------------------------

    def children(self, node: Node, parent: Place, owner: Definition) -> None:
        """Check all values of one element: their number, their slices, each of them."""
        places = parent.children(node.name)
        path = f"{parent.path}.{node.name}"
        self._number(node, len(places), path, owner)
        if not places and not node.slices:
            return
        sliced_as = self._sliced(node, places, path, owner) if node.slices else [None] * len(places)
        for place, slice_ in zip(places, sliced_as, strict=True):
            self.element(slice_ or node, place, owner)
            if slice_ is not None:
                self._as_sliced(node, slice_, place, owner)
            if self.is_quiet:
                return

    def _as_sliced(self, node: Node, slice_: Node, place: Place, owner: Definition) -> None:
        """Check what is said of the element that is sliced: it holds for all; snapshots of its slices may lack it.

        https://hl7.org/fhir/R4/profiling.html#slicing
        """
        self._value(node, place)
        constraints.check(self, node, place, owner, but=slice_)
        for child in node.children.values():
            if self.is_quiet:
                return
            self.children(child, place, owner)

    def _number(self, node: Node, count: int, path: str, owner: Definition) -> None:
        name = f" (slice {node.slice_name})" if node.slice_name else ""
        if count < node.min:
            self.tell("error", "required", f"At least {node.min} here{name}; found {count} ({owner.canonical}).", path)
        if node.max is not None and count > node.max:
            self.tell("error", "structure", f"At most {node.max} here{name}; found {count} ({owner.canonical}).", path)

    def _sliced(self, node: Node, places: list[Place], path: str, owner: Definition) -> list[Node | None]:
        """Find the slice of each value, and check the slices' numbers, their order, and that nothing is left over."""
        slices = list(node.slices.values())
        found: list[Node | None] = []
        undecided: set[str] = set()
        for place in places:
            answers = {one.slice_name: slicing.belongs(self, node, one, place, owner) for one in slices}
            of = next((one for one in slices if answers[one.slice_name] is True), None)
            if of is None:
                undecided |= {str(name) for name, answer in answers.items() if answer is None}
            found.append(of)
        rules = node.definition.get("slicing", {})
        for one in slices:
            count = sum(of is one for of in found)
            if count < one.min and one.slice_name in undecided:
                self.tell("information", "informational", f"Whether the slice {one.slice_name} is there cannot be "
                          "told from what is at hand.", path)
                continue
            self._number(one, count, path, owner)
        self._left_over(rules, slices, found, undecided, places, owner)
        for one in slices:
            its = [at for at, of in enumerate(found) if of is one]
            if one.slices and its:  # slices of the slice, where there is anything of it
                inner = self._sliced(one, [places[at] for at in its], path, owner)
                for at, of in zip(its, inner, strict=True):
                    found[at] = of or one
        return found

    def _left_over(
        self, rules: dict[str, Any], slices: list[Node], found: list[Node | None], undecided: set[str],
        places: list[Place], owner: Definition,
    ) -> None:
        if rules.get("rules") == "closed" and not undecided:
            for place, of in zip(places, found, strict=True):
                if of is None:
                    self.tell("error", "structure", f"It is in none of the slices that {owner.canonical} allows here.",
                              place.path)
        if rules.get("rules") == "openAtEnd" and not undecided:
            last = max((at for at, of in enumerate(found) if of is not None), default=-1)
            for at, of in enumerate(found[: last + 1]):
                if of is None:
                    text = "What is in no slice has to come after all that is."
                    self.tell("error", "structure", text, places[at].path)
        if rules.get("ordered"):
            self._order(slices, found, places)

    def _order(self, slices: list[Node], found: list[Node | None], places: list[Place]) -> None:
        highest = -1
        for place, of in zip(places, found, strict=True):
            if of is None:
                continue
            at = slices.index(of)
            if at < highest:
                self.tell("error", "structure", f"The slice {of.slice_name} has to come earlier.", place.path)
            highest = max(highest, at)

    # ---- terminology -------------------------------------------------------------------------------------------------

    def in_value_set(self, url: str, system: str | None, code: str, owner: Definition) -> bool | None:
        """Ask whether a code is in a value set, as the package of a profile knows it."""
        self.count()
        return self._terminology(owner)(url, system, code)

    def is_bound(self, node: Node, place: Place, owner: Definition) -> bool | None:
        """Tell whether a value has a code of the value set it is bound to."""
        return bindings.is_bound(self, node, place, owner)


def _codes(rows: list[dict[str, Any]]) -> set[str]:
    return {str(row.get("code")) for row in rows}


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        text = json_format.dump(value).decode()
        return text if len(text) <= 200 else text[:199] + "…"
    return shown(value)
