"""Search of contained resources: https://hl7.org/fhir/R4/search.html#contained, docs/adr/0020-contained-resources.md"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from hie.fhir.instants import instant
from hie.store import contained, unit_of_work
from hie.store.check import check
from hie.store.models import FOREVER
from tests.builders import entry, observation, patient, put
from tests.conformance.conftest import Fhir
from tests.conftest import Clock

Json = dict[str, Any]
SNOMED = "http://snomed.info/sct"


def report(*results: Json, **more: Any) -> Json:
    """A DiagnosticReport that contains its results."""
    return {
        "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "Panel"},
        "contained": list(results), "result": [{"reference": f"#{one['id']}"} for one in results], **more,
    }  # fmt: skip


def pulse(id_: str, value: float = 80, **more: Any) -> Json:
    return observation(value=value, id=id_, **more)


def pressure(id_: str, value: float = 120, **more: Any) -> Json:
    return observation(value=value, code="8480-6", id=id_, **more)


def request(medication: Json, **more: Any) -> Json:
    return {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order", "contained": [medication],
        "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": f"#{medication['id']}"}, **more,
    }  # fmt: skip


def medication(id_: str | None, code: str, **more: Any) -> Json:
    return {
        "resourceType": "Medication", **({"id": id_} if id_ else {}),
        "code": {"coding": [{"system": SNOMED, "code": code, "display": f"Remedy {code}"}]}, **more,
    }  # fmt: skip


WORLD = [
    patient(id="p"),
    observation("Patient/p", id="alone"),
    report(pulse("x", 60), pressure("y", 60), id="r1"),
    report(pulse("x", 90, effectiveDateTime="2020-01-01"), id="r2", subject={"reference": "Patient/p"}),
    report(pulse("x", 95, subject="Patient/p"), pulse("y", 96), id="r3", status="preliminary"),
    {"resourceType": "DiagnosticReport", "id": "r4", "status": "final", "code": {"text": "Panel"}},
    {**observation(id="both"), "contained": [pulse("z", 55)], "hasMember": [{"reference": "#z"}]},
    medication(None, "1") | {"id": "m"},
    request(medication("m", "2"), id="q1"),
    request(medication("m", "3"), id="q2"),
    {**request(medication("m", "9"), id="q3"), "contained": [medication("m", "9"), medication("n", "2")],
     "supportingInformation": [{"reference": "#n"}]},
    {"resourceType": "MedicationRequest", "id": "q4", "status": "active", "intent": "order",
     "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": "Medication/m"}},
    {"resourceType": "MedicationDispense", "id": "d1", "status": "completed",
     "contained": [{"resourceType": "MedicationRequest", "id": "q", "status": "active", "intent": "order",
                    "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": "Medication/m"}}],
     "authorizingPrescription": [{"reference": "#q"}], "medicationReference": {"reference": "Medication/m"}},
]


@pytest.fixture
def filled(fhir: Fhir) -> Fhir:
    for one in WORLD:
        store(fhir, one)
    return fhir


def store(fhir: Fhir, one: Json) -> None:
    answer = fhir.put(f"{one['resourceType']}/{one['id']}", one)
    assert answer.status in (200, 201), answer.content


def urls(answer: Any) -> list[str]:
    assert answer.status == 200, answer.content
    return [row["fullUrl"].removeprefix("http://localhost/fhir/") for row in answer.entries()]


REPORTS = "DiagnosticReport/r1 DiagnosticReport/r2 DiagnosticReport/r3"
PARTS = "DiagnosticReport/r1#x DiagnosticReport/r2#x DiagnosticReport/r3#x DiagnosticReport/r3#y Observation/both#z"
OWN = "Observation/alone Observation/both Medication/m"
ALL_PARTS = ("DiagnosticReport/r1#x DiagnosticReport/r1#y DiagnosticReport/r2#x DiagnosticReport/r3#x "
             "DiagnosticReport/r3#y Observation/both#z MedicationRequest/q1#m MedicationRequest/q2#m "
             "MedicationRequest/q3#m MedicationRequest/q3#n MedicationDispense/d1#q")  # fmt: skip
ALL_CONTAINERS = (f"{REPORTS} Observation/both MedicationRequest/q1 MedicationRequest/q2 MedicationRequest/q3 "
                  "MedicationDispense/d1")  # fmt: skip
ALL_ALONE = " ".join(f"{one['resourceType']}/{one['id']}" for one in WORLD)
MANY_IDS = ",".join(f"no{number}" for number in range(40))
FOUND = [
    ("Observation?code=8867-4", "Observation/alone Observation/both"),
    ("Observation?code=8867-4&_contained=false&_containedType=contained", "Observation/alone Observation/both"),
    ("Observation?code=8867-4&_contained=true", f"{REPORTS} Observation/both"),
    ("Observation?code=8867-4&_contained=true&_containedType=container", f"{REPORTS} Observation/both"),
    ("Observation?code=8867-4&_contained=true&_containedType=contained", PARTS),
    ("Observation?code=8867-4&_contained=both", f"Observation/alone Observation/both {REPORTS}"),
    ("Observation?code=8867-4&_contained=both&_containedType=contained",
     f"Observation/alone Observation/both {PARTS}"),
    # all criteria hold of one and the same contained resource
    ("Observation?code=8867-4&value-quantity=60&_contained=true", "DiagnosticReport/r1"),
    ("Observation?code=8480-6&value-quantity=gt90&_contained=true", ""),
    ("Observation?code:text=heart&value-quantity=96&date=2020&_contained=true", ""),
    ("Observation?code-value-quantity=8480-6$60&_contained=true", "DiagnosticReport/r1"),
    ("Observation?_contained=true&date=2020&_containedType=contained", "DiagnosticReport/r2#x"),
    ("Observation?_contained=true&code:text=heart&value-quantity=60&_containedType=contained",
     "DiagnosticReport/r1#x DiagnosticReport/r1#y"),
    ("Observation?_contained=both&code:text=heart&value-quantity=le80",
     "Observation/alone Observation/both DiagnosticReport/r1"),
    ("Observation?_contained=true&code:not=8867-4&_containedType=contained", "DiagnosticReport/r1#y"),
    ("Observation?_contained=true&subject:missing=false", "DiagnosticReport/r3"),
    ("Observation?_contained=true&subject:Patient.family=smith&_containedType=contained", "DiagnosticReport/r3#x"),
    ("Observation?_contained=true&_id=y&_containedType=contained", "DiagnosticReport/r1#y DiagnosticReport/r3#y"),
    ("Observation?_contained=true&_filter=value-quantity gt 90 and not (code eq 8480-6)&_containedType=contained",
     "DiagnosticReport/r3#x DiagnosticReport/r3#y"),
    ("Observation?_contained=true&_lastUpdated=lt2000", ""),
    ("?_type=Observation&_contained=true&code=8480-6", "DiagnosticReport/r1"),
    ("Patient/p/Observation?_contained=true", "DiagnosticReport/r3"),
    # several types, all of them, and a compartment
    ("?_contained=true", ALL_CONTAINERS),
    ("?_contained=true&_containedType=contained", ALL_PARTS),
    ("?_contained=both", ALL_ALONE),
    ("?_contained=both&_containedType=contained", f"{ALL_ALONE} {ALL_PARTS}"),
    ("?_contained=false&_type=Observation,Medication", "Observation/alone Observation/both Medication/m"),
    ("?_type=Observation,Medication&_contained=true&code=8867-4,2",
     f"{REPORTS} Observation/both MedicationRequest/q1 MedicationRequest/q3"),
    ("?_type=Observation,Medication&_contained=true&code=8480-6,2&_containedType=contained",
     "DiagnosticReport/r1#y MedicationRequest/q1#m MedicationRequest/q3#n"),
    ("?_type=Observation,Medication&_contained=both&code=8867-4,1",
     f"Observation/alone Observation/both Medication/m {REPORTS}"),
    ("?_type=Observation,Medication&_contained=both&code=8867-4,1,9&_containedType=contained",
     f"Observation/alone Observation/both Medication/m {PARTS} MedicationRequest/q3#m"),
    ("?_type=Observation,Medication&_contained=both&code:text=remedy,heart rate&_id=m,z&_containedType=contained",
     "Medication/m Observation/both#z MedicationRequest/q1#m MedicationRequest/q2#m MedicationRequest/q3#m"),
    ("?_type=Observation,Medication&_contained=both&code:text=remedy 1,heart rate", f"{OWN} {REPORTS}"),
    ("?_type=Observation,Medication&_contained=true&_filter=code eq 9 or code eq 8480-6",
     "DiagnosticReport/r1 MedicationRequest/q3"),
    ("?_type=Observation,Medication&_contained=true&code:not=8867-4,2&_containedType=contained",
     "DiagnosticReport/r1#y MedicationRequest/q2#m MedicationRequest/q3#m"),
    ("?_type=Observation,MedicationRequest&_contained=true&subject:Patient.family=smith",
     "DiagnosticReport/r3 MedicationDispense/d1"),
    ("?_type=Observation,MedicationRequest&_contained=true&subject:missing=true&_containedType=contained",
     "DiagnosticReport/r1#x DiagnosticReport/r1#y DiagnosticReport/r2#x DiagnosticReport/r3#y Observation/both#z"),
    ("?_type=Patient,Encounter&_contained=true", ""),
    ("?_contained=true&_id=x,q&_containedType=contained",
     "DiagnosticReport/r1#x DiagnosticReport/r2#x DiagnosticReport/r3#x MedicationDispense/d1#q"),
    ("?_contained=true&_id:not=x,y&_type=Observation,MedicationRequest", "Observation/both MedicationDispense/d1"),
    (f"?_contained=both&_id=p,q,n,{MANY_IDS}&_containedType=contained",
     "Patient/p MedicationRequest/q3#n MedicationDispense/d1#q"),
    (f"?_contained=true&_id:not=x,y,m,z,{MANY_IDS}", "MedicationRequest/q3 MedicationDispense/d1"),
    ("?_contained=true&_lastUpdated=ge2000&_type=Observation,Patient", f"{REPORTS} Observation/both"),
    ("Patient/p/*?_contained=true", "DiagnosticReport/r3 MedicationDispense/d1"),
    ("Patient/p/*?_contained=both&_containedType=contained&_type=Patient,MedicationRequest,Observation,DiagnosticReport",
     "Patient/p Observation/alone DiagnosticReport/r2 MedicationRequest/q1 MedicationRequest/q2 MedicationRequest/q3 "
     "MedicationRequest/q4 DiagnosticReport/r3#x MedicationDispense/d1#q"),
    ("?_type=Observation,Medication&_contained=both&code=8480-6,1,2&_sort=-_lastUpdated",
     "MedicationRequest/q3 MedicationRequest/q1 Medication/m DiagnosticReport/r1"),
    ("?_type=Observation,Medication&_contained=both&code:text=remedy,a&code=1,3&_sort=_id",
     "Medication/m MedicationRequest/q2"),
    ("?_type=Observation,Medication&_contained=true&code=8480-6,2,3&_containedType=contained&_sort=-_id",
     "DiagnosticReport/r1#y MedicationRequest/q3#n MedicationRequest/q1#m MedicationRequest/q2#m"),
    # sorted: containers by what every resource has, contained resources by their own parameters
    ("Observation?_contained=both&_sort=_id", f"Observation/alone Observation/both {REPORTS}"),
    ("Observation?_contained=true&code=8867-4&_containedType=contained&_sort=-_id",
     "Observation/both#z DiagnosticReport/r3#y DiagnosticReport/r1#x DiagnosticReport/r2#x DiagnosticReport/r3#x"),
    ("Observation?_contained=true&_sort=-_lastUpdated",
     "Observation/both DiagnosticReport/r3 DiagnosticReport/r2 DiagnosticReport/r1"),
    ("Observation?_contained=true&code=8867-4&_containedType=contained&_sort=-value-quantity",
     "DiagnosticReport/r3#y DiagnosticReport/r3#x DiagnosticReport/r2#x DiagnosticReport/r1#x Observation/both#z"),
    ("Observation?_contained=both&value-quantity=le80&_containedType=contained&_sort=value-quantity,code",
     "Observation/both#z DiagnosticReport/r1#y DiagnosticReport/r1#x Observation/alone Observation/both"),
    # what is included
    ("Observation?_contained=true&_include=DiagnosticReport:subject", f"{REPORTS} Observation/both Patient/p"),
    ("Observation?_contained=true&_id=x&_include=Observation:subject&_containedType=contained",
     "DiagnosticReport/r1#x DiagnosticReport/r2#x DiagnosticReport/r3#x Patient/p"),
    ("Medication?_contained=true&code=3&_revinclude=Provenance:target", "MedicationRequest/q2"),
    ("?_type=Observation,MedicationRequest&_contained=true&_id=x,q&_include=*&_containedType=contained",
     "DiagnosticReport/r1#x DiagnosticReport/r2#x DiagnosticReport/r3#x MedicationDispense/d1#q "
     "Patient/p Medication/m"),
    ("?_type=Observation,Medication&_contained=true&code=3,96&_include=MedicationRequest:subject",
     "MedicationRequest/q2 Patient/p"),
    # chains end in what is contained and referred to
    ("MedicationRequest?medication.code=2", "MedicationRequest/q1"),
    ("MedicationRequest?medication._id=m&status=active",
     "MedicationRequest/q1 MedicationRequest/q2 MedicationRequest/q3 MedicationRequest/q4"),
    ("MedicationRequest?medication:Medication.code=1,3", "MedicationRequest/q2 MedicationRequest/q4"),
    ("MedicationRequest?medication.code:text=remedy 9&status=active", "MedicationRequest/q3"),
    ("MedicationDispense?prescription.patient=Patient/p", "MedicationDispense/d1"),
    ("Patient?_has:MedicationRequest:patient:medication.code=3", "Patient/p"),
    ("MedicationRequest?_contained=true&patient.family=smith", "MedicationDispense/d1"),
]  # fmt: skip


@pytest.mark.proves("parameter:_contained", "parameter:_containedType", "chain:*")
@pytest.mark.parametrize("count", ["", "&_count=1"], ids=["one page", "page by page"])
def test_contained_resources_are_found(filled: Fhir, count: str) -> None:
    for search, expected in FOUND:
        found, totals = [], set()
        url = f"{search}&_total=accurate{count if '_include' not in search else ''}"
        while url:
            answer = filled.get(url)
            found += urls(answer)
            totals.add(answer.json["total"])
            last, url = answer, answer.link("next") or ""
        back = urls(last)
        while before := last.link("previous"):
            last = filled.get(before)
            back = urls(last) + back
        assert back == found, search
        assert found == expected.split(), search
        matches = [one for one in found if one not in ("Patient/p", "Medication/m") or "_include" not in search]
        assert totals == {len(matches)} == {filled.total(search)}, search


def test_a_contained_resource_is_answered_with_its_container_in_the_full_url(filled: Fhir) -> None:
    (row,) = filled.get("Observation?_contained=true&date=2020").entries()
    assert (row["resource"]["id"], row["search"]) == ("r2", {"mode": "match"})
    (row,) = filled.get("Observation?_contained=true&date=2020&_containedType=contained").entries()
    assert row["fullUrl"] == "http://localhost/fhir/DiagnosticReport/r2#x"
    assert row["resource"] == WORLD[3]["contained"][0]
    assert row["search"] == {"mode": "match"}
    cut = filled.get("Observation?_contained=true&date=2020&_containedType=contained&_elements=status").resources()[0]
    assert set(cut) == {"resourceType", "id", "meta", "status", "code"}


def test_a_batch_and_a_form_ask_as_well(filled: Fhir) -> None:
    asked = "Observation?_contained=true&date=2020"
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry("GET", asked)]}
    (answered,) = filled.post("", batch).entries()
    assert answered["resource"]["entry"][0]["fullUrl"].endswith("/DiagnosticReport/r2")
    form = filled.post("Observation/_search", "_contained=true&date=2020",
                       Content_Type="application/x-www-form-urlencoded")  # fmt: skip
    assert urls(form) == ["DiagnosticReport/r2"]


@pytest.mark.parametrize("which", ["true", "both"])
@pytest.mark.parametrize("answer", ["container", "contained"])
def test_explain_tells_of_it(filled: Fhir, client: Callable[..., Fhir], which: str, answer: str) -> None:
    asked = f"Observation/$explain?_contained={which}&_containedType={answer}&code=8867-4"
    told = [one["valueString"] for one in filled.get(asked).json["parameter"] if one["name"] == "growth"]
    assert any("contained resources match is found first" in one for one in told)
    whole = client("system/*.cruds", "admin").get(asked).json["parameter"]
    statements = [{part["name"]: part for part in one["part"]} for one in whole if one["name"] == "statement"]
    assert len(statements) == (2 if which == "both" else 1)
    assert "FROM contained" in statements[-1]["sql"]["valueString"]


REFUSED = [
    ("Observation?_contained=yes", "invalid", "_contained", "true, false, both"),
    ("Observation?_contained=true&_contained=both", "invalid", "_contained", "given twice"),
    ("Observation?_contained:exact=true", "invalid", "_contained", "no modifiers"),
    ("Observation?_containedType=x", "invalid", "_containedType", "container, contained"),
    ("?_contained=true&code=1", "invalid", "code", "no search parameter"),
    ("?_type=Observation,Patient&_contained=true&code=1", "invalid", "code", "no search parameter"),
    ("?_type=Observation,Patient&_contained=true&_sort=_tag", "not-supported", "_sort", "by _id and _lastUpdated"),
    ("?_type=Observation,Media&_contained=true&_has:DiagnosticReport:result,media:status=final", "invalid",
     "_has:DiagnosticReport:result,media:status", "no search parameter"),
    ("?_contained=true&_list=1", "not-supported", "_has", "only its container"),
    ("Patient/p/*?_contained=both&_containedType=contained&_revinclude=Provenance:target", "not-supported",
     "_revinclude", "only its container"),
    ("Observation?_contained=true&_sort=date", "not-supported", "_sort", "by _id and _lastUpdated"),
    ("Observation?_contained=true&_containedType=contained&_revinclude=Provenance:target", "not-supported",
     "_revinclude", "only its container"),
    ("Observation?_contained=true&_has:DiagnosticReport:result:status=final", "not-supported", "_has",
     "only its container"),
    ("Observation?_contained=true&_list=1", "not-supported", "_has", "only its container"),
    ("Observation/$lastn?_contained=true&patient=p", "not-supported", "_contained", "not for this"),
    ("Patient?_contained=true&nme=x", "invalid", "nme", "did you mean name"),
]  # fmt: skip


def test_what_contained_resources_cannot_be_asked_is_refused(filled: Fhir) -> None:
    for search, code, expression, words in REFUSED:
        filled.get(search).refused(400, code, expression, words)
    condition = {"If_None_Exist": "_contained=true&code=8867-4"}
    filled.post("Observation", observation(), **condition).refused(400, "not-supported", "_contained")


# ---- access ----------------------------------------------------------------------------------------------------------

ACCESS = [
    # the container must be within the grant, and so must the contained resource
    (["system/Observation.rs"], "Observation/both#z"),
    (["system/Observation.rs", "system/DiagnosticReport.rs?status=final"],
     "DiagnosticReport/r1#x DiagnosticReport/r1#y DiagnosticReport/r2#x Observation/both#z"),
    (["system/Observation.rs?code=8480-6", "system/DiagnosticReport.rs"], "DiagnosticReport/r1#y"),
    (["system/Observation.rs?code:not=8867-4", "system/DiagnosticReport.rs?status=final"], "DiagnosticReport/r1#y"),
    (["system/Observation.rs?patient=Patient/p", "system/DiagnosticReport.rs"], "DiagnosticReport/r3#x"),
    (["system/Observation.rs?patient=Patient/p", "system/DiagnosticReport.rs?status=final"], ""),
    (["system/Observation.s", "system/DiagnosticReport.r"], "Observation/both#z"),
]  # fmt: skip


@pytest.mark.parametrize(("scopes", "expected"), ACCESS, ids=lambda value: " ".join(value) if value else "nothing")
def test_a_token_learns_of_contained_resources_only_what_both_its_scopes_cover(
    filled: Fhir, client: Callable[..., Fhir], scopes: list[str], expected: str
) -> None:
    token, parts = client(*scopes), expected.split()
    containers = list(dict.fromkeys(one.partition("#")[0] for one in parts))
    for more in ("", "&code:text=heart", "&value-quantity=ge0", "&_sort=-value-quantity", "&_sort=code", "&_count=1"):
        answer = token.get(f"Observation?_contained=true&_containedType=contained&_total=accurate{more}")
        assert answer.json["total"] == len(parts), more
        assert set(urls(answer)) <= set(parts), more
        assert len(urls(answer)) == (min(len(parts), 1) if "_count" in more else len(parts)), more
        if "_sort" not in more:
            answer = token.get(f"Observation?_contained=true&_total=accurate{more}")
            assert answer.json["total"] == len(containers), more
            assert set(urls(answer)) <= set(containers), more
    for value in (60, 90, 95, 96, 55):  # nor by halving the values of what it may not see
        here = [row["fullUrl"] for row in filled.get(
            f"Observation?_contained=true&_containedType=contained&value-quantity={value}").entries()]  # fmt: skip
        seen = {one.removeprefix("http://localhost/fhir/") for one in here} & set(parts)
        assert token.total(f"Observation?_contained=true&_containedType=contained&value-quantity={value}") == len(seen)


def test_a_token_without_a_scope_for_the_contained_type_is_refused(
    filled: Fhir, client: Callable[..., Fhir]
) -> None:
    token = client("system/DiagnosticReport.rs", "system/MedicationRequest.rs")
    token.get("Observation?_contained=true").refused(403, "forbidden")
    token.get("Observation?_contained=both&_containedType=contained").refused(403, "forbidden")
    token.get("MedicationRequest?medication:Medication.code=2").refused(403, "forbidden")
    token.get("?_type=Observation,MedicationRequest&_contained=true").refused(403, "forbidden")
    assert urls(token.get("?_contained=true&_containedType=contained")) == []  # of its own types, in containers of them


OVER_TYPES = [
    # scopes, types, the contained resources of these, those that stand by themselves
    (["system/Observation.rs"], "?", "Observation/both#z", "Observation/alone Observation/both"),
    (["system/Medication.rs", "system/MedicationDispense.rs", "system/MedicationRequest.rs?status=active"], "?",
     "MedicationRequest/q1#m MedicationRequest/q2#m MedicationRequest/q3#m MedicationRequest/q3#n "
     "MedicationDispense/d1#q",
     "Medication/m MedicationRequest/q1 MedicationRequest/q2 MedicationRequest/q3 MedicationRequest/q4 "
     "MedicationDispense/d1"),
    (["system/MedicationRequest.rs", "system/Medication.rs?code=2", "system/Observation.rs?code=8480-6",
      "system/DiagnosticReport.rs?status=preliminary"], "?_type=Medication,Observation&",
     "MedicationRequest/q1#m MedicationRequest/q3#n", ""),
    (["system/MedicationRequest.rs", "system/Medication.rs?code=2", "system/Observation.rs?code=8867-4",
      "system/DiagnosticReport.rs?status=preliminary"], "?_type=Medication,Observation&",
     "DiagnosticReport/r3#x DiagnosticReport/r3#y Observation/both#z MedicationRequest/q1#m MedicationRequest/q3#n",
     "Observation/alone Observation/both"),
    (["system/Observation.rs?patient=Patient/p", "system/DiagnosticReport.rs", "system/MedicationDispense.rs",
      "system/MedicationRequest.rs?patient=Patient/q"], "Patient/p/*?", "DiagnosticReport/r3#x",
     "Observation/alone DiagnosticReport/r2"),
]  # fmt: skip


@pytest.mark.parametrize(("scopes", "asked", "parts", "alone"), OVER_TYPES, ids=range(len(OVER_TYPES)))
def test_a_search_over_types_tells_a_token_only_of_what_its_scopes_cover(
    filled: Fhir, client: Callable[..., Fhir], clock: Clock, scopes: list[str], asked: str, parts: str, alone: str
) -> None:
    token, inside, own = client(*scopes), parts.split(), alone.split()
    holding = list(dict.fromkeys(one.partition("#")[0] for one in inside))
    expected = {
        "_contained=true": holding,
        "_contained=true&_containedType=contained": inside,
        "_contained=both": [*own, *(one for one in holding if one not in own)],
        "_contained=both&_containedType=contained": [*own, *inside],
    }
    then = instant(clock())
    clock.forward(10)
    for more in ("", "&_sort=_id", "&_sort=-_lastUpdated", f"&_asOf={then}", "&_lastUpdated=gt2000", "&_id:not=zz"):
        for how, all_ in expected.items():
            answer = token.get(f"{asked}{how}&_total=accurate{more}")
            found = urls(answer)
            assert sorted(found) == sorted(all_) if "_sort" in more else found == all_, (how, more)
            assert answer.json["total"] == len(all_), (how, more)
            if more in ("", "&_sort=_id"):
                assert follow(token, token.get(f"{asked}{how}{more}&_count=2")) == found, (how, more)
    # its containers are deleted, so what they contained is no longer covered by what they are now
    for place in holding:
        assert filled.delete(place).status == 200
    assert token.total(f"{asked}_contained=true") == 0
    before = urls(token.get(f"{asked}_contained=true&_containedType=contained&_asOf={then}"))
    assert before == ([] if any("?" in one for one in scopes) else inside)


def test_a_chain_into_a_contained_resource_is_held_to_the_scopes_of_its_type(
    filled: Fhir, client: Callable[..., Fhir]
) -> None:
    token = client("system/MedicationRequest.rs", "system/Medication.rs?code=2")
    assert urls(token.get("MedicationRequest?medication.code=1,2,3,9")) == ["MedicationRequest/q1"]
    assert urls(token.get("MedicationRequest?medication.code:text=remedy")) == ["MedicationRequest/q1"]
    assert urls(token.get("MedicationRequest?medication.code:not=2")) == []


# ---- what is written -------------------------------------------------------------------------------------------------


def rows(app: Flask) -> dict[str, int]:
    store = app.extensions["hie"].store
    connection = store.database.connection()
    return {one.name: connection.execute(select(func.count()).select_from(one)).scalar_one()
            for one in contained.tables(connection)}  # fmt: skip


def test_what_contains_nothing_has_no_rows_of_contained_resources(fhir: Fhir, app: Flask) -> None:
    for _ in range(2):
        fhir.put("Observation/o", observation(id="o", value=len(rows(app))))
        fhir.put("Observation/o", observation(id="o", value=1))
    fhir.delete("Observation/o")
    assert set(rows(app).values()) == {0}


def test_contained_resources_change_with_their_container_and_pages_show_what_the_first_saw(
    filled: Fhir, client: Callable[..., Fhir], app: Flask, clock: Clock
) -> None:
    first = filled.get("Observation?_contained=true&code=8867-4&_containedType=contained&_count=1")
    containers = filled.get("Observation?_contained=true&code=8867-4&_count=1")
    chained = filled.get("MedicationRequest?medication.code=2,3&_count=1")
    then = instant(clock())
    clock.forward(10)
    store(filled, report(pressure("x", 90), id="r2"))
    store(filled, report(pulse("n", 91), id="r4"))
    assert filled.delete("MedicationRequest/q2").status == 200
    assert filled.delete("Observation/both").status == 200
    now = ["DiagnosticReport/r1#x", "DiagnosticReport/r3#x", "DiagnosticReport/r3#y", "DiagnosticReport/r4#n"]
    assert urls(filled.get("Observation?_contained=true&code=8867-4&_containedType=contained")) == now
    assert follow(filled, first) == PARTS.split()
    assert follow(filled, containers) == [*REPORTS.split(), "Observation/both"]
    assert follow(filled, chained) == ["MedicationRequest/q1", "MedicationRequest/q2"]
    asked = f"Observation?_contained=true&code=8867-4&_containedType=contained&_asOf={then}"
    assert urls(filled.get(asked)) == PARTS.split()
    assert check(app.extensions["hie"].store).problems == []
    assert client("system/*.cruds", "admin").delete("DiagnosticReport/r2/_history/1").status == 200
    assert urls(filled.get(asked)) == [one for one in PARTS.split() if "r2" not in one]
    assert check(app.extensions["hie"].store).problems == []


def test_a_transaction_that_waits_in_a_file_keeps_what_its_resources_contain(
    fhir: Fhir, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_of_work, "MANY", 2)
    entries = [put(report(pulse("x", number), id=f"r{number}")) for number in range(5)]
    assert fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status == 200
    assert urls(fhir.get("Observation?_contained=true&value-quantity=gt3")) == ["DiagnosticReport/r4"]
    assert check(app.extensions["hie"].store).problems == []


def follow(fhir: Fhir, answer: Any) -> list[str]:
    found = urls(answer)
    while url := answer.link("next"):
        answer = fhir.get(url)
        found += urls(answer)
    return found


def test_reindexing_writes_and_checking_compares_the_rows_of_contained_resources(
    filled: Fhir, client: Callable[..., Fhir], app: Flask
) -> None:
    here, admin = app.extensions["hie"].store, client("system/*.cruds", "admin")
    before = rows(app)
    with here.database.engine.begin() as connection:
        for table in contained.tables(connection)[1:]:
            connection.execute(table.delete())
        connection.execute(contained.contained.update().values(presence=0, tokens=None))
    assert len([one for one in check(here).problems if "of what the current version" in one]) == 8
    for type_name in ("DiagnosticReport", "Observation", "MedicationRequest", "MedicationDispense"):
        for one in (row for row in WORLD if row["resourceType"] == type_name):
            assert admin.post(f"{type_name}/{one['id']}/$reindex").status == 200
    assert check(here).problems == []
    assert rows(app) == before
    with here.database.engine.begin() as connection:
        connection.execute(contained.contained.delete())
    assert any("belong to nothing that a resource contains" in one for one in check(here).problems)


def test_checking_compares_which_transactions_wrote_and_ended_what_is_contained(fhir: Fhir, app: Flask) -> None:
    here, its = app.extensions["hie"].store, contained.contained
    for number in range(3):
        fhir.put("DiagnosticReport/r", report(pulse("x", number), id="r"))
    fhir.put("DiagnosticReport/gone", report(pulse("y", 1), id="gone"))
    assert fhir.delete("DiagnosticReport/gone").status == 200
    fhir.put("DiagnosticReport/new", report(pulse("z", 1), id="new"))
    assert check(here).problems == []
    for column, is_past, number in ((its.c.written, True, 3), (its.c.written, False, 2), (its.c.ended, True, 3),
                                    (its.c.ended, False, 2)):  # fmt: skip
        which = its.c.until < FOREVER if is_past else its.c.until == FOREVER
        with here.database.engine.begin() as connection:
            kept = connection.execute(select(its.c.key, column).where(which)).all()
            assert len(kept) == number
            connection.execute(its.update().where(which).values({column: 123_456_789}))
        when = "past versions" if is_past else "the current version"
        found = check(here).problems
        assert [one.partition(" of the resource")[0] for one in found] == [f"The index of what {when}"] * 2
        with here.database.engine.begin() as connection:
            for key, value in kept:
                connection.execute(its.update().where(its.c.key == key).values({column: value}))
    assert check(here).problems == []


@pytest.mark.parametrize("key", ["date", "-date", "-date,_id", "code,-date"])
def test_contained_resources_of_several_types_are_sorted_by_what_each_has(fhir, key):
    for number, day in enumerate(("2020-01-02", "2020-01-01", "2020-01-03")):
        held = [observation(id="o", effectiveDateTime=day),
                {"resourceType": "Procedure", "id": "p", "status": "completed", "code": {"text": "x"},
                 "subject": {"display": "x"}, "performedDateTime": f"{day}T12:00:00Z"}]
        fhir.create({"resourceType": "DiagnosticReport", "status": "final", "code": {"text": str(number)},
                     "contained": held, "result": [{"reference": "#o"}],
                     "extension": [{"url": "http://x/y", "valueReference": {"reference": "#p"}}]})
    url = f"?_type=Observation,Procedure&_contained=true&_containedType=contained&_sort={key}"
    found, link = [], f"{url}&_count=4"
    while link:
        answer = fhir.get(link)
        assert answer.status == 200, answer.content
        found += [one.get("effectiveDateTime") or one["performedDateTime"] for one in answer.resources()]
        link = answer.link("next")
    if key.startswith("code"):  # only the Observations have a coded one
        assert found == sorted(found[:3], reverse=True) + sorted(found[3:], reverse=True)
    else:
        assert found == sorted(found, reverse=key.startswith("-"))
    assert len(found) == 6


@pytest.mark.parametrize("type_name", ["Observation", "QuestionnaireResponse"])
def test_a_contained_patient_is_no_missing_one(fhir, type_name):
    """`patient` looks at subject where it resolves to a Patient, and what is contained resolves."""
    for id_, reference in (("in", "#p"), ("group", "#g"), ("nowhere", "#x"), ("out", "Patient/1"), ("none", None)):
        held = [patient(id="p"), {"resourceType": "Group", "id": "g", "type": "person", "actual": True}]
        one = {"resourceType": type_name, "id": id_, "status": "completed"}
        if type_name == "Observation":
            one |= observation(id=id_)
        fhir.put("Patient/1", patient(id="1"))
        subject = {"display": "nobody"} if reference is None else {"reference": reference}
        one |= {"subject": subject, "contained": [each for each in held if f"#{each['id']}" == reference]}
        if not one["contained"]:
            del one["contained"]
        answer = fhir.put(f"{type_name}/{id_}", one)
        assert answer.status == 201 or reference == "#x", answer.content
    there, missing = (sorted(one["id"] for one in fhir.get(f"{type_name}?patient:missing={text}").resources())
                      for text in ("false", "true"))
    assert (there, missing) == (["in", "out"], ["group", "none"])
    assert sorted(one["id"] for one in fhir.get(f"{type_name}?_filter=patient pr true").resources()) == there
    narrow = fhir.get(f"{type_name}?subject:missing=false").resources()
    assert sorted(one["id"] for one in narrow) == ["group", "in", "none", "out"]
