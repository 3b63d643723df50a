"""What a query has come to: a value, and what references in it mean.

That is what is contained beside them, inside of a Bundle its entries, and else what is stored here:
https://hl7.org/fhir/R4/references.html#literal, https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.fhir import references
from hie.store.named_versions import number
from hie.store.search.reference import relative

if TYPE_CHECKING:
    from hie.fhir.profiles.place import Entries

Target = tuple[str, str, int | None]
"""Type and id of what is stored, and the version that is meant; None: the current one."""
Key = str | int
"""A step in the answer: a name, or where something stands in a list."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its type, and the resource that it is in: of what is contained that which contains it."""

    type: str
    value: Any
    root: Mapping[str, Any]
    is_stored: bool = False
    """Whether the root is a resource as it is stored, not one in a Bundle or in Parameters."""
    entries: Entries | None = None
    """Those of the Bundle that it is in."""
    parent: Node | None = None
    keys: Sequence[Key] = ()
    """Where it stands in the answer below its parent."""

    @property
    def place(self) -> str | None:
        """How others refer to it; None where they cannot: what is contained, or in a Bundle, has an id of its own."""
        id_ = self.value.get("id") if self.is_stored and self.value is self.root else None
        return None if id_ is None else f"{self.type}/{id_}"


    def at(self, parent: Node | None, *keys: Key) -> Node:
        """Return the same, standing somewhere in the answer."""
        return Node(self.type, self.value, self.root, self.is_stored, self.entries, parent, keys)


def path_to(node: Node | None, *keys: Key) -> list[Key]:
    """Return the way to a node in the answer, and on."""
    found = list(keys)
    while node is not None:
        found[:0] = node.keys
        node = node.parent
    return found


def resource_node(resource: Mapping[str, Any], *, is_stored: bool = True) -> Node:
    """Return the node of a whole resource."""
    return Node(str(resource["resourceType"]), resource, resource, is_stored, _entries(resource))


def below(node: Node, name: str, item: Any, form: str, keys: Sequence[Key]) -> Node:
    """Return the node of an element's item."""
    if form != "Resource" or not isinstance(item, Mapping):
        return Node(form, item, node.root, node.is_stored, node.entries, node, keys)
    type_name = str(item.get("resourceType", form))
    if name == "contained":
        return Node(type_name, item, node.root, node.is_stored, node.entries, node, keys)
    return Node(type_name, item, item, False, _entries(item) or node.entries, node, keys)


def _entries(resource: Mapping[str, Any]) -> Entries | None:
    from hie.fhir.profiles.place import Entries

    return Entries(dict(resource)) if resource["resourceType"] == "Bundle" else None


def target(node: Node, ctx: Context) -> Target | Node | None:
    """Return where a Reference leads: to what is stored here, to what is at hand, or nowhere that can be read."""
    text = node.value.get("reference")
    if not isinstance(text, str):
        return None
    if text.startswith("#"):
        return _contained(text, node)
    if node.entries is not None:
        found = _entry(text, node, node.entries)
        if found is not None or not node.is_stored:  # what is beside the entries of a Bundle may mean something else
            return found
    to = references.parse(relative(relative(text, ctx.store.base_url), ctx.base_url))
    is_here = to.kind == "relative" and to.type is not None and to.id is not None
    return (str(to.type), str(to.id), number(to.version)) if is_here else None


def _entry(text: str, node: Node, entries: Entries) -> Node | None:
    plain, _, version = text.partition("/_history/")
    found = entries.find(plain, node.root)
    if found is None or (version and found[1].get("meta", {}).get("versionId") != version):
        return None
    return Node(str(found[1]["resourceType"]), found[1], found[1], False, entries)


def _contained(text: str, node: Node) -> Node | None:
    root = node.root
    if text == "#":  # what contains it
        return Node(str(root["resourceType"]), root, root, node.is_stored, node.entries)
    held = next((one for one in root.get("contained", ()) if one.get("id") == text[1:]), None)
    return None if held is None else Node(str(held["resourceType"]), held, root, node.is_stored, node.entries)
