"""An element and its slices in their order: https://hl7.org/fhir/R4/profiling.html#slicing"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hie.fhir.snapshots.tree import Node


class Slices:
    """A new slice goes behind all, or as a/b, a slice of the slice a, behind that one and its others.

    Each is found and put there at once, however many there are.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._named: dict[str, Node] = {}
        self._last: dict[str, Node] = {}
        """The last of each slice and those of it; under "" the last of all."""
        self._next: dict[int, Node] = {}
        self._first: Node | None = None
        for one in nodes:
            self._first = one if self._first is None else self._first
            self._put(one, self._last.get(""))
            self._last.update(dict.fromkeys(_with_above(one), one))

    def named(self, name: str) -> Node | None:
        """Return a slice; None where there is none of this name."""
        return self._named.get(name)

    def add(self, node: Node) -> None:
        """Put a new slice in its place."""
        above = (node.slice or "").rpartition("/")[0]
        is_known = above in self._last
        before = self._last[above if is_known else ""]
        self._put(node, before)
        for name in _with_above(node):
            if not is_known or name == node.slice or self._last[name] is before:
                self._last[name] = node

    def _put(self, node: Node, before: Node | None) -> None:
        self._named.setdefault(node.slice or "", node)
        if before is not None:
            following = self._next.get(id(before))
            self._next[id(before)] = node
            if following is not None:
                self._next[id(node)] = following

    def __iter__(self) -> Iterator[Node]:
        """Yield the element and its slices."""
        node = self._first
        while node is not None:
            yield node
            node = self._next.get(id(node))


def _with_above(node: Node) -> Iterator[str]:
    """Yield the names of a slice, of the slices that it is one of, and of none."""
    name = node.slice or ""
    while name:
        yield name
        name = name.rpartition("/")[0]
    yield ""
