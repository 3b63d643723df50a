"""What a check must know beyond the value before it: the resource around it: https://hl7.org/fhir/R4/references.html"""

from __future__ import annotations

from typing import Any

from hie.fhir import facts


class Scope:
    """The resource under validation; %resource and %rootResource of an invariant, and who is pointed at by `#id`."""

    __slots__ = ("bundle", "invariants", "local", "resource", "root")

    def __init__(self, resource: Any, root: Any, invariants: bool, bundle: BundleTypes | None = None) -> None:
        self.resource = resource
        self.root = root
        self.invariants = invariants
        self.bundle = bundle
        self.local: set[str] = set()
        """Every `#…` seen in a reference, canonical, uri or url."""

    def of_contained(self, resource: Any) -> Scope:
        """Give the scope of a resource inside this one; its local references reach this one's contained ones."""
        return Scope(resource, self.root, self.invariants, self.bundle)

    def of_entry(self, resource: Any) -> Scope:
        """Give the scope of an independent resource that this one carries, as a Bundle does."""
        return Scope(resource, resource, self.invariants, BundleTypes(self.resource, self.bundle))

    def contained_type(self, identifier: str) -> str | None:
        """Say the type of the contained resource with an id, "" where it has none; None where there is no such one."""
        contained = self.root.get("contained")
        for one in contained if isinstance(contained, list) else ():
            if isinstance(one, dict) and one.get("id") == identifier:
                return _type_of(one)
        return None


class BundleTypes:
    """The types of a Bundle's entries by fullUrl, read when the first reference asks."""

    __slots__ = ("_bundle", "_outer", "_types")

    def __init__(self, bundle: Any, outer: BundleTypes | None) -> None:
        self._bundle = bundle
        self._outer = outer
        self._types: dict[str, str] | None = None

    def type_of(self, url: str) -> str | None:
        """Say the type of the entry with this fullUrl; None where there is none."""
        if self._types is None:
            self._types = dict(self._read())
        return self._types.get(url) or (self._outer.type_of(url) if self._outer else None)

    def _read(self) -> Any:
        entries = self._bundle.get("entry")
        for entry in entries if isinstance(entries, list) else ():
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict) and isinstance(entry.get("fullUrl"), str):
                yield entry["fullUrl"], _type_of(resource)


def _type_of(resource: dict[str, Any]) -> str:
    """Read the type of a resource that may not be valid."""
    name = resource.get("resourceType")
    return name if isinstance(name, str) and name in facts.RESOURCE_TYPES else ""
