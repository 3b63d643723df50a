"""What R4 says of narratives beyond txt-1 and txt-2: https://hl7.org/fhir/R4/narrative.html"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from hie.fhir.primitives import shown
from hie.fhir.validation import narrative
from hie.fhir.validation.issue import Problem

from .ids import Ids
from .walk import Found

#: Links and ids in narratives that are looked at: millions fit into one.
MOST = 100_000

_LINKS = ("href", "src")
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML = frozenset({"amp", "lt", "gt", "quot", "apos"})
_BLOCKS = frozenset((
    "address", "blockquote", "div", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul",
))  # fmt: skip
_OF_TEXT = ("h1", "h2", "h3", "h4", "h5", "h6", "p")
_LOADED = re.compile(r"(?!data:|#|cid:)", re.I)
_OF_A_STYLE = re.compile(r"""\burl\(\s*["']?((?!data:|#)[^"')]+)""", re.I)


class Narratives:
    """The narratives of the resources, and what `#…` in them may lead to, of which all has to be seen first."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._named: dict[str, set[str]] = defaultdict(set)
        """Anchors' names, and ids of contained resources."""
        self._local: list[tuple[str, str, str]] = []
        self._left = MOST

    def of(self, one: Found) -> Iterator[Problem]:
        """Look at an object; what a narrative has wrong is given at paths below it."""
        if one.path == one.resource != one.root and isinstance(id_ := one.value.get("id"), str):
            self._named[one.root].add(id_)
        if one.type == "Narrative" and isinstance(div := one.value.get("div"), str):
            yield from self._narrative(div, one)

    def left(self) -> Iterator[Problem]:
        """Give, at paths of their own, the links inside of resources that lead nowhere."""
        if self._left < 0:
            text = f"Of links and ids in narratives only the first {MOST} were looked at."
            yield "", "information", "incomplete", text
            return
        for root, path, text in self._local:
            if text[1:] not in self._ids.known(root) and text[1:] not in self._named[root]:
                yield f"{path}.div", "warning", "not-found", f"The link {shown(text)} leads nowhere in this resource."

    def _narrative(self, div: str, one: Found) -> Iterator[Problem]:
        reader = _Reader(self._left)
        narrative.read(div, reader.start, reader.end)
        self._left = reader.left
        self._named[one.root].update(reader.names)
        self._local += [(one.root, one.path, text) for text in reader.links]
        yield from self._ids.add(one, reader.ids, ".div")
        names = sorted({match[1] for match in _ENTITY.finditer(div)} - _OF_XML)
        if names:
            text = f"&{names[0][:20]}; is no entity of XML, and R4 has none beside: write the character itself."
            yield ".div", "error", "invariant", text
        for outer, inner in sorted(reader.nested):
            yield ".div", "error", "invariant", f"A <{inner}> must not stand in a <{outer}>, which holds text."
        if reader.loaded:
            text = f"What it shows is loaded from elsewhere ({reader.loaded} times, first {shown(reader.first)}): it " \
                   "may be another one or gone when somebody reads it, and who reads it is told there."  # fmt: skip
            yield ".div", "warning", "business-rule", text


class _Reader:
    """What one narrative has of ids, links, and elements in places that are not theirs."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.ids: list[str] = []
        self.names: set[str] = set()
        self.links: set[str] = set()
        self.nested: set[tuple[str, str]] = set()
        self.loaded, self.first = 0, ""
        self._around = dict.fromkeys(_OF_TEXT, 0)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Look at an element."""
        if name in _BLOCKS:
            self.nested.update((outer, name) for outer, depth in self._around.items() if depth)
        if name in self._around:
            self._around[name] += 1
        if attributes:
            self._look(name, attributes)

    def end(self, name: str) -> None:
        """Leave an element."""
        if name in self._around:
            self._around[name] -= 1

    def _look(self, name: str, attributes: dict[str, str]) -> None:
        if name == "img" and _LOADED.match(source := attributes.get("src", "#")):
            self._load(source)
        for source in _OF_A_STYLE.findall(attributes.get("style", "")):
            self._load(source)
        links = [text for key in _LINKS if (text := attributes.get(key, "")).startswith("#") and len(text) > 1]
        self.left -= len(links) + ("id" in attributes) + ("name" in attributes)
        if self.left < 0:
            return
        self.links.update(links)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if "name" in attributes:
            self.names.add(attributes["name"])

    def _load(self, source: str) -> None:
        self.loaded += 1
        self.first = self.first or source
