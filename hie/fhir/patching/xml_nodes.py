"""The tree of XML that a patch changes: https://www.rfc-editor.org/rfc/rfc5261#section-4

Names are written as expat gives them: the namespace, a space, the local name; without a space: in no namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

XML = "http://www.w3.org/XML/1998/namespace"

Event = str | dict[str, Any]
"""A part of a document, flat, as it is kept: a text, or {"start": name, "attributes": …}, {"end": name},
{"comment": …}, {"instruction": target, "data": …}."""


@dataclass(slots=True, eq=False)
class Element:
    """An element; `source` tells which narrative it is, as long as nothing in it was changed."""

    name: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Node] = field(default_factory=list)
    namespaces: dict[str, str] = field(default_factory=dict)
    source: str | None = None

    def depth(self) -> int:
        """Tell how many elements it stands in, itself included."""
        return sum(1 for _ in self._upwards())

    def touch(self) -> None:
        """Note that what is in it is no more what it was."""
        for one in self._upwards():
            one.source = None

    def _upwards(self) -> Iterator[Element]:
        one: Element | None = self
        while one is not None:
            yield one
            one = one.parent


@dataclass(slots=True, eq=False)
class Text:
    """Text, which never stands beside other text."""

    text: str
    parent: Element | None = None


@dataclass(slots=True, eq=False)
class Comment:
    """A comment."""

    text: str
    parent: Element | None = None


@dataclass(slots=True, eq=False)
class Instruction:
    """A processing instruction."""

    target: str
    data: str
    parent: Element | None = None


Node = Element | Text | Comment | Instruction


@dataclass(frozen=True, slots=True)
class Attribute:
    """The place of an attribute."""

    owner: Element
    name: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """The place of a declaration of a namespace."""

    owner: Element
    prefix: str


Place = Node | Attribute | Namespace


def built(events: Iterable[Event]) -> list[Node]:
    """Build the nodes that events tell of; their ends are known to fit."""
    top = Element("", {})
    here = top
    for one in events:
        if isinstance(one, str):
            here.children.append(Text(one, here))
        elif "start" in one:
            element = Element(one["start"], dict(one["attributes"]), here)
            here.children.append(element)
            here = element
        elif "end" in one:
            assert here.parent is not None  # noqa: S101 - events come from a document that was read
            here = here.parent
        elif "comment" in one:
            here.children.append(Comment(one["comment"], here))
        else:
            here.children.append(Instruction(one["instruction"], one["data"], here))
    return top.children


def text_of(node: Node) -> str:
    """Return the string value of a node: https://www.w3.org/TR/1999/REC-xpath-19991116/#data-model"""
    if isinstance(node, Element):
        return "".join(one.text for one, _ in _within(node) if isinstance(one, Text))
    return node.data if isinstance(node, Instruction) else node.text


def size_of(node: Node) -> int:
    """Count the nodes that a node is made of."""
    return sum(1 for _ in _within(node))


def height_of(node: Node) -> int:
    """Tell how deep elements are nested in a node, itself included."""
    return max(depth for _, depth in _within(node))


def _within(node: Node) -> Iterator[tuple[Node, int]]:
    waiting = [(node, 1)]
    while waiting:
        one, depth = waiting.pop()
        yield one, depth
        if isinstance(one, Element):
            waiting.extend((below, depth + 1) for below in reversed(one.children))


def join_texts(parent: Element, at: int) -> int:
    """Make one text of two that came to stand side by side, before and behind a place; tell how long it is."""
    before, behind = parent.children[at - 1 : at] if at else [], parent.children[at : at + 1]
    if not (before and behind and isinstance(before[0], Text) and isinstance(behind[0], Text)):
        return 0
    before[0].text += behind[0].text
    del parent.children[at]
    return len(before[0].text)


def written(root: Element, hidden: str) -> bytes:
    """Write a document; a narrative that nobody changed is an empty div with the id `hidden` and its source."""
    parts: list[str] = []
    _write(root, "", hidden, parts)
    return "".join(parts).encode()


def _write(node: Node, default: str, hidden: str, parts: list[str]) -> None:
    if isinstance(node, Text):
        parts.append(escape(node.text, {"\r": "&#13;"}))
    elif isinstance(node, Comment):
        parts.append(f"<!--{node.text}-->")
    elif isinstance(node, Instruction):
        parts.append(f"<?{node.target} {node.data}?>")
    else:
        _write_element(node, default, hidden, parts)


def _write_element(node: Element, default: str, hidden: str, parts: list[str]) -> None:
    uri, _, name = node.name.rpartition(" ")
    start = f"<{name}" if uri == default else f"<{name} xmlns={_quoted(uri)}"
    if node.source is not None:
        parts.append(f"{start} id={_quoted(hidden + node.source)}></{name}>")
        return
    others: dict[str, str] = {}
    for key, value in node.attributes.items():
        space, _, local = key.rpartition(" ")
        prefix = "" if not space else "xml:" if space == XML else f"{others.setdefault(space, f'ns{len(others)}')}:"
        start += f" {prefix}{local}={_quoted(value)}"
    start += "".join(f" xmlns:{prefix}={_quoted(space)}" for space, prefix in others.items())
    if not node.children:
        parts.append(f"{start}/>" if "/xhtml" not in uri or name in _VOID else f"{start}></{name}>")
        return
    parts.append(f"{start}>")
    for one in node.children:
        _write(one, uri, hidden, parts)
    parts.append(f"</{name}>")


#: Elements of XHTML without content; others keep their end tag, as readers of HTML want it.
_VOID = frozenset({"area", "br", "col", "hr", "img"})


def _quoted(text: str) -> str:
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
