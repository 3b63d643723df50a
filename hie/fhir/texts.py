"""The words a resource is written in: those of its narrative, and those of all its other strings.

What `_text` and `_content` look at: https://hl7.org/fhir/R4/search.html#content. Strings are elements of type string
and markdown, contained resources included. Codes, URIs, dates, identifiers, telephone numbers and where references lead
are no text: token, date, uri and reference parameters find these. Words are runs of letters and digits without case
and accents (Unicode Standard Annex 29 in short); of scripts that set no spaces between words (Chinese, Japanese) each
sign is a word, so that what belongs together is asked for as a phrase.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from hie.fhir import facts
from hie.fhir.datatypes import normalize_string

_NO_TEXT = frozenset({"Reference.reference", "Identifier.value", "ContactPoint.value"})
#: Longer runs are no words that anybody types; their beginning stands for them.
LONGEST_WORD = 64
_STRING, _XHTML, _RESOURCE = "text", "xhtml", "resource"
_TAG = re.compile(r"<!--.*?-->|<(/?[A-Za-z][A-Za-z0-9]*)\b[^>]*>", re.DOTALL)
#: Markup inside a word: `H<sub>2</sub>O` is one word.
_INLINE = frozenset({"a", "abbr", "acronym", "b", "big", "cite", "code", "dfn", "em", "i", "kbd", "q", "samp", "small",
                     "span", "strong", "sub", "sup", "tt", "var"})  # fmt: skip
_ALONE = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")


def words(text: str) -> list[str]:
    """Return the words of a text in their order, as they are compared."""
    return [word[:LONGEST_WORD] for word in _WORD.findall(normalize_string(text))]


def narrative(resource: dict[str, Any]) -> str:
    """Return the text of a resource's narrative without its markup; empty where it has none."""
    text = resource.get("text")
    div = text.get("div") if type(text) is dict else None
    return _plain(div) if type(div) is str else ""


def strings(resource: dict[str, Any]) -> Iterator[str]:
    """Yield every other string of a resource, narratives of contained resources among them."""
    found: list[str] = []
    for name, value in resource.items():
        if name != "text":
            _visit(value, _table(resource.get("resourceType", "")).get(name), found)
    yield from found


def _plain(div: str) -> str:
    return html.unescape(_TAG.sub(_instead, div))


def _instead(tag: re.Match[str]) -> str:
    name = (tag[1] or "").removeprefix("/").lower()
    return "" if name in _INLINE else " "


# ---- walking ---------------------------------------------------------------------------------------------------------


def _visit(value: Any, kind: str | None, found: list[str]) -> None:
    if kind is None:
        return
    if type(value) is list:
        for one in value:
            _visit(one, kind, found)
    elif type(value) is str:
        if kind == _STRING:
            found.append(value)
        elif kind == _XHTML:
            found.append(_plain(value))
    elif type(value) is dict:
        table = _table(value.get("resourceType", "") if kind == _RESOURCE else kind)
        for name, below in value.items():
            its = table.get(name)
            if its is not None:
                _visit(below, its, found)


@cache
def _table(path: str) -> dict[str, str]:
    """Say of each property of a type or backbone element what is below it: text, or the path of its own table."""
    if not isinstance(path, str) or facts.load()["elements"].get(path.partition(".")[0]) is None:
        return {}
    table: dict[str, str] = {}
    for element in facts.children(path):
        for name, type_name in _forms(element):
            kind = _kind(element, type_name)
            if kind is not None:
                table[name] = kind
            table["_" + name] = "Element"  # extensions of primitive values
    return table


def _forms(element: facts.Element) -> Iterator[tuple[str, str]]:
    if not element.is_choice:
        yield element.name, element.types[0] if element.types else ""
        return
    stem = element.name.removesuffix("[x]")
    types = element.types if element.types != ("*",) else tuple(facts.DATA_TYPES | facts.PRIMITIVE_TYPES)
    for one in types:
        yield stem + one[0].upper() + one[1:], one


def _kind(element: facts.Element, type_name: str) -> str | None:
    if element.content_reference is not None:
        return element.content_reference
    if element.path in _NO_TEXT or element.name == "id" or not type_name:
        return None
    if type_name in ("string", "markdown"):
        return _STRING
    if type_name == "xhtml":
        return _XHTML
    if type_name in ("Resource", "DomainResource"):
        return _RESOURCE
    if facts.children(element.path):
        return element.path
    return type_name if type_name[0].isupper() else None
