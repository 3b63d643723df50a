"""DocumentReference/$docref: http://hl7.org/fhir/us/core/OperationDefinition-docref.html"""

import pytest

from tests.builders import parameters, patient

LOINC = "http://loinc.org"
CCD, DISCHARGE, ECG = "34133-9", "18842-5", "11524-6"


@pytest.fixture
def person(fhir):
    return fhir.create(patient())["id"]


def put(fhir, person, name, code, date=None, care=None, **more):
    """Store a reference to a document; `care`: start and end of what it is about."""
    period = {key: one for key, one in zip(("start", "end"), care or (), strict=False) if one}
    content = {"attachment": {"url": f"Binary/{name}", "contentType": "text/plain"}, **more.pop("content", {})}
    made = {
        "resourceType": "DocumentReference", "id": name, "status": "current", "content": [content],
        "type": {"coding": [{"system": LOINC, "code": code}]}, "subject": {"reference": f"Patient/{person}"}, **more,
    }  # fmt: skip
    made |= {"date": f"{date}T00:00:00Z"} if date else {}
    made |= {"context": {"period": period}} if period else {}
    assert fhir.put(f"DocumentReference/{name}", made).status == 201


@pytest.fixture
def documents(fhir, person):
    other = fhir.create(patient("Jones"))["id"]
    put(fhir, other, "other", CCD, "2024-05-01")
    put(fhir, person, "ccd-old", CCD, "2023-01-01", ("2022-01-01", "2022-12-31"))
    put(fhir, person, "ccd", CCD, "2024-01-01", ("2023-01-01", "2023-12-31"))
    put(fhir, person, "ccd-replaced", CCD, "2024-03-01", ("2023-01-01",), status="superseded")
    put(fhir, person, "ccd-wrong", CCD, "2024-03-02", ("2023-01-01",), docStatus="entered-in-error")
    put(fhir, person, "discharge", DISCHARGE, "2022-06-10", ("2022-06-01", "2022-06-09"))
    put(fhir, person, "undated", ECG)
    return f"DocumentReference/$docref?patient={person}"


def found(answer):
    assert answer.status == 200, answer.content
    assert answer.json["type"] == "searchset"
    assert {row["search"]["mode"] for row in answer.entries()} <= {"match"}
    assert answer.json["total"] == len(answer.entries())
    return [one["id"] for one in answer.resources()]


CURRENT = [
    ("", ["ccd", "discharge", "undated"]),  # the current one of each type
    (f"&type={LOINC}|{CCD}", ["ccd"]),
    (f"&type={CCD}", ["ccd"]),
    (f"&type={LOINC}|{CCD}&type={LOINC}|{DISCHARGE}", ["ccd", "discharge"]),
    (f"&type={LOINC}|{CCD},{LOINC}|{DISCHARGE}", ["ccd", "discharge"]),
    (f"&type=http://other|{CCD}", []),
    ("&start=2023", ["ccd", "undated"]),  # care of which nobody knows when it was is never left out
    ("&end=2022-06-01", ["ccd-old", "discharge", "undated"]),
    ("&start=2022-06-09T12:00:00Z&end=2022-07", ["ccd-old", "discharge", "undated"]),
    ("&start=2022-06-10&end=2022-07", ["ccd-old", "undated"]),
    (f"&start=2020&type={CCD}", ["ccd", "ccd-old"]),
    ("&on-demand=true", []),
    ("&on-demand=false", ["ccd", "discharge", "undated"]),
]  # fmt: skip


@pytest.mark.proves("operation:DocumentReference/$docref")
def test_the_current_documents_of_a_patient_are_told(fhir, documents, subtests):
    for asked, ids in CURRENT:
        with subtests.test(asked):
            answer = fhir.get(documents + asked)
            assert found(answer) == ids
            assert found(fhir.get(answer.link("self"))) == ids


def test_it_is_asked_by_a_form_and_by_parameters_as_well(fhir, person, documents):
    coding = {"system": LOINC, "code": CCD, "display": "Summary of episode note"}
    body = parameters(patient=("Id", person), type=("Coding", coding), start=("DateTime", "2020"))
    answer = fhir.post("DocumentReference/$docref", body)
    assert found(answer) == ["ccd", "ccd-old"]
    assert found(fhir.get(answer.link("self"))) == ["ccd", "ccd-old"]
    form = documents.partition("?")[2] + f"&type={LOINC}|{CCD}"
    answer = fhir.post("DocumentReference/$docref", form, Content_Type="application/x-www-form-urlencoded")
    assert found(answer) == ["ccd"]


def test_whoever_is_not_there_has_no_documents(fhir):
    assert found(fhir.get("DocumentReference/$docref?patient=nobody")) == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_profile_is_that_of_the_format(fhir, person):
    ips = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
    for name, code in (("plain", ips), ("versioned", f"{ips}|1.1.0"), ("other", "urn:x")):
        put(fhir, person, name, ECG, "2024-01-01", content={"format": {"system": "urn:ietf:rfc:3986", "code": code}})
    put(fhir, person, "none", ECG, "2024-01-01")
    url = f"DocumentReference/$docref?patient={person}&start=2020&profile="
    assert set(found(fhir.get(url + ips))) == {"plain", "versioned"}
    assert set(found(fhir.get(f"{url}{ips}|1.1.0"))) == {"plain", "versioned"}
    assert set(found(fhir.get(f"{url}{ips}|1.0.0"))) == {"plain"}
    assert set(found(fhir.get(f"{url}{ips}&profile=urn:x"))) == {"plain", "versioned", "other"}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_elements_are_chosen_and_documents_counted(fhir, documents):
    shown = fhir.get(f"{documents}&_elements=type").resources()
    assert [sorted(one) for one in shown[:1]] == [["content", "id", "meta", "resourceType", "status", "type"]]
    assert {tag["code"] for tag in shown[0]["meta"]["tag"]} == {"SUBSETTED"}
    for asked, total in (("", 3), ("&start=2022", 4)):
        counted = fhir.get(f"{documents}{asked}&_summary=count")
        assert (counted.json["total"], counted.entries()) == (total, [])


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("asked", "status", "code", "expression"), [
    ("", 400, "invalid", "patient"),
    ("?patient=Patient/1", 400, "invalid", "patient"),
    ("?patient=1&start=yesterday", 400, "invalid", "start"),
    ("?patient=1&start=2024&end=2023", 400, "invalid", "start"),
    ("?patient=1&on-demand=perhaps", 400, "invalid", "on-demand"),
    ("?patient=1&type=", 400, "invalid", "type"),
    ("?patient=1&category=x", 400, "invalid", "category"),
    ("?patient=1&patient=2", 400, "invalid", "patient"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(fhir, asked, status, code, expression):
    fhir.get(f"DocumentReference/$docref{asked}").refused(status, code, expression)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_type_in_parameters_needs_its_code(fhir):
    body = parameters(patient=("Id", "1"), type=("Coding", {"system": LOINC}))
    fhir.post("DocumentReference/$docref", body).refused(400, "invalid", "type")


def test_a_token_is_told_of_what_it_may_see(fhir, client, documents):
    limited = client(f"system/DocumentReference.rs?type={LOINC}|{DISCHARGE}")
    assert found(limited.get(documents)) == ["discharge"]
    client("system/Patient.rs", "system/DocumentReference.r").get(documents).refused(403, "forbidden")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_more_than_fits_into_an_answer_is_refused_with_how_to_ask_for_less(fhir, documents, monkeypatch):
    monkeypatch.setattr("hie.operations.docref.MOST", 2)
    fhir.get(f"{documents}&start=2020").refused(422, "too-costly", "type", "_elements")
    monkeypatch.setattr("hie.operations.lastn.MOST", 2)
    fhir.get(documents).refused(422, "too-costly", "type", "_elements")
