"""Search of contained resources: https://hl7.org/fhir/R4/search.html#contained, docs/adr/0020-contained-resources.md"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.builders import entry, observation, patient
from tests.conformance.conftest import Fhir
from tests.conformance.contained_world import PARTS, REPORTS, WORLD, filled, urls

__all__ = ["filled"]

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
