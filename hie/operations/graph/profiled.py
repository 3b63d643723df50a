"""What profiles say of the resources of a graph: which are meant by one, and which values are in a slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hie.errors import TooCostly, Unprocessable
from hie.fhir.fhirpath import Element, model
from hie.fhir.graph_definitions import Slice, Target
from hie.interactions.accepting import checks_of
from hie.operations.graph.reading import Node, Reading

if TYPE_CHECKING:
    from hie.fhir.profiles.checking import Check


@dataclass(slots=True)
class Profiled:
    """Asks profiles about one graph's resources; definitions are looked up once for all of them."""

    reading: Reading
    _checks: Callable[[], Check] | None = None

    def conforms(self, target: Target, node: Node) -> bool:
        """Tell whether a resource declares the target's profile or is as that says."""
        from hie.fhir.profiles.base_types import base_type
        from hie.fhir.profiles.place import around

        profile = target.profile
        if profile is None or any(_is_of(one, profile) for one in node.resource.get("meta", {}).get("profile", ())):
            return True
        base = base_type(profile)
        if base is not None:
            return model.is_a(node.type, base)
        answer = self._check().conforms_to(Element(node.resource, node.type), profile, around(node.root))
        if answer is None:
            self.reading.warn("not-found", f"Whether a {node.type} is as {profile[:200]} says cannot be told here; "
                              "only those that declare it are taken.", f"{target.place}.profile")
        return answer is True

    def of_slice(self, asked: Slice, node: Node, place: str) -> list[Element]:
        """Return what a path leads to by the values of a slice; of some that may not be told, which is warned of."""
        from hie.fhir.profiles import sliced
        from hie.fhir.profiles.checking import TooMuch

        check = self._check()
        profile = check.library.find(asked.profile)
        try:
            found = None if profile is None else sliced.along(check, node.resource, asked.steps, asked.name, profile)
        except (TooMuch, RecursionError):
            raise TooCostly(f"{node} is too large to be compared with the profile {asked.profile[:200]}.",
                            expression=place) from None
        if found is None:
            why = "is not known here" if profile is None else f"has no slice {asked.name[:80]!r} on this path"
            raise Unprocessable(f"The profile {asked.profile[:200]} {why}.", expression=place)
        if found.undecided:
            self.reading.warn("incomplete", f"Of some values of {node} it cannot be told here whether they are in the "
                              f"slice {asked.name[:80]!r}; they are left alone.", place)
        return found.values

    def _check(self) -> Check:
        if self._checks is None:
            self._checks = checks_of(self.reading.ctx)
        return self._checks()


def _is_of(declared: object, profile: str) -> bool:
    """Tell whether a declared profile is the one that is meant; a version counts where both say one."""
    url, _, version = profile.partition("|")
    own, _, its = str(declared).partition("|")
    return own == url and (not version or not its or its == version)
