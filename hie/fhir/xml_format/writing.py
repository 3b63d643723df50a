"""From the JSON of a resource to XML: https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from hie.fhir.validation import narrative
from hie.fhir.xml_format.tables import FHIR, Kind, Slot, XmlError, table

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
#: What must not stand as it is in an attribute: a reader would turn line breaks and tabs into spaces.
_SPECIAL = re.compile("[&<>\"\t\n\r]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
#: Characters that no XML 1.0 document can hold, not even as a reference; no string of FHIR holds them either.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
#: Two that a string of FHIR may hold and XML may not. Unicode section 23.7: noncharacters may be replaced by U+FFFD.
_NONCHARACTERS = re.compile("[\ufffe\uffff]")
_XML_DECLARATION = re.compile(r"\ufeff?\s*<\?xml[^>]*\?>\s*")
_CDATA_OR_COMMENT = re.compile(r"(<!\[CDATA\[.*?\]\]>|<!--.*?-->)", re.DOTALL)

#: So many parts of one resource inside of another are put together, as each takes four times as much room as its text.
_MANY = 1_000


def dump(resource: dict[str, Any], *, pretty: bool = False) -> bytes:
    """Write a resource; an XmlError where it holds what XML cannot, or what FHIR does not define."""
    writer = _Writer(pretty)
    try:
        writer.resource(resource, "\n" if pretty else "", f' xmlns="{FHIR}"')
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise XmlError("The resource is not valid, so it cannot be written as XML.") from error
    text = "".join(writer.parts)
    if _IMPOSSIBLE.search(text):
        raise XmlError("The resource holds a character that XML cannot hold; JSON can.")
    return (_DECLARATION + _NONCHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text.lstrip("\n"))).encode()


class _Writer:
    def __init__(self, pretty: bool) -> None:
        self.parts: list[str] = []
        self.step = "  " if pretty else ""

    def resource(self, value: dict[str, Any], line: str, namespace: str = "") -> None:
        """Write a resource on `line`: a line break and the indentation, or nothing."""
        name = value["resourceType"]
        start = len(self.parts)
        self.parts.append(f"{line}<{name}{namespace}>")
        self.content(value, name, line + self.step)
        if len(self.parts) == start + 1:
            self.parts[start] = f"{line}<{name}{namespace}/>"
        else:
            self.parts.append(f"{line}</{name}>")

    def content(self, value: dict[str, Any], path: str, line: str) -> None:
        """Write the child elements of an object in the order of their definitions."""
        slots, _, attributes = table(path)
        rows: dict[int, Slot] = {}
        last, is_sorted, has_extras = -1, True, False
        for name in value:
            slot = slots.get(name)
            if slot is None:
                if name in attributes or name == "resourceType":
                    continue
                slot = slots[name[1:]] if name[0] == "_" else slots[name]
                has_extras = True
            order = slot.order
            if order != last:
                if order < last:
                    is_sorted = False
                last = order
                rows[order] = slot
        for order in rows if is_sorted else sorted(rows):
            slot = rows[order]
            item = value.get(slot.name)
            if slot.kind is Kind.PRIMITIVE:
                extra = value.get("_" + slot.name) if has_extras else None
                self._primitives(slot, item, extra, line)
            elif slot.is_list:
                for one in item if isinstance(item, list) else _not_a_list():
                    self._one(slot, one, line)
            else:
                self._one(slot, item, line)

    def _primitives(self, slot: Slot, item: Any, extra: Any, line: str) -> None:
        if not slot.is_list:
            self._primitive(slot.name, item, extra, line)
            return
        values, extras = item or (), extra or ()
        for index in range(max(len(values), len(extras))):
            self._primitive(slot.name, values[index] if index < len(values) else None,
                            extras[index] if index < len(extras) else None, line)

    def _primitive(self, name: str, value: Any, extra: dict[str, Any] | None, line: str) -> None:
        if extra is None:
            self.parts.append(f'{line}<{name} value="{_text(value)}"/>')
            return
        attributes = f' id="{_text(extra["id"])}"' if "id" in extra else ""
        if value is not None:
            attributes += f' value="{_text(value)}"'
        self._with_content(name, attributes, extra, "Element", line)

    def _one(self, slot: Slot, value: Any, line: str) -> None:
        name = slot.name
        if slot.kind is Kind.COMPLEX:
            attributes = f' id="{_text(value["id"])}"' if "id" in value else ""
            if slot.path == "Extension" and "url" in value:
                attributes += f' url="{_text(value["url"])}"'
            self._with_content(name, attributes, value, slot.path, line)
        elif slot.kind is Kind.RESOURCE:
            start = len(self.parts)
            self.parts.append(f"{line}<{name}>")
            self.resource(value, line + self.step)
            self.parts.append(f"{line}</{name}>")
            if len(self.parts) - start > _MANY:
                self.parts[start:] = ["".join(self.parts[start:])]
        else:
            self.parts.append(line + div(value))

    def _with_content(self, name: str, attributes: str, value: dict[str, Any], path: str, line: str) -> None:
        start = len(self.parts)
        self.parts.append("")
        self.content(value, path, line + self.step)
        if len(self.parts) == start + 1:
            self.parts[start] = f"{line}<{name}{attributes}/>"
        else:
            self.parts[start] = f"{line}<{name}{attributes}>"
            self.parts.append(f"{line}</{name}>")


def _not_a_list() -> Any:
    raise TypeError("an array is expected")


def _text(value: Any) -> str:
    """Write a primitive's value as the text of an attribute."""
    if value.__class__ is str:
        return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], value) if _SPECIAL.search(value) else value
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    raise TypeError("a primitive value is expected")


def div(text: str) -> str:
    """Return a narrative for its place in XML: the same text, with the named characters of HTML as numbers."""
    if not narrative.is_xhtml(text):
        raise XmlError("A narrative is no XHTML, so that it cannot stand in XML.")
    text = _XML_DECLARATION.sub("", text, count=1) if text[:1] in ("\ufeff", "<", " ", "\n", "\r", "\t") else text
    if "&" not in text:
        return text
    parts = _CDATA_OR_COMMENT.split(text)  # in every second part an & is only an &
    return "".join(part if number % 2 else narrative.numbered(part) for number, part in enumerate(parts))
