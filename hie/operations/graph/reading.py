"""What a graph has read so far, each resource once and within bounds.

Everything is fetched by ctx.store, so that grant and audit hold at every step.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hie.context import Context
from hie.errors import OutcomeIssue, TooCostly
from hie.fhir import json_format
from hie.fhir.fhirpath import Compiled, Element, FhirPathError, Watch, compile_once
from hie.fhir.graph_definitions import explained
from hie.store.versions import StoredVersion

MOST_FETCHES = 200
MOST_RESOURCES = 5_000
MOST_BYTES = 50_000_000
MOST_SECONDS = 10.0
#: Items that its FHIRPaths handle, together.
MOST_HANDLED = 500_000
#: What is looked up at once.
AT_ONCE = 500
MOST_WARNINGS = 20

Json = dict[str, Any]
Place = tuple[str, str]


class Node:
    """A resource on the way; most are only listed, so that they are parsed when somebody looks into them."""

    __slots__ = ("_content", "_resource", "_root", "place", "type")

    def __init__(self, place: Place | None, type_name: str, content: bytes = b"") -> None:
        self.place, self.type = place, type_name
        self._content = content
        self._resource: Json | None = None
        self._root: Json | None = None

    @classmethod
    def contained(cls, resource: Json, root: Json) -> Node:
        """Return the node of a resource that another one contains."""
        self = cls(None, str(resource["resourceType"]))
        self._resource, self._root = resource, root
        return self

    @property
    def resource(self) -> Json:
        """The resource."""
        if self._resource is None:
            self._resource = json_format.parse(self._content)
        return self._resource

    @property
    def root(self) -> Json:
        """The resource that contains it, or itself."""
        return self.resource if self._root is None else self._root

    @property
    def key(self) -> Place | int:
        """What tells it from others."""
        return self.place if self.place is not None else id(self._resource)

    def __str__(self) -> str:
        return f"a contained {self.type}" if self.place is None else "/".join(self.place)


@dataclass(slots=True)
class Reading:
    """The reads, searches and expressions of one graph; `warnings` are what is not as its definition says."""

    ctx: Context
    warnings: list[OutcomeIssue] = field(default_factory=list)
    read: dict[Place, StoredVersion] = field(default_factory=dict)
    _absent: set[Place] = field(default_factory=set)
    _nodes: dict[Place, Node] = field(default_factory=dict)
    _compiled: dict[tuple[str, str], Compiled] = field(default_factory=dict)
    _watch: Watch = field(init=False)
    _fetches: int = 0
    _bytes: int = 0
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._watch = Watch(MOST_SECONDS, MOST_HANDLED, allowance=self.ctx.allowance)

    def node(self, place: Place) -> Node:
        """Return what was read as a node, the same one each time."""
        if place not in self._nodes:
            self._nodes[place] = Node(place, place[0], self.read[place].content or b"{}")
        return self._nodes[place]

    def visible(self, places: Iterable[Place]) -> list[Node]:
        """Return those of some resources that are there for the token."""
        asked = list(dict.fromkeys(places))
        self.read_all(asked)
        return [self.node(place) for place in asked if place in self.read]

    def read_all(self, places: Iterable[Place]) -> None:
        """Read what was not read yet; what is not there for the token stays away."""
        wanted = [to for to in dict.fromkeys(places) if to not in self.read and to not in self._absent]
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            self.fetch("graph")
            self.take(self.ctx.store.each_read(some))
            self._absent.update(to for to in some if to not in self.read)

    def take(self, versions: Iterable[StoredVersion]) -> None:
        """Keep what was read or found, and count it."""
        for one in versions:
            if (one.type, one.id) not in self.read:
                self.read[one.type, one.id] = one
                self._bytes += len(one.content or b"")
            self._refuse_more()

    def _refuse_more(self) -> None:
        if len(self.read) > MOST_RESOURCES or self._bytes > MOST_BYTES:
            raise TooCostly(f"The graph reads more than {MOST_RESOURCES} resources, or {MOST_BYTES} bytes of them; "
                            "fewer links, or narrower searches, lead to less.", expression="graph")

    def fetch(self, place: str) -> None:
        """Count a read or a search."""
        self._fetches += 1
        if self._fetches > MOST_FETCHES:
            raise TooCostly(f"The graph needs more than {MOST_FETCHES} reads and searches.", expression=place)
        self.check_time(place)

    def check_time(self, place: str) -> None:
        """Refuse to go on for too long."""
        if time.monotonic() - self._started > MOST_SECONDS:
            raise TooCostly(f"The graph takes more than {MOST_SECONDS:.0f} seconds.", expression=place)

    def items(self, expression: str, node: Node, place: str) -> tuple[str | None, list[Element]]:
        """Evaluate a path of the definition, and tell the type that it leads to on such a resource, where it is known.
        """
        try:
            compiled = self._compile(expression, node)
            found = compiled.items(node.resource, resource=node.resource, root_resource=node.root, watch=self._watch)
        except FhirPathError as error:
            raise explained(error, place) from None
        return compiled.type, found

    def holds(self, expression: str, source: Node, node: Node, place: str) -> bool:
        """Ask a condition of a resource; %source is the one that the link leads from."""
        try:
            return self._compile(expression, node).holds(
                node.resource, resource=node.resource, root_resource=node.root, watch=self._watch,
                variables={"source": [Element(source.resource, source.type)]},
            ) is True  # fmt: skip
        except FhirPathError as error:
            raise explained(error, place) from None

    def _compile(self, expression: str, node: Node) -> Compiled:
        if (expression, node.type) not in self._compiled:
            self._compiled[expression, node.type] = compile_once(expression, node.type)
        return self._compiled[expression, node.type]

    def warn(self, code: str, text: str, place: str) -> None:
        """Note what is not as the definition says, each once."""
        one = OutcomeIssue(code, text, place, "warning")
        if len(self.warnings) < MOST_WARNINGS and one not in self.warnings:
            self.warnings.append(one)
