"""Pages of chains and `_has` show what the first page saw, whatever is changed at either end meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest

from hie.errors import FhirError
from hie.store.resources import ResourceStore
from hie.store.search import hops, query, then
from hie.store.search.engine import SearchPage
from hie.store.terminology import OfPages
from tests.conftest import Clock

Bind = Callable[..., ResourceStore]
Asked = list[tuple[str, str]]
NAMES, STATUSES = ["ada", "bea", "cid"], ["final", "amended"]
SCOPES = ["system/Observation.rs?status=final", "system/Patient.rs", "system/Organization.rs"]
HERE = {"contained": [{"resourceType": "Organization", "id": "in", "name": "ada inside"}]}

SEARCHES: list[tuple[str | None, Asked]] = [
    ("Observation", [("patient.name", "a")]),
    ("Observation", [("subject.identifier", "a,b"), ("_sort", "-date")]),
    ("Observation", [("subject:Patient.organization.name", "a,b"), ("status", "final")]),
    ("Observation", [("patient.organization.partof.name", "a,b")]),
    ("Observation", [("performer:Organization.name", "a")]),
    ("Observation", [("patient.name", "b"), ("date", "ge2019")]),
    ("Observation", [("_filter", "not (subject.name sw a) and status eq final")]),
    ("Patient", [("_has:Observation:patient:status", "final")]),
    ("Patient", [("_has:Observation:patient:performer:Organization.name", "a"), ("_sort", "-_lastUpdated")]),
    ("Patient", [("_has:Provenance:target:recorded", "ge2020"), ("_sort", "birthdate")]),
    ("Patient", [("organization:Organization._has:Patient:organization:name", "a,c")]),
    ("Organization", [("_has:Patient:organization:_has:Observation:patient:status", "amended")]),
    ("Organization", [("_has:Organization:partof:name", "a,b")]),
    (None, [("_type", "Patient,Observation"), ("_has:Provenance:target:recorded", "ge2020")]),
    (None, [("_type", "Observation,Encounter"), ("patient.name", "a,c")]),
]


class World:
    """Organizations, Patients, Observations, Encounters and Provenances that refer to each other, and change."""

    def __init__(self, bind: Bind, rng: random.Random) -> None:
        self._bind, self._rng, self._number = bind, rng, 0
        self._sizes = {"Organization": 7, "Patient": 12, "Observation": 30, "Encounter": 8, "Provenance": 12}
        for type_name, size in self._sizes.items():
            for number in range(size):
                self._write(type_name, f"{type_name[:2]}{number}".lower())

    def change(self, times: int, but: str = "") -> None:
        """Change, delete, revive or create some, of all types but one; what may not be deleted stays."""
        for _ in range(times):
            type_name = self._rng.choice([one for one in self._sizes if one != but])
            id_ = f"{type_name[:2]}{self._rng.randrange(self._sizes[type_name] + 2)}".lower()
            with suppress(FhirError):  # something refers to it, or it would refer to what was deleted
                if self._rng.random() < 0.3:
                    self._bind().transact(lambda store, at=(type_name, id_): store.delete(*at))
                else:
                    self._write(type_name, id_)

    def _write(self, type_name: str, id_: str) -> None:
        self._number += 1
        made = getattr(self, "_" + type_name.lower())()
        self._bind().transact(lambda store: store.update(type_name, id_, {"resourceType": type_name, **made}))

    def _to(self, type_name: str) -> dict[str, str]:
        return {"reference": f"{type_name}/{type_name[:2].lower()}{self._rng.randrange(self._sizes[type_name])}"}

    def _organization(self) -> dict[str, Any]:
        above = {"partOf": {"reference": f"Organization/or{self._rng.randrange(2)}"}} if self._number > 2 else {}
        return {"name": self._rng.choice(NAMES), **above}

    def _patient(self) -> dict[str, Any]:
        name = self._rng.choice(NAMES)
        return {"name": [{"family": name}], "identifier": [{"value": name[0]}],
                "birthDate": self._rng.choice(["1970", "1980-02-01"]), "managingOrganization": self._to("Organization")}

    def _observation(self) -> dict[str, Any]:
        inside = self._rng.random() < 0.2
        by = {"reference": "#in"} if inside else self._to("Organization")
        return {"status": self._rng.choice(STATUSES), "code": {"text": "x"}, "subject": self._to("Patient"),
                "effectiveDateTime": f"20{self._rng.randint(18, 24)}-01-01", "performer": [by],
                **(HERE if inside else {})}

    def _encounter(self) -> dict[str, Any]:
        return {"status": "planned", "class": {"code": "AMB"}, "subject": self._to("Patient")}

    def _provenance(self) -> dict[str, Any]:
        return {"target": [self._to(self._rng.choice(["Patient", "Observation"]))],
                "recorded": f"20{self._rng.randint(18, 24)}-01-01T00:00:00Z", "agent": [{"who": {"display": "x"}}]}


@pytest.fixture(params=["few", "many"])
def world(request: pytest.FixtureRequest, bind: Bind, monkeypatch: pytest.MonkeyPatch) -> World:
    """Joins lead where they find few; where many, each resource is asked in turn."""
    if request.param == "many":
        monkeypatch.setattr(hops, "FREQUENT", {"sqlite": 1, "postgresql": 1})
    return World(bind, random.Random(7))


def page(store: ResourceStore, search: tuple[str | None, Asked], cursor: str | None, count: int) -> SearchPage:
    more = [("_count", str(count)), ("_total", "accurate")] + ([("_cursor", cursor)] if cursor else [])
    with OfPages(store, cursor) as terminology:
        return terminology.store.search(query.parse(search[0], [*search[1], *more], terminology=terminology))


def shown(found: SearchPage) -> list[tuple[str, str, int]]:
    return [(one.type, one.id, one.vid) for one in found.matches]


def test_pages_of_chains_are_those_of_the_first_state(
    bind: Bind, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever changes at the ends of references; conditions of the token hold of what stays."""
    monkeypatch.setattr(then, "_BATCH", 5)
    monkeypatch.setattr(then, "_FEW", 2)  # both ways to what referred to an end are gone
    lengths = []
    for number, search in enumerate(SEARCHES):
        is_bound = number % 2 == 1 and search[0] == "Observation"
        store = bind(*SCOPES) if is_bound else bind()
        whole, found = shown(page(store, search, None, 1000)), []
        size = max(2, len(whole) // 5)
        onwards = page(store, search, None, size)
        while True:
            found += shown(onwards)
            assert onwards.total == len(whole)
            if onwards.next_cursor is None:
                break
            world.change(6, but="Observation" if is_bound else "")
            clock.forward(7 if number % 3 else 4_000)  # what is recent is asked in another way
            onwards = page(store, search, onwards.next_cursor, size)
        assert found == whole, search
        lengths.append(len(whole))
    assert sum(length > 3 for length in lengths) > 12, lengths


def test_what_is_replaced_while_a_further_page_is_read_stays_on_it(
    bind: Bind, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is read by several statements: of what was replaced since the first one, then of what was not."""
    walked = 0
    for search in SEARCHES:
        whole = shown(page(bind(), search, None, 1000))
        first = page(bind(), search, None, 1)
        if first.next_cursor is None:
            continue
        found = then._rows, then._referring

        def interrupted(of: Callable[..., Any]) -> Callable[..., Any]:
            def read(*arguments: Any) -> Any:
                rows = list(of(*arguments))
                writer = Thread(target=world.change, args=(6,))
                writer.start()
                writer.join()
                return iter(rows)

            return read

        monkeypatch.setattr(then, "_rows", interrupted(found[0]))
        monkeypatch.setattr(then, "_referring", interrupted(found[1]))
        rest = page(bind(), search, first.next_cursor, 1000)
        monkeypatch.setattr(then, "_rows", found[0])
        monkeypatch.setattr(then, "_referring", found[1])
        assert [*shown(first), *shown(rest)] == whole, search
        walked += 1
    assert walked > 10
