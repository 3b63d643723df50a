"""What may stand in a narrative's div (txt-1, txt-2): https://hl7.org/fhir/R4/narrative.html#xhtml"""

from __future__ import annotations

import html.entities
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"
MAX_DEPTH = 100

# Chapters 7-11 (section 9.4 apart) and 15 of HTML 4.0, links and images; a superset of the XPath of txt-1.
_ELEMENTS = frozenset((
    "a", "abbr", "acronym", "address", "area", "b", "bdo", "big", "blockquote", "br", "caption", "cite", "code",
    "col", "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "kbd", "li", "map", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup", "table",
    "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var",
))
_ATTRIBUTES = frozenset((
    "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellpadding", "cellspacing", "char",
    "charoff", "charset", "cite", "class", "clear", "colspan", "compact", "coords", "dir",
    "frame", "headers", "height", "href", "hreflang", "hspace", "id", "ismap", "lang", "longdesc", "name",
    "nohref", "noshade", "nowrap", "rel", "rev", "rowspan", "rules", "scope", "shape", "size", "span", "src",
    "start", "style", "summary", "tabindex", "title", "type", "usemap", "valign", "value", "vspace", "width",
    "xml:lang", "xml:space", "xmlns",
))
_LINKS = frozenset(("href", "src", "cite", "longdesc", "usemap"))
#: https://www.w3.org/TR/xml-names/#xmlReserved
_PREFIX = re.compile(r"xmlns:(?!xml)[^\W\d][\w.\-]*", re.I)
_RESERVED_NAMESPACES = frozenset(("http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/"))
_IGNORED_IN_URLS = re.compile(r"[\s\x00-\x20]")
_SCRIPT = re.compile(r"javascript:|vbscript:|data:(?!image/(?:png|jpe?g|gif|webp|bmp)[;,])", re.I)
_ACTIVE_STYLE = re.compile(r"expression\s*\(|javascript:|vbscript:|@import|behavior\s*:|-moz-binding|/\*|\\", re.I)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = frozenset(("amp", "lt", "gt", "quot", "apos"))


class _Refused(Exception):
    pass


def problem(div: str) -> str | None:
    """Say what is wrong with the XHTML of a narrative, or None."""
    reader = _Reader()
    try:
        reader.read(div)
    except _Refused as refused:
        return str(refused)
    except expat.ExpatError as error:
        text = expat.errors.messages.get(error.code, "not well-formed")
        return f"The narrative is no XHTML: {text}, line {error.lineno}, column {error.offset + 1}."
    except ValueError:  # half a surrogate pair cannot be encoded
        return "The narrative holds a character that no text may hold."
    if not reader.has_content:
        return "The narrative has no text and no image (txt-2)."
    return None


def is_xhtml(div: str) -> bool:
    """Tell whether the text is one well-formed div of XHTML that holds nothing active (txt-1)."""
    try:
        _Reader().read(div)
    except (_Refused, expat.ExpatError, ValueError):
        return False
    return True


def local_links(resource: Any) -> set[str]:
    """Give every `#…` that a link or an image in the narratives of a valid resource leads to."""
    found: set[str] = set()

    def start(_: str, attributes: dict[str, str]) -> None:
        found.update(value for name in ("href", "src") if (value := attributes.get(name, "")).startswith("#"))

    for div in _divs(resource):
        read(div, start)
    return found


def read(div: str, start: Callable[[str, dict[str, str]], None], end: Callable[[str], None] | None = None) -> None:
    """Tell each element of a narrative, with its attributes, as it starts and ends."""
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    with suppress(expat.ExpatError, ValueError):  # what is wrong with it, `problem` tells
        parser.Parse(_ENTITY.sub(_entity, div), True)


def _divs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(div := value.get("div"), str):
            yield div
        for one in value.values():
            yield from _divs(one)
    elif isinstance(value, list):
        for one in value:
            yield from _divs(one)


def numbered(text: str) -> str:
    """Write the named characters of XHTML as numbers, which XML knows without a document type."""
    return _ENTITY.sub(_number, text)


class _Reader:
    """Looks at each tag as expat meets it; document types, and with them every entity bomb, are refused."""

    def __init__(self) -> None:
        self.depth = 0
        self.has_content = False

    def read(self, div: str) -> None:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(_ENTITY.sub(_entity, div) if "&" in div else div, True)

    def _doctype(self, *_: object) -> NoReturn:
        raise _Refused("A narrative has no document type declaration (txt-1).")

    def _instruction(self, *_: object) -> NoReturn:
        raise _Refused("A narrative has no processing instructions (txt-1).")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1:
            _check_root(name, attributes)
        elif self.depth > MAX_DEPTH:
            raise _Refused(f"The narrative's elements are nested deeper than {MAX_DEPTH} levels.")
        if name not in _ELEMENTS:
            raise _Refused(f"<{name[:30]}> must not stand in a narrative (txt-1).")
        for attribute, value in attributes.items():
            _check_attribute(name, attribute, value)
        if name == "img" and "src" in attributes:
            self.has_content = True

    def _end(self, _: str) -> None:
        self.depth -= 1

    def _text(self, text: str) -> None:
        if not self.has_content and not text.isspace():
            self.has_content = True


def _check_root(name: str, attributes: dict[str, str]) -> None:
    if name != "div":
        raise _Refused(f"A narrative is one <div>; found <{name[:30]}>.")
    if attributes.get("xmlns") != XHTML:
        raise _Refused(f'The <div> of a narrative has xmlns="{XHTML}".')


def _check_attribute(element: str, name: str, value: str) -> None:
    if name.startswith("xmlns:"):
        _check_declaration(name, value)
        return
    if name not in _ATTRIBUTES:
        raise _Refused(f"The attribute {name[:30]} of <{element}> must not stand in a narrative (txt-1).")
    if name == "xmlns" and value != XHTML:
        raise _Refused(f"<{element}> is not in the XHTML namespace.")
    if name in _LINKS and _SCRIPT.match(_IGNORED_IN_URLS.sub("", value)):
        raise _Refused(f"The {name} of <{element}> must not hold a script or a document (txt-1).")
    if name == "style" and _ACTIVE_STYLE.search(value):
        raise _Refused(f"The style of <{element}> must not be active or reach out (txt-1).")


def _check_declaration(name: str, value: str) -> None:
    """See that a prefix can be declared: to XML that is no attribute (txt-1 counts none), and nothing can use it."""
    if _PREFIX.fullmatch(name) is None or not value or value in _RESERVED_NAMESPACES:
        raise _Refused(f"{name[:30]} declares no namespace that a prefix may stand for.")


def _entity(match: re.Match[str]) -> str:
    """Resolve the named characters of XHTML, which published records use and XML alone would not know."""
    name = match[1]
    if name in _XML_ENTITIES or name not in html.entities.name2codepoint:
        return match[0]
    return chr(html.entities.name2codepoint[name])


def _number(match: re.Match[str]) -> str:
    character = _entity(match)
    return match[0] if character == match[0] else f"&#{ord(character)};"
