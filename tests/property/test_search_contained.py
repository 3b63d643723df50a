"""`_contained` finds what a plain filter over what resources contain finds, now and then, whatever the token may see.

Containers are made at random of the plain law's records, changed and deleted; each instant's world is kept as JSON.
https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hie.store.check import check
from hie.store.resources import ResourceStore
from hie.store.search import engine, query
from hie.store.store import Store
from tests.property import plain, random_resources
from tests.property.plain import Asked, Meaning
from tests.property.plain_filter import NOW, Json

Place = tuple[str, str]
World = dict[Place, Json]
CONTAINERS, CHANGES = 26, 40

GRANTS: list[tuple[list[str], Meaning]] = [
    (["system/*.cruds"], lambda r: True),
    (["system/DiagnosticReport.rs?status=final", "system/Observation.rs", "system/Patient.rs", "system/Encounter.rs"],
     lambda r: r.get("status") == "final" if r["resourceType"] == "DiagnosticReport"
     else r["resourceType"] in ("Observation", "Patient", "Encounter")),
    (["system/DiagnosticReport.rs", "system/Observation.rs?status=final", "system/Patient.rs?gender=male"],
     lambda r: {"DiagnosticReport": True, "Observation": r.get("status") == "final",
                "Patient": r.get("gender") == "male"}.get(r["resourceType"], False)),
]  # fmt: skip


def container(rng: random.Random, number: int, records: list[Json]) -> Json:
    """A report that contains results and whatever else, or an Observation of what it contains."""
    if rng.random() < 0.6:
        parts = rng.sample(records, rng.choice([0, 1, 2, 3]))
        found: Json = {"resourceType": "DiagnosticReport", "id": f"c{number}", "code": {"text": "x"},
                       "status": rng.choice(["final", "preliminary"])}  # fmt: skip
    else:
        parts = [rng.choice([one for one in records if one["resourceType"] == kind])
                 for kind in rng.choice([["Patient"], ["Patient", "Observation"], ["Observation"]])]  # fmt: skip
        found = random_resources.observation(rng, number) | {"id": f"k{number}"}
        if parts[0]["resourceType"] == "Patient":
            found["subject"] = {"reference": f"#{parts[0]['id']}"}
    return {**found, "contained": parts} if parts else found


class History:
    """What was written, and when."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.records = random_resources.records(seed)
        self.parts = [one for one in self.records if one["resourceType"] != "Group"]
        self.events: list[tuple[int, Place, Json | None]] = []

    def live(self, bind: Callable[..., ResourceStore]) -> None:
        plain.store_all(bind(), self.records)
        for number in range(CONTAINERS):
            self._write(bind(), container(self.rng, number, self.parts))
        for _ in range(CHANGES):
            number = self.rng.randrange(CONTAINERS)
            if self.rng.random() < 0.2:
                for place in (("DiagnosticReport", f"c{number}"), ("Observation", f"k{number}")):
                    gone = bind().transact(partial(ResourceStore.delete, type=place[0], id=place[1]))
                    self.events += [] if gone is None else [(gone.updated, place, None)]
            else:
                self._write(bind(), container(self.rng, number, self.parts))

    def _write(self, store: ResourceStore, record: Json) -> None:
        place = (record["resourceType"], record["id"])
        version = store.transact(lambda inside: inside.update(*place, record))
        self.events.append((version.updated, place, record))

    def at(self, instant: int) -> World:
        found: dict[Place, Json | None] = {(one["resourceType"], one["id"]): one for one in self.records}
        for when, place, record in self.events:
            if when <= instant:
                found[place] = record
        return {place: one for place, one in found.items() if one is not None}


def contained(world: World) -> Iterator[tuple[Place, Json]]:
    for place, record in world.items():
        for part in record.get("contained", ()):
            yield place, part


def pages(
    store: ResourceStore, type_name: str | None, parameters: list[tuple[str, str]]
) -> tuple[list[str], set[int | None]]:
    """Follow the next links; return what was found in order, and the totals that the pages gave."""
    found: list[str] = []
    totals: set[int | None] = set()
    cursor: str | None = None
    for _ in range(300):
        more = [] if cursor is None else [("_cursor", cursor)]
        now = int(NOW.timestamp()) * 1_000_000
        page = engine.search(store, query.parse(
            type_name, [*parameters, *more], now=now, contained=True, at=store.at))  # fmt: skip
        found += [f"{one.type}/{one.id}" + ("" if one.fragment is None else f"#{one.fragment}") for one in page.matches]
        totals.add(page.total)
        cursor = page.next_cursor
        if cursor is None:
            return found, totals
    raise AssertionError("The pages do not end.")


def covered(visible: Meaning, store: ResourceStore, latest: World, place: Place, part: Json | None) -> Meaning:
    """Conditions of a grant hold of what was then and of what stands there now."""

    def holds(record: Json) -> bool:
        if not visible(record):
            return False
        if store.grant.queries(record["resourceType"], "s") is None:
            return True
        here = latest.get(place)
        if here is None or part is None:
            return here is not None and visible(here)
        return any(visible(one) and one["resourceType"] == part["resourceType"] for one in here.get("contained", ())
                   if one["id"] == part["id"])  # fmt: skip

    return holds


@pytest.fixture
def lived(bind: Callable[..., ResourceStore]) -> History:
    history = History(11)
    history.live(bind)
    return history


@st.composite
def asked_of(draw: st.DrawFn) -> tuple[str, list[Asked]]:
    """A search of the plain law; a subject with a display alone is no value that differs, which that filter ignores."""
    type_name, asked, _ = draw(plain.searches("Patient", "Observation", "Observation", "Encounter"))
    return type_name, [one for one in asked if "subject ne" not in one[1]]


@st.composite
def asked_of_several(draw: st.DrawFn) -> tuple[list[str], list[Asked]]:
    """A search over several types, by what they have in common."""
    types = draw(st.sampled_from([["Observation", "Patient"], ["Encounter", "Observation", "Patient"]]))
    common = plain.common_criterion("Observation").filter(lambda one: not one[0].endswith(":missing"))
    return types, [draw(common) for _ in range(draw(st.sampled_from([0, 1, 2])))]


@pytest.mark.proves("parameter:_contained", "parameter:_containedType")
def test_what_is_contained_is_found_as_a_plain_filter_finds_it(
    lived: History, bind: Callable[..., ResourceStore], store: Store
) -> None:
    assert check(store).problems == []
    times = [when for when, _, _ in lived.events]
    latest = lived.at(times[-1])
    stores = [(bind(*scopes), visible) for scopes, visible in GRANTS]

    @settings(max_examples=130, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(st.data())
    def law(data: st.DataObject) -> None:
        here, visible = data.draw(st.sampled_from(stores))
        type_name, asked = data.draw(asked_of())
        if here.grant.types("s").isdisjoint([type_name]):
            type_name, asked = "Observation", []
        types = [type_name]
        if data.draw(st.booleans()):
            types, asked = data.draw(asked_of_several())
            types = [one for one in types if one in here.grant.types("s")]
        at = data.draw(st.sampled_from([None, None, *times[-30::3]]))
        world = latest if at is None else lived.at(at)
        which = data.draw(st.sampled_from(["true", "both"]))
        whole = data.draw(st.booleans())
        of_type = ["-date", "code"] if types == ["Observation"] and not whole else ["_id", "-_lastUpdated"]
        sort = data.draw(st.sampled_from(["", "", *of_type]))

        def may(place: Place, part: Json | None, record: Json) -> bool:
            return visible(record) if at is None else covered(visible, here, latest, place, part)(record)

        def is_found(record: Json) -> bool:
            return record["resourceType"] in types and all(meaning(record) for _, _, meaning in asked)

        expected = {
            "/".join(place) + ("" if whole else f"#{part['id']}") for place, part in contained(world)
            if is_found(part) and may(place, part, part) and may(place, None, world[place])
        }  # fmt: skip
        if which == "both":
            expected |= {"/".join(place) for place, one in world.items() if is_found(one) and may(place, None, one)}
        parameters = [*((name, text) for name, text, _ in asked), ("_contained", which), ("_total", "accurate"),
                      ("_containedType", "container" if whole else "contained"),
                      ("_count", data.draw(st.sampled_from(["1", "4", "1000"])))]  # fmt: skip
        parameters += [("_sort", sort)] if sort else []
        parameters += [("_type", ",".join(types))] if len(types) > 1 else []
        of = types[0] if len(types) == 1 else None
        found, totals = pages(here if at is None else here.as_of(at), of, parameters)
        assert set(found) == expected, parameters
        assert len(found) == len(expected), f"{parameters}: one came twice"
        assert totals == {len(expected)}, parameters

    law()


@pytest.mark.proves("chain:*")
def test_a_chain_ends_in_what_is_contained_too(lived: History, bind: Callable[..., ResourceStore]) -> None:
    times = [when for when, _, _ in lived.events]
    stores = [(bind(*scopes), visible) for scopes, visible in GRANTS]
    latest = lived.at(times[-1])

    @settings(max_examples=80, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(st.data())
    def law(data: st.DataObject) -> None:
        here, visible = data.draw(st.sampled_from(stores))
        name, text, meaning = data.draw(data.draw(st.sampled_from(
            [plain.plain_criterion("Patient"), plain.common_criterion("Patient")])))  # fmt: skip
        at = data.draw(st.sampled_from([None, None, *times[-30::6]]))
        world = latest if at is None else lived.at(at)

        def may(place: Place, part: Json | None, record: Json) -> bool:
            return visible(record) if at is None else covered(visible, here, latest, place, part)(record)

        def leads(place: Place, record: Json) -> bool:
            to = record.get("subject", {}).get("reference", "")
            if to.startswith("#"):
                return any(may(place, part, part) and meaning(part) for part in record.get("contained", ())
                           if part["resourceType"] == "Patient" and part["id"] == to[1:])  # fmt: skip
            there = world.get(tuple(to.partition("/")[::2]))  # type: ignore[arg-type]
            return there is not None and there["resourceType"] == "Patient" and meaning(there) and may(
                ("Patient", there["id"]), None, there)  # fmt: skip

        expected = {"/".join(place) for place, record in world.items() if place[0] == "Observation"
                    and may(place, None, record) and leads(place, record)}  # fmt: skip
        code = data.draw(st.sampled_from(["subject:Patient", "patient"]))
        size = data.draw(st.sampled_from(["5", "1000"]))
        parameters = [(f"{code}.{name}", text), ("_total", "accurate"), ("_count", size)]
        found, totals = pages(here if at is None else here.as_of(at), "Observation", parameters)
        assert (set(found), len(found), totals) == (expected, len(expected), {len(expected)}), parameters

    law()
