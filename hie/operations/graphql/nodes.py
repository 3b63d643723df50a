"""What a query has come to: a value, and what references in it mean.

That is what is contained beside them, inside of a Bundle its entries, and else what is stored here:
https://hl7.org/fhir/R4/references.html#literal, https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.fhir import references
from hie.store.named_versions import number
from hie.store.search.reference import relative

if TYPE_CHECKING:
    from hie.fhir.profiles.place import Contained, Entries

Target = tuple[str, str, int | None]
"""Type and id of what is stored, and the version that is meant; None: the current one."""
Key = str | int
"""A step in the answer: a name, or where something stands in a list."""


class Root:
    """The resource that values are in: of what is contained that which contains it."""

    __slots__ = ("_contained", "_inside", "entries", "is_stored", "resource")

    def __init__(self, resource: dict[str, Any], around: Root | None = None) -> None:
        from hie.fhir.profiles.place import Entries as OfBundle

        self.resource = resource
        #: Whether it is as it is stored, not in a Bundle or in Parameters.
        self.is_stored = around is None
        #: Those of the Bundle that it is in, or that it is.
        self.entries: Entries | None = None if around is None else around.entries
        if resource["resourceType"] == "Bundle":
            self.entries = OfBundle(resource)
        self._contained: Contained | None = None
        self._inside: dict[int, Root] = {} if around is None else around._inside

    def inside(self, resource: dict[str, Any]) -> Root:
        """Return the same each time for a resource in this one, or beside it in a Bundle, that is not contained."""
        found = self._inside.get(id(resource))
        if found is None:
            found = self._inside[id(resource)] = Root(resource, self)
        return found

    def contained(self, id_: str) -> dict[str, Any] | None:
        """Return what it contains under an id: references may be many, and what they lead to too."""
        from hie.fhir.profiles.place import Contained

        if self._contained is None:
            self._contained = Contained(self.resource)
        found = self._contained.find(id_)
        return None if found is None else found[1]


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its type, the resource that it is in, and where it stands in the answer below another."""

    type: str
    value: Any
    root: Root
    parent: Node | None = None
    keys: Sequence[Key] = ()

    @property
    def place(self) -> str | None:
        """How others refer to it; None where they cannot: what is contained, or in a Bundle, has an id of its own."""
        id_ = self.value.get("id") if self.root.is_stored and self.value is self.root.resource else None
        return None if id_ is None else f"{self.type}/{id_}"

    def at(self, parent: Node | None, *keys: Key) -> Node:
        """Return the same, standing somewhere in the answer."""
        return Node(self.type, self.value, self.root, parent, keys)


def path_to(node: Node | None, *keys: Key) -> list[Key]:
    """Return the way to a node in the answer, and on."""
    found = list(keys)
    while node is not None:
        found[:0] = node.keys
        node = node.parent
    return found


def resource_node(resource: dict[str, Any]) -> Node:
    """Return the node of a whole resource as it is stored."""
    return _whole(Root(resource))


def below(node: Node, name: str, item: Any, form: str, keys: Sequence[Key]) -> Node:
    """Return the node of an element's item."""
    if form != "Resource" or not isinstance(item, dict):
        return Node(form, item, node.root, node, keys)
    type_name = str(item.get("resourceType", form))
    if name == "contained":
        return Node(type_name, item, node.root, node, keys)
    return Node(type_name, item, node.root.inside(item), node, keys)


def target(node: Node, ctx: Context) -> Target | Node | None:
    """Return where a Reference leads: to what is stored here, to what is at hand, or nowhere that can be read."""
    text = node.value.get("reference")
    if not isinstance(text, str):
        return None
    root = node.root
    if text.startswith("#"):
        held = root.contained(text[1:])
        return _whole(root) if text == "#" else None if held is None else Node(str(held["resourceType"]), held, root)
    if root.entries is not None:
        found = _entry(text, root, root.entries)
        if found is not None or not root.is_stored:  # what is beside the entries of a Bundle may mean something else
            return found
    to = references.parse(relative(relative(text, ctx.store.base_url), ctx.base_url))
    is_here = to.kind == "relative" and to.type is not None and to.id is not None
    return (str(to.type), str(to.id), number(to.version)) if is_here else None


def _whole(root: Root) -> Node:
    return Node(str(root.resource["resourceType"]), root.resource, root)


def _entry(text: str, root: Root, entries: Entries) -> Node | None:
    plain, _, version = text.partition("/_history/")
    found = entries.find(plain, root.resource)
    if found is None or (version and found[1].get("meta", {}).get("versionId") != version):
        return None
    return _whole(root.inside(found[1]))
