"""What an interaction is given besides its request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hie.fhir.bundle import Room
    from hie.fhir.fhirpath import Allowance
    from hie.fhir.http import FhirRequest, FhirResponse
    from hie.interactions.judging import Judging
    from hie.registry import Registry
    from hie.security.authentication import Principal
    from hie.settings import Settings
    from hie.store.packages import Profiles
    from hie.store.resources import ResourceStore


@dataclass(frozen=True, slots=True)
class Context:
    """The store (bound to tenant, grant and audit record), and everything an interaction may use.

    Time and ids come from `clock` (microseconds since 1970) and `new_id`, so that tests can fix them.
    """

    store: ResourceStore
    principal: Principal
    registry: Registry
    settings: Settings
    clock: Callable[[], int]
    new_id: Callable[[], str]
    base_url: str
    request_id: str
    dispatch: Callable[[FhirRequest, Context], FhirResponse]
    models: Any  # hie.registry.Models: name -> runtime
    profiles: Profiles
    allowance: Allowance | None = None
    """What the FHIRPath of one transaction may use altogether; None outside of one."""
    room: Room | None = None
    """What the entries of one Bundle may answer altogether; None outside of one."""
    judging: Judging | None = None
    """What the resources of one Bundle are judged by, and for how long; None outside of one."""
    keeps_labels: bool = True
    """Whether an update leaves the tags and labels that it does not have; not where a history is followed."""

    def within(self, store: ResourceStore) -> Context:
        """Return the same context on another store: the one inside an open transaction."""
        if store is self.store:
            return self
        return Context(  # written out: once for each resource that is written, and `replace` takes four times as long
            store, self.principal, self.registry, self.settings, self.clock, self.new_id, self.base_url,
            self.request_id, self.dispatch, self.models, self.profiles, self.allowance, self.room,
            self.judging, self.keeps_labels,
        )  # fmt: skip
