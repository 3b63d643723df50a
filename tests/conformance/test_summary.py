"""Patient/$summary: http://hl7.org/fhir/uv/ips/OperationDefinition/summary"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hie.fhir.profiles import Library, conformance, read
from hie.fhir.profiles.terminology import asked_by
from hie.fhir.validation import narrative, validate
from hie.operations import surroundings
from hie.operations.patient_summary import choosing
from tests.builders import SYSTEM, VITAL_SIGN, bundle, observation, patient, practitioner, put
from tests.conformance.later import asked, only_entry

Json = dict[str, Any]
BASE = "http://localhost/fhir"
IPS = "http://hl7.org/fhir/uv/ips/StructureDefinition/"
ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
OF = "Patient/p"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"

MEDICATIONS, ALLERGIES, PROBLEMS, PROCEDURES = "10160-0", "48765-2", "11450-4", "47519-4"
IMMUNIZATIONS, DEVICES, RESULTS, VITALS = "11369-6", "46264-8", "30954-2", "8716-3"
PAST, FUNCTION, PLAN, SOCIAL = "11348-0", "47420-5", "18776-5", "29762-2"
PREGNANCY, DIRECTIVES = "10162-6", "42348-3"
REQUIRED = [MEDICATIONS, ALLERGIES, PROBLEMS]
#: What a token needs for any summary.
NEEDED = "system/Patient.rs " + " ".join(f"system/{one}.rs" for one in (
    "MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense", "AllergyIntolerance",
    "Condition"))  # fmt: skip


@pytest.fixture
def settings(settings):
    """Let the server have a base address of its own, so that references below it are its own."""
    return replace(settings, base_url=BASE)


def coded(code: str, system: str = "http://loinc.org", text: str = "") -> Json:
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def category(code: str) -> list[Json]:
    return [coded(code, f"{TERMINOLOGY}observation-category")]


def condition(clinical: str | None = "active", certain: str = "confirmed", **more: Any) -> Json:
    status = {} if clinical is None else {"clinicalStatus": coded(clinical, f"{TERMINOLOGY}condition-clinical")}
    return {"resourceType": "Condition", **status, "code": {"text": "Asthma"}, "subject": {"reference": OF},
            "verificationStatus": coded(certain, f"{TERMINOLOGY}condition-ver-status"), **more}  # fmt: skip


def allergy(clinical: str = "active", certain: str = "confirmed", **more: Any) -> Json:
    return {"resourceType": "AllergyIntolerance", "code": {"text": "Nuts"}, "patient": {"reference": OF},
            "clinicalStatus": coded(clinical, f"{TERMINOLOGY}allergyintolerance-clinical"),
            "verificationStatus": coded(certain, f"{TERMINOLOGY}allergyintolerance-verification"), **more}  # fmt: skip


def taken(status: str) -> Json:
    return {"resourceType": "MedicationStatement", "status": status, "subject": {"reference": OF},
            "medicationCodeableConcept": {"text": "Aspirin"}, "effectiveDateTime": "2024-01-01"}  # fmt: skip


def ordered(status: str, intent: str = "order", **more: Any) -> Json:
    return {"resourceType": "MedicationRequest", "status": status, "intent": intent, "subject": {"reference": OF},
            "medicationCodeableConcept": {"text": "Insulin"}, **more}  # fmt: skip


def given(status: str) -> Json:
    return {"resourceType": "MedicationAdministration", "status": status, "subject": {"reference": OF},
            "medicationCodeableConcept": {"text": "Saline"}, "effectiveDateTime": "2024-01-01"}  # fmt: skip


def dispensed(status: str) -> Json:
    return {"resourceType": "MedicationDispense", "status": status, "subject": {"reference": OF},
            "medicationCodeableConcept": {"text": "Statin"}}  # fmt: skip


def procedure(status: str) -> Json:
    return {"resourceType": "Procedure", "status": status, "code": {"text": "Appendectomy"},
            "subject": {"reference": OF}, "performedDateTime": "2020-01-01"}  # fmt: skip


def immunization(status: str) -> Json:
    return {"resourceType": "Immunization", "status": status, "vaccineCode": {"text": "Influenza"},
            "patient": {"reference": OF}, "occurrenceDateTime": "2020-01-01"}  # fmt: skip


def use(status: str, device: str) -> Json:
    return {"resourceType": "DeviceUseStatement", "status": status, "subject": {"reference": OF},
            "device": {"reference": device}, "timingDateTime": "2020-01-01"}  # fmt: skip


def device(**more: Any) -> Json:
    return {"resourceType": "Device", "type": {"text": "Pacemaker"}, "patient": {"reference": OF}, **more}


def measured(code: str, of: str | None, status: str = "final", on: str = "2024-03-01", **more: Any) -> Json:
    return observation(OF, 1, code, status=status, effectiveDateTime=on, **more) | (
        {} if of is None else {"category": category(of)})  # fmt: skip


def report(status: str, kind: Json, code: str) -> Json:
    return {"resourceType": "DiagnosticReport", "status": status, "category": [kind], "code": coded(code),
            "subject": {"reference": OF}, "effectiveDateTime": "2024-03-01"}  # fmt: skip


def plan(status: str, intent: str = "plan") -> Json:
    return {"resourceType": "CarePlan", "status": status, "intent": intent, "title": "Rest",
            "subject": {"reference": OF}}  # fmt: skip


def consent(scope: str, kind: str, status: str = "active") -> Json:
    return {"resourceType": "Consent", "status": status, "scope": coded(scope, f"{TERMINOLOGY}consentscope"),
            "category": [coded(kind, f"{TERMINOLOGY}consentcategorycodes")], "patient": {"reference": OF},
            "policyRule": {"text": "x"}}  # fmt: skip


def impression(status: str) -> Json:
    return {"resourceType": "ClinicalImpression", "status": status, "subject": {"reference": OF},
            "description": "Walks with a cane"}  # fmt: skip


LAB = coded("LAB", f"{TERMINOLOGY}v2-0074")
#: One record: of each resource, the sections in which it stands.
RECORD: dict[str, tuple[Json, list[str]]] = {
    "med-active": (taken("active"), [MEDICATIONS]),
    "med-intended": (taken("intended"), [MEDICATIONS]),
    "med-hold": (taken("on-hold"), [MEDICATIONS]),
    "med-unknown": (taken("unknown"), [MEDICATIONS]),
    "med-stopped": (taken("stopped"), []),
    "med-completed": (taken("completed"), []),
    "med-not-taken": (taken("not-taken"), []),
    "med-error": (taken("entered-in-error"), []),
    "req-active": (ordered("active"), [MEDICATIONS]),
    "req-hold": (ordered("on-hold", "instance-order"), [MEDICATIONS]),
    "req-plan": (ordered("active", "plan"), []),
    "req-not": (ordered("active", doNotPerform=True), []),
    "req-stopped": (ordered("stopped"), []),
    "req-draft": (ordered("draft"), []),
    "adm-now": (given("in-progress"), [MEDICATIONS]),
    "adm-then": (given("completed"), []),
    "dis-now": (dispensed("in-progress"), [MEDICATIONS]),
    "dis-then": (dispensed("completed"), []),
    "all-active": (allergy(), [ALLERGIES]),
    "all-unsure": (allergy(certain="unconfirmed"), [ALLERGIES]),
    "all-resolved": (allergy("resolved"), []),
    "all-inactive": (allergy("inactive"), []),
    "all-refuted": (allergy(certain="refuted"), []),
    "all-error": ({**allergy(certain="entered-in-error"), "clinicalStatus": None}, []),
    "con-active": (condition(), [PROBLEMS]),
    "con-relapse": (condition("relapse", "provisional"), [PROBLEMS]),
    "con-bare": (condition(None), [PROBLEMS]),
    "con-resolved": (condition("resolved"), [PAST]),
    "con-remission": (condition("remission"), [PAST]),
    "con-inactive": (condition("inactive"), [PAST]),
    "con-refuted": (condition(certain="refuted"), []),
    "con-error": (condition(None, "entered-in-error"), []),
    "con-function": (condition(category=[coded("75324-4")]), [PROBLEMS, FUNCTION]),
    "imp-done": (impression("completed"), [FUNCTION]),
    "imp-open": (impression("in-progress"), []),
    "pro-done": (procedure("completed"), [PROCEDURES]),
    "pro-stopped": (procedure("stopped"), [PROCEDURES]),
    "pro-not": (procedure("not-done"), []),
    "pro-planned": (procedure("preparation"), []),
    "pro-error": (procedure("entered-in-error"), []),
    "imm-done": (immunization("completed"), [IMMUNIZATIONS]),
    "imm-not": (immunization("not-done"), []),
    "dev-used": (device(), []),  # comes along with its use
    "dev-alone": (device(status="active"), [DEVICES]),
    "dev-gone": (device(status="inactive"), []),
    "use-active": (use("active", "Device/dev-used"), [DEVICES]),
    "use-intended": (use("intended", "Device/dev-gone"), []),
    "lab-new": (measured("718-7", "laboratory"), [RESULTS]),
    "lab-old": (measured("718-7", "laboratory", on="2023-01-01"), []),
    "lab-other": (measured("2345-7", "laboratory", "amended"), [RESULTS]),
    "lab-preliminary": (measured("2951-2", "laboratory", "preliminary"), []),
    "lab-error": (measured("2823-3", "laboratory", "entered-in-error"), []),
    "img": (measured("18748-4", "imaging", "corrected"), [RESULTS]),
    "exam": (measured("11450-4", "exam"), []),
    "rep-lab": (report("final", LAB, "58410-2"), [RESULTS]),
    "rep-rad": (report("appended", coded("LP29684-5"), "36643-5"), [RESULTS]),
    "rep-note": (report("final", coded("34117-2"), "34117-2"), []),
    "rep-part": (report("partial", LAB, "57021-8"), []),
    "vital-new": (measured("8867-4", None, category=[VITAL_SIGN]), [VITALS]),
    "vital-old": (measured("8867-4", None, on="2022-01-01", category=[VITAL_SIGN]), []),
    "soc": (measured("11331-6", "social-history"), [SOCIAL]),
    "smoke-new": (measured("72166-2", None), [SOCIAL]),
    "smoke-old": (measured("72166-2", "social-history", on="2010-01-01"), []),
    "preg": (measured("82810-3", "social-history"), [PREGNANCY]),
    "preg-old": (measured("82810-3", None, on="2011-01-01"), []),
    "births": (measured("11636-8", None), [PREGNANCY]),
    "plan-now": (plan("active"), [PLAN]),
    "plan-done": (plan("completed"), []),
    "plan-idea": (plan("active", "proposal"), []),
    "adr": (consent("adr", "research"), [DIRECTIVES]),
    "dnr": (consent("treatment", "dnr"), [DIRECTIVES]),
    "adr-old": (consent("adr", "acd", "inactive"), []),
    "research": (consent("research", "research"), []),
}  # fmt: skip


def store(fhir, *resources: Json) -> None:
    """Store resources under ids of their own."""
    rows = [put({name: value for name, value in one.items() if value is not None}) for one in resources]
    answer = fhir.post("", bundle(*rows))
    assert answer.status == 200, answer.content


@pytest.fixture
def record(fhir):
    """A patient with all of the record above."""
    known = [{"system": SYSTEM, "value": value} for value in ("1", "a,b|")]
    store(fhir, patient(id="p", identifier=known), *(one | {"id": id_} for id_, (one, _) in RECORD.items()))
    return fhir


def made(answer) -> Json:
    assert answer.status == 200, answer.content
    found: Json = answer.json
    return found


def sections(document: Json) -> dict[str, Json]:
    """Return the sections of a document by their code."""
    return {one["code"]["coding"][0]["code"]: one for one in document["entry"][0]["resource"]["section"]}


def listed(document: Json, code: str) -> list[Json]:
    """Return the resources that a section lists."""
    by_url = {row["fullUrl"]: row["resource"] for row in document["entry"]}
    return [by_url[one["reference"]] for one in sections(document)[code]["entry"]]


def words(document: Json) -> str:
    """Return what the Composition says of the whole."""
    return str(document["entry"][0]["resource"]["text"]["div"])


@pytest.mark.proves("operation:Patient/$summary")
def test_each_resource_stands_in_the_sections_it_belongs_to(record):
    document = made(record.get(f"{OF}/$summary"))
    found: dict[str, list[str]] = {id_: [] for id_ in RECORD}
    for code in sections(document):
        for one in listed(document, code):
            id_ = one["device"]["reference"].rpartition("/")[2] if one.get("_timingDateTime") else one["id"]
            found[id_].append(code)
    assert found == {id_: codes for id_, (_, codes) in RECORD.items()}
    assert set(sections(document)) == {code for _, codes in RECORD.values() for code in codes}


@pytest.mark.proves("operation:Patient/$summary")
def test_a_summary_is_a_document_of_this_server_in_which_its_references_lead(record):
    document = made(record.get(f"{OF}/$summary"))
    assert (document["type"], document["meta"]["profile"]) == ("document", [f"{IPS}Bundle-uv-ips"])
    assert document["timestamp"]
    assert document["identifier"]["value"].startswith("urn:uuid:")
    composition, person, *_ = (row["resource"] for row in document["entry"])
    assert (composition["resourceType"], person["id"]) == ("Composition", "p")
    assert composition["type"] == {"coding": [
        {"system": "http://loinc.org", "code": "60591-5", "display": "Patient summary Document"}]}
    assert (composition["status"], composition["subject"]) == ("preliminary", {"reference": f"{BASE}/{OF}"})
    by_url = {row["fullUrl"]: row["resource"] for row in document["entry"]}
    assert len(by_url) == len(document["entry"])
    (author,) = composition["author"]
    assert by_url[author["reference"]]["url"] == BASE
    assert all(url in (f"{BASE}/{one['resourceType']}/{one['id']}", f"urn:uuid:{one['id']}")
               for url, one in by_url.items())
    assert all(narrative.problem(one["text"]["div"]) is None for one in (composition, *composition["section"]))
    told = record.post("Bundle/$validate", document).json["issue"]
    assert {one["severity"] for one in told} <= {"warning", "information"}, told


def test_where_nothing_is_stored_no_absence_is_claimed(fhir):
    store(fhir, patient(id="p"), *(RECORD[id_][0] | {"id": id_} for id_ in ("med-stopped", "all-refuted", "dis-then")))
    document = made(fhir.get(f"{OF}/$summary"))
    assert list(sections(document)) == REQUIRED
    codes = {}
    for code in REQUIRED:
        (one,) = listed(document, code)
        concept = one.get("code") or one["medicationCodeableConcept"]
        (coding,) = concept["coding"]
        assert coding["system"] == ABSENT
        codes[code] = coding["code"]
        assert (one.get("subject") or one["patient"]) == {"reference": f"{BASE}/{OF}"}
        assert "no statement that there is none" in sections(document)[code]["text"]["div"]
    assert codes == {MEDICATIONS: "no-medication-info", ALLERGIES: "no-allergy-info", PROBLEMS: "no-problem-info"}
    assert "no-known" not in str(document)


def test_that_there_is_none_stands_in_a_summary_where_somebody_stored_it(fhir):
    known = allergy(code=coded("716186003", "http://snomed.info/sct", "No known allergy"))
    store(fhir, patient(id="p"), known | {"id": "none"})
    document = made(fhir.get(f"{OF}/$summary"))
    assert [one["id"] for one in listed(document, ALLERGIES)] == ["none"]
    assert "<td>No known allergy</td>" in sections(document)[ALLERGIES]["text"]["div"]


def test_what_people_read_is_what_entries_say_and_no_markup(fhir):
    name = '<script>alert(1)</script> & "x" \ufffe'
    dose = [{"timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}, "route": {"text": "by mouth"},
             "doseAndRate": [{"doseQuantity": {"value": 1.50, "unit": "mg"}}], "asNeededBoolean": True}]
    store(fhir, patient(id="p", name=[{"text": "A & <b>B</b>"}]),
          ordered("active", dosageInstruction=dose, authoredOn="2024-02-03T10:00:00Z",
                  medicationCodeableConcept={"text": name}) | {"id": "m"},
          allergy(reaction=[{"manifestation": [{"text": "Hives"}], "severity": "mild"}], criticality="high",
                  code={"coding": [{"system": "urn:x", "code": "c", "display": "Shown"}]}) | {"id": "a"},
          condition(onsetPeriod={"start": "2020-01-01"}, code={"text": "x" * 400}) | {"id": "c"},
          measured("85354-9", "laboratory", component=[
              {"code": {"text": "Systolic"}, "valueQuantity": {"value": 120, "unit": "mmHg", "comparator": "<"}},
              {"code": {"text": "Diastolic"}, "dataAbsentReason": {"text": "not done"}}],
              valueQuantity=None) | {"id": "o"})
    document = made(fhir.get(f"{OF}/$summary"))
    div = {code: one["text"]["div"] for code, one in sections(document).items()}
    assert all(narrative.problem(one) is None for one in (*div.values(), words(document)))
    assert "A &amp; &lt;b&gt;B&lt;/b&gt;, born 1970-05-01." in words(document)
    shown = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot; \ufffd"
    row = f"<td>{shown}</td><td>2024-02-03</td><td>active; 1.5 mg, 2 per 1 d, as needed, by mouth</td>"
    assert row in div[MEDICATIONS]
    assert "<td>Shown</td><td></td><td>active; confirmed; high; reaction: Hives mild</td>" in div[ALLERGIES]
    assert f"<td>{'x' * 300}…</td><td>from 2020-01-01</td>" in div[PROBLEMS]
    assert "Systolic: &lt; 120 mmHg; Diastolic: not done" in div[RESULTS]


def test_what_references_lead_to_is_named_by_what_they_say_where_it_is_not_there(fhir):
    there = {"resourceType": "Medication", "id": "in", "code": {"text": "Contained"}}
    rows = [ordered("active", medicationCodeableConcept=None, medicationReference=to, contained=inner)
            for to, inner in (({"display": "Only words"}, None), ({"reference": "#in"}, [there]),
                              ({"reference": "https://example.org/fhir/Medication/1", "display": "Elsewhere"}, None),
                              ({"identifier": {"value": "1"}}, None))]  # fmt: skip
    document = summarized(fhir, {}, [*rows, use("active", "Device/d") | {"device": {"display": "Pump"}}, device()])
    shown = sections(document)[MEDICATIONS]["text"]["div"]
    assert all(f"<td>{name}</td>" in shown for name in (
        "Only words", "Contained", "Elsewhere", "MedicationRequest without a name"))
    assert "<td>Pump</td>" in sections(document)[DEVICES]["text"]["div"]
    assert "<td>Pacemaker</td>" in sections(document)[DEVICES]["text"]["div"]


# ---- what comes along ------------------------------------------------------------------------------------------------


@pytest.fixture
def surrounded(fhir):
    """A record that refers to whom and what it is about, to encounters, and to somebody else's."""
    store(
        fhir,
        patient(id="p", generalPractitioner=[{"reference": "PractitionerRole/role"}]), patient(id="q"),
        practitioner(id="doctor"), {"resourceType": "Organization", "id": "firm", "name": "Firm"},
        {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/doctor"},
         "organization": {"reference": f"{BASE}/Organization/firm"}},
        {"resourceType": "Medication", "id": "drug", "code": {"text": "Warfarin"},
         "manufacturer": {"reference": "Organization/firm"}},
        ordered("active", medicationReference={"reference": "Medication/drug"}, medicationCodeableConcept=None,
                encounter={"reference": "Encounter/visit"}) | {"id": "order"},
        {"resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": OF}},
        report("final", LAB, "1") | {"id": "report", "result": [
            {"reference": f"Observation/{one}"} for one in ("part", "wrong", "theirs", "unsure")]},
        measured("2", "exam") | {"id": "part", "performer": [{"reference": "PractitionerRole/role"}]},
        measured("3", "exam", "entered-in-error") | {"id": "wrong"},
        measured("4", "exam", "preliminary") | {"id": "unsure"},
        measured("5", "exam") | {"id": "theirs", "subject": {"reference": "Patient/q"}},
        use("active", "Device/lent") | {"id": "use"},
        {"resourceType": "Device", "id": "lent", "patient": {"reference": f"{BASE}/Patient/q"}},
    )  # fmt: skip
    return fhir


STANDING = {"Patient/p", "MedicationRequest/order", "DiagnosticReport/report", "DeviceUseStatement/use"}
ALONG = {"Practitioner/doctor", "Organization/firm", "PractitionerRole/role", "Medication/drug", "Observation/part"}


def stored_in(document: Json) -> set[str]:
    return {row["fullUrl"].removeprefix(f"{BASE}/") for row in document["entry"] if row["fullUrl"].startswith(BASE)}


def test_whom_and_what_entries_refer_to_comes_along_and_nothing_of_others(surrounded):
    document = made(surrounded.get(f"{OF}/$summary"))
    assert stored_in(document) == STANDING | ALONG
    assert "<td>Warfarin</td>" in sections(document)[MEDICATIONS]["text"]["div"]


def test_what_a_token_may_not_read_does_not_come_along(surrounded, client):
    narrow = client(f"{NEEDED} system/DiagnosticReport.rs system/Observation.rs?code=9 system/Practitioner.s")
    document = made(narrow.get(f"{OF}/$summary"))
    assert stored_in(document) == {"Patient/p", "MedicationRequest/order", "DiagnosticReport/report"}
    assert "Warfarin" not in str(document)
    told = words(document)
    assert "Not looked at, because the access of who asked does not reach it: Procedure, Immunization," in told
    assert "Looked at as far as the access of who asked reaches: Observation." in told


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("type_name", [one.removeprefix("system/")[:-3] for one in NEEDED.split()])
def test_who_may_not_look_for_what_has_to_be_told_gets_no_summary(record, client, type_name):
    """Nothing found would read as nothing known."""
    scopes = [one for one in NEEDED.split() if one != f"system/{type_name}.rs"]
    client(*scopes).get(f"{OF}/$summary").refused(403, "forbidden", text=f"system/{type_name}.")
    wide = client(*scopes, f"system/{type_name}.rs?_id=zz,p")
    assert wide.get(f"{OF}/$summary").status == 200


def test_what_a_scope_hides_is_told_by_nothing(record, client):
    """The same as of a record in which it is not."""
    hidden = client(NEEDED.replace("Condition.rs", "Condition.rs?clinical-status=recurrence"))
    document = made(hidden.get(f"{OF}/$summary"))
    assert [one["code"]["coding"][0]["code"] for one in listed(document, PROBLEMS)] == ["no-problem-info"]
    assert PAST not in sections(document)
    assert "con-active" not in str(document)
    assert "Looked at as far as the access of who asked reaches: Condition." in words(document)


# ---- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "most"), [("MOST", 2), ("MOST_LOOKED_AT", 2)])
def test_what_is_beyond_a_bound_is_told(fhir, monkeypatch, bound, most):
    many = [procedure("completed") | {"id": f"x{day}", "performedDateTime": f"2020-01-0{day}"} for day in (1, 3, 2)]
    store(fhir, patient(id="p"), *many)
    assert len(listed(made(fhir.get(f"{OF}/$summary")), PROCEDURES)) == 3
    monkeypatch.setattr(choosing, bound, most)
    document = made(fhir.get(f"{OF}/$summary"))
    assert [one["id"] for one in listed(document, PROCEDURES)] == ["x3", "x2"]
    assert "More is stored than what stands here of Procedure" in sections(document)[PROCEDURES]["text"]["div"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_entries_refer_to_beyond_the_bound_is_told(surrounded, monkeypatch):
    monkeypatch.setattr(surroundings, "MOST", 2)
    assert "What entries refer to is not all here: 2 resources are." in words(made(surrounded.get(f"{OF}/$summary")))


SPOKEN = {"language": coded("de-CH", "urn:ietf:bcp:47")}
#: Of a Patient and other resources, what IPS wants and they lack.
LACKING: list[tuple[Json, list[Json], str]] = [
    ({"birthDate": None}, [], "Patient.birthDate."),
    ({"name": None}, [], "Patient.name"),
    ({"communication": [SPOKEN, {"language": coded("hi", "http://id.loc.gov/vocabulary/iso639-1")}]}, [],
     "Patient.communication.language of BCP 47."),
    ({"communication": [{"language": {"text": "Hindi"}}]}, [], "Patient.communication.language of BCP 47."),
    ({}, [procedure("completed") | {"performer": [{"actor": {"reference": "Practitioner/x1"}}]},
          practitioner(communication=[{"text": "Hindi"}])],
     "History of Procedures with an entry by its profile: Procedure/x0 lacks Practitioner.communication of BCP 47."),
    ({"name": [{"use": "official"}]}, [], "Patient.name"),
    ({}, [procedure("completed") | {"performedDateTime": None}], "History of Procedures with an entry by its profile: "
     "Procedure/x0 lacks Procedure.performed."),
    ({}, [procedure("completed") | {"performer": [{"actor": {"reference": "PractitionerRole/x1"}}]},
          {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/x2"}},
          {"resourceType": "Practitioner", "active": True}],
     "History of Procedures with an entry by its profile: Procedure/x0 lacks Practitioner.name."),
    ({}, [procedure("completed") | {"performer": [{"actor": {"reference": "#a"}, "onBehalfOf": {"reference": "#b"}}],
                                    "contained": [practitioner(id="a"), {"resourceType": "Organization", "id": "b",
                                                                         "identifier": [{"value": "1"}]}]}],
     "History of Procedures with an entry by its profile: Procedure/x0 lacks Organization.name."),
    ({}, [condition("resolved", code=None)], "History of Past Illness with an entry by its profile: Condition/x0 lacks "
     "Condition.code."),
    ({}, [use("active", "Device/d") | {"timingDateTime": None}, device(id="d", status="inactive")],
     "Medical Devices with an entry by its profile: DeviceUseStatement/x0 lacks DeviceUseStatement.timing."),
    ({}, [use("active", "Device/d"), device(id="d", patient=None)],
     "Medical Devices with an entry by its profile: DeviceUseStatement/x0 lacks Device.patient."),
]  # fmt: skip
LACKING_IDS = ["birth", "name", "language", "language-in-words", "doctors-language", "empty-name", "procedure",
               "performer", "contained", "past", "use", "device"]  # fmt: skip
#: Resources that have all that IPS wants of a summary.
WHOLE: list[list[Json]] = [
    [procedure("completed"), procedure("completed") | {"performedDateTime": None}],
    [procedure("completed") | {"performer": [{"actor": {"reference": "Practitioner/x1"}}]},
     practitioner(communication=[SPOKEN["language"], {"extension": [{"url": ABSENT_REASON, "valueCode": "unknown"}]}])],
    [procedure("completed") | {"performer": [{"actor": {"reference": "Device/x1"}}]}, device(patient=None)],
    [procedure("completed") | {"performedDateTime": None, "_performedDateTime": {"extension": [
        {"url": ABSENT_REASON, "valueCode": "unknown"}]}}],
    [use("active", "Device/x1") | {"timingDateTime": None}, device(patient={"reference": f"{BASE}/{OF}"}), device()],
    [condition(clinical=None), condition()],
    [immunization("completed") | {"performer": [{"actor": {"reference": "Practitioner/x1"}}]},
     {"resourceType": "Practitioner", "active": True}],
    [ordered("active", medicationReference={"reference": "Medication/x1"}, medicationCodeableConcept=None),
     {"resourceType": "Medication", "status": "active"}],
    [{**allergy(), "code": None}],
]  # fmt: skip
WHOLE_IDS = ["one-of-two", "performer", "robot", "no-date", "devices", "problems", "nurse", "drug", "allergy"]


def summarized(fhir, person: Json, rows: list[Json]) -> Json:
    """Return the summary of a Patient with some resources, which are called x0, x1 …"""
    store(fhir, patient(id="p", **person), *({"id": f"x{number}"} | one for number, one in enumerate(rows)))
    return made(fhir.get(f"{OF}/$summary"))


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("person", "rows", "lack"), LACKING, ids=LACKING_IDS)
def test_what_the_guide_wants_and_is_not_stored_is_told_and_no_profile_claimed(fhir, person, rows, lack):
    document = summarized(fhir, person, rows)
    assert "meta" not in document
    assert "meta" not in document["entry"][0]["resource"]
    assert f"Not as IPS wants it: {lack}" in words(document)
    fhir.get(f"{OF}/$summary?profile={IPS}Bundle-uv-ips").refused(422, "processing", OF, lack)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("rows", WHOLE, ids=WHOLE_IDS)
def test_a_summary_of_what_has_all_that_the_guide_wants_claims_its_profile(fhir, rows):
    assert summarized(fhir, {}, rows)["meta"] == {"profile": [f"{IPS}Bundle-uv-ips"]}
    assert fhir.get(f"{OF}/$summary?profile={IPS}Bundle-uv-ips").status == 200


@pytest.fixture(scope="module")
def wrong(shared_data) -> Callable[[Json], list[Any]]:
    """Judge documents by the published profile: what is wrong with one."""
    file = shared_data / "definitions" / "hl7.fhir.uv.ips-1.1.0.tgz"
    if not file.exists():
        pytest.skip(f"needs definitions/{file.name} of the shared data (HIE_TEST_DATA)")
    library = Library([read(file.read_bytes())])
    terminology = asked_by(library)

    def wrong(document: Json) -> list[Any]:
        issues = [*validate(document), *conformance(document, [f"{IPS}Bundle-uv-ips"], library, terminology)]
        return [one for one in issues if one.severity in ("fatal", "error")]

    return wrong


@pytest.mark.proves("operation:Patient/$summary")
@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("person", "rows"), [
    ({}, []), ({}, [one | {"id": id_} for id_, (one, _) in RECORD.items()]), *(({}, rows) for rows in WHOLE),
    *((person, rows) for person, rows, _ in LACKING)],
    ids=["nothing", "everything", *WHOLE_IDS, *(f"no-{one}" for one in LACKING_IDS)])  # fmt: skip
def test_a_summary_conforms_to_the_published_profile_where_it_claims_it(fhir, wrong, person, rows):
    document = summarized(fhir, person, rows)
    assert bool(wrong(document)) is ("meta" not in document), wrong(document)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_server_with_the_package_of_the_guide_takes_its_summaries(record, install, treat, shared_data):
    file = shared_data / "definitions" / "hl7.fhir.uv.ips-1.1.0.tgz"
    if not file.exists():
        pytest.skip(f"needs definitions/{file.name} of the shared data (HIE_TEST_DATA)")
    install(file.read_bytes())
    treat("reject")
    document = made(record.get(f"{OF}/$summary"))
    told = record.post(f"Bundle/$validate?profile={IPS}Bundle-uv-ips", document).json["issue"]
    assert {one["severity"] for one in told} <= {"warning", "information"}, told
    record.create(document)
    del document["entry"][0]["resource"]["section"][1]
    record.post("Bundle", document).refused(422, "required", "Bundle.entry")


# ---- how it is asked -------------------------------------------------------------------------------------------------


@pytest.mark.proves("operation:Patient/$summary")
def test_a_patient_is_found_by_an_identifier(record):
    wanted = {"resourceType": "Parameters", "parameter": [
        {"name": "identifier", "valueIdentifier": {"system": SYSTEM, "value": "1"}}]}
    odd = {"resourceType": "Parameters", "parameter": [
        {"name": "identifier", "valueIdentifier": {"system": SYSTEM, "value": "a,b|"}}]}
    bare = {"resourceType": "Parameters", "parameter": [{"name": "identifer", "valueIdentifier": {"value": "1"}}]}
    for answer in (record.get(f"Patient/$summary?identifier={SYSTEM}|1"), record.get("Patient/$summary?identifer=1"),
                   record.post("Patient/$summary", wanted), record.post("Patient/$summary", bare),
                   record.post("Patient/$summary", odd)):  # fmt: skip
        assert made(answer)["entry"][1]["fullUrl"] == f"{BASE}/{OF}"


def test_a_patient_whom_a_token_may_not_search_has_no_identifier(record, client):
    url = "Patient/$summary?identifier=1"
    hidden = client(NEEDED.replace("Patient.rs", "Patient.rs?gender=male"))
    hidden.get(url).refused(404, "not-found", "identifier")
    record.get("Patient/$summary?identifier=2").refused(404, "not-found", "identifier")
    store(record, patient(id="q", identifier="1", gender="male"))
    record.get(url).refused(412, "multiple-matches", "identifier")
    assert made(hidden.get(url))["entry"][1]["fullUrl"] == f"{BASE}/Patient/q"


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("asked_for", "status", "code", "expression"), [
    ("Patient/nobody/$summary", 404, "not-found", None),
    ("Patient/gone/$summary", 410, "deleted", None),
    ("Patient/$summary", 400, "invalid", "identifier"),
    ("Patient/$summary?identifier=urn:x|", 400, "invalid", "identifier"),
    ("Patient/$summary?identifier=1,2", 400, "invalid", "identifier"),
    ("Patient/$summary?identifier=1&identifer=1", 400, "invalid", "identifier"),
    ("Patient/$summary?identifier=1&identifier=1", 400, "invalid", "identifier"),
    ("Patient/p/$summary?identifier=1", 400, "invalid", "identifier"),
    ("Patient/p/$summary?identifer=1", 400, "invalid", "identifer"),
    ("Patient/p/$summary?profile=http://example.org/other", 400, "not-supported", "profile"),
    (f"Patient/p/$summary?profile={IPS}Bundle-uv-ips|2.0.0", 400, "not-supported", "profile"),
    (f"Patient/p/$summary?profile={IPS}Composition-uv-ips", 400, "not-supported", "profile"),
    ("Patient/p/$summary?graph=http://example.org/graph", 400, "not-supported", "graph"),
    ("Patient/p/$summary?_asOf=yesterday", 400, "invalid", "_asOf"),
    ("Patient/p/$summary?_count=1", 400, "invalid", "_count"),
    ("Observation/p/$summary", 404, "not-found", "http.url"),
    ("$summary", 404, "not-found", "http.url"),
])  # fmt: skip
def test_what_cannot_be_summarized_is_refused(fhir, asked_for, status, code, expression):
    store(fhir, patient(id="p", identifier="1"), patient(id="gone"))
    assert fhir.delete("Patient/gone").status == 200
    fhir.get(asked_for).refused(status, code, expression)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("profile", [f"{IPS}Bundle-uv-ips", f"{IPS}Bundle-uv-ips|1.1.0"])
def test_the_profile_that_summaries_have_may_be_asked_for(record, profile):
    assert made(record.get(f"{OF}/$summary?profile={profile}"))["meta"]["profile"] == [f"{IPS}Bundle-uv-ips"]


def test_a_summary_as_of_an_instant_is_that_of_the_record_then(fhir):
    store(fhir, patient(id="p", identifier="1"), condition() | {"id": "c"})
    then = fhir.get("Condition/c").json["meta"]["lastUpdated"]
    store(fhir, condition("resolved") | {"id": "c"}, allergy() | {"id": "a"}, patient("Later", id="p"))
    now, before = (made(fhir.get(f"{OF}/$summary{asked_for}")) for asked_for in ("", f"?_asOf={then}"))
    assert [one["id"] for one in listed(now, PAST)] == ["c"]
    assert [one["id"] for one in listed(before, PROBLEMS)] == ["c"]
    assert list(sections(before)) == REQUIRED
    assert "a" not in [one["id"] for one in listed(before, ALLERGIES)]
    assert f"stored here at {then}" in words(before)
    assert "Anna Smith" in words(before)
    fhir.get("Patient/$summary?identifier=1").refused(404, "not-found", "identifier")
    by_identifier = made(fhir.get(f"Patient/$summary?identifier=1&_asOf={then}"))
    assert sections(by_identifier).keys() == sections(before).keys()
    assert before["entry"][0]["resource"]["event"][0]["period"]["end"] == then


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_summary_is_answered_in_every_form(record, do_due):
    whole = made(record.get(f"{OF}/$summary"))
    in_xml = record.get(f"{OF}/$summary?_format=xml")
    assert in_xml.headers["Content-Type"].startswith("application/fhir+xml")
    assert len(in_xml.json["entry"]) == len(whole["entry"])
    head = record("HEAD", f"{OF}/$summary")
    assert (head.status, head.content) == (200, b"")
    by_post = made(record.post(f"{OF}/$summary", {"resourceType": "Parameters"}))
    assert len(by_post["entry"]) == len(whole["entry"])
    address = asked(record, "GET", f"{OF}/$summary")
    do_due()
    assert len(only_entry(record.get(address))["resource"]["entry"]) == len(whole["entry"])


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_statement_names_the_guides_definition(fhir):
    rows = fhir.get("metadata").json["rest"][0]["resource"]
    found = [one["definition"] for row in rows if row["type"] == "Patient" for one in row["operation"]
             if one["name"] == "summary"]  # fmt: skip
    assert found == ["http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
                     f"{BASE}/OperationDefinition/-hie-Patient-summary"]


def test_a_summary_may_be_stored_as_any_document(record):
    document = made(record.get(f"{OF}/$summary"))
    stored = record.create(document)
    assert record.total(f"Bundle?composition.type=60591-5&_id={stored['id']}") == 1
