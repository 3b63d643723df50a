"""What the references of a judged resource lead to: https://hl7.org/fhir/R4/references.html

What is stored and the token may read; in a transaction what its entries will have stored, whatever their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hie.errors import FhirError
from hie.fhir.profiles.resolving import Name, Read, Target
from hie.fhir.resource import validated
from hie.store.opening import parsed

if TYPE_CHECKING:
    from hie.interactions.resolving import Found, Links
    from hie.interactions.steps import Plan, Step
    from hie.store.resources import ResourceStore

Json = dict[str, Any]


class Coming:
    """The resources that a transaction stores, by type and id, as they will be."""

    def __init__(self, plan: Plan, meanings: dict[int, Found], links: Links) -> None:
        self._plan, self._meanings, self._links = plan, meanings, links

    @cached_property
    def _steps(self) -> dict[Name, Step | None]:
        """What a patch will make of its resource is not known before."""
        steps: dict[Name, Step | None] = {}
        for step in self._plan.steps:
            type_name, _, id_ = self._plan.targets[step.entry.index].partition("/")
            meaning = self._meanings.get(step.entry.index)
            is_there = meaning is not None and (meaning.stored is not None or meaning.id != step.new_id)
            if step.request.interaction == "update" or (step.request.interaction == "create" and not is_there):
                steps[type_name, id_] = step
            elif step.request.interaction == "patch":
                steps[type_name, id_] = None
        return steps

    def __contains__(self, name: Name) -> bool:
        return name in self._steps

    def find(self, name: Name) -> Json | None:
        """Return what comes; None where it is not known, or not valid, for which the transaction will be refused."""
        step = self._steps[name]
        if step is None:
            return None
        resource: Json = self._links.set_in(step)
        try:
            validated(resource, name[0])
        except FhirError:
            return None
        return resource


def reader(store: ResourceStore, coming: Coming | None) -> Read:
    """Return what reads targets: those that come, and those that are stored under the store's grant."""

    def read(names: Sequence[Name]) -> Iterator[Target]:
        stored = []
        for name in names:
            if coming is None or name not in coming:
                stored.append(name)
            elif (resource := coming.find(name)) is not None:
                yield Target(name, resource, None, 0)
        for one in store.each_read(stored):
            yield Target((one.type, one.id), parsed(one), str(one.vid), len(one.content or b""))

    return read
