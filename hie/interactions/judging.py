"""What the resources of one request are judged by, and for how long: https://hl7.org/fhir/R4/profiling.html

Each resource has bounds of its own; of the thousands in a Bundle these would be hours, while other writers wait.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from hie.errors import OutcomeIssue
from hie.fhir import json_format
from hie.fhir.questionnaires import Form
from hie.fhir.terminology.source import Known, Source
from hie.fhir.terminology.terminology import Terminology
from hie.fhir.working_time import WorkingTime
from hie.store.terminology import StoredTerminology

if TYPE_CHECKING:
    from hie.interactions.pointing import Coming
    from hie.store.resources import ResourceStore

Json = dict[str, Any]

#: Seconds of work by what clients have stored: for one resource, and for all entries of a Bundle.
OF_ONE, OF_A_BUNDLE = 5.0, 10.0
#: Look-ups that are kept, and bytes of what was found; as many of questionnaires that are ready.
MOST_KEPT, MOST_BYTES = 1_000, 50_000_000


class Unjudged(NamedTuple):
    """A resource that is valid by R4's base rules, as JSON, with the warnings of these.

    Of many that wait this takes a fifth of the memory that they take as they were read.
    """

    content: bytes
    issues: list[OutcomeIssue]

    @property
    def resource(self) -> Json:
        """Read it again."""
        found: Json = json_format.parse(self.content)
        return found


def of_one() -> Judging:
    """Return what one resource is judged by."""
    return Judging(OF_ONE, "Send a smaller resource, or let what it is judged by be less.")


def of_bundle() -> Judging:
    """Return what all entries of a Bundle are judged by."""
    return Judging(OF_A_BUNDLE, "Send fewer resources at once.")


class Judging:
    """The time that is left, and what has been looked up."""

    def __init__(self, seconds: float, advice: str) -> None:
        self.time = WorkingTime(seconds, advice)
        self.waiting: list[Unjudged] | None = None
        """Where what is stored now is put, to be judged later; None where it is judged at once."""
        self.coming: Coming | None = None
        """What the transaction will have stored, where there is one."""
        self._kept: _Kept | None = None
        self._services: dict[str, Terminology] = {}
        self._forms: dict[Hashable, Form] = {}
        self._bytes = 0

    def definitions_stay(self) -> None:
        """Keep what is looked up from now on: nobody changes definitions any more while this lasts."""
        self._kept = _Kept()

    @contextmanager
    def later(self) -> Iterator[list[Unjudged]]:
        """Judge none of the resources that are stored meanwhile, and give them as they come."""
        found: list[Unjudged] = []
        self.waiting = found
        try:
            yield found
        finally:
            self.waiting = None

    def source(self, store: ResourceStore) -> Source:
        """Return the stored definitions that a token may see."""
        stored = StoredTerminology(store)
        return stored if self._kept is None else _Keeping(stored, self._kept)

    def service(self, name: str, make: Callable[[], Terminology]) -> Terminology:
        """Return the terminology of a name for a further resource; what one has found is kept where definitions stay.
        """
        if self._kept is None:
            return make()
        found = self._services.get(name)
        if found is None or not found.begins_anew():
            found = self._services[name] = make()
        return found

    def form(self, known: Known) -> Form:
        """Make this version of a questionnaire ready to judge answers by, once while there is room."""
        found = self._forms.get(known.key)
        if found is None:
            found = Form(known.resource)
            if self._bytes < MOST_BYTES:
                self._forms[known.key] = found
                self._bytes += found.size
        return found


class _Kept:
    """What was found by type, canonical URL and version."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, str | None], Known | None] = {}
        self._keys: set[Hashable] = set()
        self._bytes = 0

    def keep(self, place: tuple[str, str, str | None], known: Known | None) -> None:
        if len(self.found) >= MOST_KEPT or self._bytes >= MOST_BYTES:
            return
        self.found[place] = known
        if known is not None and known.key not in self._keys:
            self._keys.add(known.key)
            self._bytes += len(json_format.dump(known.resource))


class _Keeping:
    """A source that looks up once."""

    def __init__(self, stored: Source, kept: _Kept) -> None:
        self._stored, self._kept = stored, kept

    def find(self, type_name: str, url: str, version: str | None) -> Known | None:
        """Return the resource with this canonical URL."""
        place = (type_name, url, version)
        if place not in self._kept.found:
            known = self._stored.find(*place)
            self._kept.keep(place, known)
            return known
        return self._kept.found[place]

    def read(self, type_name: str, id_: str) -> Json:
        """Return the stored resource with this id."""
        return self._stored.read(type_name, id_)

    def of_all_codes(self, url: str, version: str | None) -> Known | None:
        """Return the code system that names this value set as that of all its codes."""
        return self._stored.of_all_codes(url, version)

    def supplements(self, url: str) -> list[Known]:
        """Return the supplements of a code system."""
        return self._stored.supplements(url)

    def concept_maps(self, criteria: Mapping[str, str]) -> list[Json]:
        """Return the stored concept maps that match search criteria."""
        return self._stored.concept_maps(criteria)
