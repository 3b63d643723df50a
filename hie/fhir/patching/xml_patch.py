"""XML Patch: https://www.rfc-editor.org/rfc/rfc5261, on the XML form of a resource: https://hl7.org/fhir/R4/xml.html

The resource is stored as JSON. Its XML is made for the patch, changed as a tree, and read back as a client's XML would
be. Where JSON knows no order, as between the elements of a type, what is added goes to its place; a narrative that no
operation touches stays as it was written.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hie.errors import Conflict, InvalidRequest, Unprocessable
from hie.fhir.fhirpath import Allowance
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.patching import bounds, xml_document, xml_path
from hie.fhir.patching.tree import tidied
from hie.fhir.patching.xml_form import XmlForm
from hie.fhir.patching.xml_nodes import (
    XML,
    Attribute,
    Comment,
    Element,
    Event,
    Instruction,
    Namespace,
    Node,
    Place,
    Text,
    built,
    height_of,
    join_texts,
)
from hie.fhir.xml_format.tables import XHTML, XmlError

_SPACE = " \t\r\n"
_NEW_ATTRIBUTE = re.compile(r"@(?:([^\W\d][\w.\-]*):)?([^\W\d][\w.\-]*)")
_NEW_NAMESPACE = re.compile(r"namespace::([^\W\d][\w.\-]*)")


class Misfit(Exception):
    """An operation that does not fit the resource; the text says why."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `name` is the attribute or the prefix that `type` of an add gives."""

    number: int
    line: int
    op: str
    sel: str
    path: xml_path.Path
    content: list[Event]
    pos: str | None
    ws: str | None
    adds: str | None
    name: str

    @property
    def told(self) -> str:
        """The operation as an error names it."""
        return f"Operation {self.number} ({self.op} {self.sel[:200]}, line {self.line})"


@dataclass(frozen=True, slots=True)
class XmlPatch:
    """A patch that was read."""

    operations: tuple[Operation, ...]

    def applied(self, resource: dict[str, Any], allowance: Allowance | None = None) -> Any:
        """Return the resource after all operations; Conflict where one does not fit it."""
        form = XmlForm.of(resource, secrets.token_hex(8), bounds.watched(allowance))
        for one in self.operations:
            try:
                _DO[one.op](form, one, _located(form, one))
            except Misfit as error:
                raise Conflict(f"{one.told} does not fit the resource: {error}. Nothing was changed.") from None
            except FhirPathLimit:
                raise bounds.too_costly(one.told, allowance) from None
        try:
            return tidied(form.resource())
        except XmlError as error:
            raise Unprocessable(f"What the patch makes of the resource is no FHIR XML: {error.message}",
                                expression=error.expression) from None


# ---- reading ---------------------------------------------------------------------------------------------------------


def parse(document: Iterable[dict[str, Any]]) -> XmlPatch:
    """Read the operations; InvalidRequest says what is wrong with one."""
    return XmlPatch(tuple(_operation(number, row) for number, row in enumerate(document)))


def _operation(number: int, row: dict[str, Any]) -> Operation:
    told = f"operation {number} ({row['op']}, line {row['line']})"
    try:
        path = xml_path.parsed(row["sel"], row["namespaces"])
    except xml_path.PathError as error:
        raise InvalidRequest(f"sel of {told}, {row['sel'][:200]!r}, {error}.") from None
    adds, name = _added_by(row.get("type"), row["namespaces"], told)
    one = Operation(number, row["line"], row["op"], row["sel"].strip(_SPACE), path, row["content"], row.get("pos"),
                    row.get("ws"), adds, name)  # fmt: skip
    _check_content(one, told)
    return one


def _added_by(type_: str | None, namespaces: dict[str, str], told: str) -> tuple[str | None, str]:
    """Read type of an add: an attribute, or a declaration of a namespace."""
    if type_ is None:
        return None, ""
    if (attribute := _NEW_ATTRIBUTE.fullmatch(type_)) is not None:
        prefix, name = attribute.groups()
        if prefix is None:
            return xml_path.ATTRIBUTE, name
        space = XML if prefix == "xml" else namespaces.get(prefix)
        if space is None:
            raise InvalidRequest(f"type of {told} has the prefix {prefix[:40]}, for which no namespace is declared.")
        return xml_path.ATTRIBUTE, f"{space} {name}"
    if (namespace := _NEW_NAMESPACE.fullmatch(type_)) is not None:
        return xml_path.NAMESPACE, namespace[1]
    raise InvalidRequest(f"type of {told} is {type_[:40]!r}; it is @attribute, or namespace::prefix.")


def _check_content(one: Operation, told: str) -> None:
    """Check that what is given can be put where it goes: RFC 5261 sections 4.3 to 4.5"""
    told = told[0].upper() + told[1:]
    if one.op == "remove":
        if not _is_blank(one.content):
            raise InvalidRequest(f"{told} has content; what is removed is told by sel alone.")
    elif one.op == "add" and one.adds is None:
        if not one.content:
            raise InvalidRequest(f"{told} adds nothing; what is added stands in it.")
        if one.pos not in ("before", "after") and one.path.kind != xml_path.ELEMENT:
            raise InvalidRequest(f"{told} adds to {one.path.kind}; only an element can be added to.")
        if one.path.kind in (xml_path.ATTRIBUTE, xml_path.NAMESPACE):
            raise InvalidRequest(f"{told} adds beside {one.path.kind}, which has no place among others.")
    elif one.op == "add":
        if one.path.kind != xml_path.ELEMENT:
            raise InvalidRequest(f"{told} adds {one.adds} to {one.path.kind}; only an element has any.")
        _only_text(one, told)
    else:
        _check_replacement(one, told)


def _check_replacement(one: Operation, told: str) -> None:
    kind = one.path.kind
    if kind in (xml_path.ATTRIBUTE, xml_path.NAMESPACE, xml_path.TEXT):
        _only_text(one, told)
        return
    wanted = {xml_path.ELEMENT: Element, xml_path.COMMENT: Comment, xml_path.INSTRUCTION: Instruction}[kind]
    nodes = [node for node in built(one.content) if not (isinstance(node, Text) and not node.text.strip(_SPACE))]
    if len(nodes) != 1 or not isinstance(nodes[0], wanted):
        raise InvalidRequest(f"{told} replaces {kind}; in it one {kind} is expected, and nothing else.")


def _only_text(one: Operation, told: str) -> None:
    if not all(isinstance(event, str) for event in one.content):
        raise InvalidRequest(f"{told} gives the text of {one.adds or one.path.kind}; nothing but text may stand in it.")


def _is_blank(content: list[Event]) -> bool:
    return all(isinstance(event, str) and not event.strip(_SPACE) for event in content)


# ---- doing -----------------------------------------------------------------------------------------------------------


def _located(form: XmlForm, one: Operation) -> Place:
    """Return the one place that sel leads to: RFC 5261 section 4.1"""
    found = one.path.places(form.root, form.watch)
    if len(found) != 1:
        raise Misfit(f"sel leads to {len(found) or 'nothing'}{' places' if found else ''}; it must lead to one"
                     + ("" if found else _hint(one, form)))
    return found[0]


def _hint(one: Operation, form: XmlForm) -> str:
    """Tell of what is most often wrong with a path that leads to nothing: the namespace is not declared."""
    first = one.path.steps[0]
    if first.kind == xml_path.ELEMENT and first.name != "*" and " " not in first.name:
        space, _, _ = form.root.name.rpartition(" ")
        return (f". {first.name[:60]} is there in no namespace; elements of FHIR are in {space}: declare it in the "
                "patch (xmlns:f=…) and write f: before their names")
    return ""


def _add(form: XmlForm, one: Operation, place: Place) -> None:
    if one.adds is not None:
        assert isinstance(place, Element)  # noqa: S101 - the path leads to elements
        _add_named(one, place)
        return
    assert not isinstance(place, Attribute | Namespace)  # noqa: S101 - what is added stands among nodes
    beside = one.pos in ("before", "after")
    owner = place.parent if beside else place
    if not isinstance(owner, Element):
        raise Misfit("the resource is the root; nothing stands beside it")
    nodes = built(one.content)
    if not _is_narrative(owner):
        nodes = [node for node in nodes if not (isinstance(node, Text) and not node.text.strip(_SPACE))]
    at = len(owner.children) if not beside and one.pos is None else 0
    if beside:
        at = _index(owner, place) + (one.pos == "after")
    _insert(form, owner, at, nodes)


def _add_named(one: Operation, owner: Element) -> None:
    """Add an attribute, or a declaration of a namespace, which means nothing to a resource and is not kept."""
    known = owner.attributes if one.adds == xml_path.ATTRIBUTE else owner.namespaces
    if one.name in known:
        raise Misfit(f"there is such {one.adds} already; replace replaces it")
    known[one.name] = _text(one)
    owner.touch()


def _replace(form: XmlForm, one: Operation, place: Place) -> None:
    if isinstance(place, Attribute):
        place.owner.attributes[place.name] = _text(one)
        place.owner.touch()
    elif isinstance(place, Namespace):
        place.owner.namespaces[place.prefix] = _text(one)
    elif isinstance(place, Text):
        _replace_node(form, place, [Text(_text(one))])
    else:
        _replace_node(form, place, [node for node in built(one.content) if not isinstance(node, Text)])


def _replace_node(form: XmlForm, place: Node, nodes: list[Node]) -> None:
    owner = place.parent
    if owner is None:
        (root,) = nodes
        assert isinstance(root, Element)  # noqa: S101 - the path leads to an element, which an element replaces
        root.parent, form.root = None, root
        return
    at = _index(owner, place)
    del owner.children[at]
    _insert(form, owner, at, nodes)


def _remove(form: XmlForm, one: Operation, place: Place) -> None:
    if isinstance(place, Attribute | Namespace):
        if one.ws is not None:
            raise Misfit("ws is asked for beside what has no place among others")
        if isinstance(place, Attribute):
            del place.owner.attributes[place.name]
            place.owner.touch()
        else:
            del place.owner.namespaces[place.prefix]
        return
    owner = place.parent
    if owner is None:
        raise Misfit("the whole resource cannot be taken away; DELETE deletes it")
    at = _index(owner, place)
    first, last = at, at
    if one.ws is not None and _is_narrative(owner):
        first, last = at - (one.ws != "after"), at + (one.ws != "before")
        for side in {first, last} - {at}:
            _check_space(owner, side)
    del owner.children[first : last + 1]
    owner.touch()
    _join(form, owner, first)


def _check_space(owner: Element, at: int) -> None:
    """Check that white space and nothing else stands at a place: RFC 5261 section 4.5"""
    node = owner.children[at] if 0 <= at < len(owner.children) else None
    if not isinstance(node, Text) or node.text.strip(_SPACE):
        raise Misfit("ws says that white space stands there, and there is none")


def _insert(form: XmlForm, owner: Element, at: int, nodes: list[Node]) -> None:
    above = owner.depth()
    nodes = [node for node in nodes if not (isinstance(node, Text) and not node.text)]
    for node in nodes:
        node.parent = owner
        if above + height_of(node) > xml_document.MAX_DEPTH:
            raise Unprocessable(f"The patched resource is nested deeper than {xml_document.MAX_DEPTH} elements.")
    owner.children[at:at] = nodes
    owner.touch()
    _join(form, owner, at + len(nodes))
    _join(form, owner, at)


def _join(form: XmlForm, owner: Element, at: int) -> None:
    form.watch.spend(join_texts(owner, at) // bounds.AT_ONCE)


def _index(owner: Element, node: Node) -> int:
    return next(at for at, one in enumerate(owner.children) if one is node)


def _is_narrative(owner: Element) -> bool:
    """Tell whether white space in an element is part of what it says."""
    return owner.name.startswith(XHTML + " ")


def _text(one: Operation) -> str:
    return "".join(event for event in one.content if isinstance(event, str))


_DO: dict[str, Callable[[XmlForm, Operation, Place], None]] = {"add": _add, "replace": _replace, "remove": _remove}
