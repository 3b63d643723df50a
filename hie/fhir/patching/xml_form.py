"""The XML form of a resource as a tree that can be changed, and back: https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from hie.errors import TooCostly, Unprocessable
from hie.fhir import xml_format
from hie.fhir.fhirpath import Watch
from hie.fhir.patching.tree import containers
from hie.fhir.patching.xml_nodes import Comment, Element, Instruction, Node, Text, written
from hie.fhir.xml_format import XmlError
from hie.fhir.xml_format.tables import XHTML, Kind, resource_tags, table
from hie.fhir.xml_format.writing import div

_DIV = f"{XHTML} div"
_LAST = 10_000
#: Values, objects, lists and tags of narratives of a resource of which XML is made, 25 µs and 2 kB each.
MOST_VALUES = 100_000


@dataclass(slots=True)
class XmlForm:
    """The tree of a resource; what is done with it `watch` counts.

    `before` is the resource, whose narratives stand under `hidden` and a number.
    """

    root: Element
    watch: Watch
    before: dict[str, Any]
    hidden: str
    narratives: dict[str, str]

    @classmethod
    def of(cls, resource: dict[str, Any], hidden: str, watch: Watch) -> XmlForm:
        """Make the tree; Unprocessable where XML cannot hold what the resource says, or that is too much."""
        _refuse_many(resource)
        narratives: dict[str, str] = {}
        plain = _hide(resource, hidden, narratives)
        try:
            content = xml_format.dump(plain)
            if xml_format.parse(content) != plain:
                raise XmlError("The resource holds a character that XML cannot hold.")
            root = _tree(content)
            _show(root, hidden, narratives)
        except XmlError as error:
            raise Unprocessable(f"{error.message} Send a JSON Patch.") from None
        return cls(root, watch, resource, hidden, narratives)

    def resource(self) -> dict[str, Any]:
        """Return the resource that the tree is now; an XmlError where it is none."""
        type_name = resource_tags().get(self.root.name)
        if type_name is not None:
            _put_in_order(self.root, type_name)
        found = xml_format.parse(written(self.root, self.hidden))
        shown: dict[str, Any] = _unhide(found, {_placeholder(self.hidden, key): text
                                                for key, text in self.narratives.items()})
        ordered: dict[str, Any] = _like(shown, self.before)
        return ordered


def _refuse_many(resource: dict[str, Any]) -> None:
    found = 0
    for one in containers(resource):
        found += len(one)
        if isinstance(one, dict) and isinstance(div := one.get("div"), str):
            found += div.count("<")
        if found > MOST_VALUES:
            raise TooCostly(f"The resource has more than {MOST_VALUES} values and tags of narratives, too many for an "
                            "XML Patch. Send a JSON Patch.")


def _placeholder(hidden: str, key: str) -> str:
    return f'<div xmlns="{XHTML}" id="{hidden}{key}"></div>'


def _hide(value: Any, hidden: str, narratives: dict[str, str]) -> Any:
    """Copy a resource with a mark in place of each narrative, whose text has forms that XML has not."""
    if isinstance(value, dict):
        return {name: _hidden(one, hidden, narratives) if name == "div" else _hide(one, hidden, narratives)
                for name, one in value.items()}
    return [_hide(one, hidden, narratives) for one in value] if isinstance(value, list) else value


def _hidden(text: Any, hidden: str, narratives: dict[str, str]) -> str:
    key = str(len(narratives))
    narratives[key] = str(text)
    return _placeholder(hidden, key)


def _unhide(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: texts.get(one, one) if name == "div" and isinstance(one, str) else _unhide(one, texts)
                for name, one in value.items()}
    return [_unhide(one, texts) for one in value] if isinstance(value, list) else value


def _show(root: Element, hidden: str, narratives: dict[str, str]) -> None:
    """Put each narrative in the place of its mark, with a note that it is the one that it was."""
    waiting = [root]
    while waiting:
        here = waiting.pop()
        for at, one in enumerate(here.children):
            if isinstance(one, Element) and one.name == _DIV:
                key = one.attributes["id"].removeprefix(hidden)
                shown = _tree(div(narratives[key]).encode())
                shown.parent, shown.source = here, key
                here.children[at] = shown
            elif isinstance(one, Element):
                waiting.append(one)


def _tree(content: bytes) -> Element:
    """Build the tree of XML that this server has written, or found to be a narrative."""
    top = Element("", {})
    stack = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes, stack[-1])
        stack[-1].children.append(element)
        stack.append(element)

    def add(node: Node) -> None:
        node.parent = stack[-1]
        stack[-1].children.append(node)

    parser = expat.ParserCreate("UTF-8", " ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = lambda text: _add_text(stack[-1], text)
    parser.CommentHandler = lambda text: add(Comment(text))
    parser.ProcessingInstructionHandler = lambda target, data: add(Instruction(target, data))
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise XmlError("A narrative is no XHTML, so that it cannot be patched.") from error
    root = next(one for one in top.children if isinstance(one, Element))
    root.parent = None
    return root


def _add_text(owner: Element, text: str) -> None:
    last = owner.children[-1] if owner.children else None
    if isinstance(last, Text):
        last.text += text
    else:
        owner.children.append(Text(text, owner))


def _put_in_order(element: Element, path: str) -> None:
    """Put the children into the order of their definitions, those of one name as they stand: xml.html"""
    tags = table(path).tags
    element.children.sort(key=lambda one: tags[one.name].order if isinstance(one, Element) and one.name in tags
                          else _LAST)
    for one in element.children:
        slot = tags.get(one.name) if isinstance(one, Element) else None
        if not isinstance(one, Element) or slot is None or slot.kind is Kind.XHTML:
            continue
        if slot.kind is Kind.RESOURCE:
            for held in one.children:
                type_name = resource_tags().get(held.name) if isinstance(held, Element) else None
                if isinstance(held, Element) and type_name is not None:
                    _put_in_order(held, type_name)
        else:
            _put_in_order(one, slot.path)


def _like(value: Any, before: Any) -> Any:
    """Return a value with its properties in the order in which they were before, new ones behind these."""
    if isinstance(value, dict) and isinstance(before, dict):
        names = [*(name for name in before if name in value), *(name for name in value if name not in before)]
        return {name: _like(value[name], before.get(name)) for name in names}
    if isinstance(value, list) and isinstance(before, list):
        return [_like(one, before[at] if at < len(before) else None) for at, one in enumerate(value)]
    return value
