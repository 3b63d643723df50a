"""A value of the resource under validation, with its type and its path."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from hie.fhir.facts import NAMES_KEPT
from hie.fhir.fhirpath import Element, model
from hie.fhir.fhirpath.steps import child_items


class Entries:
    """A Bundle's entries by fullUrl and by Type/id, read when the first reference asks."""

    __slots__ = ("_by_name", "_by_url", "_urls", "bundle")

    def __init__(self, bundle: dict[str, Any]) -> None:
        self.bundle = bundle
        self._by_url: dict[str, tuple[int, dict[str, Any]]] | None = None
        self._by_name: dict[str, tuple[int, dict[str, Any]]] = {}
        self._urls: dict[int, str] = {}

    def find(self, url: str, asking: Any) -> tuple[int, dict[str, Any]] | None:
        """Find an entry's resource as another one refers to it: https://hl7.org/fhir/R4/bundle.html#references"""
        if self._by_url is None:
            self._by_url = self._read()
        own = self._urls.get(id(asking), "")
        base = own.rsplit("/", 2)[0] if own.startswith("http") and ":" not in url.partition("/")[0] else None
        found = self._by_url.get(url) or (self._by_url.get(f"{base}/{url}") if base else None)
        return found or self._by_name.get(url)

    def _read(self) -> dict[str, tuple[int, dict[str, Any]]]:
        by_url: dict[str, tuple[int, dict[str, Any]]] = {}
        rows = self.bundle.get("entry")
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            resource = row.get("resource") if isinstance(row, dict) else None
            if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
                continue
            if isinstance(url := row.get("fullUrl"), str):
                by_url.setdefault(url, (index, resource))
                self._urls[id(resource)] = url
            self._by_name.setdefault(f"{resource['resourceType']}/{resource.get('id')}", (index, resource))
        return by_url


class Contained:
    """What a resource contains by id, read when the first reference asks."""

    __slots__ = ("_by_id", "_resource")

    def __init__(self, resource: Any) -> None:
        self._resource = resource
        self._by_id: dict[str, tuple[int, dict[str, Any]]] | None = None

    def find(self, id_: str) -> tuple[int, dict[str, Any]] | None:
        """Find the first resource with an id, and its number."""
        if self._by_id is None:
            self._by_id = {}
            rows = self._resource.get("contained") if isinstance(self._resource, dict) else None
            for index, one in enumerate(rows if isinstance(rows, list) else ()):
                if isinstance(one, dict) and isinstance(one.get("id"), str) and isinstance(
                        one.get("resourceType"), str):
                    self._by_id.setdefault(one["id"], (index, one))
        return self._by_id.get(id_)


class Around(NamedTuple):
    """What lies around a value: its resource, the one that contains that, the Bundle it lies in, the Bundle it is."""

    resource: Any
    root: Any
    contained: Contained
    bundle: Entries | None = None
    own: Entries | None = None

    def inside(self, resource: Any, name: str) -> Around:
        """Give the surroundings of a resource that an element of this name holds."""
        if name == "contained":
            return self._replace(resource=resource)
        return around(resource, self.own)

    @property
    def entries(self) -> Entries | None:
        """The entries that references of this resource reach."""
        return self.bundle or self.own


def around(resource: Any, bundle: Entries | None = None) -> Around:
    """Give the surroundings of a resource that stands on its own, or in a Bundle."""
    is_bundle = isinstance(resource, dict) and resource.get("resourceType") == "Bundle"
    return Around(resource, resource, Contained(resource), bundle, Entries(resource) if is_bundle else None)


class Place(NamedTuple):
    """One value, and where it stands."""

    item: Element
    path: str
    around: Around
    name: str = ""
    parent: Place | None = None

    @property
    def value(self) -> Any:
        """The JSON value; None for a primitive that has extensions alone."""
        return self.item.value

    @property
    def type(self) -> str:
        """The value's type: a code, or the path of a backbone element."""
        return self.item.type

    def children(self, name: str) -> list[Place]:
        """Give the values of one element below this one."""
        item = self.item
        if type(item.value) is not dict and not item.extra:
            return []
        found = child_items(item, None, name)
        is_list = _is_list(item.type, name)
        places = []
        for index, one in enumerate(found):
            around = self.around
            if type(one.value) is dict and "resourceType" in one.value and model.is_resource(one.type):
                around = around.inside(one.value, name)
            path = f"{self.path}.{name}[{index}]" if is_list else f"{self.path}.{name}"
            places.append(Place(one, path, around, name, self))
        return places


@lru_cache(maxsize=NAMES_KEPT)
def _is_list(type_name: str, name: str) -> bool:
    child = model.children(type_name).get(name)
    return child is not None and child.is_list


def of_resource(resource: dict[str, Any], inside: Around | None = None, path: str | None = None) -> Place:
    """Give the place of a whole resource."""
    name = str(resource["resourceType"])
    return Place(Element(resource, name), path or name, inside or around(resource), name)
