"""Follows the links of a GraphDefinition from a resource on, all resources of a link together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hie.errors import Forbidden, InvalidRequest, OutcomeIssue, Unprocessable
from hie.fhir import references, search_parameters
from hie.fhir.graph_definitions import ABSTRACT, EVERYTHING, Graph, Link, Target
from hie.fhir.references import Canonical
from hie.operations.graph import rules, searching
from hie.operations.graph.profiled import Profiled
from hie.operations.graph.reading import Node, Place, Reading
from hie.store.search.literal_references import SELF_CONTAINED
from hie.store.search.reference import relative
from hie.store.terminology import StoredTerminology
from hie.store.versions import StoredVersion

#: What a path may lead to.
_LEADING = frozenset({"Reference", "canonical", "uri", "url"})

Lead = Place | Node | Canonical
"""Where a path leads: to a resource here, a contained one, or what has a canonical URL."""
Relation = tuple[Node, Node]


@dataclass(slots=True)
class Walk:
    """One graph on its way: `found` in the order in which it was met."""

    graph: Graph
    reading: Reading
    found: dict[Place, StoredVersion] = field(default_factory=dict)
    lacking: OutcomeIssue | None = None
    """The first link that is there less often than the definition says."""
    profiled: Profiled = field(init=False)
    _inside: dict[int, dict[str, list[Node]]] = field(default_factory=dict)
    """What is contained in a resource, which is read as long as the graph is: by its identity."""
    _named: dict[tuple[str, str, str | None], Place | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.profiled = Profiled(self.reading)

    def begin(self, focus: StoredVersion) -> None:
        """Follow all links from the focus."""
        place = (focus.type, focus.id)
        self.reading.take([focus])
        self.found[place] = focus
        self._follow([self.reading.node(place)], self.graph.links)

    def _follow(self, nodes: Sequence[Node], links: Iterable[Link]) -> None:
        """Follow links from some resources; a definition ends somewhere, so that circles in the data end too."""
        for link in links:
            by_key: dict[Place | int, set[Place | int]] = {node.key: set() for node in nodes}
            below: list[tuple[Target, list[Node]]] = []
            for target, relations in self._relations(link, nodes):
                kept = [one for one in relations if self._is_meant(target, *one)]
                for source, node in kept:
                    by_key[source.key].add(node.key)
                    if node.place is not None:
                        self.found.setdefault(node.place, self.reading.read[node.place])
                below.append((target, list({node.key: node for _, node in kept}.values())))
            self._check_numbers(link, nodes, [len(by_key[node.key]) for node in nodes])
            for target, reached in below:
                if reached:
                    self._follow(reached, target.links)

    def _relations(self, link: Link, nodes: Sequence[Node]) -> Iterator[tuple[Target, list[Relation]]]:
        """Yield for each target of a link what it leads to from which resource."""
        leads = [] if link.path is None else [(node, lead) for node in nodes for lead in self._leads(link, node)]
        places = [to for _, to in leads if not isinstance(to, Node | Canonical)]
        self.reading.read_all(to for to in places if any(target.takes(to[0]) for target in link.targets))
        for target in link.targets:
            if link.path is None:
                yield target, list(self._searched(target, nodes))
            else:
                led = [(source, self._led(target, lead)) for source, lead in leads]
                yield target, [(source, node) for source, node in led if node is not None]

    def _searched(self, target: Target, nodes: Sequence[Node]) -> Iterator[Relation]:
        """Search for what refers to the resources; to what is contained nobody else can refer."""
        sources = {"/".join(node.place): node for node in nodes if node.place is not None}
        try:
            for of, node in searching.found(target, list(sources), self.reading):
                yield sources[of], node
        except Forbidden:
            return  # the token may not search this type: none of it is there
        except InvalidRequest as error:
            raise Unprocessable(error.diagnostics, expression=f"{target.place}.params") from None

    # ---- by a path -----------------------------------------------------------------------------------------------

    def _led(self, target: Target, lead: Lead) -> Node | None:
        """Return the resource that a lead means, where it is there and of the target's type."""
        if isinstance(lead, Node):
            return lead if target.takes(lead.type) else None
        if isinstance(lead, Canonical):
            place = self._canonical(target, lead)
            return None if place is None else self.reading.node(place)
        return self.reading.node(lead) if target.takes(lead[0]) and lead in self.reading.read else None

    def _leads(self, link: Link, node: Node) -> Iterator[Lead]:
        """Yield where the path leads from a resource, each once."""
        found: dict[object, Lead] = {}
        for text, is_canonical in self._texts(link, node):
            for lead in self._of_text(text, node, is_canonical=is_canonical):
                found.setdefault(lead.key if isinstance(lead, Node) else lead, lead)
        return iter(found.values())

    def _texts(self, link: Link, node: Node) -> Iterator[tuple[str, bool]]:
        """Yield what the references and canonical URLs say, and whether it is such a URL."""
        if link.path == EVERYTHING:
            every = references.iterate(node.resource)
            yield from ((one["reference"], False) for _, one in every if isinstance(one.get("reference"), str))
            return
        place = f"{link.place}.path"
        kind, items = self.reading.items(link.path or "", node, place)
        if link.slice is not None:
            items = self.profiled.of_slice(link.slice, node, f"{link.place}.sliceName")
        if kind is not None and kind not in _LEADING:
            raise Unprocessable(f"From a {node.type} the path leads to {kind}; it has to lead to References or "
                                "canonical URLs.", expression=place)
        for item in items:
            value = item.value.get("reference") if isinstance(item.value, dict) else item.value
            if item.type in _LEADING and isinstance(value, str):
                yield value, item.type == "canonical" and not value.startswith("#")

    def _of_text(self, text: str, node: Node, *, is_canonical: bool) -> Iterator[Lead]:
        """Yield what a text means; references inside of a Bundle mean its own entries, and lead nowhere."""
        if is_canonical:
            canonical = references.parse_canonical(text)
            yield canonical._replace(fragment=None)
            return
        if node.type in SELF_CONTAINED:
            return
        ctx = self.reading.ctx
        to = references.parse(relative(relative(text, ctx.store.base_url), ctx.base_url))
        if to.kind == "relative" and to.type is not None and to.id is not None:
            yield to.type, to.id
        elif to.kind == "fragment":
            yield from self._contained(node).get(str(to.id), ())

    def _contained(self, node: Node) -> dict[str, list[Node]]:
        """Return what a resource contains, or what is contained beside it, by id."""
        key = id(node.root)
        if key not in self._inside:
            by_id = self._inside[key] = {}
            for one in node.root.get("contained", ()):
                by_id.setdefault(str(one.get("id")), []).append(Node.contained(one, node.root))
        return self._inside[key]

    def _canonical(self, target: Target, named: Canonical) -> Place | None:
        """Return where the resource with a canonical URL is, of those that the token may search."""
        if target.type in ABSTRACT:
            raise Unprocessable("The path leads to canonical URLs: type has to say of which type what they name is.",
                                expression=f"{target.place}.type")
        key = (target.type, named.url, named.version)
        if key not in self._named:
            place: Place | None = None
            if "url" in search_parameters.for_type(target.type):
                self.reading.fetch(target.place)
                known = StoredTerminology(self.reading.ctx.store).find(*key)
                place = None if known is None else (target.type, str(known.resource["id"]))
            self._named[key] = place
        place = self._named[key]
        return place if place is not None and self.reading.visible([place]) else None

    # ---- what is meant -------------------------------------------------------------------------------------------

    def _is_meant(self, target: Target, source: Node, node: Node) -> bool:
        self.reading.check_time(target.place)
        if not self.profiled.conforms(target, node):
            return False
        rule = rules.broken(target.rules, source, node, self.reading)
        if rule is not None:
            self.reading.warn("business-rule", f"From {source} to {node} the link is not followed: by the rule "
                              f"{rule.kind} their {rule.compartment} compartments do not fit together.", rule.place)
        return rule is None

    def _check_numbers(self, link: Link, nodes: Sequence[Node], numbers: Sequence[int]) -> None:
        """Tell of a link that is there less or more often than the definition says."""
        for node, number in zip(nodes, numbers, strict=True):
            if number < link.min or (link.max is not None and number > link.max):
                right = f"{link.min}..{'*' if link.max is None else link.max}"
                told = f"{node} leads by this link to {number}; {right} is right."
                self.reading.warn("business-rule", told, link.place)
                if number < link.min and self.lacking is None:
                    self.lacking = OutcomeIssue("required", told, link.place)
