"""Chains, `_has` and compartments find exactly what a plain walk over the resources finds, whatever the token may see.

The walk follows references in the JSON and asks at each hop whether the token may search what is there.
https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hie.fhir import search_parameters
from hie.store.resources import ResourceStore
from hie.store.search import hops
from tests.property import plain
from tests.property.plain import Asked, Meaning
from tests.property.plain_filter import GET, Json, listed
from tests.property.random_resources import FAMILIES, meta, records

GET["Organization"] = {
    "name": lambda r: [r["name"]],
    "active": lambda r: listed(r.get("active")),
    "identifier": lambda r: listed(r.get("identifier")),
}


def world(seed: int) -> list[Json]:
    """The records of the plain law, joined to each other over several hops."""
    rng = random.Random(seed)
    found = records(seed)
    for number in range(6):
        found.append(organization(rng, number))
    for record in found:
        number = int(record["id"][1:])
        match record["resourceType"]:
            case "Patient":
                join(rng, record, "managingOrganization", f"Organization/r{rng.randrange(6)}")
                if rng.random() < 0.3:
                    other = {"reference": f"Patient/p{rng.randrange(8)}"}
                    record["link"] = [{"other": other, "type": "seealso"}]
            case "Observation":
                join(rng, record, "encounter", f"Encounter/e{rng.randrange(12)}")
                if number and rng.random() < 0.4:
                    record["hasMember"] = [{"reference": f"Observation/o{rng.randrange(number)}"} for _ in range(2)]
            case "Encounter":
                join(rng, record, "partOf", f"Encounter/e{rng.randrange(30)}")
            case "Group":
                record["member"] = [{"entity": {"reference": f"Patient/p{rng.randrange(8)}"}} for _ in range(2)]
    return found


def organization(rng: random.Random, number: int) -> Json:
    found = {"resourceType": "Organization", "id": f"r{number}", "name": rng.choice(FAMILIES), **meta(rng)}
    if rng.random() < 0.7:
        found["active"] = rng.choice([True, False])
    join(rng, found, "partOf", f"Organization/r{rng.randrange(6)}")
    return found


def join(rng: random.Random, record: Json, element: str, reference: str) -> None:
    if rng.random() < 0.7:
        record[element] = {"reference": reference}


#: type -> reference parameter -> where the references are, and the one type they are held to (None: any).
REFERENCES: dict[str, dict[str, tuple[Callable[[Json], list[Json]], str | None]]] = {
    "Observation": {
        "subject": (lambda r: listed(r.get("subject")), None),
        "patient": (lambda r: listed(r.get("subject")), "Patient"),
        "encounter": (lambda r: listed(r.get("encounter")), "Encounter"),
        "has-member": (lambda r: listed(r.get("hasMember")), None),
    },
    "Encounter": {
        "subject": (lambda r: listed(r.get("subject")), None),
        "patient": (lambda r: listed(r.get("subject")), "Patient"),
        "part-of": (lambda r: listed(r.get("partOf")), "Encounter"),
    },
    "Patient": {
        "organization": (lambda r: listed(r.get("managingOrganization")), "Organization"),
        "link": (lambda r: [one["other"] for one in listed(r.get("link"))], None),
    },
    "Organization": {"partof": (lambda r: listed(r.get("partOf")), "Organization")},
    "Group": {"member": (lambda r: [one["entity"] for one in listed(r.get("member"))], None)},
}
ENDS = {"subject": ["Patient", "Group"], "has-member": ["Observation"], "link": ["Patient"], "member": ["Patient"]}

#: What a token may search, and the same as a plain test.
GRANTS: list[tuple[list[str], Meaning]] = [
    (["system/*.cruds"], lambda r: True),
    (["system/Patient.rs?gender=male", "system/Observation.rs", "system/Encounter.rs", "system/Organization.rs",
      "system/Group.rs"],
     lambda r: r["resourceType"] != "Patient" or r.get("gender") == "male"),
    (["system/Patient.rs", "system/Observation.rs?status=final", "system/Encounter.rs?subject=Patient/p1",
      "system/Organization.rs?active=true", "system/Group.rs"],
     lambda r: {
         "Observation": r.get("status") == "final",
         "Encounter": r.get("subject", {}).get("reference") == "Patient/p1",
         "Organization": r.get("active") is True,
     }.get(r["resourceType"], True)),
]  # fmt: skip


class World:
    """The resources by place, and what the token may see of them."""

    def __init__(self, found: list[Json]) -> None:
        self.found = found
        self.by_place = {f"{one['resourceType']}/{one['id']}": one for one in found}
        self.visible: Meaning = lambda r: True

    def at(self, references: list[Json], types: list[str]) -> list[Json]:
        there = [self.by_place[text] for one in references if (text := one.get("reference", "")) in self.by_place]
        return [one for one in there if one["resourceType"] in types and self.visible(one)]


@st.composite
def criterion(draw: st.DrawFn, here: World, type_name: str, hops_left: int) -> Asked:
    """A criterion, a chain, a _has or a _not-referenced for a type."""
    kinds = ["leaf", "leaf", "chain", "chain", "has", "has", "unreferenced"] if hops_left else ["leaf"]
    kind = draw(st.sampled_from(kinds if hops_left < 3 else kinds[2:]))
    if kind == "unreferenced":
        return draw(unreferenced(here, type_name))
    if kind == "has":
        return draw(has(here, type_name, hops_left))
    if kind == "chain" and type_name in REFERENCES:
        return draw(chain(here, type_name, hops_left))
    if type_name == "Group":
        return "actual", "true", lambda record: True
    return draw(draw(st.sampled_from([plain.plain_criterion(type_name), plain.common_criterion(type_name)])))


@st.composite
def chain(draw: st.DrawFn, here: World, type_name: str, hops_left: int) -> Asked:
    code = draw(st.sampled_from(sorted(REFERENCES[type_name])))
    get, only = REFERENCES[type_name][code]
    types = ENDS.get(code, [only or ""])
    end = draw(st.sampled_from(types))
    typed = draw(st.booleans())
    if not typed and len(types) > 1:  # the parameter is asked of every type that has it
        name, text, meaning = draw(plain.plain_criterion("Patient"))
        known = [one for one in types if name.partition(":")[0] in search_parameters.for_type(one)]
        return f"{code}.{name}", text, lambda record: any(meaning(one) for one in here.at(get(record), known))
    name, text, meaning = draw(criterion(here, end, hops_left - 1))
    written = f"{code}:{end}.{name}" if typed else f"{code}.{name}"
    return written, text, lambda record: any(meaning(one) for one in here.at(get(record), [end]))


@st.composite
def has(draw: st.DrawFn, here: World, type_name: str, hops_left: int) -> Asked:
    source, code = draw(st.sampled_from(ways_to(type_name)))
    name, text, meaning = draw(criterion(here, source, hops_left - 1))
    get, _ = REFERENCES[source][code]

    def matches(record: Json) -> bool:
        place = f"{record['resourceType']}/{record['id']}"
        return any(
            meaning(one)
            for one in here.found
            if one["resourceType"] == source and here.visible(one)
            if any(reference.get("reference") == place for reference in get(one))
        )

    return f"_has:{source}:{code}:{name}", text, matches


def ways_to(type_name: str) -> list[tuple[str, str]]:
    """Return by what a type is referred to: another's type and parameter."""
    return [
        (source, code)
        for source, codes in REFERENCES.items()
        for code, (_, only) in codes.items()
        if type_name in ENDS.get(code, [only])
    ]


@st.composite
def unreferenced(draw: st.DrawFn, here: World, type_name: str) -> Asked:
    wide = [("*", "*"), *((source, "*") for source in REFERENCES)]
    source, code = draw(st.sampled_from([*ways_to(type_name), *wide]))

    def matches(record: Json) -> bool:
        place = f"{record['resourceType']}/{record['id']}"
        return not any(
            place in texts(one if code == "*" else REFERENCES[source][code][0](one))
            for one in here.found if source in ("*", one["resourceType"]) and here.visible(one)
        )  # fmt: skip

    return "_not-referenced", f"{source}:{code}", matches


def texts(found: Any) -> list[str]:
    """Return the texts of all references inside."""
    if isinstance(found, list):
        return [text for one in found for text in texts(one)]
    if not isinstance(found, dict):
        return []
    own = found.get("reference")
    return [*([own] if isinstance(own, str) else []), *(text for one in found.values() for text in texts(one))]


def is_in_compartment(record: Json, patient: str) -> bool:
    """https://hl7.org/fhir/R4/compartmentdefinition-patient.html, for what the records have."""
    if record["resourceType"] == "Patient":
        others = [one["other"]["reference"] for one in listed(record.get("link"))]
        return record["id"] == patient or f"Patient/{patient}" in others
    subject = record.get("subject", {}).get("reference")
    return record["resourceType"] in ("Observation", "Encounter") and subject == f"Patient/{patient}"


@pytest.mark.proves("chain:*", "parameter:_has", "parameter:_not-referenced")
@pytest.mark.parametrize(("seed", "frequent"), [(1, None), (2, 1)], ids=["from the other end", "one by one"])
def test_joins_find_what_a_plain_walk_finds(
    bind: Callable[..., ResourceStore], monkeypatch: pytest.MonkeyPatch, seed: int, frequent: int | None
) -> None:
    if frequent is not None:
        monkeypatch.setattr(hops, "FREQUENT", {"sqlite": frequent, "postgresql": frequent})
    here = World(world(seed))
    plain.store_all(bind(), here.found)
    stores = [(bind(*scopes), visible) for scopes, visible in GRANTS]

    @settings(max_examples=200, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    @given(st.data())
    def law(data: st.DataObject) -> None:
        store, here.visible = data.draw(st.sampled_from(stores))
        type_name = data.draw(st.sampled_from(["Patient", "Observation", "Encounter", "Organization"]))
        asked = [data.draw(criterion(here, type_name, hops_left)) for hops_left in data.draw(
            st.sampled_from([(1,), (2,), (3,), (1, 0), (2, 1)]))]  # fmt: skip
        expected = {
            one["id"] for one in here.found
            if one["resourceType"] == type_name and here.visible(one) and all(meaning(one) for _, _, meaning in asked)
        }  # fmt: skip
        parameters = [(name, text) for name, text, _ in asked]
        within = data.draw(st.sampled_from([None, None, None, "p0", "p1"])) if type_name != "Organization" else None
        if within is not None:
            expected &= {one["id"] for one in here.found if is_in_compartment(one, within)}
        size = data.draw(st.sampled_from(["7", "1000"]))
        asked_for = [*parameters, ("_count", size), ("_total", "accurate")]
        ids, totals = plain.pages(store, type_name, asked_for, ("Patient", within) if within else None)
        assert set(ids) == expected, parameters
        assert len(ids) == len(expected), f"{parameters}: a resource came twice"
        assert totals == {len(expected)}, parameters

    law()
