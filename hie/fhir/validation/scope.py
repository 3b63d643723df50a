"""What a check must know beyond the value before it: the resource around it: https://hl7.org/fhir/R4/references.html"""

from __future__ import annotations

from typing import Any

from hie.fhir import facts


class Scope:
    """The resource under validation; %resource and %rootResource of an invariant, and who is pointed at by `#id`."""

    __slots__ = (
        "_contained", "_container", "_entries", "bundle", "invariants", "is_whole", "local", "resource", "root"
    )  # fmt: skip

    def __init__(
        self, resource: Any, root: Any, invariants: bool, bundle: BundleTypes | None = None, is_whole: bool = True
    ) -> None:
        self.resource = resource
        self.root = root
        self.invariants = invariants
        self.bundle = bundle
        self.is_whole = is_whole
        """Whether a `#…` must lead to something here; parts of a resource, as a patch has them, may lead elsewhere."""
        self._entries: BundleTypes | None = None
        self._container: Scope | None = None
        self._contained: dict[str, str] | None = None
        self.local: set[str] = set()
        """Every `#…` seen in a reference, canonical, uri or url."""

    def of_contained(self, resource: Any) -> Scope:
        """Give the scope of a resource inside this one; its local references reach this one's contained ones."""
        scope = Scope(resource, self.root, self.invariants, self.bundle, self.is_whole)
        scope._container = self
        return scope

    def of_entry(self, resource: Any) -> Scope:
        """Give the scope of an independent resource that this one carries, as a Bundle does."""
        if self._entries is None:  # one for all entries: it reads each of them
            self._entries = BundleTypes(self.resource, self.bundle)
        return Scope(resource, resource, self.invariants, self._entries, self.is_whole)

    def contained_type(self, identifier: str) -> str | None:
        """Say the type of the contained resource with an id, "" where it has none; None where there is no such one."""
        if self._container is not None:
            return self._container.contained_type(identifier)
        if self._contained is None:
            contained = self.root.get("contained")
            found = [one for one in contained if isinstance(one, dict)] if isinstance(contained, list) else []
            self._contained = {one["id"]: _type_of(one) for one in found if isinstance(one.get("id"), str)}
        return self._contained.get(identifier)


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
