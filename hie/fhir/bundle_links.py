"""Links between the entries of a transaction: https://hl7.org/fhir/R4/http.html#trules

Every place of the Bundle's resources that may point at another entry is found once; its text is then set for each
attempt of the transaction, so that an attempt that is repeated starts from what the client sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from hie.fhir import facts
from hie.fhir.patching.xml_operations import XmlOperations

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)
_ROOT = re.compile(r"(https?://.+/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}", re.ASCII)
_NARRATIVE_LINK = re.compile(r"""(\b(?:href|src)\s*=\s*)(["'])([^"']+)\2""")
#: A canonical is not rewritten; an oid or a uuid would be none any more, and the resource refused for it.
_URI_TYPES = frozenset({"uri", "url"})


@dataclass(slots=True)
class Link:
    """One place that may point at another entry: `holder[key]` was `text` when it came."""

    holder: Any
    key: Any
    text: str
    kind: str  # "reference", "uri", "address" (of an Attachment) or "narrative"


def find(resource: Any) -> list[Link]:
    """Return the places of a resource whose text may name another entry of the Bundle.

    A Bundle that is itself an entry's resource is left as it came: what stands in its entries points at these
    (bundle.html#references), and a document may be signed.
    """
    links: list[Link] = []
    if isinstance(resource, dict):
        if resource.get("resourceType") == "Bundle":
            resource = {name: value for name, value in resource.items() if name != "entry"}
        _find(resource, links, _uri_names(), _attached())
    elif isinstance(resource, XmlOperations):
        _find_in_xml(resource, links)
    elif isinstance(resource, list):
        _find_in_patch(resource, links)
    return links


def _find_in_patch(operations: list[Any], links: list[Link]) -> None:
    """Look into the values of a JSON Patch; the pointer says where a text of its own goes."""
    for row in operations:
        if not isinstance(row, dict) or "value" not in row:
            continue
        name = str(row.get("path", "")).rpartition("/")[2]
        if isinstance(row["value"], str) and name != "-":
            value = {name: row["value"]}
            found: list[Link] = []
            _find(value, found, _uri_names(), _attached())
            links += [Link(row, "value", one.text, one.kind) for one in found]
        else:
            _find({name: row["value"]}, links, _uri_names(), _attached())


def _find_in_xml(operations: XmlOperations, links: list[Link]) -> None:
    """Look into the values that an XML Patch gives."""
    for holder, key, name in operations.values():
        text = holder[key]
        if name == "reference":
            if text[:1] != "#":
                links.append(Link(holder, key, text, "reference"))
        elif text[:4] == "urn:" and name in _uri_names():
            links.append(Link(holder, key, text, "uri"))


def _find(node: dict[str, Any], links: list[Link], uri_names: frozenset[str], attached: frozenset[str]) -> None:
    # Every value of every resource of a transaction comes by here: the commonest kinds are asked for first.
    for key, value in node.items():
        kind = type(value)
        if kind is str:
            if key == "reference":
                if value[:1] != "#":
                    links.append(Link(node, key, value, "reference"))
            elif key == "div":
                if "href" in value or "src" in value:
                    links.append(Link(node, key, value, "narrative"))
            elif "urn:" in value and value[:4] == "urn:" and key in uri_names:  # the first is asked in no time
                links.append(Link(node, key, value, "uri"))
        elif kind is dict:
            if key in attached:
                _find_address(value, links)
            _find(value, links, uri_names, attached)
        elif kind is list:
            for index, item in enumerate(value):
                if type(item) is dict:
                    if key in attached:
                        _find_address(item, links)
                    _find(item, links, uri_names, attached)
                elif type(item) is str and item[:4] == "urn:" and key in uri_names:
                    links.append(Link(value, index, item, "uri"))


def _find_address(attachment: dict[str, Any], links: list[Link]) -> None:
    """Keep where an Attachment says its content is; one that begins with urn: is kept as every uri is."""
    address = attachment.get("url")
    if isinstance(address, str) and address[:4] != "urn:":
        links.append(Link(attachment, "url", address, "address"))


def rewrite(link: Link, full_urls: dict[str, str], root: str | None, conditional: dict[str, str]) -> None:
    """Set a place to what its text means: `full_urls` maps fullUrl to Type/id, `conditional` a search to Type/id."""
    match link.kind:
        case "reference":
            link.holder[link.key] = _meant(link.text, full_urls, root) or conditional.get(link.text) or link.text
        case "uri":
            link.holder[link.key] = full_urls.get(link.text, link.text)
        case "address":
            link.holder[link.key] = _meant(link.text, full_urls, root) or link.text
        case _:
            link.holder[link.key] = _NARRATIVE_LINK.sub(
                lambda match: f"{match[1]}{match[2]}{_meant(match[3], full_urls, root) or match[3]}{match[2]}",
                link.text)


def _meant(text: str, full_urls: dict[str, str], root: str | None) -> str | None:
    return full_urls.get(text) or (full_urls.get(root + text) if root is not None else None)


def root_of(full_url: str | None) -> str | None:
    """Return the base against which an entry's relative references are read: bundle.html#references"""
    match = _ROOT.fullmatch(full_url) if full_url else None
    return match[1] if match else None


def conditional_reference(text: str) -> tuple[str, str] | None:
    """Take a conditional reference apart, as in Practitioner?identifier=…; None where it is none."""
    match = _CONDITIONAL.fullmatch(text)
    if match is None or match[1] not in facts.RESOURCE_TYPES:
        return None
    return match[1], match[2]


def path_of(link: Link, resource: Any) -> str:
    """Return the FHIRPath of a place; only for telling of an error, since it walks the resource again."""
    wanted = next(_paths(resource, resource.get("resourceType", "Resource"), lambda h, k: h is link.holder
                         and k == link.key), None)
    return wanted or str(resource.get("resourceType", "Resource"))


def path_of_reference(text: str, resource: Any) -> str | None:
    """Return the FHIRPath of the first Reference.reference that says `text` (or a version of it), else of a url."""
    def says_it(holder: Any, key: Any) -> bool:
        value = holder[key]
        return key == "reference" and (value == text or str(value).startswith(f"{text}/_history/"))

    def is_address(holder: Any, key: Any) -> bool:
        return key == "url" and f"/{holder[key]}".endswith(f"/{text}")

    type_name = resource.get("resourceType", "Resource")
    return next(chain(_paths(resource, type_name, says_it), _paths(resource, type_name, is_address)), None)


def _paths(node: Any, path: str, wanted: Callable[[Any, Any], bool]) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if wanted(node, key):
                yield f"{path}.{key}"
            yield from _paths(value, f"{path}.{key}", wanted)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            if wanted(node, index):
                yield f"{path}[{index}]"
            yield from _paths(value, f"{path}[{index}]", wanted)


@cache
def _attached() -> frozenset[str]:
    """Names of elements that are Attachments somewhere in R4."""
    names: set[str] = set()
    for type_name in (*facts.RESOURCE_TYPES, *facts.DATA_TYPES):
        for element in facts.elements(type_name):
            if element.is_choice and ("Attachment" in element.types or element.types == ("*",)):
                names.add(f"{element.name.removesuffix('[x]')}Attachment")
            elif "Attachment" in element.types:
                names.add(element.name)
    return frozenset(names)


@cache
def _uri_names() -> frozenset[str]:
    """Names of elements that hold a URI somewhere in R4; Identifier.value, a string, is none of them."""
    names: set[str] = set()
    for type_name in (*facts.RESOURCE_TYPES, *facts.DATA_TYPES):
        for element in facts.elements(type_name):
            if element.is_choice:
                stem = element.name.removesuffix("[x]")
                types = _URI_TYPES if element.types == ("*",) else _URI_TYPES.intersection(element.types)
                names.update(stem + one[0].upper() + one[1:] for one in types)
            elif _URI_TYPES.intersection(element.types):
                names.add(element.name)
    return frozenset(names - {"reference"})
