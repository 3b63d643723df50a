"""From XML to the JSON of a resource: https://hl7.org/fhir/R4/xml.html

Python's own expat reads, with what makes XML dangerous refused where it begins: a document type declaration (and with
it every entity, internal or external), depth, namespaces without end. Nothing is ever fetched. The whole document is
given to it at once, so that the offsets it tells are offsets into the document: a narrative is taken from there as it
was written, white space and character references included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn
from xml.parsers import expat

from hie.fhir import json_format
from hie.fhir.xml_format.guards import (
    namespace_told,
    refuse_many_attributes,
    refuse_other_encodings,
    shown,
    wrong_declaration,
)
from hie.fhir.xml_format.narratives import Div
from hie.fhir.xml_format.tables import FHIR, XHTML, Kind, Slot, XmlError, resource_tags, table

MAX_DIV_DEPTH = 100
"""As deep as the rules of narratives allow, see hie.fhir.validation.narrative."""
MAX_NAMESPACES = 100
"""Different declarations, in one document, of namespaces that FHIR does not know."""
MOST_WRONG = 100
"""Mistakes of one document that are told."""
_SCHEMAS = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA_LOCATION = f"{_SCHEMAS} schemaLocation"
"""A hint for schema processors that published examples carry: it is ignored."""
_KNOWN = frozenset({FHIR, XHTML, _SCHEMAS})
_SPACE = " \t\r\n"
#: A div that declares its own namespace, among whatever other attributes.
_OWN_NAMESPACE = re.compile(rb"<div(?:\s+[^\s=>]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*?\s+xmlns\s*=")


def parse(
    data: bytes, *, max_depth: int = json_format.DEFAULT_MAX_DEPTH, wrong: list[XmlError] | None = None
) -> dict[str, Any]:
    """Read one resource from UTF-8 XML; an XmlError for anything that FHIR does not define.

    With `wrong` what is XML, and no FHIR, is left out and told there, as far as the resource's type is known.
    """
    refuse_other_encodings(data)
    refuse_many_attributes(data)
    reader = _Reader(data, max_depth, wrong)
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        text = expat.errors.messages.get(error.code, "not well-formed")
        raise XmlError(f"The text is not XML: {text}.", error.lineno, error.offset + 1, reader.expression()) from None
    return reader.root


class _Frame:
    """One open element."""

    __slots__ = ("depth", "index", "kind", "last", "slot", "tags", "text", "value")

    def __init__(self, slot: Slot, kind: Kind, tags: dict[str, Slot], value: dict[str, Any], depth: int) -> None:
        self.slot, self.kind, self.tags, self.value, self.depth = slot, kind, tags, value, depth
        self.last = -1  # the order of the latest child
        self.index = 0  # among its equals, where the element repeats
        self.text: str | None = None  # of a primitive


class _Reader:
    """Builds the JSON as expat meets elements."""

    def __init__(self, data: bytes, max_depth: int, wrong: list[XmlError] | None = None) -> None:
        self.data, self.max_depth, self.wrong = data, max_depth, wrong
        self.root: dict[str, Any] = {}
        self.stack: list[_Frame] = []
        self.frame = _Frame(_ROOT, Kind.RESOURCE, {}, self.root, 0)
        self.div: Div | None = None
        self.namespaces = set[tuple[str | None, str | None]]()
        self.element = table("Element").tags
        self.is_prefixed = False  # whether a prefix stands for XHTML anywhere
        self._skipped = 0  # elements that are open and left out
        self.parser = parser = expat.ParserCreate("UTF-8", " ")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartNamespaceDeclHandler = self._namespace
        self._read_on()

    # -- what is refused before it begins --------------------------------------------------------------------------

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if (wrong := wrong_declaration(version, encoding, "FHIR XML")) is not None:
            self._refuse(wrong)

    def _doctype(self, *_: object) -> NoReturn:
        self._refuse("A document type declaration is not taken: FHIR XML has no entities but those of XML itself.")

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        if uri not in _KNOWN:  # those that mean something may stand on every entry of a Bundle
            self.namespaces.add((prefix, uri))
            if len(self.namespaces) > MAX_NAMESPACES:
                self._refuse(f"More than {MAX_NAMESPACES} namespaces are declared that FHIR does not know.")
        if uri == XHTML and prefix is not None:
            self.is_prefixed = True

    # -- elements --------------------------------------------------------------------------------------------------

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.div is not None:
            self._start_in_div(tag, attributes)
            return
        frame = self.frame
        if frame.kind is Kind.RESOURCE:
            self._start_resource(frame, tag, attributes)
            return
        slot = frame.tags.get(tag)
        if slot is None:
            self._unknown(frame, tag)
            return
        order = slot.order
        if order <= frame.last and (order < frame.last or not slot.is_list):
            if not self._misplaced(frame, slot):
                return
        else:
            frame.last = order
        kind = slot.kind
        if kind is Kind.PRIMITIVE:
            self._start_primitive(frame, slot, attributes)
        elif kind is Kind.COMPLEX:
            self._start_complex(frame, slot, attributes)
        elif kind is Kind.XHTML:
            self.div = Div(self.parser.CurrentByteIndex)
            self.div.start(tag, attributes)
        else:
            inner = _Frame(slot, kind, {}, frame.value, frame.depth + slot.is_list)
            inner.index = len(frame.value.get(slot.name, ())) if slot.is_list else 0
            self._push(inner)
            if attributes:
                self._attribute(next(iter(attributes)))

    def _start_resource(self, frame: _Frame, tag: str, attributes: dict[str, str]) -> None:
        name = resource_tags().get(tag)
        if name is None:
            self._no_resource(frame, tag)
            return
        if frame.last >= 0:
            self._leave_out(f"{frame.slot.name} holds one resource; a second one, {name}, follows.")
            return
        frame.last = 0
        slot = frame.slot
        resource: dict[str, Any]
        if slot is _ROOT:
            resource = self.root
        else:
            resource = {}
            self._place(frame.value, slot, resource)
        resource["resourceType"] = name
        for attribute in attributes:
            if attribute != _SCHEMA_LOCATION:
                self._attribute(attribute)
        inner = _Frame(slot, Kind.COMPLEX, table(name).tags, resource, frame.depth + 1)
        inner.index = frame.index
        self._push(inner)

    def _start_complex(self, frame: _Frame, slot: Slot, attributes: dict[str, str]) -> None:
        content = table(slot.path)
        value: dict[str, Any] = {}
        inner = _Frame(slot, Kind.COMPLEX, content.tags, value, frame.depth + 1 + slot.is_list)
        self._place(frame.value, slot, value)
        if slot.is_list:
            inner.index = len(frame.value[slot.name]) - 1
        self._push(inner)
        for name, text in attributes.items():
            if name in content.attributes:
                value[name] = text
            else:
                self._attribute(name)

    def _start_primitive(self, frame: _Frame, slot: Slot, attributes: dict[str, str]) -> None:
        inner = _Frame(slot, Kind.PRIMITIVE, self.element, {}, frame.depth + slot.is_list)
        if slot.is_list:
            inner.index = max(len(frame.value.get(slot.name, ())), len(frame.value.get("_" + slot.name, ())))
        self.stack.append(frame)
        self.frame = inner
        for name, text in attributes.items():
            if name == "value":
                inner.text = text
            elif name == "id":
                inner.value["id"] = text
            else:
                self._attribute(name)

    def _push(self, frame: _Frame) -> None:
        self.stack.append(self.frame)
        self.frame = frame
        if frame.depth > self.max_depth:
            self._refuse(f"Elements are nested deeper than {self.max_depth} levels.")

    @staticmethod
    def _place(parent: dict[str, Any], slot: Slot, value: Any) -> None:
        if slot.is_list:
            parent.setdefault(slot.name, []).append(value)
        else:
            parent[slot.name] = value

    def _end(self, tag: str) -> None:
        if self.div is not None:
            self._end_in_div(tag)
            return
        frame = self.frame
        if frame.kind is Kind.PRIMITIVE:
            self._end_primitive(frame)
        elif frame.kind is Kind.RESOURCE and frame.last < 0:
            self._wrong(f"{frame.slot.name} is empty; a resource is expected in it.")
        self.frame = self.stack.pop()

    def _end_primitive(self, frame: _Frame) -> None:
        slot, parent = frame.slot, self.stack[-1].value
        value = None
        if frame.text is not None:
            try:
                value = slot.value(frame.text)
            except ValueError as error:
                self._wrong(f"{shown(frame.text)} is no value of {slot.name}: {error}.")
                return
        beside = frame.value
        if not slot.is_list:
            if value is not None:
                parent[slot.name] = value
            if beside or value is None:
                parent["_" + slot.name] = beside
            return
        extras = beside if beside or value is None else None
        _append(parent, slot.name, frame.index, value)
        _append(parent, "_" + slot.name, frame.index, extras)

    def _text(self, text: str) -> None:
        if self.div is not None:
            self.div.text(text)
        elif text.strip(_SPACE):
            self._wrong(f"Text ({shown(text.strip())}) stands where only elements may; values are in attributes.")

    # -- the narrative ---------------------------------------------------------------------------------------------

    def _start_in_div(self, tag: str, attributes: dict[str, str]) -> None:
        div = self.div
        if div is None or div.depth >= MAX_DIV_DEPTH:
            self._refuse(f"The narrative's elements are nested deeper than {MAX_DIV_DEPTH} levels.")
        if not tag.startswith(XHTML + " "):
            self._wrong(f"{shown(tag.rpartition(' ')[2])} in a narrative is not in the namespace {XHTML}.")
        div.start(tag, attributes)

    def _end_in_div(self, tag: str) -> None:
        div = self.div
        if div is not None and div.end(tag):
            self.frame.value["div"] = self._written(div)
            self.div = None

    def _written(self, div: Div) -> str:
        """Return the div as it was written; anew where its names mean something only inside this document."""
        end = self.parser.CurrentByteIndex
        is_one_tag = div.is_bare and self.data[end - 2 : end] == b"/>"
        if self.data[end : end + 2] == b"</" and not is_one_tag:
            end = self.data.index(b">", end) + 1
        source = self.data[div.offset : end]
        if self.is_prefixed or _OWN_NAMESPACE.match(source) is None:
            return "".join(div.parts)
        return source.decode()

    # -- refusals --------------------------------------------------------------------------------------------------

    def expression(self, last: str = "") -> str | None:
        """Return the path of the element at hand."""
        if not self.root:
            return None
        steps = [str(self.root["resourceType"])]
        for frame in [*self.stack, self.frame]:
            slot = frame.slot
            # A resource is told by the element that holds it; the step of that element is said once.
            if slot is _ROOT or (frame.kind is Kind.COMPLEX and "resourceType" in frame.value):
                continue
            steps.append(f"{slot.label}[{frame.index}]" if slot.is_list else slot.label)
        return ".".join([*steps, last] if last else steps)

    def _refuse(self, message: str, last: str = "") -> NoReturn:
        parser = self.parser
        raise XmlError(message, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1, self.expression(last))

    def _wrong(self, message: str, last: str = "") -> None:
        """Tell what is XML, and no FHIR: the refusal of the resource, or of many one."""
        if self.wrong is None or not self.root:
            self._refuse(message, last)
        if len(self.wrong) < MOST_WRONG:
            parser = self.parser
            place = self.expression(last)
            self.wrong.append(XmlError(message, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1, place))

    def _leave_out(self, message: str, last: str = "") -> None:
        """Tell what is wrong with an element, and read on behind it."""
        self._wrong(message, last)
        self._skipped = 1
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start_skipped, self._end_skipped
        self.parser.CharacterDataHandler = None

    def _start_skipped(self, *_: object) -> None:
        self._skipped += 1

    def _end_skipped(self, _tag: str) -> None:
        self._skipped -= 1
        if self._skipped == 0:
            self._read_on()

    def _read_on(self) -> None:
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self.parser.CharacterDataHandler = self._text

    def _no_resource(self, frame: _Frame, tag: str) -> None:
        uri, _, name = tag.rpartition(" ")
        where = "" if frame.slot is _ROOT else f" in {frame.slot.name}"
        frame.last = 0
        self._leave_out(
            f"{shown(name)} is {namespace_told(uri)}; resources are in the namespace {FHIR}." if uri != FHIR else
            f"{shown(name)}{where} is not a resource type of FHIR R4{_nearest(name, resource_tags().values())}.")

    def _unknown(self, frame: _Frame, tag: str) -> None:
        uri, _, name = tag.rpartition(" ")
        known = {slot.name: key.rpartition(" ")[0] for key, slot in frame.tags.items()}
        owner = frame.value.get("resourceType") or frame.slot.name
        self._leave_out(
            f"{shown(name)} is {namespace_told(uri)}; it belongs in {known[name]}." if known.get(name, uri) != uri else
            f"{shown(name)} is {namespace_told(uri)}; elements of FHIR are in {FHIR}." if uri != FHIR else
            f"{owner} has no element {shown(name)}{_nearest(name, known)}.")

    def _misplaced(self, frame: _Frame, slot: Slot) -> bool:
        """Tell that an element is not where it belongs, and whether it is read nevertheless."""
        before = next(one for one in frame.tags.values() if one.order == frame.last)
        if slot.order < frame.last:
            self._wrong(f"{slot.name} stands after {before.label}; it belongs before it.", slot.label)
            return True
        self._leave_out(f"{slot.label} is given twice; it does not repeat.", slot.label)
        return False

    def _attribute(self, name: str) -> None:
        uri, _, local = name.rpartition(" ")
        told = f"{shown(local)} ({namespace_told(uri)})" if uri else shown(local)
        self._wrong(f"The attribute {told} is none that {self.frame.slot.name or 'a resource'} can have.")


_ROOT = Slot("", "", 0, False, Kind.RESOURCE, "", str)


def _append(parent: dict[str, Any], name: str, index: int, value: Any) -> None:
    """Put a value at its place in an array that is there only if one of its values is (json.html#primitive)."""
    if name in parent:
        parent[name].append(value)
    elif value is not None:
        parent[name] = [None] * index + [value]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:64], known, n=1)
    return f"; nearest is {near[0]}" if near else ""
