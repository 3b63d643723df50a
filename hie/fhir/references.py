"""References between resources: what a text refers to, where a resource refers, and rewriting it.

https://hl7.org/fhir/R4/references.html, https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

from hie.fhir import facts
from hie.fhir.fhirpath import model

Kind = Literal["relative", "absolute", "urn", "fragment", "conditional", "url", "invalid"]


class ParsedReference(NamedTuple):
    """What the text of a literal reference says; parts it does not have are None.

    relative: `Type/id`; absolute: a URL that ends in `Type/id`; conditional: `Type?query`; fragment: `#id`, `#` having
    an empty id; urn: `urn:uuid:…` or `urn:oid:…`; url: any other absolute URL; invalid: nothing of these.
    """

    kind: Kind
    type: str | None = None
    id: str | None = None
    version: str | None = None
    url: str | None = None
    """The whole text without `/_history/…` and `#…`; None for relative references and fragments."""


class Canonical(NamedTuple):
    """A canonical URL taken apart: https://hl7.org/fhir/R4/references.html#canonical"""

    url: str
    version: str | None
    fragment: str | None


_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LITERAL = re.compile(
    r"(?P<base>[A-Za-z][A-Za-z0-9+.\-]*://\S+/)?(?P<type>[A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?(?:\#\S*)?"
)
_URN = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|urn:oid:[0-2](?:\.[0-9]+)+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_INVALID = ParsedReference("invalid")


#: A Bundle names the same patients and encounters again and again; longer texts are not remembered, whoever sends them.
_REMEMBERED, _LONGEST = 2_048, 200


def parse(text: str) -> ParsedReference:
    """Take a literal reference apart: references.html#literal"""
    if not isinstance(text, str) or not text:
        return _INVALID
    return _remembered(text) if len(text) <= _LONGEST else _parsed(text)


def _parsed(text: str) -> ParsedReference:
    type_name, slash, rest = text.partition("/")
    if slash and type_name in facts.RESOURCE_TYPES and _ID.fullmatch(rest):
        return ParsedReference("relative", type_name, rest)
    if text[0] == "#":
        return ParsedReference("fragment", id=text[1:])
    if text.startswith("urn:") and _URN.fullmatch(text):
        return ParsedReference("urn", url=text)
    match = _LITERAL.fullmatch(text)
    if match and match["type"] in facts.RESOURCE_TYPES:
        base, type_name, id_, version = match.group("base", "type", "id", "version")
        if base is None:
            return ParsedReference("relative", type_name, id_, version)
        return ParsedReference("absolute", type_name, id_, version, f"{base}{type_name}/{id_}")
    type_name, question_mark, _ = text.partition("?")
    if question_mark and type_name in facts.RESOURCE_TYPES:
        return ParsedReference("conditional", type_name, url=text)
    return ParsedReference("url", url=text.partition("#")[0]) if _URL.fullmatch(text) else _INVALID


_remembered = lru_cache(maxsize=_REMEMBERED)(_parsed)


def id_here(text: str, type_name: str, base_url: str) -> str | None:
    """Return the id of a resource of the type here, which a text says alone or as a reference; None: it says none."""
    local = text.removeprefix(f"{base_url}/")
    found = parse(local if "/" in local else f"{type_name}/{local}")
    is_meant = found.kind == "relative" and found.type == type_name and found.version is None and "#" not in local
    return found.id if is_meant else None


def parse_canonical(text: str) -> Canonical:
    """Take `url|version#fragment` apart; the version may also stand after the fragment, as some write it."""
    url, _, version = text.partition("|")
    url, _, fragment = url.partition("#")
    if not fragment:
        version, _, fragment = version.partition("#")
    return Canonical(url, version or None, fragment or None)


def target_type(reference: Mapping[str, Any]) -> str | None:
    """Tell the resource type a Reference points at by its text or `type`, without fetching it; None if unsaid."""
    text = reference.get("reference")
    if isinstance(text, str):
        parsed = parse(text)
        if parsed.type is not None:
            return parsed.type
    declared = reference.get("type")
    if not isinstance(declared, str):
        return None
    # Reference.type is a uri, relative to the specification's own definitions.
    name = declared.removeprefix("http://hl7.org/fhir/StructureDefinition/")
    return name if name in facts.RESOURCE_TYPES else None


# ---- walking ---------------------------------------------------------------------------------------------------------


def iterate(resource: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the dict of every element of type Reference, those of contained resources included."""
    name = resource.get("resourceType")
    if isinstance(name, str) and name in facts.RESOURCE_TYPES:
        yield from _references(resource, _steps(name), name)


def rewrite(resource: dict[str, Any], mapping: Mapping[str, str]) -> int:
    """Replace, in place, every link equal to a key of the mapping by its value; tell how many: http.html#trules

    Where the resource is a Bundle, its entries are rewritten and their fullUrl is left as it is.
    """
    name = resource.get("resourceType")
    if not mapping or not isinstance(name, str) or name not in facts.RESOURCE_TYPES:
        return 0
    return _rewritten(resource, _steps(name), mapping)


# What to do with a property while walking. These steps are chosen once per type, so that a walk looks only at the
# properties which are or may hold links.
_REFERENCE, _URI, _NARRATIVE, _RESOURCE, _DESCEND = range(5)
_URI_TYPES = frozenset({"uri", "url", "oid", "uuid"})
_Steps = dict[str, tuple[int, Any]]

_steps_of_types: dict[str, _Steps] = {}
_growing = threading.RLock()


@cache
def _steps(type_name: str) -> _Steps:
    """Give the properties of a type that are or may hold links, with what to do and the steps below."""
    with _growing:  # a table half grown must not be seen by another thread
        return _table_of(type_name)


def _table_of(type_name: str) -> _Steps:
    if type_name not in _steps_of_types:
        _grow(type_name)
    return _steps_of_types[type_name]


def _grow(type_name: str) -> None:
    """Fill the table of a type and of all types below it; the tables point at each other, as the types do."""
    table = _steps_of_types.setdefault(type_name, {})
    for child in model.children(type_name).values():
        for name, child_type in child.forms:
            step = _step(child_type)
            if step is not None:
                table[name] = step
            if model.is_primitive(child_type):
                table["_" + name] = (_DESCEND, _table_of("Element"))
    if type_name == "Bundle.entry":
        table.pop("fullUrl")
    if model.is_resource(type_name):
        table.pop("implicitRules", None)  # names rules of the specification's user, never an entry


def _step(type_name: str) -> tuple[int, _Steps | None] | None:
    if type_name == "Reference":
        return _REFERENCE, _table_of("Reference")
    if type_name in _URI_TYPES:
        return _URI, None
    if type_name == "Narrative":
        return _NARRATIVE, _table_of("Narrative")
    if type_name == "Resource":
        return _RESOURCE, None
    if model.is_primitive(type_name):
        return None
    return _DESCEND, _table_of(type_name)


def _references(node: dict[str, Any], table: _Steps, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in node.items():
        step = table.get(name)
        if step is None:
            continue
        kind, below = step
        if kind == _URI:
            continue
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _reference(item, kind, below, f"{path}.{name}[{index}]")
        elif isinstance(value, dict):
            yield from _reference(value, kind, below, f"{path}.{name}")


def _reference(
    item: dict[str, Any], kind: int, below: _Steps | None, path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    if kind == _REFERENCE:
        yield path, item
        if len(item) == 1 and "reference" in item:
            return
    elif kind == _RESOURCE:
        name = item.get("resourceType")
        below = _steps(name) if isinstance(name, str) and name in facts.RESOURCE_TYPES else None
    if below:
        yield from _references(item, below, path)


# ---- rewriting -------------------------------------------------------------------------------------------------------

_LINK = re.compile(r"""(<(?:a|img)\b[^>]*?\s(?:href|src)\s*=\s*)("[^"]*"|'[^']*')""", re.IGNORECASE)


def _rewritten(node: dict[str, Any], table: _Steps, mapping: Mapping[str, str]) -> int:
    count = 0
    for name, value in node.items():
        step = table.get(name)
        if step is None:
            continue
        kind, below = step
        if isinstance(value, list):
            if kind == _URI:
                count += _rewritten_list(value, mapping)
            else:
                for item in value:
                    if isinstance(item, dict):
                        count += _rewritten_item(item, kind, below, mapping)
        elif isinstance(value, dict):
            count += _rewritten_item(value, kind, below, mapping)
        elif kind == _URI and isinstance(value, str) and value in mapping:
            node[name] = mapping[value]
            count += 1
    return count


def _rewritten_item(item: dict[str, Any], kind: int, below: _Steps | None, mapping: Mapping[str, str]) -> int:
    count = 0
    if kind == _REFERENCE:
        text = item.get("reference")
        if isinstance(text, str) and text in mapping:
            item["reference"] = mapping[text]
            count = 1
        if len(item) == 1:
            return count
    elif kind == _NARRATIVE:
        count = _rewritten_narrative(item, mapping)
    elif kind == _RESOURCE:
        name = item.get("resourceType")
        below = _steps(name) if isinstance(name, str) and name in facts.RESOURCE_TYPES else None
    return count + _rewritten(item, below, mapping) if below else count


def _rewritten_list(values: list[Any], mapping: Mapping[str, str]) -> int:
    count = 0
    for index, value in enumerate(values):
        if isinstance(value, str) and value in mapping:
            values[index] = mapping[value]
            count += 1
    return count


def _rewritten_narrative(narrative: dict[str, Any], mapping: Mapping[str, str]) -> int:
    div = narrative.get("div")
    if not isinstance(div, str) or ("href" not in div and "src" not in div):
        return 0
    count = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal count
        before, quoted = match.groups()
        target = mapping.get(html.unescape(quoted[1:-1]))
        if target is None:
            return match.group()
        count += 1
        return f"{before}{quoted[0]}{html.escape(target)}{quoted[0]}"

    text = _LINK.sub(replaced, div)
    if count:
        narrative["div"] = text
    return count
